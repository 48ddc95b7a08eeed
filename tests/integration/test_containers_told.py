"""When container engines are told of a lease: durable first, named then, and gone at its end."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest_asyncio
from structlog.testing import capture_logs

from gpusched.core.events import AllocateRequested, PolicyRead, ReleaseRequested, Ticked
from gpusched.core.ids import SECOND, LeaseId, RequestId
from gpusched.core.policy import Policy
from gpusched.core.request import Request
from gpusched.core.sight import sight_of
from gpusched.daemon.containers import Containers
from gpusched.ports import Named, Stopping
from tests.fakes.builders import ADA, device, reading, sample
from tests.fakes.documents import FakeDocuments
from tests.fakes.engine_bench import EngineBench, allocation, attachment
from tests.fakes.waiting import standstill, until

A = LeaseId("lease-a")
STALE = LeaseId("lease-stale")
HOOK = ("/bin/python", "hook")
GPU = device(0)


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[EngineBench]:
    made = EngineBench()
    yield made
    made.store.gate.set()
    with suppress(Stopping):
        await made.engine.close()


async def served(bench: EngineBench, documents: FakeDocuments) -> Containers:
    """Have the ledger followed."""
    containers = Containers(documents, "/s", HOOK)
    await containers.serve(bench.engine)
    return containers


async def test_a_grant_is_durable_before_it_is_told(bench: EngineBench) -> None:
    """No engine knows a lease that a crash could still forget; then it knows it by its id."""
    documents = FakeDocuments()
    containers = await served(bench, documents)
    bench.store.gate.clear()
    bench.engine.propose(allocation("a"))
    asked = bench.task(containers.named(A))
    await standstill()
    assert documents.found == {}
    bench.store.gate.set()
    assert await asked == Named("gpusched.io/lease=lease-a")
    assert documents.found[A]["kind"] == "gpusched.io/lease"
    await containers.close()


async def test_it_is_written_once(bench: EngineBench) -> None:
    """Who asks again gets the same name, and nothing is written again."""
    documents = FakeDocuments()
    containers = await served(bench, documents)
    await bench.engine.submit(allocation("a"))
    await containers.named(A)
    documents.fault = "nothing may be written"
    assert await containers.named(A) == Named("gpusched.io/lease=lease-a")
    documents.fault = None
    await containers.close()


async def test_it_goes_with_the_lease(bench: EngineBench) -> None:
    """At its end the document is removed, and the lease has no name any more."""
    documents = FakeDocuments()
    containers = await served(bench, documents)
    await bench.engine.submit(allocation("a"))
    await containers.named(A)
    await bench.engine.submit(ReleaseRequested(ADA, A))
    await until(lambda: documents.found == {})
    assert await containers.named(A) is None
    await containers.close()


async def test_two_that_end_shortly_after_each_other(bench: EngineBench) -> None:
    """What ends while the document of another is removed loses its own with that, too."""
    documents = FakeDocuments()
    containers = await served(bench, documents)
    for name in ("a", "b"):
        await bench.engine.submit(allocation(name))
        await containers.named(LeaseId(f"lease-{name}"))
    documents.gate.clear()
    await bench.engine.submit(ReleaseRequested(ADA, A))
    await until(lambda: A in documents.going)
    await bench.engine.submit(ReleaseRequested(ADA, LeaseId("lease-b")))
    await standstill()
    documents.gate.set()
    await until(lambda: documents.found == {})
    await containers.close()


async def test_who_may_read_it(bench: EngineBench) -> None:
    """Everybody, where everybody may see the devices and the memory of others' leases; else only
    root's engines, and a change of that is one of the documents that are there.
    """
    documents = FakeDocuments()
    containers = await served(bench, documents)
    await bench.engine.submit(allocation("a"))
    await containers.named(A)
    assert documents.public == {A: True}
    for words in (("uid", "device"), ("memory",)):
        await bench.engine.submit(PolicyRead(Policy(others=sight_of(words)), {}))
        await until(lambda: documents.public == {A: False})
    await bench.engine.submit(allocation("b"))
    await containers.named(LeaseId("lease-b"))
    assert not documents.public[LeaseId("lease-b")]
    await bench.engine.submit(PolicyRead(Policy(), {}))
    await until(lambda: set(documents.public.values()) == {True})
    await containers.close()


async def test_what_may_not_be_read_any_more_goes(bench: EngineBench) -> None:
    """A document that cannot be written for fewer eyes is removed; for more it stays as it is."""
    documents = FakeDocuments()
    containers = await served(bench, documents)
    await bench.engine.submit(Ticked(sample(reading(GPU), at=bench.clock.now())))
    await bench.engine.submit(AllocateRequested(ADA, Request(RequestId("a"), count=1), A))
    await containers.named(A)
    bench.clock.advance(SECOND)
    await bench.engine.submit(Ticked(sample(at=bench.clock.now())))
    with capture_logs() as logs:
        await bench.engine.submit(PolicyRead(Policy(others=sight_of(())), {}))
        await until(lambda: documents.found == {})
    assert [one["event"] for one in logs] == ["containers are not told"]
    await containers.close()


async def test_a_failure_costs_no_lease(bench: EngineBench) -> None:
    """What cannot be written is told in a sentence; asked again it is tried again."""
    documents = FakeDocuments()
    documents.fault = "/run/cdi/x: No space left on device"
    containers = await served(bench, documents)
    await bench.engine.submit(allocation("a"))
    told = await containers.named(A)
    assert told is not None
    assert told.name == ""
    assert told.failure == (
        "containers cannot be given lease-a by name: /run/cdi/x: No space left on device"
    )
    documents.fault = None
    assert await containers.named(A) == Named("gpusched.io/lease=lease-a")
    await containers.close()


async def test_a_document_that_stays_is_told(bench: EngineBench) -> None:
    """What cannot be removed is in the log, and the daemon goes on."""
    documents = FakeDocuments()
    containers = await served(bench, documents)
    await bench.engine.submit(allocation("a"))
    await containers.named(A)
    documents.fault = "read-only"
    with capture_logs() as logs:
        await bench.engine.submit(ReleaseRequested(ADA, A))
        await until(lambda: bool(logs))
    assert [one["lease"] for one in logs] == [A]
    await containers.close()


async def test_an_earlier_daemon_is_made_good(bench: EngineBench) -> None:
    """At the start what has ended goes, and what is missing is written."""
    await bench.engine.submit(allocation("a"))
    documents = FakeDocuments(STALE)
    containers = await served(bench, documents)
    assert list(documents.found) == [A]
    await containers.close()


async def test_what_cannot_be_made_good_is_told(bench: EngineBench) -> None:
    """A start goes on without the documents."""
    await bench.engine.submit(allocation("a"))
    documents = FakeDocuments()
    documents.fault = "read-only"
    with capture_logs() as logs:
        containers = await served(bench, documents)
    assert [one["event"] for one in logs] == ["containers are not told"]
    await containers.close()


async def test_a_device_that_does_not_answer(bench: EngineBench) -> None:
    """Without its nodes nothing is written, and the sentence says which device is away."""
    documents = FakeDocuments()
    await bench.engine.submit(Ticked(sample(reading(GPU), at=bench.clock.now())))
    wish = Request(RequestId("a"), count=1)
    await bench.engine.submit(AllocateRequested(ADA, wish, A))
    containers = await served(bench, documents)
    assert documents.found[A]["kind"] == "gpusched.io/lease"
    await containers.close()
    # Another daemon, which has not seen the device.
    bench.engine.ledger.devices.clear()
    documents.found.clear()
    with capture_logs() as logs:
        containers = await served(bench, documents)
    assert [str(one["reason"]).partition(": ")[2] for one in logs] == [
        f"{GPU.uuid} does not answer"
    ]
    await containers.close()


async def test_a_lost_device(bench: EngineBench) -> None:
    """A document without the nodes of a device that is lost would start a container without it;
    once it answers again the lease has its name.
    """
    documents = FakeDocuments()
    containers = await served(bench, documents)
    await bench.engine.submit(Ticked(sample(reading(GPU), at=bench.clock.now())))
    await bench.engine.submit(AllocateRequested(ADA, Request(RequestId("a"), count=1), A))
    bench.clock.advance(SECOND)
    await bench.engine.submit(Ticked(sample(at=bench.clock.now())))
    told = await containers.named(A)
    assert told is not None
    assert (told.name, documents.found) == ("", {})
    assert f"{GPU.uuid} does not answer" in told.failure
    bench.clock.advance(SECOND)
    await bench.engine.submit(Ticked(sample(reading(GPU), at=bench.clock.now())))
    assert await containers.named(A) == Named("gpusched.io/lease=lease-a")
    await containers.close()


async def test_an_asker_who_goes_away_leaves_nothing_behind(bench: EngineBench) -> None:
    """A document that was being written for him is removed with the lease, too."""
    documents = FakeDocuments()
    documents.gate.clear()
    containers = await served(bench, documents)
    await bench.engine.submit(allocation("a"))
    asked = bench.task(containers.named(A))
    await until(documents.busy.is_set)
    asked.cancel()
    await standstill()
    documents.gate.set()
    await until(lambda: A in documents.found)
    await bench.engine.submit(ReleaseRequested(ADA, A))
    await until(lambda: documents.found == {})
    await containers.close()


async def test_what_was_told_is_taken_back(bench: EngineBench) -> None:
    """A daemon that tells engines nothing any more removes what an earlier one has told them."""
    await bench.engine.submit(allocation("a"))
    documents = FakeDocuments(A, STALE)
    containers = Containers(documents, told=False)
    await containers.serve(bench.engine)
    assert documents.found == {}
    assert await containers.named(A) is None
    await containers.close()


async def test_who_has_begun_needs_no_name(bench: EngineBench) -> None:
    """A lease that its asker is in cannot be a container's, and is not told."""
    documents = FakeDocuments()
    containers = await served(bench, documents)
    wish = Request(RequestId("a"), count=0, attach_caller=True)
    await bench.engine.submit(AllocateRequested(ADA, wish, A))
    assert await containers.named(A) is None
    assert await containers.named(STALE) is None
    assert documents.found == {}
    await containers.close()


async def test_nobody_is_told(bench: EngineBench) -> None:
    """Where it is switched off there is neither a name nor a warning."""
    containers = Containers(None)
    await containers.serve(bench.engine)
    await bench.engine.submit(allocation("a"))
    await bench.engine.submit(attachment("a"))
    assert await containers.named(A) is None
    await containers.close()
