"""The example configuration: every option with its default, all of it commented out.

Its first line carries a checksum of the rest. By it setup knows a file that nobody changed, of
whatever version: an upgrade replaces that one, and uninstall removes it.
"""

import json
from hashlib import sha256

from gpusched.config.options import OPTIONS, POOLS, PRICES, PRIORITIES, QUOTAS

_HEAD = "# Written by gpusched setup, which replaces or removes it while this holds: "
_INTRODUCTION = """\
#
# Every option with its default. Take the # off a line (and off the [table] above it) to change
# one; then: gpusched config check, and systemctl reload gpusched.
"""
_TABLES = f"""
# What each user may have; instead of user also group or label = "team=vision". Beside devices
# also memory, leases, waiting and time_limit.
#[[{QUOTAS}]]
#user = "*"
#devices = 8

# A set of devices that requests name with --pool; users and groups say who may.
#[{POOLS}.training]
#devices = ["0"]

# A class of requests: what it is worth, and whether its leases give way to higher ones.
#[{PRIORITIES}.batch]
#value = -5
#preemptible = true

# What a row of `gpusched types` costs, in words.
#[{PRICES}]
#"gpu.l4.1" = "0.70 EUR/h"
"""


def example() -> str:
    """Give the text of the file."""
    lines: list[str] = []
    table = ""
    for option in OPTIONS:
        part, _, name = option.key.partition(".")
        if part != table:
            lines += ["", f"#[{part}]"]
            table = part
        lines += [f"# {option.meaning}", f"#{name} = {_toml(option.default)}"]
    body = _INTRODUCTION + "\n".join(lines) + "\n" + _TABLES
    return f"{_HEAD}{_sum(body)}\n{body}"


def untouched(text: str) -> bool:
    """Say whether *text* is as some version of setup wrote it."""
    head, _, body = text.partition("\n")
    return head == f"{_HEAD}{_sum(body)}"


def _sum(body: str) -> str:
    return sha256(body.encode()).hexdigest()[:16]


def _toml(value: object) -> str:
    """Give a default as the file would have it: words, whole numbers and lists of words."""
    if value is None:
        return '"10m"  # unset'
    return json.dumps(value, ensure_ascii=False)
