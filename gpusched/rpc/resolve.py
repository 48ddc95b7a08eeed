"""Finds what a request names: leases by id or prefix, devices by UUID or index, processes by pid.

Reads the ledger and `/proc`; what may be done with what is found is decided elsewhere.
"""

import asyncio
from typing import TypeAlias

from gpusched.api.v1 import leases_pb2, process_pb2
from gpusched.core.errors import InvalidRequest
from gpusched.core.holding import not_yours
from gpusched.core.ids import DeviceUuid, LeaseId, ProcessId, RequestId
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Refusal
from gpusched.core.waiting import Waiting
from gpusched.ports import ProcessTable
from gpusched.rpc.call import Call
from gpusched.rpc.convert_request import Resolve, named_pid
from gpusched.rpc.status import refuse

_NAMED = 5

LeaseNamer: TypeAlias = (
    leases_pb2.GetLeaseRequest | leases_pb2.RenewRequest | leases_pb2.EnvironmentRequest
)
"""A message that names one lease, by id or by owner."""


def named_lease(ledger: Ledger, request: LeaseNamer, call: Call) -> Lease:
    """Find the one lease that *request* names.

    Raises:
        InvalidRequest: It names none, or several.
        Refused: There is none.
    """
    if request.WhichOneof("lease") == "owner_reference":
        return find_owned(ledger, request.owner_reference, call)
    return find_lease(ledger, request.lease_id)


def find_lease(ledger: Ledger, text: str, field: str = "lease_id") -> Lease:
    """Find a lease by its id, or by a prefix of it that no other lease begins with.

    Raises:
        InvalidRequest: Nothing was named, or several leases begin so.
        Refused: There is none.
    """
    exact = ledger.get(LeaseId(text))
    if exact is not None:
        return exact
    if not text:
        raise InvalidRequest(field, "name a lease by its id or a unique prefix of it")
    found = [
        one
        for leases in (ledger.live(), ledger.ended())
        for one in leases
        if one.id.startswith(text)
    ]
    if len(found) > 1:
        names = ", ".join(one.id for one in found[:_NAMED])
        more = ", …" if len(found) > _NAMED else ""
        raise InvalidRequest(field, f"{len(found)} leases begin with {text!r}: {names}{more}")
    if not found:
        sentence = f"there is no lease {text}; see `gpusched leases`"
        raise refuse(Refusal.NOT_FOUND, sentence)
    return found[0]


def held(ledger: Ledger, lease: Lease, call: Call) -> Lease:
    """Give *lease*, which the caller holds or administers.

    Raises:
        Refused: It is somebody else's.
    """
    if not call.may_see(lease.uid):
        raise refuse(Refusal.NOT_ALLOWED, not_yours(ledger, lease, call.caller))
    return lease


def find_owned(ledger: Ledger, reference: str, call: Call) -> Lease:
    """Find the one live lease of the caller that has this owner in another system.

    Raises:
        InvalidRequest: Nothing was named, or several leases have it.
        Refused: There is none.
    """
    found = owned(ledger, reference, call)
    if len(found) > 1:
        names = ", ".join(one.id for one in found[:_NAMED])
        raise InvalidRequest("owner_reference", f"{len(found)} leases have it: {names}")
    if not found:
        sentence = f"there is no lease of owner {reference!r}; see `gpusched leases`"
        raise refuse(Refusal.NOT_FOUND, sentence)
    return found[0]


def owned(ledger: Ledger, reference: str, call: Call) -> list[Lease]:
    """Give the live leases with this owner that the caller may act on, oldest first.

    Raises:
        InvalidRequest: Nothing was named.
    """
    if not reference:
        raise InvalidRequest("owner_reference", "is empty: name an owner")
    return [
        one
        for one in ledger.live()
        if one.request.owner is not None
        and one.request.owner.reference == reference
        and call.may_see(one.uid)
    ]


def find_waiting(ledger: Ledger, name: RequestId, call: Call) -> Waiting | None:
    """Find a request that waits: the caller's own, else, for administrators, the only one.

    Raises:
        InvalidRequest: Several users have one of that name.
    """
    key = call.caller.uid, name
    own = ledger.waiting.get(key)
    if own is not None or not call.caller.admin or ledger.by_request(*key) is not None:
        return own
    others = [one for one in ledger.waiting if one.request.request_id == name]
    if len(others) > 1:
        whose = ", ".join(str(one.uid) for one in others[:_NAMED])
        sentence = (
            f"{len(others)} users have a request {name!r} that waits: uid {whose}; Cancel takes"
            " `holder_uid`, and Explain the lease to come, as `gpusched events` names it"
        )
        raise InvalidRequest("request_id", sentence)
    return others[0] if others else None


def find_device(ledger: Ledger, text: str) -> DeviceUuid:
    """Find a device by UUID or by the NVML index of a GPU that answers.

    Raises:
        Refused: There is none.
    """
    found = _device(ledger, text)
    if found is None:
        sentence = f"there is no device {text}; see `gpusched devices`"
        raise refuse(Refusal.NOT_FOUND, sentence)
    return found


def find_remembered(ledger: Ledger, text: str) -> DeviceUuid:
    """Find a device as `find_device` does, or one that is known by its marks or its leases only.

    Raises:
        Refused: There is none.
    """
    uuid = DeviceUuid(text)
    leased = any(share.device == uuid for lease in ledger.live() for share in lease.shares)
    return uuid if leased or uuid in ledger.marks else find_device(ledger, text)


def resolver(ledger: Ledger) -> Resolve:
    """Give what resolves the devices of a request; a UUID passes: the decision judges it."""

    def resolve(text: str, field: str) -> DeviceUuid:
        if not _is_index(text):
            return DeviceUuid(text)
        found = _device(ledger, text)
        if found is None:
            sentence = f"{field}: this host has no device {text}; see `gpusched devices`"
            raise refuse(Refusal.NEVER_HERE, sentence, field)
        return found

    return resolve


async def find_process(
    processes: ProcessTable, named: process_pb2.ProcessIdentity, field: str
) -> ProcessId:
    """Find a living process by its pid, and by its start time where that is given.

    Raises:
        InvalidRequest: The pid is none.
        Refused: There is no such process.
    """
    pid = named_pid(named, field)
    # In a thread: a busy host answers late.
    found = await asyncio.to_thread(processes.identify, pid)
    if found is None:
        raise refuse(Refusal.NOT_FOUND, f"{field}: there is no process {pid}; is it over?")
    if named.HasField("start_ticks") and named.start_ticks != found.start_ticks:
        sentence = f"{field}: pid {pid} belongs to another process now: the one meant is over"
        raise refuse(Refusal.NOT_FOUND, sentence)
    return found


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _device(ledger: Ledger, text: str) -> DeviceUuid | None:
    if not _is_index(text):
        uuid = DeviceUuid(text)
        return uuid if uuid in ledger.devices else None
    for uuid, device in ledger.devices.items():
        # An index names a GPU that answers: that of a lost one may belong to another by now.
        if device.mig is None and uuid not in ledger.lost and str(device.index) == text:
            return uuid
    return None
