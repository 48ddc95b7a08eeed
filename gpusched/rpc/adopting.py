"""Turns running processes into leases, one group after the other, and says of each how it went."""

import os
from collections.abc import Iterable
from dataclasses import replace

from gpusched.api.v1 import lease_pb2, leases_pb2, process_pb2
from gpusched.core.adoptable import Group, group_with, groups_of, rows_with
from gpusched.core.attribution import ProcessKind
from gpusched.core.errors import InvalidRequest
from gpusched.core.ids import ProcessId
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Done, Refusal
from gpusched.core.sample import Unavailable
from gpusched.core.standing import Standing
from gpusched.core.stray_events import AdoptRequested
from gpusched.rpc.call import Call, Refused
from gpusched.rpc.convert_lease import lease_of, processes_of
from gpusched.rpc.resolve import find_process
from gpusched.rpc.standing import cgroup_standing, standing_of
from gpusched.rpc.status import refuse
from gpusched.rpc.world import World, decided, settled

_UNKNOWN = "it could not be identified: /proc does not know it"


async def adopted(
    world: World, request: leases_pb2.AdoptRequest, call: Call
) -> leases_pb2.AdoptReply:
    """Adopt what the message names.

    Raises:
        InvalidRequest: It names nothing.
        Refused: There is no such process, it holds no device, or no device can be read.
    """
    wanted: ProcessId | None = None
    if request.WhichOneof("subject") == "process":
        wanted = await find_process(world.processes, request.process, "process")
    elif not request.all:
        raise InvalidRequest("subject", "name a process, or all")
    ledger = await _looked(world)
    if wanted is None:
        return leases_pb2.AdoptReply(adoptions=await _all(world, call, dry_run=request.dry_run))
    rest = _without_group(ledger, wanted, world, call)
    if rest is None:
        rest = await _one(world, wanted, call, dry_run=request.dry_run)
    return leases_pb2.AdoptReply(adoptions=[rest])


async def _looked(world: World) -> Ledger:
    """Give the ledger after a look that was begun just now."""
    await world.authority.refresh()
    ledger = world.authority.ledger
    reading = None if ledger.sample is None else ledger.sample.reading
    if isinstance(reading, Unavailable):
        raise refuse(Refusal.WRONG_STATE, f"no devices are read: {reading.reason}")
    return ledger


async def _all(world: World, call: Call, *, dry_run: bool) -> list[leases_pb2.Adoption]:
    ledger = world.authority.ledger
    firsts = [one.processes[0] for one in groups_of(ledger)]
    unknown = list(_unknown(ledger))
    rows: list[leases_pb2.Adoption] = []
    for process in firsts:
        try:
            if rows and not dry_run:
                # The next is weighed beside what has become of the one before.
                await _looked(world)
        except Refused as refused:
            # What has been adopted is told all the same.
            row = leases_pb2.Adoption(processes=processes_of((process,)))
            rows.append(_refused(row, str(refused)))
        else:
            rows.append(await _one(world, process, call, dry_run=dry_run))
    return rows + unknown


async def _one(
    world: World, process: ProcessId, call: Call, *, dry_run: bool
) -> leases_pb2.Adoption:
    """Adopt the group of *process*, or say what would be done, or why it is not."""
    group = group_with(world.authority.ledger, process)
    if group is None:
        row = leases_pb2.Adoption(processes=processes_of((process,)))
        return _refused(row, f"process {process.pid} has ended, or has a lease by now")
    (uid, *_) = sorted(group.uids)
    row = leases_pb2.Adoption(
        processes=processes_of(group.processes),
        cgroup=group.cgroup,
        uid=uid,
        device_uuids=list(group.uses),
    )
    try:
        event = AdoptRequested(
            caller=call.caller,
            process=process,
            standing=await _standing(world, group),
            own=world.processes.identify(os.getpid()),
            user=world.users.name(uid),
            gid=world.users.group(uid),
            lease_id=world.ids.lease_id(),
            dry_run=True,
        )
        row.sentence = decided(world, event, Done).sentence
        if not dry_run:
            done = await settled(world, replace(event, dry_run=False), Done)
            row.lease.CopyFrom(_message(done.leases[0], world, call))
    except (Refused, InvalidRequest) as error:
        return _refused(row, str(error))
    return row


async def _standing(world: World, group: Group) -> Standing:
    """Look at what would be taken in place, or moved.

    Raises:
        Refused: It is not there any more; the sample may have its cgroup from some looks ago.
    """
    first = group.processes[0]
    if not group.in_place:
        return await standing_of(world.processes, first)
    found = await cgroup_standing(world.processes, group.cgroup)
    if all(one.process != first for one in found.tree):
        sentence = f"process {first.pid} is not in {group.cgroup} any more; adopt it again"
        raise refuse(Refusal.WRONG_STATE, sentence)
    return found


def _without_group(
    ledger: Ledger, process: ProcessId, world: World, call: Call
) -> leases_pb2.Adoption | None:
    """Answer for a process that is in no group; None for one that is.

    Raises:
        Refused: It holds no device.
    """
    if group_with(ledger, process) is not None:
        return None
    rows = rows_with(ledger, process)
    if not rows:
        sentence = f"process {process.pid} holds no device; see `gpusched processes`"
        raise refuse(Refusal.NOT_FOUND, sentence)
    answer = leases_pb2.Adoption(processes=processes_of((process,)))
    facts = rows[0].facts
    if facts is None:
        return _refused(answer, f"process {process.pid}: {_UNKNOWN}")
    answer.cgroup, answer.uid = facts.cgroup, facts.uid
    lease = next((one.lease for one in rows if one.lease is not None), None)
    if lease is None:
        return _refused(answer, f"{facts.name} serves every lease: it is infrastructure")
    if any(one.kind is ProcessKind.STRAY for one in rows):
        return _refused(answer, f"it is of {lease}, and outside the mask of that; end it")
    found = ledger.get(lease)
    if found is not None:
        answer.lease.CopyFrom(_message(found, world, call))
    answer.sentence = f"it is of {lease} already"
    return answer


def _unknown(ledger: Ledger) -> Iterable[leases_pb2.Adoption]:
    """Give a row for each process that nobody knows."""
    pids = {
        one.context.pid
        for use in ledger.uses.values()
        for one in use.strangers
        if one.facts is None and one.lease is None
    }
    for pid in sorted(pids):
        identity = process_pb2.ProcessIdentity(pid=pid)
        yield _refused(leases_pb2.Adoption(processes=[identity]), f"process {pid}: {_UNKNOWN}")


def _refused(row: leases_pb2.Adoption, sentence: str) -> leases_pb2.Adoption:
    row.sentence, row.refused = sentence, True
    return row


def _message(lease: Lease, world: World, call: Call) -> lease_pb2.Lease:
    return lease_of(lease, world.authority.ledger, world.clock.now(), call)
