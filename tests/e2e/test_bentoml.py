"""BentoML, unmodified, in a version that overwrites masks and in a current one, over HTTP."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.bento import Bento, Seen
from tests.e2e.host import HELD, Host, kill, members
from tools.stage import GPUSCHED

pytestmark = pytest.mark.bentoml

RUN = (str(GPUSCHED), "run", "--gpus", "3", "--", "bentoml")
SERVE = (str(GPUSCHED), "bentoml")
_VERSIONS = ("1.3", "1.4")


class Story:
    """A bento, what its workers said at first, and whom of them was killed then."""

    def __init__(self, bento: Bento) -> None:
        self.bento = bento

    def play(self) -> None:
        """Let it begin and go on."""
        self.begin()
        self.go_on()

    def begin(self) -> None:
        """Hear all workers; kill the first one of each service."""
        self.entry = self.bento.ask_each(2)
        self.dep = self.bento.ask("dep_who")
        self.leases = {one.lease: members(self.bento.host.leases()[one.lease]) for one in self.all}
        for one in (self.entry[0], self.dep):
            kill(one.pid)

    def go_on(self) -> None:
        """Hear all workers after those were replaced."""
        self.bento.replaced(self.dep.pid, "Dep")
        self.bento.replaced(self.entry[0].pid, "MyService")
        self.entry_again = self.bento.ask_each(2)
        self.dep_again = self.bento.ask("dep_who")

    @property
    def all(self) -> list[Seen]:
        """All workers at first."""
        return [*self.entry, self.dep]


@pytest.fixture(scope="module")
def stories() -> Iterator[dict[tuple[str, str], Story]]:
    """The same bento served four times at once; it starts and is replaced in seconds."""
    with Host("16xA100-80GB") as host:
        host.start_daemon()
        made = {
            (way, version): Story(Bento(host, version, "two:MyService", *before))
            for way, before in (("run", RUN), ("serve", SERVE))
            for version in _VERSIONS
        }
        with ThreadPoolExecutor() as several:
            list(several.map(Story.play, made.values()))
        yield made
        for story in made.values():
            story.bento.end()
        host.sweep()


@pytest.fixture(params=_VERSIONS)
def run(request: pytest.FixtureRequest, stories: dict[tuple[str, str], Story]) -> Story:
    """Served below `gpusched run`."""
    return stories["run", request.param]


@pytest.fixture(params=_VERSIONS)
def serve(request: pytest.FixtureRequest, stories: dict[tuple[str, str], Story]) -> Story:
    """Served by `gpusched bentoml serve`."""
    return stories["serve", request.param]


def _indices(story: Story, devices: list[str]) -> list[int]:
    found = {one.text("uuid"): one.number("index") for one in story.bento.host.devices()}
    return sorted(found[one] for one in devices)


def _opens_its_own(story: Story, one: Seen) -> bool:
    """Say whether a worker can open its devices, and nothing else where the kernel holds that."""
    own = _indices(story, one.devices)
    return one.opened == (own if HELD else list(range(16)))


def test_the_mask_reaches_every_worker_of_every_service(run: Story) -> None:
    """Below `gpusched run` all workers have its devices and its mask, whatever BentoML does."""
    assert [one.text("service") for one in run.all] == ["MyService", "MyService", "Dep"]
    assert len({one.pid for one in run.all}) == 3
    (lease,) = {one.lease for one in run.all}
    assert {one.pid for one in run.all} | {run.bento.parent} <= set(run.leases[lease])
    devices = run.dep.devices
    assert len(set(devices)) == 3
    indices = _indices(run, devices)
    for one in run.all:
        assert one.devices == devices
        assert one.mask == ("0,1,2" if HELD else ",".join(map(str, indices)))
        assert _opens_its_own(run, one)


def test_a_respawned_worker_has_the_mask(run: Story) -> None:
    """What BentoML starts for a worker that was killed is under the same lease."""
    again = [*run.entry_again, run.dep_again]
    assert not {run.entry[0].pid, run.dep.pid} & {one.pid for one in again}
    for one in again:
        assert (one.lease, one.mask) == (run.dep.lease, run.dep.mask)
        assert _opens_its_own(run, one)


def test_each_service_has_a_lease_of_its_own(serve: Story) -> None:
    """`gpusched bentoml serve` gives all workers of a service what its `resources` say."""
    one, two = serve.entry
    assert one.lease == two.lease != serve.dep.lease
    assert one.devices == two.devices
    assert (len(one.devices), len(serve.dep.devices)) == (2, 1)
    assert not set(one.devices) & set(serve.dep.devices)
    assert sorted(serve.leases[one.lease]) == sorted((one.pid, two.pid))
    assert serve.leases[serve.dep.lease] == [serve.dep.pid]
    for worker in serve.all:
        ordinals = range(len(worker.devices)) if HELD else _indices(serve, worker.devices)
        assert worker.mask == ",".join(map(str, ordinals))
        assert _opens_its_own(serve, worker)


def test_leases_come_again_as_services_do(serve: Story) -> None:
    """A worker comes back into its service's lease; after the last a new one has the devices."""
    assert [one.lease for one in serve.entry_again] == [serve.entry[0].lease] * 2
    assert serve.entry_again[0].pid != serve.entry[0].pid
    assert serve.dep_again.lease != serve.dep.lease
    assert serve.dep_again.devices == serve.dep.devices
    host = serve.bento.host
    assert host.ended(serve.dep.lease) == "END_REASON_EMPTY"
    assert host.leases()[serve.dep_again.lease].words("labels") == {"bentoml.service": "Dep"}
    assert all(_opens_its_own(serve, one) for one in (*serve.entry_again, serve.dep_again))


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize("way", ["run", "serve"])
def test_orphans_keep_the_lease(
    way: str, version: str, stories: dict[tuple[str, str], Story]
) -> None:
    """`kill -9` of the parent leaves workers behind: they keep the lease, and end it."""
    story = stories[way, version]
    host = story.bento.host
    orphans = {one.pid for one in (*story.entry_again, story.dep_again)}
    leases = {one.lease for one in (*story.entry_again, story.dep_again)}
    kill(story.bento.parent)
    story.bento.process.wait()
    assert story.bento.ask().pid in orphans
    host.until(lambda: story.bento.parent not in _all_members(host, leases))
    assert _all_members(host, leases) == orphans
    for pid in orphans:
        kill(pid)
    host.until(lambda: not leases & host.leases().keys())


def _all_members(host: Host, leases: set[str]) -> set[int]:
    living = host.leases()
    return {pid for one in leases for pid in members(living[one])}
