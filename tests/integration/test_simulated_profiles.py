"""Profiles through pynvml: what the library says of a card is what a real card says."""

import xml.etree.ElementTree as ET
from math import ceil
from pathlib import Path

import pynvml  # noqa: TID251 - the simulator stands below the binding: that is what is tested
import pytest

from gpusched.adapters.nvml.simulated.codes import MEMORY_NOT_AVAILABLE, MEMORY_V2, TEXTS, Code
from gpusched.adapters.nvml.simulated.profiles import Profile, profiles
from tests.fakes.simulated_host import MIB, code_of, simulated_host

CAPTURES = Path(__file__).parent.parent / "data" / "nvidia_smi"
CAPTURED = {"T4": "t4", "L40S": "l40s", "A100-40GB": "a100", "H100": "h100"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "simulator"


def _mib(text: str | None) -> int:
    assert text is not None
    return int(text.removesuffix(" MiB"))


def _watts(text: str | None) -> int:
    assert text is not None
    return round(float(text.removesuffix(" W")) * 1000)


def test_the_codes_are_the_bindings() -> None:
    """What is written down of nvml.h here is what the binding has."""
    theirs = {int(getattr(pynvml, f"NVML_ERROR_{one.name}")) for one in Code if one}
    assert theirs == {int(one) for one in Code if one}
    assert set(TEXTS) == set(Code)
    assert pynvml.nvmlMemory_v2 == MEMORY_V2
    assert pynvml.NVML_VALUE_NOT_AVAILABLE_ulonglong.value == MEMORY_NOT_AVAILABLE


@pytest.mark.parametrize("profile", profiles().values(), ids=lambda one: one.key)
def test_a_profile_comes_back_through_pynvml(directory: Path, profile: Profile) -> None:
    """What a profile says is what pynvml reads."""
    with simulated_host(directory, profile.key) as host:
        gpu = host.handle()
        memory = pynvml.nvmlDeviceGetMemoryInfo(gpu, pynvml.nvmlMemory_v2)
        assert pynvml.nvmlDeviceGetName(gpu) == profile.name
        assert (memory.total, memory.reserved, memory.used) == (
            profile.memory,
            profile.reserved,
            0,
        )
        assert memory.free == profile.memory - profile.reserved
        assert pynvml.nvmlDeviceGetMemoryInfo(gpu).used == profile.reserved
        assert pynvml.nvmlDeviceGetBAR1MemoryInfo(gpu).bar1Total == profile.bar1
        assert pynvml.nvmlDeviceGetPowerUsage(gpu) == profile.power.idle
        assert pynvml.nvmlDeviceGetEnforcedPowerLimit(gpu) == profile.power.default
        assert pynvml.nvmlDeviceGetCudaComputeCapability(gpu) == profile.capability
        assert pynvml.nvmlDeviceGetVbiosVersion(gpu) == profile.vbios
        assert pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu == 0
        assert pynvml.nvmlDeviceGetComputeMode(gpu) == pynvml.NVML_COMPUTEMODE_DEFAULT
        assert pynvml.nvmlDeviceGetPersistenceMode(gpu) == 1
        assert (code_of("nvmlDeviceGetEccMode", gpu) == 0) == profile.ecc
        assert (code_of("nvmlDeviceGetFanSpeed", gpu) == 0) == (profile.fan_percent is not None)
        assert (code_of("nvmlDeviceGetMigMode", gpu) == 0) == bool(profile.mig)
        assert (code_of("nvmlDeviceGetNvLinkState", gpu, 0) == 0) == (profile.nvlinks > 0)
        assert pynvml.nvmlDeviceGetAccountingMode(gpu) == 0


@pytest.mark.parametrize(("profile", "capture"), CAPTURED.items())
def test_a_profile_equals_its_capture(directory: Path, profile: str, capture: str) -> None:
    """A captured profile reads as nvidia-smi read the real card."""
    assert profiles()[profile].captured
    root = ET.parse(CAPTURES / f"{capture}.xml").getroot()  # noqa: S314 - a file of this project
    real = root.find("gpu")
    assert real is not None
    scenario = f"""
    driver = "{root.findtext("driver_version")}"
    cuda = "{root.findtext("cuda_version")}"
    [[device]]
    profile = "{profile}"
    bus_id = "{real.findtext("pci/pci_bus_id")}"
    uuid = "{real.findtext("uuid")}"
    serial = "{real.findtext("serial")}"
    """
    with simulated_host(directory, scenario) as host:
        gpu = host.handle()
        assert pynvml.nvmlSystemGetDriverVersion() == root.findtext("driver_version")
        cuda = pynvml.nvmlSystemGetCudaDriverVersion()
        assert f"{cuda // 1000}.{cuda % 1000 // 10}" == root.findtext("cuda_version")
        _same_identity(gpu, real)
        _same_memory(gpu, real)
        _same_state(gpu, real)


def _same_identity(gpu: object, real: ET.Element) -> None:
    pci = pynvml.nvmlDeviceGetPciInfo(gpu)
    assert pynvml.nvmlDeviceGetName(gpu) == real.findtext("product_name")
    assert pynvml.nvmlDeviceGetUUID(gpu) == real.findtext("uuid")
    assert pynvml.nvmlDeviceGetSerial(gpu) == real.findtext("serial")
    assert str(pynvml.nvmlDeviceGetMinorNumber(gpu)) == real.findtext("minor_number")
    assert pynvml.nvmlDeviceGetVbiosVersion(gpu) == real.findtext("vbios_version")
    assert pci.busId == real.get("id") == real.findtext("pci/pci_bus_id")
    assert f"{pci.pciDeviceId:08X}" == real.findtext("pci/pci_device_id")
    assert f"{pci.pciSubSystemId:08X}" == real.findtext("pci/pci_sub_system_id")
    assert pynvml.nvmlDeviceGetBrand(gpu) == pynvml.NVML_BRAND_NVIDIA
    assert real.findtext("product_brand") == "NVIDIA"
    architecture = (real.findtext("product_architecture") or "").split()[0].upper()
    known = getattr(pynvml, f"NVML_DEVICE_ARCH_{architecture}")
    assert pynvml.nvmlDeviceGetArchitecture(gpu) == known


def _same_memory(gpu: object, real: ET.Element) -> None:
    memory = pynvml.nvmlDeviceGetMemoryInfo(gpu, pynvml.nvmlMemory_v2)
    for field in ("total", "reserved", "used", "free"):
        expected = _mib(real.findtext(f"fb_memory_usage/{field}"))
        assert ceil(getattr(memory, field) / MIB) == expected, field
    bar1 = pynvml.nvmlDeviceGetBAR1MemoryInfo(gpu)
    assert bar1.bar1Total == _mib(real.findtext("bar1_memory_usage/total")) * MIB
    assert bar1.bar1Used == _mib(real.findtext("bar1_memory_usage/used")) * MIB
    assert bar1.bar1Free == _mib(real.findtext("bar1_memory_usage/free")) * MIB


def _same_state(gpu: object, real: ET.Element) -> None:
    power = "gpu_power_readings"
    temperature = pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU)
    assert f"{temperature} C" == real.findtext("temperature/gpu_temp")
    assert f"P{pynvml.nvmlDeviceGetPerformanceState(gpu)}" == real.findtext("performance_state")
    assert pynvml.nvmlDeviceGetPowerUsage(gpu) == _watts(
        real.findtext(f"{power}/instant_power_draw")
    )
    limits = [_watts(real.findtext(f"{power}/{one}_power_limit")) for one in ("min", "max")]
    assert pynvml.nvmlDeviceGetPowerManagementLimitConstraints(gpu) == limits
    default = _watts(real.findtext(f"{power}/default_power_limit"))
    assert pynvml.nvmlDeviceGetPowerManagementDefaultLimit(gpu) == default
    for number, name in enumerate(("graphics_clock", "sm_clock", "mem_clock", "video_clock")):
        clock, greatest = (
            pynvml.nvmlDeviceGetClockInfo(gpu, number),
            pynvml.nvmlDeviceGetMaxClockInfo(gpu, number),
        )
        assert f"{clock} MHz" == real.findtext(f"clocks/{name}")
        assert f"{greatest} MHz" == real.findtext(f"max_clocks/{name}")
    assert real.findtext("ecc_mode/current_ecc") == "Enabled"
    assert pynvml.nvmlDeviceGetEccMode(gpu) == [1, 1]
    assert code_of("nvmlDeviceGetFanSpeed", gpu) == Code.NOT_SUPPORTED
    assert real.findtext("fan_speed") == "N/A"
    expected = {"N/A": Code.NOT_SUPPORTED, "Disabled": 0}[
        real.findtext("mig_mode/current_mig") or ""
    ]
    assert code_of("nvmlDeviceGetMigMode", gpu) == expected
