"""Adopting over gRPC: what is asked, row by row what comes of it, and who may."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import grpc
import pytest

from gpusched.adapters.procfs import ProcfsProcessTable
from gpusched.api.v1 import lease_pb2, leases_pb2, process_pb2
from gpusched.core.changes import AbilityFound
from gpusched.core.events import AllocateRequested
from gpusched.core.ids import LeaseId, ProcessId, RequestId
from gpusched.core.request import Request
from gpusched.core.sample import ProcessFacts, Unavailable
from gpusched.core.standing import Member, Standing
from tests.fakes.builders import ROOT, context, reading
from tests.fakes.host import MASKING
from tests.integration.serving_rpc import TWO_A100_AND_L4, Public, refusal

GPU, OTHER, _ = TWO_A100_AND_L4
Ask = leases_pb2.AdoptRequest
Identity = process_pb2.ProcessIdentity


@contextmanager
def _started() -> Iterator[ProcessFacts]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:  # noqa: S607 - any cat will do
        yield _facts(child.pid)
        child.kill()


@pytest.fixture
def running() -> Iterator[ProcessFacts]:
    """A process that runs, as `/proc` has it."""
    with _started() as found:
        yield found


@pytest.fixture
def beside() -> Iterator[ProcessFacts]:
    """Another one."""
    with _started() as found:
        yield found


def _facts(pid: int) -> ProcessFacts:
    # Named, for a child that has not executed yet is called like this process.
    found = ProcfsProcessTable().facts([pid])[pid]
    return replace(found, name="cat", ancestors=(), claims_lease=None)


def show(face: Public, *known: ProcessFacts, unknown: tuple[int, ...] = ()) -> None:
    """Let the next look show these processes on the first device."""
    pids = [*(one.identity.pid for one in known), *unknown]
    face.scene.readings = (
        reading(GPU, *map(context, pids)),
        *(reading(one) for one in TWO_A100_AND_L4[1:]),
    )
    face.scene.known = known


async def one_row(face: Public, request: leases_pb2.AdoptRequest) -> leases_pb2.Adoption:
    """Ask, and give the only row of the answer."""
    reply = await face.leases.Adopt(request)
    assert len(reply.adoptions) == 1, reply
    return reply.adoptions[0]


async def test_adopt_one(admin_face: Public, running: ProcessFacts) -> None:
    """A process gets a lease of the device it is on; asked again, it has that already."""
    face = admin_face
    show(face, running)
    pid = running.identity.pid
    before = face.authority.refreshed
    row = await one_row(face, Ask(process=Identity(pid=pid)))
    assert face.authority.refreshed > before
    assert [one.pid for one in row.processes] == [pid]
    assert (row.uid, list(row.device_uuids), row.refused) == (running.uid, [GPU.uuid], False)
    assert row.sentence == f"{GPU.uuid} exclusively: nobody else is on it; recorded by name"
    assert row.lease.state == lease_pb2.LEASE_STATE_ACTIVE
    assert not row.lease.HasField("request")
    assert row.lease.holder.uid == running.uid
    again = await one_row(face, Ask(process=Identity(pid=pid)))
    assert (again.lease.id, again.refused) == (row.lease.id, False)
    assert again.sentence == f"it is of {row.lease.id} already"


async def test_adopt_all(admin_face: Public, running: ProcessFacts, beside: ProcessFacts) -> None:
    """Every group is a row; who could not be identified is refused, and infrastructure is none."""
    face = admin_face
    server = replace(running, identity=ProcessId(77, 1), name="nvidia-persiste")
    show(face, running, beside, server, unknown=(99,))
    rows = (await face.leases.Adopt(Ask(all=True))).adoptions
    assert [[one.pid for one in row.processes] for row in rows] == [
        [running.identity.pid],
        [beside.identity.pid],
        [99],
    ]
    assert [row.refused for row in rows] == [False, False, True]
    assert rows[2].sentence == "process 99: it could not be identified: /proc does not know it"
    assert all("and is not alone there" in row.sentence for row in rows[:2])
    assert len(list(face.authority.ledger.live())) == 2


async def test_adopt_nothing(admin_face: Public) -> None:
    """Where no process is without a lease there are no rows."""
    assert not (await admin_face.leases.Adopt(Ask(all=True))).adoptions


async def test_dry_run(admin_face: Public, running: ProcessFacts) -> None:
    """A dry run says what would be done, and does not."""
    show(admin_face, running)
    row = await one_row(admin_face, Ask(all=True, dry_run=True))
    assert (row.refused, row.HasField("lease")) == (False, False)
    assert "exclusively" in row.sentence
    assert list(admin_face.authority.ledger.live()) == []


async def test_what_is_not_adopted(admin_face: Public, running: ProcessFacts) -> None:
    """Of a process that is no stray the row says what it is."""
    face, pid = admin_face, running.identity.pid
    await refusal(face.leases.Adopt(Ask(process=Identity(pid=pid))), grpc.StatusCode.NOT_FOUND)
    show(face, replace(running, name="nvidia-persiste"))
    row = await one_row(face, Ask(process=Identity(pid=pid)))
    assert (row.refused, row.sentence) == (
        True,
        "nvidia-persiste serves every lease: it is infrastructure",
    )
    show(face, unknown=(pid,))
    row = await one_row(face, Ask(process=Identity(pid=pid)))
    assert row.sentence == f"process {pid}: it could not be identified: /proc does not know it"


async def test_one_outside_the_mask_of_its_lease(
    admin_face: Public, running: ProcessFacts
) -> None:
    """A lease's process that is on another device, too, is that lease's violation."""
    face, pid = admin_face, running.identity.pid
    lease = LeaseId("lease-of-it")
    wish = Request(RequestId("one"), devices=(OTHER.uuid,))
    caller = replace(ROOT, uid=running.uid)
    face.authority.decide(AllocateRequested(caller, wish, lease))
    show(face, replace(running, claims_lease=lease))
    row = await one_row(face, Ask(process=Identity(pid=pid)))
    assert (row.refused, row.sentence) == (
        True,
        f"it is of {lease}, and outside the mask of that; end it",
    )


async def test_a_group_that_is_refused(admin_face: Public, running: ProcessFacts) -> None:
    """What the decision refuses is a row with the reason, beside those that are adopted."""
    face = admin_face
    wish = Request(RequestId("one"), devices=(GPU.uuid,))
    face.authority.decide(AllocateRequested(ROOT, wish, LeaseId("lease-first")))
    show(face, running)
    row = await one_row(face, Ask(all=True))
    assert (row.refused, row.HasField("lease")) == (True, False)
    assert row.sentence == f"{GPU.uuid} is held exclusively by lease-first"


async def test_one_that_ends_meanwhile(admin_face: Public, running: ProcessFacts) -> None:
    """A process that is gone when it is looked at is refused, and the others are not."""
    gone = replace(running, identity=ProcessId(running.identity.pid, 1))
    show(admin_face, gone)
    row = await one_row(admin_face, Ask(all=True))
    assert (row.refused, row.sentence) == (
        True,
        f"process {running.identity.pid} has ended",
    )


async def test_one_that_is_no_stray_by_its_turn(
    admin_face: Public,
    running: ProcessFacts,
    beside: ProcessFacts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What came under a lease with an earlier group, or ended since, says so."""
    face = admin_face
    show(face, running, beside)
    shown = face.authority.tick

    def later() -> None:
        shown()
        if any(face.authority.ledger.live()):
            show(face, running)
            shown()

    monkeypatch.setattr(face.authority, "tick", later)
    rows = (await face.leases.Adopt(Ask(all=True))).adoptions
    assert [row.refused for row in rows] == [False, True]
    assert rows[1].sentence == f"process {beside.identity.pid} has ended, or has a lease by now"


async def test_what_was_adopted_before_the_devices_were_silent(
    admin_face: Public,
    running: ProcessFacts,
    beside: ProcessFacts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the devices cannot be read any more halfway, the answer has the leases that are made
    and the reason for which the others are not.
    """
    face = admin_face
    show(face, running, beside)
    shown, ledger = face.authority.tick, face.authority.ledger

    def later() -> None:
        shown()
        if any(ledger.live()):
            assert ledger.sample is not None
            ledger.sample = replace(ledger.sample, reading=Unavailable("it hangs"))

    monkeypatch.setattr(face.authority, "tick", later)
    rows = (await face.leases.Adopt(Ask(all=True))).adoptions
    assert [(row.HasField("lease"), row.refused) for row in rows] == [(True, False), (False, True)]
    assert rows[1].sentence == "no devices are read: it hangs"


async def test_the_daemon_itself(admin_face: Public) -> None:
    """The daemon does not adopt itself, nor what it descends from."""
    show(admin_face, replace(_facts(os.getpid()), name="python"))
    row = await one_row(admin_face, Ask(all=True, dry_run=True))
    assert row.refused
    assert row.sentence.startswith("the daemon itself is among what would be masked")


async def test_a_unit_that_is_gone(admin_face: Public, running: ProcessFacts) -> None:
    """A cgroup that is not there any more is a row, and no error."""
    face = admin_face
    face.authority.ledger.apply(AbilityFound(MASKING))
    show(face, replace(running, cgroup="/no.such/a.service"))
    row = await one_row(face, Ask(all=True))
    assert (row.refused, row.sentence) == (
        True,
        "cgroup: there is no cgroup /no.such/a.service",
    )


async def test_a_process_that_left_its_unit(
    admin_face: Public,
    running: ProcessFacts,
    beside: ProcessFacts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A unit that the process is not in any more is not masked for it: others run there."""
    face, service = admin_face, "/system.slice/a.service"
    face.authority.ledger.apply(AbilityFound(MASKING))
    show(face, replace(running, cgroup=service))
    there = Standing(service, 1, (Member(beside.identity, (beside.uid,) * 3),))
    monkeypatch.setattr(ProcfsProcessTable, "population", lambda _table, _path: there)
    row = await one_row(face, Ask(all=True, dry_run=True))
    assert (row.refused, row.sentence) == (
        True,
        f"process {running.identity.pid} is not in {service} any more; adopt it again",
    )


@pytest.mark.parametrize("request_", [Ask(), Ask(all=False), Ask(process=Identity(pid=0))])
async def test_nothing_is_named(admin_face: Public, request_: leases_pb2.AdoptRequest) -> None:
    """Neither a process nor all is a bad request."""
    await refusal(admin_face.leases.Adopt(request_), grpc.StatusCode.INVALID_ARGUMENT)


async def test_nothing_is_read(admin_face: Public, monkeypatch: pytest.MonkeyPatch) -> None:
    """While no device can be read nothing is adopted."""
    face = admin_face
    ledger = face.authority.ledger
    assert ledger.sample is not None
    shown = face.authority.tick

    def in_vain() -> None:
        shown()
        assert ledger.sample is not None
        ledger.sample = replace(ledger.sample, reading=Unavailable("it hangs"))

    monkeypatch.setattr(face.authority, "tick", in_vain)
    error = await refusal(face.leases.Adopt(Ask(all=True)), grpc.StatusCode.FAILED_PRECONDITION)
    assert error.details() == "no devices are read: it hangs"


async def test_only_for_administrators(face: Public, running: ProcessFacts) -> None:
    """Nobody else adopts, nor learns what runs."""
    show(face, running)
    for request in (Ask(all=True, dry_run=True), Ask(process=Identity(pid=1))):
        await refusal(face.leases.Adopt(request), grpc.StatusCode.PERMISSION_DENIED)
