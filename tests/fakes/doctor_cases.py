"""The hosts of the golden suite of `gpusched doctor`, by the name of their file.

Run as `python -m tests.fakes.doctor_cases`: writes the files anew, for a look at what changed.
"""

import contextlib
import io
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gpusched.cli.doctor import diagnose
from gpusched.cli.parser import parse
from gpusched.core.ids import Moment
from gpusched.core.sample import Unavailable
from gpusched.doctor.host import Node, Space
from gpusched.doctor.situation import DaemonAnswer, DriverFacts
from tests.fakes.doctor_host import (
    DRIVER,
    NOW,
    Change,
    FakeHost,
    healthy,
    healthy_gpu,
    spec,
)

FILES = Path(__file__).parent.parent / "integration" / "doctor_golden"
_NVIDIA = "/proc/driver/nvidia"
_PCI = "/sys/bus/pci/devices"
_V1 = (
    "22 1 8:1 / / rw - xfs /dev/sda1 rw\n"
    "30 22 0:26 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n"
)
_NO_DAEMON = DaemonAnswer(
    reason="no daemon: there is no socket at /run/gpusched/gpusched.sock; start one with"
    " `systemctl start gpusched`",
    absent=True,
)


def _without_driver(host: FakeHost) -> None:
    host.remove(_NVIDIA)
    host.remove("/usr/lib")
    host.nodes.clear()
    host.daemon = _NO_DAEMON


def _no_driver(host: FakeHost) -> None:
    _without_driver(host)
    for address in (host.root / _PCI.lstrip("/")).iterdir():
        (address / "driver").unlink()
    host.nodes["/dev/nvidiactl"] = Node(195, 255, 0o666)


def _nouveau(host: FakeHost) -> None:
    _without_driver(host)
    host.file("/sys/module/nouveau/refcnt", "1\n")
    for address in (host.root / _PCI.lstrip("/")).iterdir():
        host.link(f"{_PCI}/{address.name}/driver", "../../../bus/pci/drivers/nouveau")


def _mismatch(host: FakeHost) -> None:
    for name in ("nvidia-ml", "cuda"):
        folder = "/usr/lib/x86_64-linux-gnu"
        host.file(f"{folder}/lib{name}.so.575.57.08", "")
        host.link(f"{folder}/lib{name}.so.1", f"lib{name}.so.575.57.08")
    host.says("modinfo -F version nvidia", "575.57.08\n")
    host.file("/var/run/cdi/nvidia.yaml", spec("575.57.08", 8))
    host.facts = Unavailable(
        "libnvidia-ml.so.1 and the loaded kernel driver have different versions, as after an"
        " upgrade; load the new kernel driver or reboot"
    )


def _old_kernel(host: FakeHost) -> None:
    host.file("/proc/sys/kernel/osrelease", "4.4.0-210-generic\n")
    host.file("/proc/self/mountinfo", _V1)
    host.programs_obstacle = "no cgroup2 tree is mounted that may be written; see `cgroup`"
    host.daemon = _NO_DAEMON
    host.landlock_obstacle = (
        "the kernel has no Landlock (Linux 5.13 has), or a seccomp filter hides it"
    )
    host.says("systemctl --version", "systemd 229\n")
    host.says("docker info --format {{json .}}", '{"ServerVersion":"18.09.7"}')
    host.says("podman --version", "podman version 3.0.1\n")
    host.says("nvidia-ctk --version", "NVIDIA Container Toolkit CLI version 1.13.5\n")
    host.file(
        "/etc/nvidia-container-runtime/config.toml",
        "[nvidia-container-cli]\nno-cgroups = true\n",
    )
    host.facts = DriverFacts("460.106.00", "11.2", tuple(map(healthy_gpu, range(8))))


def _container(host: FakeHost) -> None:
    host.file("/.dockerenv", "")
    host.file("/proc/1/comm", "python3\n")
    host.link("/proc/self/ns/pid", "pid:[4026532201]")
    host.link("/proc/self/ns/cgroup", "cgroup:[4026532202]")
    host.file(
        "/proc/self/mountinfo",
        "22 1 0:40 / / rw - overlay overlay rw,lowerdir=x\n"
        "30 22 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n",
    )
    host.remove("/run/systemd")
    host.remove("/var/lib/gpusched")
    host.programs.clear()
    host.remove("/var/run/cdi")
    host.remove("/sys/bus")
    for name in ("nvidia3", "nvidia4", "nvidia5", "nvidia6", "nvidia7", "nvidia-uvm"):
        del host.nodes[f"/dev/{name}"]
    host.programs_obstacle = "no cgroup2 tree is mounted that may be written; see `cgroup`"
    host.facts = DriverFacts(DRIVER, "12.8", tuple(map(healthy_gpu, range(3))))
    host.daemon = _NO_DAEMON


def _ordinary_user(host: FakeHost) -> None:
    host.uid = 1000
    host.daemon = DaemonAnswer(
        reason="not permitted: uid 1000 may not open /run/gpusched/gpusched.sock; ask the"
        " administrator to let everybody write to the socket and enter its folder"
    )
    denied = "permission denied while trying to connect to the Docker daemon socket"
    client = '{"ServerVersion":"","ClientInfo":{"Version":"28.2.2"}}'
    host.says("docker info --format {{json .}}", client, denied, 1)
    host.hidden.add("/var/run/cdi/nvidia.yaml")
    text = (host.root / "proc/self/mountinfo").read_text()
    host.file("/proc/self/mountinfo", text.replace("- proc proc rw", "- proc proc rw,hidepid=2"))


def _broken_driver(host: FakeHost) -> None:
    host.file(f"{_NVIDIA}/version", "")
    host.remove(f"{_NVIDIA}/gpus/0000:01:00.0/information")
    host.daemon = _NO_DAEMON


def _broken_gpu(host: FakeHost) -> None:
    host.remove(f"{_NVIDIA}/gpus/0000:01:00.0/information")
    host.file(f"{_NVIDIA}/gpus/0000:01:00.0/information/x", "")  # a folder where a file should be
    gone = replace(healthy_gpu(0), lost="GPU is lost")
    host.facts = DriverFacts(DRIVER, "12.8", (gone, *map(healthy_gpu, range(1, 8))))


def _troubled(host: FakeHost) -> None:
    gpus = [healthy_gpu(number) for number in range(8)]
    gpus[0] = replace(gpus[0], persistence="Disabled", compute_mode="Prohibited")
    gpus[1] = replace(gpus[1], mig="Enabled", mig_pending="Enabled")
    gpus[2] = replace(gpus[2], mig_pending="Enabled", compute_mode="Exclusive_Process")
    host.facts = DriverFacts(DRIVER, "11.8", tuple(gpus))
    host.cuda = (12, 4)
    del host.nodes["/dev/nvidia0"]
    host.nodes["/dev/nvidia1"] = Node(195, 9, 0o666)
    host.nodes["/dev/nvidia2"] = Node(195, 2, 0o660)
    host.nodes["/dev/nvidia3"] = Node(0, 0, 0o644, character=False)
    host.nodes["/dev/nvidia8"] = Node(195, 8, 0o666)
    host.nodes["/dev/nvidia-caps/nvidia-cap148"] = Node(240, 148, 0o400)
    place = f"{_NVIDIA}/capabilities/gpu1/mig/gi1"
    host.file(f"{place}/access", "DeviceFileMinor: 147\nDeviceFileMode: 292\n")
    host.file(f"{place}/ci0/access", "DeviceFileMinor: 148\nDeviceFileMode: 292\n")
    host.link(f"{_PCI}/0000:08:00.0/driver", "../../../bus/pci/drivers/vfio-pci")
    host.file("/proc/77/cmdline", "/usr/bin/nvidia-cuda-mps-control\0-d\0")
    host.file("/var/run/cdi/nvidia.yaml", spec(DRIVER, 7))
    host.says("docker info --format {{json .}}", '{"ServerVersion":"26.1.0","CDISpecDirs":[]}')
    host.says("containerd --version", "containerd github.com/containerd/containerd v1.7.27 abc")
    host.says("nerdctl --version", "nerdctl version 1.7.6\n")
    host.programs["podman --version"] = None
    host.daemon = DaemonAnswer(version="0.0.9", level="kernel")
    host.space = Space(100 << 20, 50)
    host.synchronised = False
    host.now = Moment(instant=NOW.instant, wall=NOW.wall + 3 * 10**9)


CASES: Mapping[str, Change] = {
    "healthy": lambda _: None,
    "no-driver": _no_driver,
    "nouveau": _nouveau,
    "mismatch": _mismatch,
    "kernel-4.4": _old_kernel,
    "container": _container,
    "ordinary-user": _ordinary_user,
    "broken-driver": _broken_driver,
    "broken-gpu": _broken_gpu,
    "troubled": _troubled,
}
"""What each host has that a healthy one has not."""


def diagnosed(root: Path, change: Change, *flags: str) -> int:
    """Lets the doctor look at a host, and print; gives the exit code."""
    host = healthy(root)
    change(host)
    invocation, _ = parse(["doctor", *flags])
    return diagnose(invocation, host.situation())


def printed(change: Change, *flags: str) -> str:
    """Gives what is printed of a host, its exit code in the last line."""
    text = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(text):
        code = diagnosed(Path(folder), change, *flags)
    return f"{text.getvalue().replace(folder, '')}exit code {code}\n"


if __name__ == "__main__":
    for name, case in CASES.items():
        (FILES / f"{name}.txt").write_text(printed(case))
    sys.exit(0)
