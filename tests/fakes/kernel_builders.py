"""Short ways to leases that are true in the kernel, and to hosts whose nodes are known."""

from dataclasses import replace

from gpusched.core.changes import AbilityFound, InventoryChanged, SampleTaken
from gpusched.core.device import Device, DeviceNode
from gpusched.core.enforcement import Ability, LeaseCgroup, Level
from gpusched.core.events import Ticked
from gpusched.core.ids import Moment, ProcessId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.mask import Governed, NodeRange
from gpusched.core.observation import SeenCgroup
from gpusched.core.policy import Policy
from gpusched.core.sample import DeviceReading, NodeSample, Unavailable
from gpusched.core.standing import Member, Standing
from tests.fakes.builders import ADA, CONTROL_NODE, device, lease, reading, sample, share
from tests.fakes.host import Host

ABLE = Ability(Level.DEVICE_PROGRAM, "every mask is held", cgroups=True)
RANGES = (NodeRange(195, 0, 254),)
GOVERNED = Governed(RANGES, (CONTROL_NODE,))
SESSION, SERVICE = "/user.slice/session-1.scope", "/system.slice/a.service"


def gpu(place: int) -> Device:
    """A GPU with its node."""
    return replace(device(place), nodes=(DeviceNode(f"/dev/nvidia{place}", 195, place),))


GPUS = tuple(gpu(place) for place in range(4))


def noded(taken: NodeSample) -> NodeSample:
    """A sample in which the nodes that masks are about are known."""
    assert not isinstance(taken.reading, Unavailable)
    return replace(taken, reading=replace(taken.reading, governed=RANGES))


def ticked(*readings: DeviceReading, at: Moment) -> Ticked:
    """A tick that reads these devices; the rest are idle."""
    given = {one.device.uuid for one in readings}
    idle = [reading(one) for one in GPUS if one.uuid not in given]
    return Ticked(noded(sample(*readings, *idle, at=at)))


def standing(
    *processes: ProcessId, path: str = SESSION, inode: int = 5, uid: int = ADA.uid
) -> Standing:
    """Processes of one user in a cgroup."""
    return Standing(path, inode, tuple(Member(one, (uid, uid, uid)) for one in processes))


def own_cgroup(name: str = "1", inode: int = 11) -> LeaseCgroup:
    """The cgroup that was made for the lease of this name."""
    return LeaseCgroup(f"/gpusched/lease-{name}", inode, made=True)


def service(inode: int = 21, path: str = SERVICE) -> LeaseCgroup:
    """A service's cgroup, taken in place."""
    return LeaseCgroup(path, inode, made=False)


def held(
    cgroup: LeaseCgroup | None,
    *gpus: Device,
    name: str = "1",
    state: LeaseState = LeaseState.ACTIVE,
) -> Lease:
    """A lease of whole devices that the kernel holds in *cgroup*."""
    made = lease(state, *(share(one) for one in gpus), name=name)
    return replace(made, cgroup=cgroup, level=Level.DEVICE_PROGRAM)


def seen(cgroup: LeaseCgroup, digest: str | None = None, *, populated: bool = True) -> SeenCgroup:
    """A cgroup as a look finds it."""
    return SeenCgroup(cgroup, populated, digest)


def host_of(
    *leases: Lease, sampled: bool = True, ability: Ability = ABLE, policy: Policy | None = None
) -> Host:
    """A host with these leases; *sampled*: its nodes are known."""
    host = Host(policy=policy)
    host.ledger.restore(leases, (), 0)
    host.apply([AbilityFound(ability)])
    if sampled:
        taken = noded(sample(*map(reading, GPUS), at=host.now))
        assert not isinstance(taken.reading, Unavailable)
        host.apply([InventoryChanged(GPUS, {}), SampleTaken(taken, {}, host.now.instant)])
    return host
