"""Faults of the simulated library, and changes while it runs, as pynvml meets them."""

import threading
from pathlib import Path

import pynvml  # noqa: TID251 - the simulator stands below the binding: that is what is tested
import pytest

from gpusched.adapters.nvml.simulated import ScenarioError, load
from gpusched.adapters.nvml.simulated.codes import Code
from tests.fakes.simulated_host import BUSY, GIB, MIB, code_of, simulated_host


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "simulator"


def test_a_race_for_the_list_is_lost_so_often_and_then_won(directory: Path) -> None:
    """INSUFFICIENT_SIZE comes as many times as the scenario says."""
    faults = "[device.faults]\ninsufficient_size = 2"
    with simulated_host(directory, BUSY.format(faults=faults)) as host:
        gpu = host.handle()
        codes = [code_of("nvmlDeviceGetComputeRunningProcesses", gpu) for _ in range(4)]
        assert codes == [Code.INSUFFICIENT_SIZE, Code.INSUFFICIENT_SIZE, 0, 0]


def test_a_list_without_permission_is_an_error(directory: Path) -> None:
    """NO_PERMISSION hides the processes and nothing else."""
    with simulated_host(
        directory, BUSY.format(faults="[device.faults]\nno_permission = true")
    ) as host:
        gpu = host.handle()
        assert code_of("nvmlDeviceGetComputeRunningProcesses", gpu) == Code.NO_PERMISSION
        assert host.used() == 4 * GIB + MIB


def test_the_wide_layout_shuffles_rows(directory: Path) -> None:
    """Drivers 535.43 to 535.86 wrote 32 bytes a row: row one is right, the others are not."""
    with simulated_host(directory, "process_stride = 32" + BUSY.format(faults="")) as host:
        assert host.pids()[0] == 300
        assert host.pids()[1:] != [20, 41, 300]


def test_an_old_driver_lacks_memory_v2(directory: Path) -> None:
    """A library can lack a function, or the driver below it the support."""
    text = 'missing_functions = ["nvmlDeviceGetMemoryInfo_v2"]\n[[device]]\nprofile = "T4"'
    with simulated_host(directory, text) as host:
        code = code_of("nvmlDeviceGetMemoryInfo", host.handle(), pynvml.nvmlMemory_v2)
        assert code == Code.FUNCTION_NOT_FOUND


def test_memory_v2_may_be_unsupported_on_one_device(directory: Path) -> None:
    """The other version of the call still answers."""
    text = '[[device]]\nprofile = "T4"\n[device.faults]\nno_memory_v2 = true'
    with simulated_host(directory, text) as host:
        gpu = host.handle()
        assert code_of("nvmlDeviceGetMemoryInfo", gpu, pynvml.nvmlMemory_v2) == Code.NOT_SUPPORTED
        assert code_of("nvmlDeviceGetMemoryInfo", gpu) == 0
        assert code_of("nvmlDeviceGetMemoryInfo", gpu, 1) == Code.NOT_SUPPORTED


def test_any_function_can_be_made_to_fail(directory: Path) -> None:
    """A code can be given for a function on one device, or on all."""
    text = """
    errors = { nvmlDeviceGetSerial = 3 }
    [[device]]
    profile = "T4"
    faults = { errors = { nvmlDeviceGetName = 999 } }
    [[device]]
    profile = "T4"
    """
    with simulated_host(directory, text) as host:
        gpus = [host.handle(0), host.handle(1)]
        assert [code_of("nvmlDeviceGetName", one) for one in gpus] == [Code.UNKNOWN, 0]
        assert [code_of("nvmlDeviceGetSerial", one) for one in gpus] == [Code.NOT_SUPPORTED] * 2


def test_a_missing_driver_can_be_played(directory: Path) -> None:
    """An error on init is what pynvml raises there."""
    with simulated_host(directory, "T4") as host:
        host.control("errors = { nvmlInitWithFlags = 9 }")
        assert code_of("nvmlInit") == Code.DRIVER_NOT_LOADED


def test_a_lost_device_fails_in_every_call(directory: Path) -> None:
    """Every call on a lost device is GPU_IS_LOST; the others are well and the count stays."""
    with simulated_host(directory, "2xL4") as host:
        lost, well = host.handle(0), host.handle(1)
        host.control("[[device]]\nindex = 0\nfaults = { lost = true }")
        for call in (
            "nvmlDeviceGetName",
            "nvmlDeviceGetUUID",
            "nvmlDeviceGetMemoryInfo",
            "nvmlDeviceGetComputeRunningProcesses",
            "nvmlDeviceGetMigMode",
            "nvmlDeviceGetAccountingMode",
        ):
            assert code_of(call, lost) == Code.GPU_IS_LOST, call
        assert code_of("nvmlDeviceGetHandleByIndex", 0) == Code.GPU_IS_LOST
        assert pynvml.nvmlDeviceGetCount() == 2
        assert code_of("nvmlDeviceGetName", well) == 0


def test_events_time_out_or_tell_of_a_lost_device(directory: Path) -> None:
    """A wait ends with TIMEOUT; with a lost device in the set it ends at once, each time."""
    with simulated_host(directory, "2xL4") as host:
        events = pynvml.nvmlEventSetCreate()
        for index in range(2):
            gpu = host.handle(index)
            kinds = pynvml.nvmlDeviceGetSupportedEventTypes(gpu)
            pynvml.nvmlDeviceRegisterEvents(gpu, kinds, events)
        assert code_of("nvmlEventSetWait_v2", events, 1) == Code.TIMEOUT
        host.control("[[device]]\nindex = 1\nfaults = { lost = true }")
        waits = [code_of("nvmlEventSetWait_v2", events, 60_000) for _ in range(2)]
        assert waits == [Code.GPU_IS_LOST] * 2
        pynvml.nvmlEventSetFree(events)
        assert code_of("nvmlEventSetWait_v2", events, 1) == Code.INVALID_ARGUMENT


def test_a_hanging_call_blocks(directory: Path) -> None:
    """A call that hangs for ever does not return; other calls and other devices do."""
    with simulated_host(directory, "2xL4") as host:
        stuck, well = host.handle(0), host.handle(1)
        host.control(
            '[[device]]\nindex = 0\nfaults = { hang = "forever", hang_in = ["nvmlDeviceGetName"] }'
        )
        thread = threading.Thread(target=code_of, args=("nvmlDeviceGetName", stuck), daemon=True)
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
        assert code_of("nvmlDeviceGetName", well) == 0
        assert code_of("nvmlDeviceGetUUID", stuck) == 0


def test_a_slow_call_answers_in_the_end(directory: Path) -> None:
    """A call that hangs for a while then gives its answer."""
    text = '[[device]]\nprofile = "L4"\nfaults = { hang = 0.05, hang_in = ["nvmlDeviceGetName"] }'
    with simulated_host(directory, text) as host:
        assert pynvml.nvmlDeviceGetName(host.handle()) == "NVIDIA L4"


def test_a_vanished_device_is_not_counted(directory: Path) -> None:
    """The others keep their UUIDs; its old handle is lost."""
    with simulated_host(directory, "3xL4") as host:
        old = host.handle(0)
        host.control("[[device]]\nindex = 0\nvanished = true")
        assert pynvml.nvmlDeviceGetCount() == 2
        assert pynvml.nvmlDeviceGetUUID(host.handle(0)) == host.scenario.devices[1].uuid
        assert code_of("nvmlDeviceGetName", old) == Code.GPU_IS_LOST
        host.control("")
        assert pynvml.nvmlDeviceGetCount() == 3
        assert code_of("nvmlDeviceGetName", old) == 0


def test_a_control_file_changes_the_running_host(directory: Path) -> None:
    """Temperature, ghost memory and processes follow the control file without a restart."""
    with simulated_host(directory, "L4") as host:
        gpu = host.handle()
        host.control(
            '[[device]]\nindex = 0\ntemperature = 88\nghost = "1GiB"\n'
            '[[process]]\npid = 12\nmemory = "2GiB"\n'
        )
        assert pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU) == 88
        assert host.pids() == [12]
        assert host.used() == 3 * GIB
        (directory / "control.toml").unlink()
        assert host.used() == 0


def test_a_bad_control_file_changes_nothing(directory: Path) -> None:
    """The last good state stays, and `control.fault` says why until the file is mended."""
    with simulated_host(directory, "L4") as host:
        host.control('[[device]]\nindex = 0\nghost = "1GiB"')
        control, fault = directory / "control.toml", directory / "control.fault"
        assert host.used() == GIB
        control.write_text("[[device]]\nindex = 5\n")
        assert host.used() == GIB
        assert fault.read_text().startswith("device[0].index: must name a device")
        control.write_text("")
        assert host.used() == 0
        assert not fault.exists()
        with pytest.raises(ScenarioError, match="not TOML"):
            host.control("[")
        assert control.read_text() == ""


def test_a_directory_that_nobody_prepared_is_refused(tmp_path: Path) -> None:
    """`load` says what is missing."""
    with pytest.raises(ScenarioError, match="is not a simulator directory"):
        load(tmp_path)
