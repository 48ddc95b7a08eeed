"""NVML's functions about pairs of GPUs, typed; beside `binding` for their number alone."""

from typing import Final

import pynvml

from gpusched.adapters.nvml import binding

# Not pynvml's: its NVML_P2P_CAPS_INDEX_READ is a tuple.
_READ: Final = 0
_WRITE: Final = 1
_OK: Final = 0

MAX_LINKS: Final = 36
"""Most NVLinks that any GPU has (`NVML_NVLINK_MAX_LINKS` of nvml.h, driver 580)."""

REMOTE_SWITCH: Final = 2
REMOTE_UNKNOWN: Final = 255


def common_ancestor(one: binding.Handle, two: binding.Handle) -> int:
    """Give `nvmlGpuTopologyLevel_t` of two GPUs: 0, 10, 20, 30, 40 or 50."""
    return int(binding.asked(pynvml.nvmlDeviceGetTopologyCommonAncestor, one, two))


def peer_to_peer(one: binding.Handle, two: binding.Handle) -> bool:
    """Say whether one GPU may read and write the other's memory."""
    asked = (
        binding.asked(pynvml.nvmlDeviceGetP2PStatus, one, two, right) for right in (_READ, _WRITE)
    )
    return all(status == _OK for status in asked)


def link_active(device: binding.Handle, link: int) -> bool:
    """Say whether an NVLink of a GPU is up.

    Raises:
        binding.NvmlFailure: NOT_SUPPORTED or INVALID_ARGUMENT where it has no such link.
    """
    return bool(binding.asked(pynvml.nvmlDeviceGetNvLinkState, device, link))


def remote_bus_id(device: binding.Handle, link: int) -> str:
    """Give the PCI bus id at the other end of an NVLink; of a switch it need not be one."""
    return str(binding.asked(pynvml.nvmlDeviceGetNvLinkRemotePciInfo, device, link).busId)


def remote_type(device: binding.Handle, link: int) -> int:
    """Give what is at the other end of an NVLink: `REMOTE_…`, or another number."""
    ask = getattr(pynvml, "nvmlDeviceGetNvLinkRemoteDeviceType", None)
    if ask is None:
        failed = binding.FUNCTION_NOT_FOUND
        raise binding.NvmlFailure(failed, binding.words_of(failed))
    return int(binding.asked(ask, device, link))
