"""Surveys made by hand: what `Node/Survey` answers, for what the simulator does not do."""

from collections.abc import Mapping

from gpusched.cli.smi.survey import Survey
from gpusched.client.document import Document

Fields = dict[str, object]
Known = str | int | tuple[int, str]
"""A text, a number, or NVML's code and words for why there is neither."""

MIB = 1 << 20
NOT_SUPPORTED = (3, "Not Supported")
NO_PERMISSION = (4, "Insufficient Permissions")
NOT_FOUND = (6, "Not Found")
LOST = (15, "GPU is lost")
UNKNOWN = (999, "Unknown Error")
AT = "2026-11-22T15:29:36.250Z"

_A100: Mapping[str, Known] = {
    "name": "NVIDIA A100-SXM4-40GB",
    "uuid": "GPU-00000000-0000-0000-0000-000000000001",
    "serial": "1650000000001",
    "persistence_mode": "Enabled",
    "pci.bus_id": "00000000:06:00.0",
    "display_active": "Disabled",
    "ecc.mode.current": "Enabled",
    "ecc.errors.uncorrected.volatile.total": 0,
    "fan.speed": NOT_SUPPORTED,
    "temperature.gpu": 32,
    "pstate": "P0",
    "power.draw": 49680,
    "enforced.power.limit": 400000,
    "memory.total": 40960 * MIB,
    "memory.used": 0,
    "utilization.gpu": 0,
    "compute_mode": "Default",
    "mig.mode.current": "Disabled",
    "mig.mode.pending": "Disabled",
}
_INSTANCE: Mapping[str, Known] = {
    "name": "NVIDIA A100-SXM4-40GB MIG 3g.20gb",
    "memory.used": 4380 * MIB,
    "memory.total": 19968 * MIB,
    "bar1_memory_usage.used": 0,
    "bar1_memory_usage.total": 32767 * MIB,
    "device_attributes.shared.multiprocessor_count": 42,
    "device_attributes.shared.copy_engine_count": 3,
    "device_attributes.shared.encoder_count": 0,
    "device_attributes.shared.decoder_count": 2,
    "device_attributes.shared.ofa_count": 0,
    "device_attributes.shared.jpg_count": 0,
    "ecc_error_count.volatile_count.sram_uncorrectable": 0,
}


def known(value: Known) -> Fields:
    """Give a value in its JSON form."""
    if isinstance(value, tuple):
        return {"failure": {"code": value[0], "words": value[1]}}
    return {"text": value} if isinstance(value, str) else {"number": str(value)}


def gpu(
    index: int = 0,
    fields: Mapping[str, Known] | None = None,
    processes: list[Fields] | None = None,
    mig_devices: list[Fields] | None = None,
    unread: tuple[int, str] | None = None,
) -> Fields:
    """Give a GPU; *fields* go before those of an A100."""
    made: Fields = {
        "index": index,
        "uuid": f"GPU-00000000-0000-0000-0000-{index + 1:012d}",
        "fields": {name: known(one) for name, one in {**_A100, **(fields or {})}.items()},
        "processes": processes or [],
        "mig_devices": mig_devices or [],
    }
    if unread:
        made["processes_failure"] = known(unread)["failure"]
    return made


def lost_gpu(index: int, failure: tuple[int, str] = LOST) -> Fields:
    """Give a GPU that gives no handle."""
    words = known(failure)["failure"]
    return {"index": index, "failure": words, "processes_failure": words}


def instance(
    index: int,
    gpu_instance: int,
    compute_instance: int = 0,
    processes: list[Fields] | None = None,
) -> Fields:
    """Give a MIG device."""
    fields = {
        **_INSTANCE,
        "gpu_instance_id": gpu_instance,
        "compute_instance_id": compute_instance,
    }
    return {
        "index": index,
        "uuid": f"MIG-00000000-0000-0000-0000-{gpu_instance:06d}{compute_instance:06d}",
        "fields": {name: known(one) for name, one in fields.items()},
        "processes": processes or [],
    }


def row(pid: int, name: Known = "python", memory: Known = MIB, kind: str = "C") -> Fields:
    """Give a row of a process list."""
    return {
        "pid": pid,
        "type": kind,
        "name": known(name),
        "used_memory": known(memory),
        "compute": kind != "G",
    }


def on(one: Fields, gpu_instance: int, compute_instance: int) -> Fields:
    """Put a row on a MIG device."""
    return {**one, "gpu_instance": gpu_instance, "compute_instance": compute_instance}


def survey(*devices: Fields, driver: str = "570.133.20", cuda: str = "12.8") -> Fields:
    """Give a survey as the gateway writes it."""
    return {
        "node": "host-1",
        "at": AT,
        "simulated": True,
        "unavailable": "",
        "fields": {"driver_version": known(driver), "cuda_version": known(cuda)},
        "devices": list(devices),
    }


def read(*devices: Fields) -> Survey:
    """Give a survey as the command line reads it."""
    return Survey(Document(survey(*devices)))
