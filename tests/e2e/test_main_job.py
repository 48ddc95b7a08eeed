"""The main job: who asks gets devices, and the status shows what its processes hold there."""

import json
import os
import signal
import sys

import pytest

from gpusched.api.v1 import lease_pb2
from gpusched.client.document import Document
from tests.e2e.host import CONFINED, GIB, HELD, MIB, Host, first_line, lease_of, members
from tools.stage import GPUSCHED, ROOT

_JAX = "XLA_PYTHON_CLIENT_MEM_FRACTION"
_BLOCK = """
import os, gpusched

with gpusched.lease(gpus=2, gpu_types=["nvidia-l4"]) as lease, gpusched.Client() as client:
    found = client.lease(lease.id)
    print(lease.id, os.environ["GPUSCHED_LEASE"], os.environ["CUDA_VISIBLE_DEVICES"])
    print(found.state, *(one.pid for one in found.processes), os.getpid())
    print(",".join(one.uuid for one in found.devices), os.environ["GPUSCHED_DEVICES"])
assert "GPUSCHED_LEASE" not in os.environ
"""
_ASYNCHRONOUS_BLOCK = """
import asyncio, os, gpusched

async def main():
    async with gpusched.async_lease(gpus=2, gpu_types=["nvidia-l4"]) as lease:
        async with gpusched.AsyncClient() as client:
            found = await client.lease(lease.id)
        print(lease.id, os.environ["GPUSCHED_LEASE"], os.environ["CUDA_VISIBLE_DEVICES"])
        print(found.state, *(one.pid for one in found.processes), os.getpid())
        print(",".join(one.uuid for one in found.devices), os.environ["GPUSCHED_DEVICES"])
    assert "GPUSCHED_LEASE" not in os.environ

asyncio.run(main())
"""


@pytest.mark.parametrize("source", [_BLOCK, _ASYNCHRONOUS_BLOCK], ids=["sync", "async"])
def test_a_program_holds_devices_for_the_length_of_a_block(host: Host, source: str) -> None:
    """Within `with gpusched.lease(...)` the process has the lease and its variables."""
    lease, seen, mask, state, inside, pid, granted, devices = host.program(source)
    assert lease == seen
    assert inside == pid
    assert (int(state), mask) == (lease_pb2.LEASE_STATE_ACTIVE, "0,1" if HELD else "4,5")
    assert granted == devices
    host.until(lambda: host.ended(lease) == "END_REASON_RELEASED")


def _working(host: Host, memory: str, *wishes: str) -> int:
    """Start a worker; give its own pid: without root `gpusched run` stays beside it."""
    work = (str(GPUSCHED), "simulated-worker", "--memory", memory)
    started = host.start(str(GPUSCHED), "run", *wishes, "--", *work)
    return Document(json.loads(first_line(started))).number("pid")


def test_status_shows_a_worker_by_its_pid_and_its_memory(host: Host) -> None:
    """A row has the real pid, name, MiB, type, lease and user, in JSON and on the screen."""
    worker = _working(host, "3GiB", "--memory", "8GiB", "--gpu-type", "l4")
    lease = lease_of(worker)
    host.until(lambda: worker in host.processes())
    row = host.processes()[worker]
    assert row.measured("memory") == 3 * GIB
    assert (row.number("gpu_index"), row.text("type")) == (4, "C")
    assert (row.text("lease_id"), row.text("kind")) == (lease, "PROCESS_KIND_LEASE")
    assert row.number("uid") == os.getuid()
    assert "python" in row.part("name").text("value")
    screen = host.gpusched("status").stdout
    line = next(one for one in screen.splitlines() if f" {worker} " in one)
    assert line.split()[:5] == ["4", "N/A", "N/A", str(worker), "C"]
    assert f"{3072}MiB" in line
    assert lease in line
    assert row.text("user") in line.split()
    assert "python" in line
    assert "SIMULATED" in screen
    assert line in host.gpusched("processes").stdout.splitlines()


def test_several_devices_have_a_row_each(host: Host) -> None:
    """A process on two devices is shown on both, and both have its bytes in their account."""
    worker = _working(host, "2GiB", "--gpus", "2")
    host.until(lambda: worker in host.processes())
    rows = [
        one
        for one in host.told("processes").parts("processes")
        if one.part("process").number("pid") == worker
    ]
    assert [one.number("gpu_index") for one in rows] == [0, 1]
    accounts = [one.part("account").measured("leases") for one in host.devices()[:3]]
    assert accounts == [2 * GIB, 2 * GIB, 0]


def test_two_share_a_device_by_memory(host: Host) -> None:
    """Leases that say a memory size share one device; an exclusive one gets another."""
    shares = [host.allocate("--memory", "30GiB", "--gpu-type", "a100") for _ in range(2)]
    alone = host.allocate("--gpu-type", "a100")
    found = host.leases()
    devices = {name: found[name].parts("devices")[0].number("index") for name in (*shares, alone)}
    assert devices[shares[0]] == devices[shares[1]] != devices[alone]
    assert host.devices()[devices[shares[0]]].number("allocated_bytes") == 60 * GIB


def test_run_ends_with_the_code_of_its_command(host: Host) -> None:
    """What CMD ends with is what `gpusched run` ends with."""
    assert host.gpusched("run", "--", "sh", "-c", "exit 37").returncode == 37
    assert host.gpusched("run", "--", "true").returncode == 0
    assert host.gpusched("run", "--", "no-such-command").returncode == 127


def test_a_signal_ends_run_as_it_ends_the_command(host: Host) -> None:
    """A shell sees 128 and the signal's number, for there is no process of ours in between."""
    done = host.run("sh", "-c", f"{GPUSCHED} run -- sh -c 'kill -TERM $$'; echo $?")
    assert done.stdout.split() == [str(128 + signal.SIGTERM)]


@pytest.mark.root
def test_run_becomes_the_command(host: Host) -> None:
    """CMD has the pid of the `gpusched run` that was called, so nothing of ours stays."""
    called = host.start(str(GPUSCHED), "run", "--", "sh", "-c", "echo $$; exec sleep 60")
    assert int(first_line(called)) == called.pid
    assert members(host.leases()[lease_of(called.pid)]) == [called.pid]


def test_what_a_user_set_of_a_frameworks_memory_stays(host: Host) -> None:
    """A limit is told to frameworks, but not over what the user has set of them, which is said."""
    command = ("run", "--memory", "8GiB", "--device", "0", "--", "printenv", _JAX)
    assert float(host.gpusched(*command).stdout) < 8 / 80
    done = host.gpusched(*command, **{_JAX: "0.03"})
    assert done.stdout == "0.03\n"
    assert f"{_JAX}=0.03 stays as it was set; the lease's limit would be 0.09" in done.stderr


def test_a_preset_mask_is_overridden_with_a_warning(host: Host) -> None:
    """CUDA_VISIBLE_DEVICES of the caller gives way to the lease's, and the user is told."""
    words = ("run", "--gpu-type", "l4", "--", "printenv", "CUDA_VISIBLE_DEVICES")
    done = host.gpusched(*words, CUDA_VISIBLE_DEVICES="0,1,2")
    assert done.stdout == ("0\n" if CONFINED else "4\n")
    assert "CUDA_VISIBLE_DEVICES=0,1,2 is overridden" in done.stderr
    assert "CUDA_VISIBLE_DEVICES" not in host.gpusched(*words).stderr


def test_no_gpu_means_no_gpu(host: Host) -> None:
    """A lease of no device hides all of them."""
    words = ("run", "--gpus", "0", "--", "printenv", "-0")
    masks = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "GPUSCHED_DEVICES")
    assert host.gpusched(*words, *masks).stdout == "\0void\0\0"


def test_the_kit_of_variables_is_complete(host: Host) -> None:
    """A command gets every variable that some framework goes by, of one set of devices."""
    done = host.gpusched("run", "--device", "5,1", "--memory", "4GiB", "--", "env")
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    uuids = [one.text("uuid") for one in host.devices()]
    pair = [uuids[5], uuids[1]]
    assert found["GPUSCHED_DEVICES"].split(",") == pair
    assert found["NVIDIA_VISIBLE_DEVICES"].split(",") == pair
    assert found["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert found["CUDA_VISIBLE_DEVICES"] == ("1,0" if CONFINED else "5,1")
    assert found["BENTOML_DISABLE_GPU_ALLOCATION"] == "1"
    assert found["GPUSCHED_SOCKET"] == str(host.socket)
    assert found["GPUSCHED_MEMORY_LIMIT"] == str(4 * GIB)


@pytest.mark.parametrize(
    ("form", "mask"),
    [
        ("index", "6,4"),
        ("relative", "1,0"),
        ("uuid", "GPU-"),
        ("auto", "1,0" if CONFINED else "6,4"),
    ],
)
def test_a_mask_can_be_had_in_every_format(host: Host, form: str, mask: str) -> None:
    """`--mask-format` says how CUDA_VISIBLE_DEVICES names the devices."""
    words = ("run", "--device", "6,4", "--mask-format", form, "--", "printenv")
    shown = host.gpusched(*words, "CUDA_VISIBLE_DEVICES").stdout.strip()
    assert shown.startswith(mask)
    assert len(shown.split(",")) == 2


def test_a_model_worker_runs_over_grpc(host: Host) -> None:
    """The worker of the demonstration asks over gRPC, becomes its work, and keeps its lease."""
    command = (sys.executable, "-m", "demo.worker", "model", "1GiB", "gpu_types=l4")
    worker = host.start("env", "-C", str(ROOT), *command)
    assert first_line(worker).startswith("model: lease-")
    assert f'"bytes": {1024 * MIB}' in first_line(worker)
    host.until(lambda: worker.pid in host.processes())
    (lease,) = host.leases().values()
    assert host.processes()[worker.pid].text("lease_id") == lease.text("id")
    assert lease.words("labels") == {"demo": "model"}
