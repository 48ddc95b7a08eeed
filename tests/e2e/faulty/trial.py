"""One scenario, once for each boundary: the daemon dies there, comes back, and is looked at."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from gpusched.client.errors import GpuschedError, WrongState
from tests.e2e.faulty.cgroups import alive
from tests.e2e.faulty.claims import bare, left, outlived, unsettled
from tests.e2e.faulty.ordeal import Died, Ordeal
from tests.e2e.faulty.scenarios import Scenario
from tools.stage import Failed

# Threads of the daemon may meet in another order: what was crossed once may not be there again.
_ATTEMPTS = 3


class Findings:
    """Which boundaries there are, and what came of dying there. Used from several threads.

    Attributes:
        died: The boundaries at which the daemon died.
        missed: Those that were crossed once and never again.
        faults: What was not as it must be, with the boundary.
    """

    def __init__(self) -> None:
        self.died: set[str] = set()
        self.missed: set[str] = set()
        self.faults: list[str] = []
        self._attempts: Counter[str] = Counter()
        self._next: deque[str] = deque()
        self._lock = threading.Lock()

    def meet(self, crossed: Iterable[str]) -> None:
        """Take note of boundaries; the new ones are to be died at."""
        with self._lock:
            fresh = [one for one in dict.fromkeys(crossed) if one not in self._attempts]
            self._attempts.update(dict.fromkeys(fresh, 0))
            self._next.extend(fresh)

    def take(self) -> str | None:
        """Give a boundary at which nobody has died; None: there is none."""
        with self._lock:
            return self._next.popleft() if self._next else None

    def miss(self, boundary: str) -> None:
        """Take note that the daemon never came to *boundary*."""
        with self._lock:
            self._attempts[boundary] += 1
            if self._attempts[boundary] < _ATTEMPTS:
                self._next.append(boundary)
            else:
                self.missed.add(boundary)


def endure(ordeals: Sequence[Ordeal], scenario: Scenario) -> Findings:
    """Let daemons die at each boundary of *scenario*, one death each, side by side."""
    findings = Findings()
    _try(ordeals[0], scenario, "", findings)

    def go_on(ordeal: Ordeal) -> None:
        while (boundary := findings.take()) is not None:
            _try(ordeal, scenario, boundary, findings)

    with ThreadPoolExecutor(len(ordeals)) as threads:
        list(threads.map(go_on, ordeals))
    return findings


def _try(ordeal: Ordeal, scenario: Scenario, boundary: str, findings: Findings) -> None:
    """Let the daemon die at one boundary, at none where that is empty; see what is then."""
    faults: list[str] = []
    ordeal.at = boundary
    if not ordeal.nursery.alive:
        ordeal.begin()
    with ordeal.once():
        died = _dies(ordeal, scenario, faults)
        ordeal.disarm()
        findings.meet(ordeal.crossed)
        if died:
            findings.died.add(boundary)
            faults += [*bare(ordeal), *_agreed(lambda: outlived(ordeal))]
            ordeal.begin()
        elif boundary and not faults:
            findings.miss(boundary)
        faults += _agreed(lambda: unsettled(ordeal))
        if died:
            faults += _retried(ordeal)
        faults += _cleared(ordeal)
    findings.faults += [f"{boundary or 'no death'}: {one}" for one in faults]


def _dies(ordeal: Ordeal, scenario: Scenario, faults: list[str]) -> bool:
    try:
        scenario(ordeal)
    except Died:
        return True
    except (Failed, GpuschedError) as error:
        faults.append(f"{type(error).__name__}: {error}")
    return False


def _retried(ordeal: Ordeal) -> list[str]:
    """Ask again for what was asked for before the crash: it must be had, and only once."""
    faults: list[str] = []
    for one in tuple(ordeal.asked):
        try:
            lease = one.call("Leases/Allocate", one.message).part("lease").text("id")
        except (Failed, GpuschedError) as error:
            faults.append(f"a repeated request is refused: {error}")
            continue
        if lease not in ordeal.leases():
            faults.append(f"a repeated request is answered with {lease}, which is over")
        faults += [fault for pid in one.pids for fault in _attached(ordeal, lease, pid)]
    return [*faults, *_agreed(lambda: unsettled(ordeal))]


def _attached(ordeal: Ordeal, lease: str, pid: int) -> list[str]:
    """Attach again; that the process has ended by now is no fault."""
    try:
        ordeal.call("Leases/Attach", {"lease_id": lease, "process": {"pid": pid}})
    except GpuschedError as error:
        if alive(pid):
            return [f"a repeated attach is refused: {error}"]
    return []


def _cleared(ordeal: Ordeal) -> list[str]:
    """End every process, release every lease; then the host is as it was in the beginning."""
    ordeal.end_processes()
    ordeal.control("")
    ordeal.call("Node/SetGuard", {"on": False})

    def look() -> list[str]:
        for one in ordeal.leases():
            with suppress(WrongState):  # the last of its processes is just dying
                ordeal.call("Leases/Release", {"lease_id": one})
        return left(ordeal)

    return _agreed(look)


def _agreed(look: Callable[[], list[str]]) -> list[str]:
    """Give the faults that are there still after a while."""
    found: list[str] = ["nothing was looked at"]

    def agreed() -> bool:
        found[:] = look()
        return not found

    with suppress(Failed):
        Ordeal.until(agreed, "all to fit together")
    return found
