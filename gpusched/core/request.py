"""What a client asks for, checked: a `Request` that exists is well-formed.

Fit and right are not judged here; only what is wrong with the request itself, whatever the host.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from gpusched.core.errors import InvalidRequest
from gpusched.core.ids import DeviceUuid, ProcessId, RequestId
from gpusched.core.preferences import Placement, Sharing, Topology

NO_LABELS: Mapping[str, str] = MappingProxyType({})
MAX_COUNT = 1024
MAX_TEXT = 256
MAX_LABELS = 64


class Enforce(Enum):
    """How much the client insists on the kernel holding the mask."""

    REQUIRED = "required"
    PREFERRED = "preferred"
    ADVISORY = "advisory"


class OverUse(Enum):
    """What happens to a lease that holds more memory than its limit."""

    CONFIGURED = "configured"
    WARN = "warn"
    TERMINATE = "terminate"


class MaskFormat(Enum):
    """How `CUDA_VISIBLE_DEVICES` names devices."""

    AUTO = "auto"
    INDEX = "index"
    RELATIVE = "relative"
    UUID = "uuid"


@dataclass(frozen=True, slots=True)
class Owner:
    """On whose behalf a lease is held, in the words of another system.

    Attributes:
        reference: Such as `k8s:<uid>/<container>`, `slurm:1234`, `ray:<worker id>`.
        process: The owning process where there is one.
    """

    reference: str
    process: ProcessId | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One wish for devices. Durations are nanoseconds, sizes bytes; None means not said.

    Attributes:
        request_id: Idempotency key within the caller's uid.
        count: Number of devices; 0 asks for a lease without any (CPU only).
        memory: Bytes per device, CUDA context included; None asks for whole devices.
        gpu_types: Acceptable types (canonical or alias); empty accepts every one.
        mig_profile: Ask for MIG instances of this profile instead of whole GPUs.
        devices: Exactly these, in this order; then `count` is their number.
        available: Choose only among these; empty means among all.
        must_include: These have to be in the choice.
        attach_deadline: How long a reserved lease waits for its first process.
        keepalive: The holder must renew at least this often.
        time_limit: After this long the lease ends.
        enforce: How much of the mask must hold.
        mask_format: For the environment of the grant.
        labels: Free words of the client, kept with the lease.
        owner: Owner in another system.
        attach_caller: The calling process becomes the lease's first process.
        confines_itself: The calling process denies itself what it is not granted, by Landlock,
            before it runs anything, where the daemon cannot.
        over_use: What happens when it holds more memory than its limit.
        min_count: So many will do where `count` cannot be had; None: `count`.
        max_count: So many are welcome; None: `count`.
        memory_fraction: Part of each device's memory, instead of `memory`.
        sharing: With whom the devices may be shared.
        allow_larger_mig: The smallest larger instance will do where none of `mig_profile` is free.
        topology: How the devices should lie to one another.
        topology_required: Whether that is a condition.
        placement: Which of several fitting devices is taken.
        pool: Name of the pool the devices come from; None: the default one.
        priority: Name of the priority class; None: the default one.
        wait: How long it may wait for what is not free; None: not at all, or without limit.
        wait_without_limit: Whether it may wait for ever.
        affinity_key: It gets the devices back that its holder's last lease with this key had,
            where they can be had; empty: no matter.
    """

    request_id: RequestId
    count: int = 1
    memory: int | None = None
    gpu_types: tuple[str, ...] = ()
    mig_profile: str | None = None
    devices: tuple[DeviceUuid, ...] = ()
    available: tuple[DeviceUuid, ...] = ()
    must_include: tuple[DeviceUuid, ...] = ()
    attach_deadline: int | None = None
    keepalive: int | None = None
    time_limit: int | None = None
    enforce: Enforce = Enforce.PREFERRED
    mask_format: MaskFormat = MaskFormat.AUTO
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    owner: Owner | None = None
    attach_caller: bool = False
    confines_itself: bool = False
    over_use: OverUse = OverUse.CONFIGURED
    min_count: int | None = None
    max_count: int | None = None
    memory_fraction: float | None = None
    sharing: Sharing = Sharing.CONFIGURED
    allow_larger_mig: bool = False
    topology: Topology = Topology.CONFIGURED
    topology_required: bool = False
    placement: Placement = Placement.CONFIGURED
    pool: str | None = None
    priority: str | None = None
    wait: int | None = None
    wait_without_limit: bool = False
    affinity_key: str = ""

    def __post_init__(self) -> None:
        _check_count(self)
        _check_bounds(self)
        _check_sizes(self)
        _check_alternatives(self)
        _check_shape(self)
        _check_devices(self)
        _check_words(self)
        _check_caller(self)

    @property
    def sized(self) -> bool:
        """Whether it says how much memory it wants of each device."""
        return self.memory is not None or self.memory_fraction is not None

    @property
    def exclusive(self) -> bool:
        """Whether whole devices are wanted."""
        if self.sharing is Sharing.CONFIGURED:
            return not self.sized
        return self.sharing is Sharing.EXCLUSIVE

    @property
    def least(self) -> int:
        """The least number of devices that will do: all that must be included are among them."""
        if self.min_count is None:
            return self.count
        return max(self.min_count, len(self.must_include))

    @property
    def most(self) -> int:
        """The most devices that are welcome."""
        return self.count if self.max_count is None else self.max_count

    @property
    def waits(self) -> bool:
        """Whether it may wait for what is not free."""
        return self.wait_without_limit or self.wait is not None


def _check_count(request: Request) -> None:
    if not 0 <= request.count <= MAX_COUNT:
        raise InvalidRequest("count", f"{request.count} is not between 0 and {MAX_COUNT}")
    if request.devices and request.count != len(request.devices):
        raise InvalidRequest(
            "count", f"{request.count} devices asked for, {len(request.devices)} named"
        )


def _check_bounds(request: Request) -> None:
    least, most = request.min_count, request.max_count
    if least is not None and not 0 < least <= request.count:
        raise InvalidRequest("min_count", f"{least} is not between 1 and `count`, {request.count}")
    if most is not None and not request.count <= most <= MAX_COUNT:
        raise InvalidRequest(
            "max_count", f"{most} is not between `count`, {request.count}, and {MAX_COUNT}"
        )
    if request.devices and not request.least == request.most == request.count:
        name = "min_count" if request.least < request.count else "max_count"
        raise InvalidRequest(name, "stands beside `device_uuids`, which wants exactly these")


def _check_sizes(request: Request) -> None:
    if request.memory is not None and request.memory <= 0:
        raise InvalidRequest("memory_bytes", "must be more than 0; leave it out for whole devices")
    for name in ("attach_deadline", "keepalive", "time_limit", "wait"):
        duration: int | None = getattr(request, name)
        if duration is not None and duration <= 0:
            raise InvalidRequest(name, "must be more than 0 seconds")


def _check_alternatives(request: Request) -> None:
    fraction = request.memory_fraction
    if fraction is not None and not 0 < fraction <= 1:
        raise InvalidRequest("memory_fraction", f"{fraction} is not more than 0 and at most 1")
    if fraction is not None and request.memory is not None:
        raise InvalidRequest("memory_fraction", "stands beside `memory_bytes`; leave out one")
    if request.wait is not None and request.wait_without_limit:
        raise InvalidRequest("wait_without_limit", "stands beside `wait`; leave out one")


def _check_shape(request: Request) -> None:
    if request.sharing in (Sharing.ANY, Sharing.OWN) and not request.sized:
        raise InvalidRequest("sharing", "a share needs a size: set `memory_bytes`")
    if request.allow_larger_mig and request.mig_profile is None:
        raise InvalidRequest("allow_larger_mig_profile", "larger than what? set `mig_profile`")
    lies = request.topology in (Topology.SAME_NUMA_NODE, Topology.NVLINK)
    if request.topology_required and not lies:
        raise InvalidRequest("topology_required", "which? set `topology`")


def _check_devices(request: Request) -> None:
    for name, uuids in (
        ("device_uuids", request.devices),
        ("must_include_uuids", request.must_include),
    ):
        if len(set(uuids)) != len(uuids):
            raise InvalidRequest(name, "names a device twice")
    if len({uuid.startswith("MIG-") for uuid in request.devices}) > 1:
        raise InvalidRequest("device_uuids", "mixes MIG instances with whole GPUs")
    if len(request.must_include) > request.count:
        raise InvalidRequest("must_include_uuids", "names more devices than `count` asks for")


def _check_words(request: Request) -> None:
    if not 0 < len(request.request_id) <= MAX_TEXT:
        raise InvalidRequest("request_id", f"must have 1 to {MAX_TEXT} characters")
    if len(request.affinity_key) > MAX_TEXT:
        raise InvalidRequest("affinity_key", f"has more than {MAX_TEXT} characters")
    if len(request.labels) > MAX_LABELS:
        raise InvalidRequest("labels", f"more than {MAX_LABELS}")
    for key, value in request.labels.items():
        if not 0 < len(key) <= MAX_TEXT or len(value) > MAX_TEXT:
            raise InvalidRequest("labels", f"{key[:40]!r}: not 1 to {MAX_TEXT} characters")
    if request.owner is not None and not 0 < len(request.owner.reference) <= MAX_TEXT:
        raise InvalidRequest("owner.reference", f"must have 1 to {MAX_TEXT} characters")


def _check_caller(request: Request) -> None:
    # Another process that joins later confines itself to nothing: the level would be a lie.
    if request.confines_itself and not request.attach_caller:
        raise InvalidRequest("confines_itself", "only with `attach_caller`")
