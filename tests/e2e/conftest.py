"""Daemons for the end-to-end tests: one that a file shares, or one of a test's own."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.e2e.host import Host
from tests.e2e.podman import Engine, engine_of


@pytest.fixture(scope="module")
def shared_host() -> Iterator[Host]:
    """A running daemon over eight devices for all tests of a file."""
    with Host() as host:
        host.start_daemon()
        yield host


@pytest.fixture
def host(shared_host: Host) -> Iterator[Host]:
    """The file's daemon, without leases and processes of an earlier test."""
    yield shared_host
    shared_host.sweep()


@pytest.fixture
def engine(host: Host) -> Iterator[Engine]:
    """An engine of which nothing is left behind."""
    with engine_of(host) as found:
        yield found


@pytest.fixture
def own_host() -> Iterator[Host]:
    """A running daemon over eight devices for one test, which may do anything to it."""
    with Host() as host:
        host.start_daemon()
        yield host


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how often the daemon was killed, for each of those deaths was looked into."""
    counts: Counter[str] = Counter()
    for report in (
        *terminalreporter.getreports("passed"),
        *terminalreporter.getreports("failed"),
    ):
        if isinstance(report, pytest.TestReport) and report.when == "call":
            found = (one for one in report.user_properties if one[0] in {"deaths", "missed"})
            counts.update({name: int(str(value)) for name, value in found})
    if counts:
        terminalreporter.line(
            f"fault injection: the daemon was killed at {counts['deaths']} boundaries, one by one;"
            f" {counts['missed']} more were crossed once and never again"
        )
