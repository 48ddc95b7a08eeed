"""Specification: what `gpusched doctor` says of a host that lacks one thing of a healthy one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gpusched.core.ids import Moment
from gpusched.core.sample import Unavailable
from gpusched.doctor.examine import examine
from gpusched.doctor.finding import Level
from gpusched.doctor.host import Space
from gpusched.doctor.situation import DaemonAnswer, DriverFacts
from tests.fakes.doctor_host import DRIVER, NOW, FakeHost, healthy, healthy_gpu


def release(text: str) -> Callable[[FakeHost], None]:
    """A host with this kernel."""
    return lambda host: host.file("/proc/sys/kernel/osrelease", text)


def mounted(kind: str, options: str) -> Callable[[FakeHost], None]:
    """A host whose state directory lies on a file system of its own."""

    def change(host: FakeHost) -> None:
        line = f"31 22 0:50 / /var/lib/gpusched {options} - {kind} x rw\n"
        text = (host.root / "proc/self/mountinfo").read_text()
        host.file("/proc/self/mountinfo", text + line)

    return change


def set_to(**fields: object) -> Callable[[FakeHost], None]:
    """A host with other values."""

    def change(host: FakeHost) -> None:
        for name, value in fields.items():
            assert hasattr(host, name)
            setattr(host, name, value)

    return change


def cuda(offered: str, wanted: tuple[int, ...] | None) -> Callable[[FakeHost], None]:
    """A host whose driver offers one CUDA version, where another is wanted."""
    facts = DriverFacts(DRIVER, offered, (healthy_gpu(0),))
    return set_to(facts=facts, cuda=wanted)


def docker(text: str, errors: str = "", code: int = 0) -> Callable[[FakeHost], None]:
    """A host whose docker says this of itself."""
    return lambda host: host.says("docker info --format {{json .}}", text, errors, code)


def systemd(text: str) -> Callable[[FakeHost], None]:
    """A host whose systemd says this of itself."""
    return lambda host: host.says("systemctl --version", text)


def containerd(version: str, config: str) -> Callable[[FakeHost], None]:
    """A host with containerd and its configuration."""

    def change(host: FakeHost) -> None:
        host.says("containerd --version", f"containerd github.com/containerd {version} x")
        host.file("/etc/containerd/config.toml", config)

    return change


def without_uvm(host: FakeHost) -> None:
    """A host on which nobody has used CUDA since the boot."""
    host.file("/proc/devices", "Character devices:\n195 nvidia\n")
    del host.nodes["/dev/nvidia-uvm"]
    del host.nodes["/dev/nvidia-uvm-tools"]


def library_in_cache(host: FakeHost) -> None:
    """A host that keeps its libraries where only the loader knows."""
    host.remove("/usr/lib")
    host.file(f"/opt/nv/libcuda.so.{DRIVER}", "")
    host.link("/opt/nv/libcuda.so.1", f"libcuda.so.{DRIVER}")
    host.says("ldconfig -p", "\tlibcuda.so.1 (libc6,x86-64) => /opt/nv/libcuda.so.1\n")


def linked(host: FakeHost) -> None:
    """A host whose state directory is a link to a file system elsewhere."""
    host.remove("/var/lib/gpusched")
    host.link("/var/lib/gpusched", "../../mnt/daten/zustände")
    host.file("/mnt/daten/zustände/x", "")
    text = (host.root / "proc/self/mountinfo").read_text()
    line = "31 22 0:50 / /mnt/daten/zustände rw - nfs4 x rw\n"
    host.file("/proc/self/mountinfo", text + line)


def compatible(host: FakeHost) -> None:
    """A host with CUDA's package for programs that want a newer driver."""
    folder = "/usr/local/cuda-13.0/compat"
    host.file(f"{folder}/libcuda.so.580.65.06", "")
    host.link(f"{folder}/libcuda.so.1", "libcuda.so.580.65.06")
    host.environment = {"LD_LIBRARY_PATH": folder}


def in_a_circle(host: FakeHost) -> None:
    """A host with a library that is a link to itself."""
    host.link("/usr/lib/x86_64-linux-gnu/libcuda.so.1", "libcuda.so.1")


def covered(host: FakeHost) -> None:
    """A host whose state directory lies below a mount that another one covers."""
    for kind in ("nfs4", "xfs"):
        mounted(kind, "rw")(host)


JUDGED: list[tuple[str, Callable[[FakeHost], None], Level, str]] = [
    ("kernel", release("6.5.0-1-amd64"), Level.OK, "guard, device programs and Landlock"),
    ("kernel", release("6.1.0-37-amd64"), Level.WARN, "masks can be held; it lacks callers"),
    ("kernel", release("5.4.0-200-generic"), Level.WARN, "leases are advisory"),
    ("kernel", release("3.2.0"), Level.FAIL, "older than 3.10"),
    ("kernel", release("custom"), Level.WARN, "cannot be told from 'custom'"),
    ("architecture", set_to(machine="aarch64"), Level.OK, "aarch64"),
    ("architecture", set_to(machine="riscv64"), Level.FAIL, "x86_64 and aarch64 only"),
    ("wsl", release("5.15.153.1-microsoft-standard-WSL2"), Level.FAIL, "/dev/dxg"),
    ("wsl", lambda host: host.file("/dev/dxg", ""), Level.FAIL, "this is WSL"),
    (
        "namespaces",
        lambda host: host.link("/proc/self/ns/user", "user:[4026532000]"),
        Level.WARN,
        "user namespace",
    ),
    ("cgroup", set_to(closed={"/sys/fs/cgroup"}), Level.WARN, "root may not write there"),
    ("daemon", set_to(daemon=DaemonAnswer("0.1.0", simulated=True)), Level.OK, "SIMULATED"),
    ("daemon", set_to(daemon=DaemonAnswer("0.1.0", advisory=True)), Level.OK, "leases only ask"),
    ("device program", set_to(programs_obstacle="it is so; do that"), Level.WARN, "it is so"),
    (
        "device program",
        set_to(programs_obstacle="it is so"),
        Level.WARN,
        "cannot be had: it is so",
    ),
    ("device program", set_to(uid=7), Level.OK, "the daemon holds masks: level kernel"),
    ("libraries", compatible, Level.WARN, "forward compatibility for a driver of"),
    ("libraries", in_a_circle, Level.WARN, "libcuda.so.1 was not found"),
    ("libraries", library_in_cache, Level.OK, f"/opt/nv/libcuda.so.1 of {DRIVER}"),
    ("libraries", library_in_cache, Level.FAIL, "libnvidia-ml.so.1 was not found"),
    ("libraries", lambda h: h.remove("/usr/lib"), Level.WARN, "libcuda.so.1 was not found"),
    ("systemd", systemd("systemd 252 (252-46.el9_5.2)\n+PAM\n"), Level.OK, "252, process 1"),
    ("systemd", systemd("systemd 239 (239-82.el8_10.3)\n"), Level.WARN, "239 is process 1"),
    ("driver", lambda h: h.remove("/proc/driver/nvidia/gpus"), Level.FAIL, "has no GPU"),
    ("device nodes", without_uvm, Level.WARN, "nvidia-uvm is not loaded"),
    ("cuda", cuda("10.2", None), Level.FAIL, "newer than 11.3 is wanted"),
    ("cuda", cuda("11.3", None), Level.WARN, "newer than 11.3 is wanted"),
    ("cuda", cuda("11.4", None), Level.OK, "the driver offers 11.4"),
    ("cuda", cuda("12.8", (12, 8)), Level.OK, "12.8 or newer is wanted"),
    ("cuda", cuda("12.8", (12, 9)), Level.WARN, "of the same CUDA major"),
    ("cuda", cuda("12.8", (13, 0)), Level.FAIL, "13.0 or newer is wanted"),
    ("cuda", cuda("N/A", None), Level.WARN, "unknown"),
    ("docker", docker('{"ServerVersion":"24.0.7"}'), Level.WARN, "24.0.7 does not know CDI"),
    (
        "docker",
        docker('{"ServerVersion":"25.0.3","CDISpecDirs":["/etc/cdi"]}'),
        Level.OK,
        "25.0.3, with CDI",
    ),
    (
        "docker",
        docker('{"ServerVersion":"28.2.0","CDISpecDirs":[]}'),
        Level.WARN,
        "it is switched off",
    ),
    ("docker", docker('{"host":{},"store":{}}'), Level.OK, "the command is podman's"),
    ("docker", docker("", "Cannot connect to it", 1), Level.WARN, "not answer: Cannot connect"),
    ("containerd", containerd("v1.6.20", ""), Level.WARN, "does not know CDI"),
    ("containerd", containerd("v2.1.0", ""), Level.OK, "2.1.0, with CDI"),
    ("containerd", containerd("v2.1.0", "= nonsense"), Level.OK, "2.1.0, with CDI"),
    (
        "containerd",
        containerd("v1.7.2", '[plugins."io.containerd.grpc.v1.cri"]\nenable_cdi = true\n'),
        Level.OK,
        "1.7.2, with CDI",
    ),
    (
        "podman",
        lambda h: h.says("podman --version", "", "bad", 1),
        Level.WARN,
        "not work for this user: bad",
    ),
    ("nerdctl", lambda h: h.says("nerdctl --version", "nerdctl version 2.1.1"), Level.OK, "2.1.1"),
    ("cdi files", lambda h: h.remove("/var/run/cdi"), Level.WARN, "no CDI file of NVIDIA's"),
    ("state", mounted("nfs4", "rw"), Level.FAIL, "is on nfs4"),
    ("state", covered, Level.OK, "on xfs"),
    ("state", linked, Level.FAIL, "is on nfs4"),
    ("state", mounted("tmpfs", "rw"), Level.WARN, "lost with a reboot"),
    ("state", mounted("ext4", "ro"), Level.FAIL, "is read-only"),
    ("state", set_to(space=Space(1 << 20, None)), Level.FAIL, "1 MiB free"),
    ("state", set_to(space=Space(1 << 40, 0)), Level.FAIL, "no file can be made"),
    ("state", set_to(state="/srv/elsewhere/state"), Level.OK, "/srv/elsewhere/state (to be made)"),
    ("clock", set_to(synchronised=None), Level.WARN, "does not tell"),
    (
        "clock",
        set_to(now=replace(NOW, wall=NOW.wall - 10**9)),
        Level.WARN,
        "jumped by -1.0 s",
    ),
    (
        "clock",
        set_to(changed={"/var/lib/gpusched/ledger.db": NOW.wall + 10**12}),
        Level.WARN,
        "it has jumped back",
    ),
]


@pytest.mark.parametrize(("name", "change", "level", "seen"), JUDGED)
def test_judgement(
    tmp_path: Path, name: str, change: Callable[[FakeHost], None], level: Level, seen: str
) -> None:
    """A host that differs from a healthy one in one thing is judged for it, in one line."""
    host = healthy(tmp_path)
    change(host)
    found = [one for one in examine(host.situation(), lambda _: None) if one.name == name]
    assert [one for one in found if one.level is level and seen in one.seen], found
    assert all("\n" not in one.seen + one.advice for one in found)


def test_what_becomes_of_a_process_is_no_advice(tmp_path: Path) -> None:
    """That an NVML process which died is started again helps nobody; where to look does."""
    host = healthy(tmp_path)
    host.facts = Unavailable("NVML's process was killed by signal 11; it is started again")
    (found,) = (one for one in examine(host.situation(), lambda _: None) if one.name == "nvml")
    assert (found.level, found.seen) == (Level.FAIL, "NVML's process was killed by signal 11")
    assert found.advice == "see the checks above; the kernel log may say more"


def test_a_clock_of_another_age(tmp_path: Path) -> None:
    """A clock that was never set is named, with where it stands."""
    host = healthy(tmp_path)
    host.now = Moment(instant=NOW.instant, wall=10**9)
    situation = replace(host.situation(), began=host.now)
    *_, last = [one for one in examine(situation, lambda _: None) if one.level is Level.WARN]
    assert (last.name, last.seen) == ("clock", "stands at 1970-01-01 00:00 UTC")
