"""Real processes on simulated devices: they show up, are refused, grow, and go."""

import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from gpusched.adapters.nvml.simulated import ScenarioError, parse_scenario
from gpusched.adapters.nvml.simulated.directory import prepare, read_scenario
from gpusched.adapters.nvml.simulated.memory import OutOfMemory, SimulatedMemory
from tests.fakes.simulated_host import GIB, MIB, SimulatedHost, simulated_host

PCI = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[SimulatedHost]:
    with simulated_host(tmp_path / "simulator", "2xL4,1xH100") as found:
        yield found


def test_a_worker_shows_under_its_own_pid(host: SimulatedHost) -> None:
    """It uses memory on the devices that its environment names, and says which."""
    worker = host.worker("--memory", "4GiB", CUDA_VISIBLE_DEVICES="1", **PCI)
    assert worker.ready() == {
        "pid": worker.pid,
        "devices": [host.scenario.devices[1].uuid],
        "bytes": 4 * GIB,
    }
    assert [host.pids(index) for index in range(3)] == [[], [worker.pid], []]
    assert host.used(1) == 4 * GIB
    assert worker.terminate() == 0
    assert host.pids(1) == []


def test_kill_9_frees_the_memory(host: SimulatedHost) -> None:
    """A killed worker leaves nothing behind, also where nobody tidied up."""
    worker = host.worker("--memory", "4GiB")
    worker.ready()
    assert [host.used(index) for index in range(3)] == [4 * GIB] * 3
    worker.kill()
    assert [host.used(index) for index in range(3)] == [0] * 3
    assert [one.name for one in (host.directory / "processes").iterdir()] == [".lock"]


def test_a_killed_workers_memory_can_be_taken_at_once(host: SimulatedHost) -> None:
    """The next worker need not wait for the library to look."""
    first = host.worker("--memory", "20GiB", CUDA_VISIBLE_DEVICES="0", **PCI)
    first.ready()
    first.kill()
    second = host.worker("--memory", "20GiB", CUDA_VISIBLE_DEVICES="0", **PCI)
    assert second.ready()
    assert host.pids() == [second.pid]


def test_one_of_two_gets_the_last_bytes(host: SimulatedHost) -> None:
    """Two that race for memory that only one can have: one gets it, one is out of memory."""
    workers = [host.worker("--memory", "12GiB", CUDA_VISIBLE_DEVICES="0", **PCI) for _ in range(2)]
    ready = [worker.ready() for worker in workers]
    (loser,) = [worker for worker, line in zip(workers, ready, strict=True) if not line]
    code, complaint = loser.end()
    assert code == 4
    assert "CUDA out of memory: tried to allocate 12 GiB on device GPU-" in complaint
    assert host.used() == 12 * GIB


def test_a_worker_takes_all_or_nothing(host: SimulatedHost) -> None:
    """One device without room is enough to take none."""
    code, _ = host.worker("--memory", "30GiB").end()
    assert code == 4
    assert [host.used(index) for index in range(3)] == [0] * 3


def test_the_first_device_or_one_ordinal_can_be_chosen(host: SimulatedHost) -> None:
    """CUDA's own order counts: ordinal 0 is the fastest device."""
    host.worker("--memory", "1GiB", "--devices", "first").ready()
    host.worker("--memory", "2GiB", "--device-index", "1").ready()
    assert [host.used(index) for index in range(3)] == [2 * GIB, 0, 1 * GIB]
    code, complaint = host.worker("--memory", "1GiB", "--device-index", "3").end()
    assert (code, "invalid device ordinal 3" in complaint) == (3, True)


def test_a_graphics_worker_is_in_the_graphics_list(host: SimulatedHost) -> None:
    """The type is the lists it stands in."""
    host.worker("--memory", "1GiB", "--type", "G").ready()
    assert host.pids() == []
    assert host.used() == GIB


def test_growth_is_seen_by_the_library(host: SimulatedHost) -> None:
    """What a process takes later counts from then on, under the same single row."""
    memory = SimulatedMemory(host.directory)
    uuid = host.scenario.devices[0].uuid
    memory.take({uuid: GIB})
    assert host.used() == GIB
    memory.take({uuid: MIB})
    assert host.used() == GIB + MIB
    assert host.pids() == [os.getpid()]
    with pytest.raises(OutOfMemory):
        memory.take({uuid: 23 * GIB})
    assert host.used() == GIB + MIB
    memory.close()
    assert host.used() == 0


def test_a_worker_ends_after_its_time(host: SimulatedHost) -> None:
    """`--for` is a good end."""
    worker = host.worker("--memory", "1GiB", "--for", "0.01")
    assert worker.end()[0] == 0


def test_an_early_signal_is_not_lost(host: SimulatedHost) -> None:
    """SIGINT ends a worker as SIGTERM does, with code 0."""
    worker = host.worker("--memory", "1GiB")
    worker.ready()
    worker.process.send_signal(signal.SIGINT)
    assert worker.end()[0] == 0


def test_no_visible_device_is_cudas_error(host: SimulatedHost) -> None:
    """An empty mask leaves nothing to use."""
    code, complaint = host.worker("--memory", "1GiB", CUDA_VISIBLE_DEVICES="").end()
    assert code == 3
    assert complaint == "simulated-worker: no CUDA-capable device is detected\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root opens every file, whatever its mode")
def test_a_node_that_cannot_be_opened_hides_its_device(host: SimulatedHost) -> None:
    """A worker told to use a denied device says which node it could not open."""
    (host.directory / "dev/nvidia0").chmod(0)
    uuid = host.scenario.devices[0].uuid
    code, complaint = host.worker("--memory", "1GiB", CUDA_VISIBLE_DEVICES=uuid).end()
    assert code == 3
    assert "no CUDA-capable device is detected: " in complaint
    assert "dev/nvidia0: Permission denied" in complaint


def test_a_missing_node_hides_its_device(host: SimulatedHost) -> None:
    """CUDA numbers only the devices that it can open."""
    (host.directory / "dev/nvidia0").unlink()
    worker = host.worker("--memory", "1GiB", CUDA_VISIBLE_DEVICES="0", **PCI)
    assert worker.ready()["devices"] == [host.scenario.devices[1].uuid]
    named = host.worker("--memory", "1GiB", CUDA_VISIBLE_DEVICES=host.scenario.devices[0].uuid)
    code, complaint = named.end()
    assert (code, "dev/nvidia0: No such file" in complaint) == (3, True)


def test_without_the_control_node_there_is_no_device(host: SimulatedHost) -> None:
    """CUDA opens `nvidiactl` before any device."""
    (host.directory / "dev/nvidiactl").unlink()
    code, complaint = host.worker("--memory", "1GiB").end()
    assert (code, "dev/nvidiactl: No such file" in complaint) == (3, True)


def test_a_mig_worker_uses_its_instance(tmp_path: Path) -> None:
    """Memory is taken from the GPU instance, and the row carries its ids."""
    text = """
    [[device]]
    profile = "A100-40GB"
    mig = ["3g.20gb", "3g.20gb"]
    """
    with simulated_host(tmp_path / "simulator", text) as host:
        instance = host.scenario.devices[0].mig[1]
        host.worker("--memory", "19GiB", CUDA_VISIBLE_DEVICES=instance.uuid).ready()
        code, _ = host.worker("--memory", "1GiB", CUDA_VISIBLE_DEVICES=instance.uuid).end()
        assert code == 4
        host.worker("--memory", "1GiB", CUDA_VISIBLE_DEVICES="0").ready()
        assert host.used() == 20 * GIB


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ((), "required: --memory"),
        (("--memory", "4"), "memory: '4' is not a size"),
        (("--memory", "1GiB", "--grow", "1GiB"), "--grow: '1GiB' is not such as 256MiB/5"),
        (("--memory", "1GiB", "--grow", "1GiB/0"), "--grow: 0 is not a number of seconds"),
        (("--memory", "1GiB", "--device-index", "-1"), "--device-index"),
    ],
)
def test_bad_arguments_are_named(
    host: SimulatedHost, arguments: tuple[str, ...], fault: str
) -> None:
    """Exit code 64 and one line that says which."""
    code, complaint = host.worker(*arguments).end()
    assert code == 64
    assert fault in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize("directory", ["", "relative", "/nowhere"])
def test_a_wrong_directory_is_named(host: SimulatedHost, directory: str) -> None:
    """Without a simulator's directory there is nothing to use."""
    code, complaint = host.worker("--memory", "1GiB", GPUSCHED_SIMULATOR=directory).end()
    assert code == 64
    assert "Traceback" not in complaint


def test_rubbish_among_the_registrations_is_ignored(host: SimulatedHost) -> None:
    """Whatever users put into the folder, the library goes on."""
    folder = host.directory / "processes"
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "text").write_text("hello")
    assert host.used() == 0
    assert Path("/etc/passwd").exists()


def test_nodes_are_character_devices_for_local_use(host: SimulatedHost) -> None:
    """As root the nodes have major 60 and the device's minor, and everybody may open them."""
    if host.plain_files is not None:
        pytest.skip(host.plain_files)
    found = (host.directory / "dev/nvidia1").stat()
    assert stat.S_ISCHR(found.st_mode)
    assert (os.major(found.st_rdev), os.minor(found.st_rdev)) == (60, 1)
    assert stat.S_IMODE(found.st_mode) == 0o666


def test_an_old_directory_is_taken_over(host: SimulatedHost) -> None:
    """A restarted daemon finds its workers' memory and its control file as they were."""
    host.worker("--memory", "1GiB").ready()
    host.control('[[device]]\nindex = 0\nghost = "2GiB"')
    prepare(host.directory, parse_scenario("2xL4,1xH100"))
    assert [host.used(index) for index in range(3)] == [3 * GIB, GIB, GIB]


def test_a_smaller_scenario_loses_its_surplus_nodes(tmp_path: Path) -> None:
    """Only nodes of devices that are there remain."""
    directory = tmp_path / "simulator"
    prepare(directory, parse_scenario("3xL4"))
    prepare(directory, parse_scenario("L4"))
    names = {one.name for one in (directory / "dev").iterdir()}
    assert names == {"nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-caps"}


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    """The simulator writes into no directory of somebody else."""
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ScenarioError, match="is not empty and not a simulator's"):
        prepare(tmp_path, parse_scenario("T4"))
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_scenario_is_read_from_a_file_or_a_short_form(tmp_path: Path) -> None:
    """`--simulate` takes both, and says what is wrong with either."""
    file = tmp_path / "host.toml"
    file.write_text('[[device]]\nprofile = "T4"\n')
    assert read_scenario(str(file)).devices == read_scenario("T4").devices
    with pytest.raises(ScenarioError, match="no such profile"):
        read_scenario("8xH1000")
    with pytest.raises(ScenarioError, match=r"missing\.toml: cannot be read"):
        read_scenario(str(tmp_path / "missing.toml"))


def test_reading_is_cheap(tmp_path: Path) -> None:
    """A pass over eight devices with twenty registrations costs less than 1 ms per device."""
    with simulated_host(tmp_path / "simulator", "8xH100") as host:
        uuids = {one.uuid: GIB for one in host.scenario.devices}
        held = [SimulatedMemory(host.directory) for _ in range(20)]
        for one in held:
            one.take(uuids)
        assert host.used() == 20 * GIB
        Event().wait(0.03)  # until the folder's mtime has aged
        passes = []
        for _ in range(5):
            begun = time.perf_counter_ns()
            for index in range(8):
                host.used(index)
                host.pids(index)
            passes.append(time.perf_counter_ns() - begun)
        for one in held:
            one.close()
        assert min(passes) < 8_000_000
