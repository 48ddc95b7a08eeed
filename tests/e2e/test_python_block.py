"""A lease in a Python program, with real daemons: names, notices, renewal, waiting, both faces."""

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Iterator

import pytest

import gpusched
from gpusched import Notice, NoticeKind, testing
from gpusched.client.errors import CouldFitLater, NoSuchDevice
from tests.e2e.host import Host, first_line

_RULES = """
[queue]
preemption_notice = "20s"
[priorities.batch]
value = -5
preemptible = true
"""
_SECONDS = 20
_NAMES = """
import json, subprocess, sys, gpusched

for wish in json.loads(sys.argv[1]):
    with gpusched.lease(wait="20s", **wish) as lease:
        names = []
        for place in range(len(lease.devices)):
            try:
                names.append(lease.torch_device(place))
            except gpusched.NoSuchDevice:
                names.append("")
        worker = [sys.executable, "-m", "gpusched", "simulated-worker", "--memory", "1GiB"]
        done = subprocess.run([*worker, "--for", "0.01"], capture_output=True, text=True)
        shown = json.loads(done.stdout)["devices"] if done.stdout else []
        print(json.dumps([names, [one.uuid for one in lease.devices], shown]), flush=True)
"""
_GIVES_WAY = """
import asyncio, gpusched

async def main():
    told = asyncio.Queue()
    async with gpusched.async_lease(gpus=2, priority="batch") as lease:
        lease.on_notice(told.put)
        print(lease.id, flush=True)
        notice = await told.get()
        assert notice.action_at > notice.at
    print(notice.kind, notice.action, notice.lease)

asyncio.run(main())
"""
_TAKES = """
import gpusched

with gpusched.lease(gpus=2, wait="20s") as lease:
    assert lease.torch_device(1) == "cuda:1"
"""
_FORMATS = ("auto", "index", "relative", "uuid")


class Ear:
    """Hears notices, and lets the test wait for one."""

    def __init__(self) -> None:
        self.heard: list[Notice] = []
        self._news = threading.Condition()

    def __call__(self, notice: Notice) -> None:
        with self._news:
            self.heard.append(notice)
            self._news.notify_all()

    def wait_for(self, kind: NoticeKind, count: int = 1) -> Notice:
        """The last of so many notices of a kind."""

        def found() -> list[Notice]:
            return [one for one in self.heard if one.kind is kind]

        with self._news:
            assert self._news.wait_for(lambda: len(found()) >= count, _SECONDS), self.heard
            return found()[-1]


@pytest.fixture(scope="module")
def simulated() -> Iterator[testing.SimulatedHost]:
    """A host whose classes give way to one another."""
    with testing.daemon("2xL4", config=_RULES) as host:
        yield host


@pytest.mark.parametrize("simulate", ["4xL4", "mig"])
def test_torch_names_are_those_that_cuda_shows(simulate: str, tmp_path: object) -> None:
    """In every mask format, held by the kernel or not, the name is the place in what a process of
    the lease is shown by CUDA's rules, and there is none where it is shown nothing.
    """
    scenario = "4xL4"
    wishes: list[dict[str, object]] = [
        {"devices": [3, 1], "mask_format": form, "enforce": enforce}
        for form in _FORMATS
        for enforce in ("preferred", "advisory")
    ]
    if simulate == "mig":
        assert hasattr(tmp_path, "joinpath")
        path = tmp_path.joinpath("mig.toml")
        path.write_text('[[device]]\nprofile = "A100-40GB"\nmig = ["3g.20gb", "3g.20gb"]\n')
        scenario = str(path)
        wishes = [{"gpus": 2, "mig": "3g.20gb"}]
    with Host(scenario) as host:
        host.start_daemon()
        done = host.run(sys.executable, "-c", _NAMES, json.dumps(wishes))
        assert done.returncode == 0, done
        rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(wishes)
    for names, leased, shown in rows:
        wanted = [f"cuda:{shown.index(one)}" if one in shown else "" for one in leased]
        assert names == wanted
    assert any(all(names) for names, _, _ in rows) == (simulate == "4xL4")


def test_over_use_comes_to_a_callback(simulated: testing.SimulatedHost) -> None:
    """What is told of real over-use is heard while the block goes on; a callback that fails at it
    is logged and hears the next.
    """
    ear, failed = Ear(), threading.Event()

    def failing(notice: Notice) -> None:
        failed.set()
        raise ValueError(notice.sentence)

    with gpusched.lease(memory="2GiB", wait="20s") as lease:
        lease.on_notice(failing)
        assert lease.on_notice(ear) is ear
        worker = simulated.worker(lease, "3GiB")
        notice = ear.wait_for(NoticeKind.OVER_LIMIT)
        assert (notice.lease, notice.device) == (lease.id, lease.devices[0].uuid)
        assert "2 GiB" in notice.sentence
        assert failed.wait(_SECONDS)
        late = Ear()
        lease.on_notice(late)  # what was told before is told first
        assert late.wait_for(NoticeKind.OVER_LIMIT) == notice
        worker.end()


def test_a_callback_that_fails_is_logged(
    simulated: testing.SimulatedHost, caplog: pytest.LogCaptureFixture
) -> None:
    """Its traceback is in the program's own log, once for each notice."""
    ear = Ear()

    def failing(notice: Notice) -> None:
        ear(notice)
        raise ValueError("a defect of the program")

    with (
        caplog.at_level(logging.ERROR, "gpusched"),
        gpusched.lease(memory="2GiB", wait="20s") as lease,
    ):
        lease.on_notice(failing)
        simulated.worker(lease, "3GiB").end()
        ear.wait_for(NoticeKind.OVER_LIMIT)
    (record,) = (one for one in caplog.records if one.levelno == logging.ERROR)
    assert record.exc_info is not None
    assert "a callback failed at the notice" in record.message


@pytest.mark.root  # where nothing holds processes together nobody is made to give way
def test_who_is_told_makes_room_by_himself() -> None:
    """A request of a higher class is told to the lower one before its end, in a task of its loop;
    who leaves his block then is not signalled, and the higher one is served.
    """
    with Host("2xL4") as host:
        host.config.write_text(host.config.read_text() + _RULES)
        host.start_daemon()
        lower = host.start(sys.executable, "-c", _GIVES_WAY)
        lease = first_line(lower).strip()
        higher = host.run(sys.executable, "-c", _TAKES)
        assert higher.returncode == 0, higher
        assert lower.wait(10) == 0
        assert first_line(lower).split() == ["preemption", "end", lease]
        assert host.ended(lease) == "END_REASON_RELEASED"


@pytest.mark.usefixtures("simulated")
def test_a_coroutine_function_is_for_the_other_face() -> None:
    """A plain block cannot await: who gives it a coroutine function is told at once."""

    async def told(_notice: Notice) -> None: ...

    with gpusched.lease(wait="20s") as lease, pytest.raises(TypeError, match="async_lease"):
        lease.on_notice(told)


def test_a_block_outlives_a_crash_of_the_daemon() -> None:
    """`kill -9` of the daemon within a block: the lease is renewed by the next one, notices go on
    without one missed or told twice, and the end of the block ends the lease.
    """
    ear = Ear()
    with testing.daemon("2xL4") as host:
        with gpusched.lease(memory="2GiB", keepalive=1.5) as lease:
            lease.on_notice(ear)
            worker = host.worker(lease, "3GiB")
            ear.wait_for(NoticeKind.OVER_LIMIT)
            worker.end()
            host.kill()
            host.start()
            host.report(48)
            ear.wait_for(NoticeKind.DEVICE_FAILING)
            threading.Event().wait(2)  # for longer than the lease would live unrenewed
            listed = host.client.lease(lease.id)
            assert not listed.end_reason
            assert listed.keepalive_deadline.ToNanoseconds() > listed.created_at.ToNanoseconds()
        assert host.client.lease(lease.id).end_reason
    told = [(one.kind, one.sentence, one.at) for one in ear.heard]
    assert len(set(told)) == len(told)


async def test_an_async_block_outlives_a_restart_of_the_daemon() -> None:
    """The same in a loop, over an orderly restart: nothing blocks it, and the lease goes on."""
    heard: asyncio.Queue[Notice] = asyncio.Queue()
    with testing.daemon("2xL4") as host:
        async with gpusched.async_lease(memory="2GiB", keepalive=1.5) as lease:
            lease.on_notice(heard.put_nowait)
            await asyncio.to_thread(host.stop)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(host.start)
            worker = await asyncio.to_thread(host.worker, lease, "3GiB")
            async with asyncio.timeout(_SECONDS):
                assert (await heard.get()).kind is NoticeKind.OVER_LIMIT
            await asyncio.sleep(2)
            assert not host.client.lease(lease.id).end_reason
            await asyncio.to_thread(worker.end)
        assert host.client.lease(lease.id).end_reason


@pytest.mark.usefixtures("simulated")
def test_nothing_is_told_after_the_block() -> None:
    """The threads that hear end with the block."""
    before = threading.active_count()
    with gpusched.lease(memory="2GiB", wait="20s") as lease:
        lease.on_notice(print)
        lease.on_notice(print)
        assert threading.active_count() >= before + 2
    names = [one.name for one in threading.enumerate()]
    assert not [one for one in names if lease.id in one]
    with pytest.raises(gpusched.WrongState, match="block of this lease is over"):
        lease.on_notice(print)


@pytest.mark.usefixtures("simulated")
def test_a_refusal_has_what_a_program_needs() -> None:
    """Later, never here and wrong are classes of their own, with their data."""
    with gpusched.lease(gpus=2, wait="20s") as lease:
        with pytest.raises(CouldFitLater) as later, gpusched.lease(gpus=1):
            pass
        assert later.value.holders == [lease.id]
        assert lease.id in later.value.waits_for
        assert list(later.value.devices) == [one.uuid for one in lease.devices]
        assert later.value.wait_command == "gpusched run --gpus 1 --wait -- CMD"
        with pytest.raises(NoSuchDevice, match="0 to 1"):
            lease.torch_device(2)
    with pytest.raises(gpusched.NeverHere) as never, gpusched.lease(memory="100GiB"):
        pass
    assert never.value.nearest_command == "gpusched run --gpus 1 --memory 22543MiB -- CMD"
    with pytest.raises(gpusched.BadRequest) as wrong, gpusched.lease(gpu_types=["l5"]):
        pass
    assert wrong.value.field == "gpu_types"
    assert "nvidia-l4" in wrong.value.allowed_values
