"""Short ways to the core's values, so that a test names only what it is about.

Only values; a ledger that lives through events is in `tests.fakes.host`.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from gpusched.core.device import Device, DeviceNode, MigInstance
from gpusched.core.gputype import gpu_type_of
from gpusched.core.ids import (
    SECOND,
    Caller,
    DeviceUuid,
    Instant,
    LeaseId,
    Moment,
    ProcessId,
    RequestId,
)
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.request import Request
from gpusched.core.sample import (
    NO_MEMBERS,
    ContextKind,
    ContextReading,
    DeviceReading,
    DriverVersions,
    LostDevice,
    Memory,
    NodeReading,
    NodeSample,
    ProcessFacts,
    Reading,
    Unavailable,
)
from gpusched.core.share import Share
from gpusched.core.sizes import GIB
from gpusched.core.standing import Member, Standing

A, B, C = RequestId("a"), RequestId("b"), RequestId("c")
A100 = "NVIDIA A100-SXM4-80GB"
L4 = "NVIDIA L4"
WALL = 1_700_000_000 * SECOND
UNREADABLE = Unavailable("no permission")

CONTROL_NODE = DeviceNode("/dev/nvidiactl", 195, 255)


def moment(seconds: float = 1000) -> Moment:
    """The moment *seconds* after the boot; the wall clock runs evenly beside it."""
    instant = round(seconds * SECOND)
    return Moment(Instant(instant), WALL + instant)


def caller(
    uid: int = 1000, pid: int | None = None, *, admin: bool = False, groups: tuple[int, ...] = ()
) -> Caller:
    """A user named after the uid, calling from process *pid*."""
    calling = None if pid is None else process(pid)
    return Caller(uid, uid, calling, f"user{uid}", admin, groups=groups)


ADA, BOB, ROOT = caller(1000), caller(1001), caller(0, admin=True)


def process(pid: int) -> ProcessId:
    """The process that has *pid* now."""
    return ProcessId(pid, pid * 10)


def standing(
    *pids: int, uid: int = 1000, uids: tuple[int, int, int] | None = None, cgroup: str = ""
) -> Standing:
    """Processes of one user; with *cgroup* they are in that one, whose inode is made of it."""
    tree = tuple(Member(process(pid), uids or (uid, uid, uid)) for pid in pids)
    return Standing(cgroup, sum(cgroup.encode()), tree)


def device(place: int = 0, product: str = A100, memory: int | None = 80 * GIB) -> Device:
    """The whole GPU at *place* of the bus; index and minor are its place."""
    return Device(
        uuid=DeviceUuid(f"GPU-{place:08d}"),
        index=place,
        minor=place,
        pci_bus_id=f"00000000:{place + 1:02X}:00.0",
        product_name=product,
        gpu_type=gpu_type_of(product, memory),
        memory_total=memory,
    )


def mig(
    parent: Device, gpu_instance: int = 1, compute_instance: int = 0, memory: int = 40 * GIB
) -> Device:
    """A MIG instance of *parent*."""
    uuid = DeviceUuid(f"MIG-{parent.index:08d}-{gpu_instance}-{compute_instance}")
    profile = f"{memory // (10 * GIB)}g.{memory // GIB}gb"
    return Device(
        uuid=uuid,
        index=gpu_instance * 8 + compute_instance,
        minor=parent.minor,
        pci_bus_id=parent.pci_bus_id,
        product_name=f"{parent.product_name} MIG {profile}",
        gpu_type=parent.gpu_type,
        memory_total=memory,
        mig=MigInstance(parent.uuid, gpu_instance, compute_instance, profile),
    )


def context(
    pid: int, memory: Reading[int] = GIB, kind: ContextKind = ContextKind.COMPUTE
) -> ContextReading:
    """One row of a process list."""
    return ContextReading(pid, kind, memory)


def memory_of(one: Device, used: int = 0, reserved: int = 0) -> Memory:
    """A framebuffer of which *used* bytes are allocated."""
    total = one.memory_total or 0
    return Memory(total, reserved, used, total - reserved - used)


def reading(one: Device, *contexts: ContextReading, used: int | None = None) -> DeviceReading:
    """A device as read; unless *used* is given, it uses what its processes use."""
    figures = (row.memory for row in contexts)
    total = sum(figure for figure in figures if not isinstance(figure, Unavailable))
    return DeviceReading(one, memory_of(one, total if used is None else used), contexts)


def facts(
    pid: int,
    uid: int = 1000,
    *,
    name: str = "python",
    parents: Iterable[int] = (),
    claims: LeaseId | None = None,
    cgroup: str = "",
) -> ProcessFacts:
    """What `/proc` says of process *pid*."""
    ancestors = tuple(process(one) for one in parents)
    return ProcessFacts(process(pid), uid, name, name, ancestors, claims, cgroup)


def sample(
    *readings: DeviceReading,
    at: Moment | None = None,
    known: Iterable[ProcessFacts] = (),
    members: Mapping[LeaseId, frozenset[ProcessId]] = NO_MEMBERS,
    lost: tuple[LostDevice, ...] = (),
) -> NodeSample:
    """A sample of these devices, begun *at* a moment, with what is *known* of processes."""
    begun = (at or moment()).instant
    node = NodeReading(
        begun, begun, DriverVersions(), readings, lost, control_nodes=(CONTROL_NODE,)
    )
    return NodeSample(begun, node, {one.identity.pid: one for one in known}, members)


def share(one: Device, memory: int | None = None) -> Share:
    """A share of a device; without *memory* the whole of it."""
    return Share(one.uuid, one.memory_domain, memory)


def lease(
    state: LeaseState = LeaseState.RESERVED,
    *shares: Share,
    name: str = "1",
    request: Request | None = None,
) -> Lease:
    """A lease that is consistent with *state*, granted to ADA."""
    over = state in (LeaseState.RELEASING, LeaseState.ENDED)
    entered = state in (LeaseState.ACTIVE, LeaseState.RELEASING)
    return Lease(
        id=LeaseId(f"lease-{name}"),
        state=state,
        request=request or Request(RequestId(name)),
        uid=ADA.uid,
        gid=ADA.gid,
        user=ADA.user,
        shares=shares,
        created=moment(900),
        processes=(process(50),) if entered else (),
        entered=moment(910) if entered else None,
        ending=moment(950) if over else None,
        ended=moment(960) if state is LeaseState.ENDED else None,
        reason=EndReason.RELEASED if over else None,
    )


def labelled(**labels: str) -> Mapping[str, str]:
    """Labels as a request carries them."""
    return MappingProxyType(labels)
