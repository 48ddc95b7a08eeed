"""What the simulated library says of pairs of cards: PCIe, NVLink and peer-to-peer access."""

from collections.abc import Mapping
from typing import Any

from gpusched.adapters.nvml.simulated.calls import (
    Call,
    DeviceFunction,
    handle_value,
    number,
    put,
    target,
)
from gpusched.adapters.nvml.simulated.codes import Code
from gpusched.adapters.nvml.simulated.scenario import Scenario, SimulatedDevice, SimulatedLink
from gpusched.adapters.nvml.simulated.view import Subject

_MOST_LINKS = 18  # of the newest profile
_SAME_BOARD, _SAME_SWITCH, _SAME_NODE, _SYSTEM = 0, 20, 40, 50
_P2P_OK, _P2P_CHIPSET, _P2P_NOT_SUPPORTED, _P2P_NVLINK = 0, 1, 5, 2
_REMOTE_GPU, _REMOTE_SWITCH = 0, 2
_SWITCH_BUS = 0xF0
_SWITCH_DEVICE_ID = 0x22A310DE

_Remote = SimulatedDevice | int
"""What an NVLink leads to: a card, or the NVSwitches of a number."""


def _other(call: Call, handle: Any) -> Subject | None:
    uuid = call.handles.uuid(handle_value(handle))
    return call.view.by_uuid.get(uuid or "")


def _between(call: Call, other: Subject) -> SimulatedLink | None:
    """Find what the scenario says of two cards in particular."""
    ends = sorted((call.subject.gpu.index, other.gpu.index))
    return next((one for one in call.view.scenario.links if list(one.gpus) == ends), None)


def _common_ancestor(call: Call, handle: Any, level: Any) -> int:
    other = _other(call, handle)
    if other is None:
        return Code.INVALID_ARGUMENT
    one, two, said = call.subject.gpu, other.gpu, _between(call, other)
    if said is not None and said.ancestor is not None:
        return put(level, said.ancestor)
    if one.uuid == two.uuid:
        return put(level, _SAME_BOARD)
    if one.switch == two.switch:
        return put(level, _SAME_SWITCH)
    return put(level, _SAME_NODE if one.numa == two.numa else _SYSTEM)


def _p2p_status(call: Call, handle: Any, capability: Any, status: Any) -> int:
    other = _other(call, handle)
    if other is None:
        return Code.INVALID_ARGUMENT
    said = _between(call, other)
    if number(capability) == _P2P_NVLINK:
        on_switch = call.subject.gpu.nvswitch
        switched = on_switch is not None and on_switch == other.gpu.nvswitch
        linked = switched or (said is not None and said.nvlinks)
        return put(status, _P2P_OK if linked else _P2P_NOT_SUPPORTED)
    return put(status, _P2P_OK if said is None or said.peer_to_peer else _P2P_CHIPSET)


def _remotes(scenario: Scenario, gpu: SimulatedDevice) -> list[_Remote]:
    """Say where each active NVLink of a card leads, in the order of their numbers."""
    if gpu.nvswitch is not None:
        return [gpu.nvswitch] * gpu.profile.nvlinks
    remotes: list[_Remote] = []
    for link in scenario.links:
        if gpu.index in link.gpus:
            other = sum(link.gpus) - gpu.index
            remotes += [scenario.devices[other]] * link.nvlinks
    return remotes


def _remote(call: Call, link: Any) -> _Remote | Code | None:
    """Find the other end of an NVLink; None where it is down, a code where there is none."""
    gpu = call.subject.gpu
    if not gpu.profile.nvlinks:
        return Code.NOT_SUPPORTED
    if number(link) >= _MOST_LINKS:
        return Code.INVALID_ARGUMENT
    remotes = _remotes(call.view.scenario, gpu)
    return remotes[number(link)] if number(link) < len(remotes) else None


def _nvlink_state(call: Call, link: Any, active: Any) -> int:
    remote = _remote(call, link)
    return remote if isinstance(remote, Code) else put(active, int(remote is not None))


def _nvlink_remote(call: Call, link: Any, info: Any) -> int:
    remote = _remote(call, link)
    if remote is None or isinstance(remote, Code):
        return remote or Code.INVALID_ARGUMENT
    found = target(info)
    if isinstance(remote, SimulatedDevice):
        bus_id, found.pciDeviceId = remote.bus_id, remote.profile.pci_device_id
    else:
        bus_id, found.pciDeviceId = f"00000000:{_SWITCH_BUS + remote:02X}:00.0", _SWITCH_DEVICE_ID
    found.domain, found.bus, found.device = int(bus_id[:8], 16), int(bus_id[9:11], 16), 0
    found.busId = bus_id.encode()
    found.busIdLegacy = bus_id[4:].encode()
    return Code.SUCCESS


def _nvlink_remote_type(call: Call, link: Any, kind: Any) -> int:
    remote = _remote(call, link)
    if remote is None or isinstance(remote, Code):
        return remote or Code.INVALID_ARGUMENT
    return put(kind, _REMOTE_GPU if isinstance(remote, SimulatedDevice) else _REMOTE_SWITCH)


OF_GPUS: Mapping[str, DeviceFunction] = {
    "nvmlDeviceGetTopologyCommonAncestor": _common_ancestor,
    "nvmlDeviceGetP2PStatus": _p2p_status,
    "nvmlDeviceGetNvLinkState": _nvlink_state,
    "nvmlDeviceGetNvLinkRemotePciInfo_v2": _nvlink_remote,
    "nvmlDeviceGetNvLinkRemoteDeviceType": _nvlink_remote_type,
}
"""Functions that a MIG device's handle is refused."""
