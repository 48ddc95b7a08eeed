"""The kit of a lease: every variable that tells a framework which devices are its own.

Rules: facts measured on BentoML, vLLM, PyTorch, Ray and Slurm. The variables are advice; what
holds is the kernel's rule.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gpusched.core.cooperative import environment_of
from gpusched.core.device import Device
from gpusched.core.lease import Lease
from gpusched.core.request import MaskFormat


@dataclass(frozen=True, slots=True)
class Kit:
    """What a worker is given beside the devices themselves.

    Attributes:
        environment: To be set in the worker's environment, all of it.
        mask_format: The form `CUDA_VISIBLE_DEVICES` has.
        warnings: What the user should know about it.
    """

    environment: Mapping[str, str]
    mask_format: MaskFormat
    warnings: tuple[str, ...] = ()


ONE_MIG_PER_PROCESS = (
    "CUDA shows a process one MIG instance: the first of this lease, unless each worker picks its"
    " own from GPUSCHED_DEVICES"
)
RELATIVE_BARE = (
    "relative ordinals are right only where the other devices are hidden, as in a container"
)
INDEX_HELD = (
    "host indices name no device where the kernel denies the others: CUDA counts from 0 there"
)
MIG_BREAKS = "vLLM before 0.24, LitServe and DeepSpeed do not accept a MIG UUID as a mask"


def kit_of(
    lease: Lease,
    inventory: Iterable[Device],
    socket: str,
    *,
    mask_format: MaskFormat | None = None,
    isolated: bool = False,
) -> Kit:
    """Make the kit of *lease*.

    Args:
        lease: Whose.
        inventory: All devices that answer now; a leased one that is absent keeps its UUID.
        socket: Where the daemon listens.
        mask_format: Instead of the one the request asked for.
        isolated: Whether the worker can see no other devices, so that ordinals begin at 0.
    """
    present = {one.uuid: one for one in inventory}
    granted = [present[one.device] for one in lease.shares if one.device in present]
    uuids = [share.device for share in lease.shares]
    used = _format(mask_format or lease.request.mask_format, lease, granted, isolated=isolated)
    environment = {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(_visible(used, uuids, granted, present.values())),
        "NVIDIA_VISIBLE_DEVICES": ",".join(uuids) or "void",
        # Up to 1.4.14 BentoML overwrites a mask that it finds; this stops it in every version.
        "BENTOML_DISABLE_GPU_ALLOCATION": "1",
        "GPUSCHED_LEASE": lease.id,
        "GPUSCHED_DEVICES": ",".join(uuids),
        "GPUSCHED_SOCKET": socket,
    }
    if lease.limit is not None:
        environment["GPUSCHED_MEMORY_LIMIT"] = str(lease.limit)
    environment |= environment_of(lease.limit, granted)
    return Kit(environment, used, _warnings(lease, used, isolated=isolated))


def kit_inside(
    lease: Lease,
    inventory: Iterable[Device],
    socket: str,
    *,
    mask_format: MaskFormat | None = None,
) -> Kit:
    """Make the kit of *lease* for a container, which has the nodes of its devices and no others.

    Args:
        lease: As for `kit_of`.
        inventory: As for `kit_of`.
        socket: As for `kit_of`.
        mask_format: As for `kit_of`.
    """
    # Ordinals of the host name nothing in a container, whoever asked for them.
    uuid = (mask_format or lease.request.mask_format) is MaskFormat.UUID
    wanted = MaskFormat.UUID if uuid else MaskFormat.AUTO
    return kit_of(lease, inventory, socket, mask_format=wanted, isolated=True)


def _format(
    wanted: MaskFormat, lease: Lease, granted: Sequence[Device], *, isolated: bool
) -> MaskFormat:
    # An index names no MIG instance, and one cannot be made for a device that is not there.
    if _is_mig(lease) or len(granted) < len(lease.shares):
        return MaskFormat.UUID
    if wanted is not MaskFormat.AUTO:
        return wanted
    return MaskFormat.RELATIVE if isolated else MaskFormat.INDEX


def _visible(
    used: MaskFormat,
    uuids: Sequence[str],
    granted: Sequence[Device],
    present: Iterable[Device],
) -> list[str]:
    if used is MaskFormat.UUID:
        return list(uuids)
    # CUDA counts by PCI bus id, and only GPUs that are there: NVML's index may count others too.
    gpus = sorted((one for one in present if one.mig is None), key=lambda one: one.order)
    if used is MaskFormat.RELATIVE:
        gpus = [one for one in gpus if one in granted]
    ordinal = {one.uuid: str(place) for place, one in enumerate(gpus)}
    return [ordinal[one.uuid] for one in granted]


def _warnings(lease: Lease, used: MaskFormat, *, isolated: bool) -> tuple[str, ...]:
    if used is MaskFormat.RELATIVE and not isolated:
        return (RELATIVE_BARE,)
    if used is MaskFormat.INDEX and isolated:
        return (INDEX_HELD,)
    if not _is_mig(lease):
        return ()
    return (MIG_BREAKS,) if len(lease.shares) == 1 else (ONE_MIG_PER_PROCESS, MIG_BREAKS)


def _is_mig(lease: Lease) -> bool:
    return any(share.device.startswith("MIG-") for share in lease.shares)
