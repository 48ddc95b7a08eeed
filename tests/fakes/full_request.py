"""A request with every field filled, for tests of what is kept of it."""

from types import MappingProxyType

from gpusched.core.ids import DeviceUuid, ProcessId, RequestId
from gpusched.core.preferences import Placement, Sharing, Topology
from gpusched.core.request import Enforce, MaskFormat, OverUse, Owner, Request

GPU = DeviceUuid("GPU-8a1f4f5e-7c1b-4f3a-9d55-0123456789ab")
FULL_REQUEST = Request(
    request_id=RequestId("run-1"),
    count=1,
    memory=4 << 30,
    gpu_types=("nvidia-l4",),
    mig_profile="1g.10gb",
    devices=(GPU,),
    available=(GPU,),
    must_include=(GPU,),
    attach_deadline=1,
    keepalive=2,
    time_limit=3,
    enforce=Enforce.REQUIRED,
    mask_format=MaskFormat.UUID,
    labels=MappingProxyType({"team": "vision"}),
    owner=Owner("slurm:1234", ProcessId(10, 11)),
    attach_caller=True,
    confines_itself=True,
    over_use=OverUse.TERMINATE,
    min_count=1,
    max_count=1,
    sharing=Sharing.OWN,
    allow_larger_mig=True,
    topology=Topology.NVLINK,
    topology_required=True,
    placement=Placement.SPREAD,
    pool="training",
    priority="high",
    wait=4,
    affinity_key="worker-0",
)
