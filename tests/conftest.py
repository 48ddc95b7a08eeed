"""What every test gets: capabilities by marker, a short socket folder, no process left behind."""

import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests import (
    capabilities,
    examples,  # noqa: F401 - it says how many random examples are tried
)


def pytest_configure() -> None:
    """Refuses a wrong `GPUSCHED_TEST_REQUIRE` before any test runs."""
    capabilities.required_names()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips or fails a marked test where the machine lacks what its marker names."""
    for name in capabilities.NAMES:
        if item.get_closest_marker(name) is not None:
            capabilities.require(name)


class _Spread(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Which tests share a process: those of a file, for its daemon; those that boot machines, and
    those that start containers. Others are spread one by one.
    """

    _TOGETHER = ("tests/systemd/", "tests/e2e/test_containers")
    _APART = ("tests/unit/", "tests/e2e/test_fault_injection.py")

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(self._APART):
            return nodeid
        file = nodeid.partition("::")[0]
        return next((one for one in self._TOGETHER if file.startswith(one)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Spread:
    """Spreads the tests over several processes, where several run them."""
    return _Spread(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what was measured, and, in one line per reason, what this machine did not test."""
    for report in terminalreporter.getreports("passed"):
        if isinstance(report, pytest.TestReport) and report.when == "call":
            for name, text in report.user_properties:
                if name == "measured":
                    terminalreporter.line(str(text))
    skipped = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
        if isinstance(report, pytest.TestReport | pytest.CollectReport)
        and isinstance(report.longrepr, tuple)
    )
    if skipped:
        terminalreporter.section("not tested on this machine")
        for reason, count in sorted(skipped.items()):
            terminalreporter.line(f"{count:4d}  {reason}")


def _children() -> frozenset[int]:
    """The pids of this process's children; each thread lists those it started."""
    lists = Path("/proc/self/task").glob("*/children")
    found: set[int] = set()
    for path in lists:
        # A thread that ends meanwhile has no children any more.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.update(map(int, path.read_text().split()))
    return frozenset(found)


@pytest.fixture(autouse=True)
def no_process_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that ends with a child process (or zombie) that it did not begin with."""
    if request.path.parent.name == "unit":  # they start none, and looking takes a third of them
        yield
        return
    before = _children()
    yield
    if left := _children() - before:
        names = [f"{pid} ({_command(pid)})" for pid in sorted(left)]
        pytest.fail(f"left behind: {', '.join(names)}", pytrace=False)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "just ended"


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    """A folder with a short name: the path of a unix socket may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="gps-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def libnvidia_ml() -> Path:
    """NVIDIA's library, without a driver perhaps; load it in a child process only."""
    capabilities.require("libnvidia_ml")
    path = capabilities.libnvidia_ml()
    assert path is not None
    return path
