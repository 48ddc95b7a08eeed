"""The simulated library through pynvml: every value passes the structures of the C library."""

from collections.abc import Iterator
from pathlib import Path

import pynvml  # noqa: TID251 - the simulator stands below the binding: that is what is tested
import pytest

from gpusched.adapters.nvml.simulated.codes import MEMORY_V2, Code
from tests.fakes.simulated_host import BUSY, GIB, MIB, SimulatedHost, code_of, simulated_host


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "simulator"


@pytest.fixture
def busy(directory: Path) -> Iterator[SimulatedHost]:
    with simulated_host(directory, BUSY.format(faults="")) as host:
        yield host


def test_processes_stand_in_the_lists_of_their_type(busy: SimulatedHost) -> None:
    """C, G and M are membership in three lists; order and repetition stay as given."""
    gpu = busy.handle()
    assert busy.pids() == [300, 20, 41, 300]
    graphics = pynvml.nvmlDeviceGetGraphicsRunningProcesses(gpu)
    assert [(one.pid, one.usedGpuMemory) for one in graphics] == [(300, 3 * GIB)]
    assert [one.pid for one in pynvml.nvmlDeviceGetMPSComputeRunningProcesses(gpu)] == [41]
    assert busy.pids(1) == []
    assert busy.used() == 4 * GIB + MIB


def test_memory_that_is_not_available_is_no_number(busy: SimulatedHost) -> None:
    """N/A comes back as None, and no instance as the sentinel that pynvml leaves alone."""
    row = pynvml.nvmlDeviceGetComputeRunningProcesses(busy.handle())[1]
    assert row.usedGpuMemory is None
    assert (row.gpuInstanceId, row.computeInstanceId) == (0xFFFFFFFF, 0xFFFFFFFF)


def test_version_2_of_a_list_says_the_same(busy: SimulatedHost) -> None:
    """An older binding reads the same rows."""
    rows = pynvml.nvmlDeviceGetComputeRunningProcesses_v2(busy.handle())
    assert [one.pid for one in rows] == busy.pids()


def test_process_names_are_the_scenarios_or_the_hosts(busy: SimulatedHost) -> None:
    """A real pid has its real name; a pid that nobody has, none."""
    assert pynvml.nvmlSystemGetProcessName(300) == "/usr/bin/trainer"
    worker = busy.worker("--memory", "1GiB", CUDA_VISIBLE_DEVICES="1", CUDA_DEVICE_ORDER="x")
    worker.ready()
    assert "python" in pynvml.nvmlSystemGetProcessName(worker.pid)
    assert code_of("nvmlSystemGetProcessName", 2**31) == Code.NOT_FOUND


def test_a_wrong_version_word_is_refused(directory: Path) -> None:
    """Memory v2 answers only to its own version word."""
    with simulated_host(directory, "T4") as host:
        code = code_of("nvmlDeviceGetMemoryInfo", host.handle(), 0x01000028)
        assert code == Code.ARGUMENT_VERSION_MISMATCH


def test_nothing_answers_before_init(directory: Path) -> None:
    """Calls before init and after the last shutdown are UNINITIALIZED, but for NVML's version."""
    with simulated_host(directory, "T4") as host:
        gpu = host.handle()
        pynvml.nvmlShutdown()
        assert code_of("nvmlDeviceGetCount") == Code.UNINITIALIZED
        assert code_of("nvmlDeviceGetName", gpu) == Code.UNINITIALIZED
        assert code_of("nvmlShutdown") == Code.UNINITIALIZED
        assert pynvml.nvmlSystemGetNVMLVersion() == host.scenario.nvml
        pynvml.nvmlInit()


def test_a_device_is_found_by_each_of_its_names(directory: Path) -> None:
    """Index, UUID and bus id give the same handle; unknown ones give none."""
    with simulated_host(directory, "2xL4") as host:
        device = host.scenario.devices[1]
        by_uuid = pynvml.nvmlDeviceGetHandleByUUID(device.uuid.encode())
        by_bus = pynvml.nvmlDeviceGetHandleByPciBusId(device.bus_id.encode())
        by_short_bus = pynvml.nvmlDeviceGetHandleByPciBusId(device.bus_id[4:].lower().encode())
        for gpu in (host.handle(1), by_uuid, by_bus, by_short_bus):
            assert pynvml.nvmlDeviceGetUUID(gpu) == device.uuid
        assert code_of("nvmlDeviceGetHandleByIndex", 2) == Code.INVALID_ARGUMENT
        assert code_of("nvmlDeviceGetHandleByUUID", b"GPU-0") == Code.NOT_FOUND
        assert code_of("nvmlDeviceGetHandleByPciBusId", b"00000000:FF:00.0") == Code.NOT_FOUND


def test_shuffled_minors_come_back(directory: Path) -> None:
    """The minor that NVML tells is the one of the scenario, not the index."""
    text = 'minors = [3, 0, 2, 1]\n[[device]]\nprofile = "L4"\ncount = 4'
    with simulated_host(directory, text) as host:
        minors = [pynvml.nvmlDeviceGetMinorNumber(host.handle(index)) for index in range(4)]
        assert minors == [3, 0, 2, 1]


MIG = """
[[device]]
profile = "A100-40GB"
mig = [{ gi = "3g.20gb", ci = ["1c", "2c"] }, "1g.5gb"]
[[process]]
pid = 50
gi = 1
ci = 1
memory = "2GiB"
"""


def _mig_handles(gpu: object) -> list[object]:
    return [pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index) for index in range(3)]


def test_mig_devices_are_enumerated(directory: Path) -> None:
    """MIG devices have handles, ids and names of their own, and know their GPU."""
    with simulated_host(directory, MIG) as host:
        gpu = host.handle()
        assert pynvml.nvmlDeviceGetMigMode(gpu) == [1, 1]
        assert pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu) == 7
        mig = _mig_handles(gpu)
        prefix = "NVIDIA A100-SXM4-40GB MIG "
        names = [pynvml.nvmlDeviceGetName(one).removeprefix(prefix) for one in mig]
        assert names == ["1c.3g.20gb", "2c.3g.20gb", "1g.5gb"]
        assert [pynvml.nvmlDeviceGetGpuInstanceId(one) for one in mig] == [1, 1, 7]
        assert [pynvml.nvmlDeviceGetComputeInstanceId(one) for one in mig] == [0, 1, 0]
        assert [pynvml.nvmlDeviceGetIndex(one) for one in mig] == [0, 1, 2]
        attributes = pynvml.nvmlDeviceGetAttributes_v2(mig[1])
        assert (attributes.gpuInstanceSliceCount, attributes.computeInstanceSliceCount) == (3, 2)
        assert attributes.memorySizeMB == 19968
        parent = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(mig[2])
        assert pynvml.nvmlDeviceGetUUID(parent) == pynvml.nvmlDeviceGetUUID(gpu)
        assert code_of("nvmlDeviceGetMigDeviceHandleByIndex", gpu, 3) == Code.NOT_FOUND


def test_compute_instances_share_memory_but_not_processes(directory: Path) -> None:
    """Both show what one of them uses; each lists its own processes, the GPU lists all."""
    with simulated_host(directory, MIG) as host:
        mig = _mig_handles(host.handle())
        used = [pynvml.nvmlDeviceGetMemoryInfo(one, MEMORY_V2).used for one in mig]
        assert used == [2 * GIB, 2 * GIB, 0]
        rows = [pynvml.nvmlDeviceGetComputeRunningProcesses(one) for one in mig]
        assert [[one.pid for one in some] for some in rows] == [[], [50], []]
        assert (rows[1][0].gpuInstanceId, rows[1][0].computeInstanceId) == (1, 1)
        assert host.pids() == [50]


def test_mig_mode_takes_some_answers_away(directory: Path) -> None:
    """Utilisation is unknown in MIG mode, and an instance has no power draw of its own."""
    with simulated_host(directory, MIG) as host:
        gpu = host.handle()
        assert code_of("nvmlDeviceGetUtilizationRates", gpu) == Code.NOT_SUPPORTED
        assert code_of("nvmlDeviceGetPowerUsage", _mig_handles(gpu)[0]) == Code.NOT_SUPPORTED


def test_mig_nodes_are_where_the_driver_says(directory: Path) -> None:
    """The capability files name nodes that exist, with the minors that they have."""
    text = '[[device]]\nprofile = "A100-40GB"\nmig = ["3g.20gb"]'
    with simulated_host(directory, text) as host:
        folder = host.library.proc_root / "driver/nvidia/capabilities/gpu0/mig/gi1"
        for file in (folder / "access", folder / "ci0/access"):
            minor = int(file.read_text().split()[1])
            assert minor > 255
            assert (host.library.nodes_root / f"nvidia-caps/nvidia-cap{minor}").exists()
        assert "60 nvidia-caps" in (host.library.proc_root / "devices").read_text()
        assert host.library.node_major == 60


def test_topology_follows_switches_and_numa_nodes(directory: Path) -> None:
    """Two behind a switch are nearer than two of a NUMA node, those nearer than others."""
    with simulated_host(directory, "5xH100") as host:
        gpus = [host.handle(index) for index in range(5)]
        levels = [pynvml.nvmlDeviceGetTopologyCommonAncestor(gpus[0], one) for one in gpus]
        assert levels == [
            pynvml.NVML_TOPOLOGY_INTERNAL,
            pynvml.NVML_TOPOLOGY_MULTIPLE,
            pynvml.NVML_TOPOLOGY_NODE,
            pynvml.NVML_TOPOLOGY_NODE,
            pynvml.NVML_TOPOLOGY_SYSTEM,
        ]
        assert [pynvml.nvmlDeviceGetNvLinkState(gpus[0], link) for link in (0, 17)] == [1, 1]
        assert pynvml.nvmlDeviceGetNvLinkRemotePciInfo(gpus[0], 3).busId == "00000000:F0:00.0"
        status = pynvml.nvmlDeviceGetP2PStatus(gpus[0], gpus[1], pynvml.NVML_P2P_CAPS_INDEX_NVLINK)
        assert status == pynvml.NVML_P2P_STATUS_OK
        numa = host.library.sys_root / "bus/pci/devices/0000:23:00.0/numa_node"
        assert numa.read_text() == "1\n"
