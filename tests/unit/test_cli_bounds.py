"""Quotas and pools on the screen and on the command line."""

import pytest

from gpusched.cli.allocation import request_of
from gpusched.cli.devices import device_lines
from gpusched.cli.parser import parse
from gpusched.cli.quota_table import quota_lines
from gpusched.cli.status_screen import screen
from gpusched.client.document import Document
from tests.fakes.messages import GIB, Fields, device, status

QUOTAS: list[Fields] = [
    {"subject": "user ann", "resource": "devices", "used": "3", "allowed": "4"},
    {
        "subject": "group students",
        "resource": "memory_bytes",
        "used": "0",
        "allowed": str(320 * GIB),
    },
    {"subject": "each user", "resource": "waiting", "used": "1", "allowed": "20"},
    {"subject": "label team=red", "resource": "time_limit_seconds", "allowed": "86400"},
]
TABLE = [
    "Quota            Of                  Used   Allowed",
    "user ann         devices                3         4",
    "group students   memory             0 MiB   320 GiB",
    "each user        waiting requests       1        20",
    "label team=red   time limit             -        1d",
]


def test_quotas_in_a_table() -> None:
    """Each quota has a line with what is used and what is allowed."""
    assert quota_lines([Document(one) for one in QUOTAS], None) == TABLE


def test_the_status_ends_with_quotas() -> None:
    """A status shows what bounds whoever asks, and nothing where nothing does."""
    assert screen(Document(status(quotas=QUOTAS)), None)[-6:] == ["", *TABLE]
    assert "Quota" not in "\n".join(screen(Document(status()), None))


def test_the_pool_of_a_device() -> None:
    """Devices show their pool, and where they move to, as soon as one is in another."""
    devices = [
        device(0),
        device(1, pool="training"),
        device(2, pool="training", attributes={"moves_to_pool": "default"}),
        device(3, attributes={"moves_to_pool": "training"}),
    ]
    lines = device_lines([Document(one) for one in devices], None)
    assert lines[0].split()[-2:] == ["POOL", "NOTE"]
    assert [line.partition("healthy")[2].strip() for line in lines[1:]] == [
        "",
        "training",
        "training -> default",
        "default -> training",
    ]
    assert "POOL" not in device_lines([Document(device(0))], None)[0]


@pytest.mark.parametrize("verb", ["allocate", "explain"])
def test_a_pool_is_asked_for(verb: str) -> None:
    """`--pool` names the pool of a request."""
    invocation, _ = parse([verb, "--pool", "training"])
    assert request_of(invocation.options) == {"pool": "training"}
