"""Decides how what runs already becomes a lease, without a restart: all of a group, or nothing.

It gets the devices that it uses: alone on one, the whole of it; else a share as large as what it
uses now.
"""

from dataclasses import dataclass

from gpusched.core.accounts import unattributed
from gpusched.core.actions import WatchExit
from gpusched.core.adoptable import Group, group_with
from gpusched.core.attaching import begin, record
from gpusched.core.changes import LeaseChanged, StoryKind, StoryLine, StoryTold
from gpusched.core.decision import Decision
from gpusched.core.device import Device
from gpusched.core.enforcement import Mode
from gpusched.core.evicting import signal_failed
from gpusched.core.ids import DeviceUuid, Moment, RequestId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.ledger import Ledger
from gpusched.core.pooling import pool_of
from gpusched.core.replies import NOT_ADMIN, Attachment, Done, Refusal, Rejected, Underway
from gpusched.core.request import OverUse, Request
from gpusched.core.room import allocatable, room_on
from gpusched.core.sample import Reading, Unavailable
from gpusched.core.share import Share
from gpusched.core.sizes import MIB, in_words
from gpusched.core.story import attached
from gpusched.core.stray_events import AdoptRequested, StrayEvent

STEP = 256 * MIB
"""What a process uses now is rounded up to a multiple of this, where there is room for it."""


class _Refused(Exception):
    """A group is not adopted; the text says why."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A share, and why it is that much."""

    share: Share
    why: str


def about_strays(ledger: Ledger, event: StrayEvent, now: Moment) -> Decision:
    """Say what follows from *event*."""
    if isinstance(event, AdoptRequested):
        return adopt(ledger, event, now)
    return signal_failed(ledger, event, now)


def adopt(ledger: Ledger, event: AdoptRequested, now: Moment) -> Decision:
    """Make a lease of the group of *event*'s process; a dry run says what it would be."""
    if not event.caller.admin:
        return Decision(reply=NOT_ADMIN)
    group = group_with(ledger, event.process)
    if group is None:
        return _no(f"process {event.process.pid} is no stray any more")
    try:
        parts = _parts(ledger, group, event)
    except _Refused as error:
        return _no(str(error))
    return _made(ledger, event, group, parts, now)


def _made(
    ledger: Ledger, event: AdoptRequested, group: Group, parts: list[_Part], now: Moment
) -> Decision:
    """Begin the lease, or say what it would be."""
    lease = _lease(event, group, parts, now)
    how = "; ".join(f"{one.share.device} {one.why}" for one in parts)
    if not ledger.ability.cgroups:
        return _recorded(ledger, event, group, lease, how, now)
    begun = begin(ledger, lease, group.processes[0], event.standing, event.caller)
    if isinstance(begun, Rejected):
        return Decision(reply=begun)
    preparing, actions = begun
    if event.dry_run:
        where = f"masked in place in {group.cgroup}" if group.in_place else "moved into its cgroup"
        return Decision(reply=Done((lease,), f"{how}; {where}"))
    changes = (LeaseChanged(preparing), _adopted(lease, group, how, now))
    return Decision(changes, actions, Underway(preparing, group.processes[0]))


def _recorded(
    ledger: Ledger, event: AdoptRequested, group: Group, lease: Lease, how: str, now: Moment
) -> Decision:
    """Adopt by name only, where no cgroups can be had."""
    first = group.processes[0]
    active = record(lease, first, ledger.ability.sentence, now)
    if event.dry_run:
        return Decision(reply=Done((active,), f"{how}; recorded by name"))
    told = _adopted(lease, group, how, now)
    changes = (LeaseChanged(active), told, attached(active, first, now))
    reply = Done((active,), attachment=Attachment(Mode.RECORD, (first,)))
    return Decision(changes, (WatchExit(first),), reply)


def _parts(ledger: Ledger, group: Group, event: AdoptRequested) -> list[_Part]:
    """Give the shares.

    Raises:
        _Refused: There is a reason against it.
    """
    _check(ledger, group, event)
    parts: list[_Part] = []
    for uuid, used in group.uses.items():
        device = ledger.devices[uuid]
        mine = [one.share for one in parts if one.share.domain == device.memory_domain]
        parts.append(_part(ledger, group, device, used, sum(one.memory or 0 for one in mine)))
    return parts


def _check(ledger: Ledger, group: Group, event: AdoptRequested) -> None:
    for uuid, device in ledger.devices.items():
        use = ledger.uses.get(uuid)
        unread = use is None or isinstance(use.processes, Unavailable)
        if unread and uuid not in ledger.lost and not device.mig_enabled:
            raise _Refused(f"what runs on {uuid} is not known, and it may use that, too")
    if len(group.uids) > 1:
        uids = ", ".join(map(str, sorted(group.uids)))
        why = f"its processes are of the uids {uids}, and a lease has one holder"
        raise _Refused(f"{why}; allocate one and `gpusched attach` it")
    if any(one.process == event.own for one in event.standing.tree):
        why = "the daemon itself is among what would be masked"
        raise _Refused(f"{why}; start the work elsewhere, by `gpusched run`")
    if ledger.ability.cgroups and event.standing.cgroup != group.cgroup:
        where = event.standing.cgroup
        raise _Refused(f"process {event.process.pid} is in {where} by now; adopt it again")


def _part(ledger: Ledger, group: Group, device: Device, used: Reading[int], mine: int) -> _Part:
    """Give the share of one device, of whose domain the group has *mine* bytes already."""
    holding, uuid = ledger.holding(device.memory_domain), device.uuid
    reading = ledger.uses[uuid].reading
    if holding.exclusive is not None:
        raise _Refused(f"{uuid} is held exclusively by {holding.exclusive}")
    if not holding.shares and not _others(ledger, group, device):
        why = "exclusively: nobody else is on it"
        return _Part(_share(ledger, device, None), why)
    if isinstance(used, Unavailable) or isinstance(reading.memory, Unavailable):
        why = f"how much of {uuid} it uses is not known, and it is not alone there"
        raise _Refused(f"{why}; allocate a share and `gpusched attach` it")
    book = allocatable(ledger, reading.memory) - holding.promised - mine
    room = max(0, room_on(ledger, device, reading.memory) - mine)
    memory = min(-(-max(used, 1) // STEP) * STEP, max(used, 1) + room, book)
    if memory < max(used, 1):
        raise _Refused(
            f"it uses {in_words(used)} of {uuid}, and leases have all but"
            f" {in_words(max(0, book))} of that; revoke one first"
        )
    why = f"with {in_words(memory)}: it uses {in_words(used)} and is not alone there"
    return _Part(_share(ledger, device, memory), why)


def _share(ledger: Ledger, device: Device, memory: int | None) -> Share:
    return Share(
        device.uuid,
        device.memory_domain,
        memory,
        unattributed(ledger.uses, device.uuid),
        total=device.memory_total,
        pool=pool_of(ledger, device),
    )


def _others(ledger: Ledger, group: Group, device: Device) -> bool:
    """Say whether somebody else without a lease is in the memory of *device*."""
    return any(
        one.facts is None or one.facts.identity not in group.processes
        for uuid, use in ledger.uses.items()
        if _domain(ledger, uuid) == device.memory_domain
        for one in use.strangers
    )


def _domain(ledger: Ledger, uuid: DeviceUuid) -> str:
    return ledger.devices[uuid].memory_domain


def _lease(event: AdoptRequested, group: Group, parts: list[_Part], now: Moment) -> Lease:
    shares = tuple(one.share for one in parts)
    sizes = [one.memory for one in shares if one.memory is not None]
    # Nobody asked; what is not told in the shares is as mild as can be.
    request = Request(
        RequestId(f"adopted-{event.lease_id}"),
        count=len(shares),
        memory=max(sizes, default=None),
        over_use=OverUse.WARN,
    )
    (uid,) = group.uids
    return Lease(
        id=event.lease_id,
        state=LeaseState.RESERVED,
        request=request,
        uid=uid,
        gid=event.gid,
        user=event.user,
        shares=shares,
        created=now,
        adopted=True,
    )


def _adopted(lease: Lease, group: Group, how: str, now: Moment) -> StoryTold:
    pids = ",".join(str(one.pid) for one in group.processes)
    sentence = f"adopted from {lease.user or lease.uid}, processes {pids}: {how}"
    data = {
        "uid": str(lease.uid),
        "pids": pids,
        "devices": ",".join(one.device for one in lease.shares),
    }
    return StoryTold(StoryLine(now.wall, StoryKind.ADOPTED, lease.id, sentence, data))


def _no(sentence: str) -> Decision:
    return Decision(reply=Rejected(Refusal.WRONG_STATE, sentence))
