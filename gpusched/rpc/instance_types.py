"""The instance-type table of this host, made from its inventory as `bentoml` would print it."""

from collections.abc import Iterator, Mapping

from gpusched.api.v1 import devices_pb2
from gpusched.core.device import Device
from gpusched.core.gputype import short_name
from gpusched.core.ids import DeviceUuid, Instant
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Verdict
from gpusched.rpc.host import Host
from gpusched.rpc.judging import whole_verdicts

_MILLI = 1000


def types_of(ledger: Ledger, now: Instant, host: Host) -> list[devices_pb2.InstanceType]:
    """Give the rows: processors only, then each type of device in the order of the bus."""
    verdicts = whole_verdicts(ledger, now)
    return [
        *_cpu_rows(host),
        *_gpu_rows(ledger, verdicts, host),
        *_mig_rows(ledger, verdicts, host),
    ]


def sizes_up_to(most: int) -> list[int]:
    """Give 1, 2, 4 and so on, and *most* itself."""
    powers = [1 << bit for bit in range(most.bit_length())]
    return powers if not powers or powers[-1] == most else [*powers, most]


def _cpu_rows(host: Host) -> Iterator[devices_pb2.InstanceType]:
    for cores in sizes_up_to(host.cores):
        name = f"cpu.{cores}"
        yield devices_pb2.InstanceType(
            name=name,
            price=host.prices.get(name, ""),
            cpu_millicores=cores * _MILLI,
            memory_bytes=host.memory * cores // host.cores,
            free_count=host.cores // cores,
        )


def _gpu_rows(
    ledger: Ledger, verdicts: Mapping[DeviceUuid, Verdict], host: Host
) -> Iterator[devices_pb2.InstanceType]:
    grouped: dict[str, list[Device]] = {}
    for device in ledger.devices.values():
        if device.mig is None and not device.mig_enabled:
            grouped.setdefault(device.gpu_type.name, []).append(device)
    gpus = _gpu_count(ledger)
    for devices in grouped.values():
        free = _free(devices, verdicts)
        for count in sizes_up_to(len(devices)):
            name = f"gpu.{short_name(devices[0].gpu_type.name)}.{count}"
            row = _row(name, devices[0], host, gpus)
            row.cpu_millicores = host.cores * _MILLI * count // gpus
            row.memory_bytes = host.memory * count // gpus
            row.gpu_count = count
            row.free_count = free // count
            yield row


def _mig_rows(
    ledger: Ledger, verdicts: Mapping[DeviceUuid, Verdict], host: Host
) -> Iterator[devices_pb2.InstanceType]:
    grouped: dict[tuple[str, str], list[Device]] = {}
    instances: dict[DeviceUuid, int] = {}
    for device in ledger.devices.values():
        if device.mig is not None:
            grouped.setdefault((device.gpu_type.name, device.mig.profile), []).append(device)
            instances[device.physical] = instances.get(device.physical, 0) + 1
    gpus = _gpu_count(ledger)
    for (gpu_type, profile), devices in grouped.items():
        # The GPU's part of the host, divided by the instances beside it.
        parts = gpus * instances[devices[0].physical]
        row = _row(f"gpu.{short_name(gpu_type)}.mig-{profile}", devices[0], host, parts)
        row.gpu_count = 1
        row.mig_profile = profile
        row.free_count = _free(devices, verdicts)
        yield row


def _row(name: str, device: Device, host: Host, parts: int) -> devices_pb2.InstanceType:
    """Make a row of one device that has one of *parts* equal parts of the host."""
    return devices_pb2.InstanceType(
        name=name,
        price=host.prices.get(name, ""),
        cpu_millicores=host.cores * _MILLI // parts,
        memory_bytes=host.memory // parts,
        gpu_type=device.gpu_type.name,
        aliases=device.gpu_type.aliases,
        device_memory_bytes=device.memory_total,
    )


def _gpu_count(ledger: Ledger) -> int:
    """Count whole GPUs, partitioned ones included; at least 1: a lost parent is not listed."""
    return sum(one.mig is None for one in ledger.devices.values()) or 1


def _free(devices: list[Device], verdicts: Mapping[DeviceUuid, Verdict]) -> int:
    return sum(verdicts[one.uuid].obstacle is None for one in devices)
