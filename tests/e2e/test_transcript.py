"""The transcript that README opens with, typed again by two users: it is what really happens."""

import re
from collections.abc import Iterator

import pytest

from tests.blocks import blocks_of
from tests.e2e.host import Host, first_line
from tests.e2e.opener import as_user
from tools.stage import GPUSCHED, ROOT

_PROMPT = re.compile(r"^(?P<user>[a-z]+)\$ +(?P<command>.+?)(?P<background> &)?$")
_UIDS = {"alice": 1001, "bob": 1002}
# What is another one each time: leases, ages (none in the first second), pids, where Python is
# (its name alone, of a process with a capability that the daemon here has not).
_VARYING = ((r" for \d+s\b", ""), (r"\b\d+ C (/\S+/python[\d.]*|gpusched)", "PID C PYTHON"))
pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def shared_host() -> Iterator[Host]:
    """A daemon over the one device of the transcript."""
    with Host("L4") as host:
        host.start_daemon()
        yield host


def _typed(host: Host, user: str, command: str, *, stays: bool) -> list[str]:
    """Type a line as a user; give what it prints, but for a worker's report in JSON."""
    words = (*as_user(_UIDS[user]), "env", f"PATH={GPUSCHED.parent}:{host.environment['PATH']}")
    if stays:
        assert first_line(host.start(*words, "sh", "-c", f"exec {command}"))
        return []
    return host.run(*words, "sh", "-c", f"{command} 2>&1").stdout.splitlines()


def _unvarying(lines: list[str]) -> list[str]:
    """Write users, leases, pids and ages of either telling alike."""
    text = "\n".join(" ".join(line.split()) for line in lines)
    for name, uid in _UIDS.items():
        text = re.sub(rf"\b(uid )?{uid}\b", name, text)
    for number, lease in enumerate(dict.fromkeys(re.findall(r"lease-\w+", text))):
        text = text.replace(lease, f"lease {number}")
    for pattern, word in _VARYING:
        text = re.sub(pattern, word, text)
    return text.splitlines()


def test_the_transcript_of_the_readme_is_true(host: Host) -> None:
    """Who types what README shows is told what README shows."""
    (block,) = (one for one in blocks_of(ROOT / "README.md") if "transcript" in one.markers)
    told: list[str] = []
    shown: list[str] = []
    for line in block.text.splitlines():
        if prompt := _PROMPT.match(line):
            user, command = prompt["user"], prompt["command"]
            told += _typed(host, user, command, stays=prompt["background"] is not None)
        elif line:
            shown.append(line)
    assert _unvarying([line for line in told if line]) == _unvarying(shown)
