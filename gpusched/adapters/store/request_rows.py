"""The durable form of a request, as it stands in the rows of leases and of waiting requests.

WARNING: a change of the form is one of those rows' form: see `rows`.
"""

from gpusched.adapters.store.fields import Fields
from gpusched.adapters.store.parts import process_of, process_row
from gpusched.core.ids import DeviceUuid, RequestId
from gpusched.core.preferences import Placement, Sharing, Topology
from gpusched.core.request import NO_LABELS, Enforce, MaskFormat, OverUse, Owner, Request


def request_row(request: Request) -> dict[str, object]:
    """Give the durable form of a request, ready for JSON. Every field is always there."""
    owner = request.owner
    return {
        "request_id": request.request_id,
        "count": request.count,
        "memory": request.memory,
        "gpu_types": request.gpu_types,
        "mig_profile": request.mig_profile,
        "devices": request.devices,
        "available": request.available,
        "must_include": request.must_include,
        "attach_deadline": request.attach_deadline,
        "keepalive": request.keepalive,
        "time_limit": request.time_limit,
        "enforce": request.enforce.value,
        "mask_format": request.mask_format.value,
        "labels": dict(request.labels),
        "owner": None if owner is None else _owner_row(owner),
        "attach_caller": request.attach_caller,
        "confines_itself": request.confines_itself,
        "over_use": request.over_use.value,
        "min_count": request.min_count,
        "max_count": request.max_count,
        "memory_fraction": request.memory_fraction,
        "sharing": request.sharing.value,
        "allow_larger_mig": request.allow_larger_mig,
        "topology": request.topology.value,
        "topology_required": request.topology_required,
        "placement": request.placement.value,
        "pool": request.pool,
        "priority": request.priority,
        "wait": request.wait,
        "wait_without_limit": request.wait_without_limit,
        "affinity_key": request.affinity_key,
    }


def _owner_row(owner: Owner) -> dict[str, object]:
    process = owner.process
    return {
        "reference": owner.reference,
        "process": None if process is None else process_row(process),
    }


def request_of(row: Fields) -> Request:
    """Read a request.

    Raises:
        UnreadableRow: A field is missing or of the wrong kind.
        InvalidRequest: It breaks its own rules.
    """
    return Request(
        request_id=RequestId(row.text("request_id")),
        count=row.number("count"),
        memory=row.maybe("memory", row.number),
        gpu_types=row.texts("gpu_types"),
        mig_profile=row.maybe("mig_profile", row.text),
        devices=tuple(map(DeviceUuid, row.texts("devices"))),
        available=tuple(map(DeviceUuid, row.texts("available"))),
        must_include=tuple(map(DeviceUuid, row.texts("must_include"))),
        attach_deadline=row.maybe("attach_deadline", row.number),
        keepalive=row.maybe("keepalive", row.number),
        time_limit=row.maybe("time_limit", row.number),
        enforce=row.word("enforce", Enforce),
        mask_format=row.word("mask_format", MaskFormat),
        labels=row.texts_by_key("labels") or NO_LABELS,
        owner=row.maybe("owner", lambda key: _owner(row.fields(key))),
        attach_caller=row.flag("attach_caller"),
        confines_itself=row.flag("confines_itself"),
        over_use=row.word("over_use", OverUse),
        min_count=row.maybe("min_count", row.number),
        max_count=row.maybe("max_count", row.number),
        memory_fraction=row.maybe("memory_fraction", row.fraction),
        sharing=row.word("sharing", Sharing),
        allow_larger_mig=row.flag("allow_larger_mig"),
        topology=row.word("topology", Topology),
        topology_required=row.flag("topology_required"),
        placement=row.word("placement", Placement),
        pool=row.maybe("pool", row.text),
        priority=row.maybe("priority", row.text),
        wait=row.maybe("wait", row.number),
        wait_without_limit=row.flag("wait_without_limit"),
        affinity_key=row.text("affinity_key"),
    )


def _owner(row: Fields) -> Owner:
    process = row.maybe("process", lambda key: process_of(row.fields(key)))
    return Owner(reference=row.text("reference"), process=process)
