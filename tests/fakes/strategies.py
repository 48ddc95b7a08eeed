"""Any lease, request, ghost or story line that the core can hold; only strategies.

Values are well-formed, not plausible: a lease may be RESERVED and have an end.
"""

from dataclasses import replace
from types import MappingProxyType

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from gpusched.core.changes import StoryKind, StoryLine
from gpusched.core.clocks import Clocks
from gpusched.core.enforcement import LeaseCgroup, Level
from gpusched.core.ghost import Ghost
from gpusched.core.giving_way import GivingWay
from gpusched.core.idleness import Idle, IdleKind
from gpusched.core.ids import DeviceUuid, Instant, LeaseId, Moment, ProcessId, RequestId
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.marks import Cordon, Marks, Taint, TaintEffect
from gpusched.core.preferences import Placement, Sharing, Topology
from gpusched.core.request import (
    MAX_COUNT,
    MAX_LABELS,
    MAX_TEXT,
    Enforce,
    MaskFormat,
    OverUse,
    Owner,
    Request,
)
from gpusched.core.share import Share
from gpusched.core.violation import Violation, ViolationKind

_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_INT64 = 2**63 - 1

words = st.text(min_size=1, max_size=MAX_TEXT)
durations = st.integers(min_value=1, max_value=_INT64)
sizes = st.integers(min_value=1, max_value=2**48)
fractions = st.floats(min_value=0, max_value=1, exclude_min=True)
uids = st.integers(min_value=0, max_value=2**32 - 2)
instants = st.integers(min_value=0, max_value=_INT64).map(Instant)
walls = st.integers(min_value=0, max_value=_INT64)
moments = st.builds(Moment, instants, walls)
lease_ids = st.text(_BASE32, min_size=10, max_size=10).map(lambda tail: LeaseId(f"lease-{tail}"))
gpu_uuids = st.uuids().map(lambda uuid: DeviceUuid(f"GPU-{uuid}"))
mig_uuids = st.uuids().map(lambda uuid: DeviceUuid(f"MIG-{uuid}"))
device_uuids = gpu_uuids | mig_uuids
process_ids = st.builds(
    ProcessId,
    pid=st.integers(min_value=1, max_value=2**22),
    start_ticks=st.integers(min_value=0, max_value=_INT64),
)
owners = st.builds(Owner, reference=words, process=st.none() | process_ids)
labels = st.dictionaries(words, st.text(max_size=MAX_TEXT), max_size=min(4, MAX_LABELS)).map(
    MappingProxyType
)
shares = st.builds(
    Share,
    device=device_uuids,
    domain=gpu_uuids,
    memory=st.none() | sizes,
    baseline=st.none() | sizes,
    peak=st.none() | sizes,
    total=st.none() | sizes,
    pool=words,
    alone=st.booleans(),
)
clocks = st.builds(
    Clocks,
    attach=st.none() | instants,
    keepalive=st.none() | instants,
    time_limit=st.none() | instants,
    kill=st.none() | instants,
    settle=st.none() | instants,
)
cgroups = st.builds(
    LeaseCgroup,
    path=words.map(lambda name: f"/{name}"),
    inode=st.integers(min_value=1, max_value=_INT64),
    made=st.booleans(),
)
ghosts = st.builds(Ghost, memory=sizes, baseline=sizes, lease=lease_ids, since=moments)
violations = st.builds(
    Violation,
    kind=st.sampled_from(ViolationKind),
    device=device_uuids,
    process=st.none() | process_ids,
    since=moments,
    memory=sizes,
    deadline=st.none() | instants,
    within=st.none() | instants,
)
ways = st.builds(GivingWay, key=st.tuples(uids, words.map(RequestId)), deadline=instants)
idles = st.builds(
    Idle,
    kind=st.sampled_from(IdleKind),
    since=moments,
    unseen=sizes,
    stopped=st.none() | instants,
    kept=sizes,
    reported=st.booleans(),
    deadline=st.none() | instants,
)
cordons = st.builds(
    Cordon,
    reason=words,
    uid=uids,
    user=st.just("") | words,
    at=moments,
    deadline=st.none() | instants,
    in_place=st.booleans(),
)
taints = st.builds(
    Taint,
    key=words,
    effect=st.sampled_from(TaintEffect),
    reason=words,
    at=moments,
    clears=st.none() | instants,
    recovery=st.just("") | words,
)
marks = st.builds(
    Marks, cordon=st.none() | cordons, taints=st.lists(taints, max_size=3).map(tuple)
)


def _shape(draw: st.DrawFn, count: int, *, named: bool) -> Request:
    """How many devices, of what, how they lie, and who else may be there."""
    memory = draw(st.none() | sizes)
    fraction = None if memory else draw(st.none() | fractions)
    sized = memory is not None or fraction is not None
    profile = draw(st.none() | words)
    lies = draw(st.sampled_from(Topology))
    demanded = lies in (Topology.SAME_NUMA_NODE, Topology.NVLINK)
    whole = [Sharing.CONFIGURED, Sharing.EXCLUSIVE]
    return Request(
        RequestId("shape"),
        count=count,
        memory=memory,
        mig_profile=profile,
        min_count=None if named or not count else draw(st.none() | st.integers(1, count)),
        max_count=None if named else draw(st.none() | st.integers(count, MAX_COUNT)),
        memory_fraction=fraction,
        sharing=draw(st.sampled_from(list(Sharing) if sized else whole)),
        allow_larger_mig=profile is not None and draw(st.booleans()),
        topology=lies,
        topology_required=demanded and draw(st.booleans()),
        placement=draw(st.sampled_from(Placement)),
    )


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any request that passes its own checks."""
    devices = tuple(draw(st.lists(gpu_uuids, max_size=3, unique=True)))
    devices = devices or tuple(draw(st.lists(mig_uuids, max_size=3, unique=True)))
    attach_caller = draw(st.booleans())
    wait = draw(st.none() | durations)
    count = len(devices) or draw(st.integers(min_value=0, max_value=16))
    return replace(
        _shape(draw, count, named=bool(devices)),
        request_id=RequestId(draw(words)),
        gpu_types=tuple(draw(st.lists(words, max_size=3))),
        devices=devices,
        available=tuple(draw(st.lists(device_uuids, max_size=3))),
        must_include=tuple(draw(st.lists(device_uuids, max_size=min(3, count), unique=True))),
        attach_deadline=draw(st.none() | durations),
        keepalive=draw(st.none() | durations),
        time_limit=draw(st.none() | durations),
        enforce=draw(st.sampled_from(Enforce)),
        mask_format=draw(st.sampled_from(MaskFormat)),
        labels=draw(labels),
        owner=draw(st.none() | owners),
        attach_caller=attach_caller,
        confines_itself=attach_caller and draw(st.booleans()),
        over_use=draw(st.sampled_from(OverUse)),
        pool=draw(st.none() | words),
        priority=draw(st.none() | words),
        wait=wait,
        wait_without_limit=wait is None and draw(st.booleans()),
        affinity_key=draw(st.just("") | words),
    )


def leases(ids: SearchStrategy[LeaseId] = lease_ids) -> SearchStrategy[Lease]:
    """Any lease with an id out of *ids*."""
    return st.builds(
        Lease,
        id=ids,
        state=st.sampled_from(LeaseState),
        request=requests(),
        uid=uids,
        gid=uids,
        user=words,
        shares=st.lists(shares, max_size=3).map(tuple),
        created=moments,
        processes=st.lists(process_ids, max_size=3).map(tuple),
        cgroup=st.none() | cgroups,
        origin=st.just("") | words,
        clocks=clocks,
        level=st.sampled_from(Level),
        level_reason=st.just("") | words,
        entered=st.none() | moments,
        ending=st.none() | moments,
        ended=st.none() | moments,
        reason=st.none() | st.sampled_from(EndReason),
        detail=st.just("") | words,
        peak=st.none() | sizes,
        violations=st.lists(violations, max_size=2).map(tuple),
        idle=st.none() | idles,
        giving_way=st.none() | ways,
        priority=st.none() | words,
        adopted=st.booleans(),
        groups=st.lists(uids, max_size=3).map(tuple),
    )


story_lines = st.builds(
    StoryLine,
    wall=walls,
    kind=st.sampled_from(StoryKind),
    entity=words,
    sentence=st.text(),
    data=st.dictionaries(words, st.text(), max_size=3).map(MappingProxyType),
    sequence=st.integers(min_value=1, max_value=_INT64),
)
