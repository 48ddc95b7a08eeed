"""Bentos that leave their mask, that cannot be had, and that ask for each worker."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from tests.e2e.bento import BENTOS, Bento, Seen, environment
from tests.e2e.host import HELD, Host, children_of, kill
from tools.stage import GPUSCHED

pytestmark = pytest.mark.bentoml

_RUN = (str(GPUSCHED), "run")
_SERVE = (str(GPUSCHED), "bentoml")
_ELSEWHERE = "9"

Done = subprocess.CompletedProcess[str]
Workers = tuple[list[Seen], list[Seen]]
"""All workers before and after the first of them was killed."""


class Bentos:
    """All bentos of this file: they begin at once, as each takes seconds."""

    def __init__(self, host: Host, several: ThreadPoolExecutor) -> None:
        self.host = host
        self._several = several
        self._made: list[Bento] = []
        self.held = self._wandering(*_RUN, "--gpus", "1", "--", "bentoml")
        self.advisory = self._wandering(*_RUN, "--enforce", "advisory", "--", "bentoml")
        self.own = self._wandering(*_SERVE)
        self.each = self._workers("bentoml")
        self.shared_out = self._workers(*_RUN, "--gpus", "2", "--", "bentoml")
        self.type = self._refused("1.4", "NeedsElsewhere")
        self.number = self._refused("1.3", "TooMany")
        self.listed = self._refused("1.4", "Listed", "listed")

    def wait(self) -> None:
        """Wait until all have begun."""
        wait((self.held, self.advisory, self.own))
        wait((self.each, self.shared_out))
        wait((self.type, self.number, self.listed))

    def end(self) -> None:
        """End all: not one after the other, as each would take seconds."""
        for one in self._made:
            one.end()

    def _wandering(self, *before: str) -> Future[Bento]:
        def begin() -> Bento:
            bento = Bento(self.host, "1.4", "wandering:Entry", *before, WANDERS_TO=_ELSEWHERE)
            self._made.append(bento)
            bento.ask()
            return bento

        return self._several.submit(begin)

    def _workers(self, *before: str) -> Future[Workers]:
        """Hear the workers before and after the first one of them was killed."""

        def begin() -> Workers:
            bento = Bento(self.host, "1.4", "each:Each", *before)
            self._made.append(bento)
            first = bento.ask_each(2)
            kill(first[0].pid)
            bento.replaced(first[0].pid, "Each")
            return first, bento.ask_each(2)

        return self._several.submit(begin)

    def _refused(self, version: str, target: str, module: str = "refused") -> Future[Done]:
        words = environment(self.host, version)
        where = ("--working-dir", str(BENTOS))
        return self._several.submit(
            self.host.run, *words, *_SERVE, "serve", f"{module}:{target}", *where
        )


@pytest.fixture(scope="module")
def bentos() -> Iterator[Bentos]:
    """All of them, on a host of their own."""
    with Host("8xA100-80GB,4xL4") as host, ThreadPoolExecutor() as several:
        host.start_daemon()
        host.told("cordon", _ELSEWHERE, "--reason", "nobody is to have a lease of it")
        made = Bentos(host, several)
        # No test is to find processes that it did not begin with.
        made.wait()
        yield made
        made.end()
        host.sweep()


def test_a_type_that_is_not_here_ends_serve_with_the_types_of_the_host(bentos: Bentos) -> None:
    """A `gpu_type` that this host has not is named at once, and nothing is kept."""
    done = bentos.type.result()
    assert done.returncode == 64, done
    line = done.stderr.splitlines()[-1]
    assert line.startswith("gpusched: service Elsewhere: ")
    assert all(one in line for one in ("nvidia-b200", "nvidia-a100-80gb", "nvidia-l4"))
    assert "Traceback" not in done.stderr
    owners = [one.part("owner").text("reference") for one in bentos.host.leases().values()]
    assert not [one for one in owners if one.endswith(("/NeedsElsewhere", "/Elsewhere"))]


def test_too_many_ends_serve_instead_of_inventing_indices(bentos: Bentos) -> None:
    """More than there are is refused with gpusched's sentence and code, on old BentoML too."""
    done = bentos.number.result()
    assert done.returncode == 78, done
    line = next(one for one in done.stderr.splitlines() if one.startswith("gpusched: "))
    assert line.startswith("gpusched: service TooMany: ")
    assert "99" in line
    assert "Traceback" not in done.stderr


def test_a_list_of_workers_is_not_bentomls(bentos: Bentos) -> None:
    """`workers=[…]` is refused by BentoML itself, which takes a number only."""
    done = bentos.listed.result()
    assert done.returncode, done
    assert "should be instance of 'int'" in done.stderr


def test_a_declared_mask_outside_the_lease_is_contained(bentos: Bentos) -> None:
    """Where the kernel holds the mask a bento's own gets it nothing."""
    bento = bentos.held.result()
    found = bento.ask()
    assert found.mask == _ELSEWHERE
    (own,) = bentos.host.leases()[found.lease].parts("devices")
    if not HELD:
        pytest.skip("nothing holds a mask here")
    assert found.opened == [own.number("index")]
    assert "no CUDA-capable device" in bento.ask("use").text("said")


def test_a_declared_mask_outside_the_lease_is_told(bentos: Bentos) -> None:
    """Where nobody holds the mask, a device outside it that is used is a violation."""
    bento, host = bentos.advisory.result(), bentos.host
    found = bento.ask()
    assert (found.mask, found.opened) == (_ELSEWHERE, list(range(12)))
    assert "devices" in bento.ask("use").text("said")
    host.until(lambda: host.leases()[found.lease].parts("violations"))
    (violation,) = host.leases()[found.lease].parts("violations")
    assert violation.text("kind") == "VIOLATION_KIND_OUTSIDE_MASK"
    assert violation.part("process").number("pid") in children_of(found.pid)


def test_serve_overrides_a_declared_mask(bentos: Bentos) -> None:
    """With a lease for each service the lease's mask is put in place of a bento's own."""
    found = bentos.own.result().ask()
    (own,) = bentos.host.leases()[found.lease].parts("devices")
    assert found.mask == ("0" if HELD else str(own.number("index")))
    assert found.opened == [own.number("index")] or not HELD


def test_a_service_that_declares_no_gpu_gets_none(bentos: Bentos) -> None:
    """A service without `gpu` has a lease of no device, so it cannot take its neighbour's."""
    bentos.own.result()
    living = bentos.host.leases().values()
    (entry,) = (one for one in living if one.words("labels") == {"bentoml.service": "Entry"})
    assert not entry.parts("devices")


@pytest.mark.parametrize("way", ["each", "shared_out"])
def test_a_respawned_worker_gets_its_device_back(bentos: Bentos, way: str) -> None:
    """`gpusched.worker_lease` gives each worker a device, and its replacement the same."""
    first, again = (bentos.each if way == "each" else bentos.shared_out).result()
    devices = [one.texts("held") for one in first]
    assert [len(one) for one in devices] == [1, 1]
    assert devices[0] != devices[1]
    assert [one.texts("held") for one in again] == devices
    assert [one.pid == before.pid for one, before in zip(again, first, strict=True)] == [
        False,
        True,
    ]
    assert all(one.devices == one.texts("held") for one in (*first, *again))


def test_worker_lease_takes_no_second_lease(bentos: Bentos) -> None:
    """Under a lease its devices are shared out; elsewhere each worker takes one of its own."""
    alone, replaced = bentos.each.result()
    under, still = bentos.shared_out.result()
    assert len({one.text("lease") for one in (*alone, *replaced)}) == 3
    assert len({one.text("lease") for one in (*under, *still)}) == 1
    assert [one.mask for one in under] == ["0", "1"] or not HELD
    assert [one.mask for one in alone] == ["0", "0"] or not HELD
