"""Programs that call nvidia-smi, unchanged, with a link to gpusched in its place on their PATH."""

import json
import os
import signal
import sys
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from tests.e2e.host import MIB, Host, command_of
from tools.stage import GPUSCHED

_GPUTIL = "import json, GPUtil; print(json.dumps([vars(one) for one in GPUtil.getGPUs()]))"


@pytest.fixture
def shimmed(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The host, where `nvidia-smi` is ours."""
    folder = host.folder / "bin"
    folder.mkdir(exist_ok=True)
    link = folder / "nvidia-smi"
    link.unlink(missing_ok=True)
    link.symlink_to(GPUSCHED)
    paths = [str(folder), str(GPUSCHED.parent), host.environment["PATH"]]
    monkeypatch.setitem(host.environment, "PATH", os.pathsep.join(paths))
    monkeypatch.setitem(host.environment, "COLUMNS", "200")
    return host


def told(host: Host, *command: str) -> str:
    """Run a program of somebody else; give what it prints."""
    done = host.run(*command)
    assert done.returncode == 0, done
    return done.stdout


def busy(host: Host) -> int:
    """Let one process use 6 GiB of an L4; give its pid."""
    host.worker("6GiB", "--memory", "8GiB", "--gpu-type", "nvidia-l4")
    host.until(lambda: len(host.processes()) == 1)
    (pid,) = host.processes()
    return pid


def test_gputil_shows_our_numbers(shimmed: Host) -> None:
    """GPUtil reads twelve fields of each GPU out of the CSV."""
    busy(shimmed)
    devices = shimmed.devices()
    found = json.loads(told(shimmed, sys.executable, "-c", _GPUTIL))
    assert [one["uuid"] for one in found] == [one.text("uuid") for one in devices]
    assert [one["id"] for one in found] == list(range(8))
    totals = [one.part("memory").measured("total") or 0 for one in devices]
    assert [one["memoryTotal"] for one in found] == [total // MIB for total in totals]
    assert sorted(one["memoryUsed"] for one in found)[-2:] == [0, 6144]
    assert {one["name"] for one in found} == {"NVIDIA A100-SXM4-80GB", "NVIDIA L4"}
    assert all(one["temperature"] > 0 for one in found)


def test_nvsmi_shows_our_processes(shimmed: Host) -> None:
    """nvsmi joins the processes to the GPUs by UUID."""
    pid = busy(shimmed)
    rows = [json.loads(line) for line in told(shimmed, "nvsmi", "ps", "--json").splitlines()]
    assert [(int(one["pid"]), one["used_memory"]) for one in rows] == [(pid, 6144.0)]
    assert rows[0]["gpu_name"] == "NVIDIA L4"
    assert rows[0]["process_name"] == command_of(pid).split()[0]
    listed = [json.loads(line) for line in told(shimmed, "nvsmi", "ls", "--json").splitlines()]
    used = {one["uuid"]: one["mem_used"] for one in listed}
    assert used[rows[0]["gpu_uuid"]] == 6144.0
    assert sum(used.values()) == 6144.0


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="nvidia-htop needs ps")
def test_nvidia_htop_reads_our_screen(shimmed: Host) -> None:
    """nvidia-htop takes PID and memory out of the process table, column by column."""
    pid = busy(shimmed)
    lines = told(shimmed, "nvidia-htop.py").splitlines()
    row = next(one for one in lines if f" {pid} " in one)
    assert "6144MiB" in row
    assert any("| gpusched " in one for one in lines)


def test_the_link_lists_and_tells_everything(shimmed: Host) -> None:
    """`-L` and `-q -x` are what programs parse that want more than CSV."""
    pid = busy(shimmed)
    uuids = [one.text("uuid") for one in shimmed.devices()]
    lines = told(shimmed, "nvidia-smi", "-L").splitlines()
    assert [line.split("UUID: ")[1].rstrip(")") for line in lines] == uuids
    log = fromstring(told(shimmed, "nvidia-smi", "-q", "-x"))  # noqa: S314 - our own daemon's
    assert [one.findtext("uuid") for one in log.iter("gpu")] == uuids
    assert [one.findtext("pid") for one in log.iter("process_info")] == [str(pid)]
    text = told(shimmed, "nvidia-smi", "-q", "-d", "PIDS")
    assert f"        Process ID                        : {pid}\n" in text


def test_a_loop_prints_its_header_once(shimmed: Host) -> None:
    """`-lms` goes on until it is told to stop, and what it printed is there at once."""
    words = ("--query-gpu=index", "--format=csv", "-i", "0,1", "-lms", "10")
    loop = shimmed.start("nvidia-smi", *words)
    assert loop.stdout is not None
    seen = [loop.stdout.readline() for _ in range(7)]
    assert seen == ["index\n", *["0\n", "1\n"] * 3]
    loop.send_signal(signal.SIGINT)
    assert loop.wait(10) == 128 + signal.SIGINT


def test_without_a_daemon_it_is_a_host_without_a_driver(shimmed: Host) -> None:
    """Scripts know that answer and its exit code."""
    done = shimmed.run("nvidia-smi", "-L", GPUSCHED_SOCKET="/nowhere.sock")
    assert done.returncode == 9
    assert done.stdout.startswith("NVIDIA-SMI has failed because it couldn't communicate")
    assert done.stderr.startswith("gpusched: ")
