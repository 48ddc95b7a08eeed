"""A host for the doctor: a folder that stands for `/`, nodes, programs and what others found out.

What is not set is as on a healthy host with eight H100; a case takes away, breaks and adds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpusched.core.ids import Instant, Moment
from gpusched.core.sample import Reading
from gpusched.doctor.execution import Output, Silent
from gpusched.doctor.host import Hidden, Host, Node, Space
from gpusched.doctor.situation import DaemonAnswer, DriverFacts, Gpu, Probes, Situation
from gpusched.doctor.versions import Version

VERSION = "0.1.0"
DRIVER = "570.124.06"
NOW = Moment(instant=Instant(10**12), wall=1_790_000_000 * 10**9)
GPUS = 8

Change = Callable[["FakeHost"], None]


@dataclass(frozen=True)
class TreeHost(Host):
    """A host of files, whose nodes, rights and programs are written down."""

    fake: "FakeHost" = field(kw_only=True)

    def read(self, path: str) -> str | None:
        if path in self.fake.hidden:
            raise Hidden(path)
        return super().read(path)

    def node(self, path: str) -> Node | None:
        return self.fake.nodes.get(path)

    def entries(self, path: str) -> tuple[str, ...]:
        if path != "/dev":
            return super().entries(path)
        return tuple(sorted(one.removeprefix("/dev/") for one in self.fake.nodes))

    def may_write(self, path: str) -> bool:
        return path not in self.fake.closed

    def space(self, path: str) -> Space:
        del path
        return self.fake.space

    def changed_at(self, path: str) -> int | None:
        return self.fake.changed.get(path)


@dataclass
class FakeHost:
    """What a case may change before the doctor looks.

    Attributes:
        root: The folder that stands for `/`.
        nodes: By path.
        programs: What a program prints, by its words; None: it hangs. Others are not installed.
        hidden: Files that this user may not read.
        closed: Folders that this user may not write in.
        changed: When a file was changed, in ns of wall time.
    """

    root: Path
    nodes: dict[str, Node] = field(default_factory=dict)
    programs: dict[str, Output | None] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    changed: dict[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    space: Space = field(default_factory=lambda: Space(200 << 30, None))
    machine: str = "x86_64"
    uid: int = 0
    cuda: Version | None = None
    state: str = "/var/lib/gpusched"
    facts: Reading[DriverFacts] = field(
        default_factory=lambda: DriverFacts(DRIVER, "12.8", tuple(map(healthy_gpu, range(GPUS))))
    )
    programs_obstacle: str | None = None
    landlock_obstacle: str | None = None
    daemon: DaemonAnswer = field(
        default_factory=lambda: DaemonAnswer(version=VERSION, level="kernel")
    )
    now: Moment = NOW
    synchronised: bool | None = True

    def file(self, path: str, text: str) -> None:
        """Puts a file into its place."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def link(self, path: str, target: str) -> None:
        """Puts a symbolic link into its place."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(target)

    def remove(self, path: str) -> None:
        """Takes a file or a folder with all that is in it away."""
        place = self.root / path.lstrip("/")
        if place.is_dir() and not place.is_symlink():
            for one in place.iterdir():
                self.remove(f"{path}/{one.name}")
            place.rmdir()
        else:
            place.unlink(missing_ok=True)

    def says(self, words: str, text: str, errors: str = "", code: int = 0) -> None:
        """Installs a program that prints this."""
        self.programs[words] = Output(code, text, errors)

    def _execute(self, words: Sequence[str], patience: float) -> Output | None:
        line = " ".join(words)
        if line in self.programs and self.programs[line] is None:
            raise Silent(f"`{line}` did not answer within {patience:g} s")
        return self.programs.get(line)

    def situation(self) -> Situation:
        """Gives the host as the doctor looks at it."""
        host = TreeHost(
            self.root, self.machine, self.uid, self.environment, self._execute, fake=self
        )
        probes = Probes(
            driver=lambda: self.facts,
            programs=lambda: self.programs_obstacle,
            landlock=lambda: self.landlock_obstacle,
            daemon=lambda: self.daemon,
            clock=lambda: self.now,
            synchronised=lambda: self.synchronised,
        )
        return Situation(host, probes, VERSION, began=NOW, cuda=self.cuda, state=self.state)


def healthy_gpu(index: int) -> Gpu:
    """A GPU with persistence mode, not partitioned."""
    return Gpu(index, "Enabled", "Disabled", "Disabled", "Default")


def healthy(root: Path) -> FakeHost:
    """A host on which everything works: eight H100, systemd, docker with CDI, a daemon."""
    host = FakeHost(root)
    host.file("/proc/sys/kernel/osrelease", "6.8.0-60-generic\n")
    host.file("/proc/1/comm", "systemd\n")
    host.file("/proc/1/cmdline", "/sbin/init\0")
    host.file("/proc/devices", "Character devices:\n  1 mem\n195 nvidia\n511 nvidia-uvm\n")
    host.file(
        "/proc/self/mountinfo",
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "24 22 0:22 / /proc rw,nosuid shared:13 - proc proc rw\n"
        "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
    )
    for kind, number in {"pid": 4026531836, "cgroup": 4026531835, "user": 4026531837}.items():
        host.link(f"/proc/self/ns/{kind}", f"{kind}:[{number}]")
    for path in ("/run/systemd/system", "/var/lib/gpusched"):
        host.file(f"{path}/x", "")
    host.says("systemctl --version", "systemd 255 (255.4-1ubuntu8)\n+PAM +AUDIT\n")
    _driver(host)
    _containers(host)
    return host


def _driver(host: FakeHost) -> None:
    host.file(
        "/proc/driver/nvidia/version",
        f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {DRIVER}  Release Build\n"
        "GCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04)\n",
    )
    for number in range(GPUS):
        address = f"0000:{number + 1:02x}:00.0"
        host.file(
            f"/proc/driver/nvidia/gpus/{address}/information",
            f"Model: \t\t NVIDIA H100 80GB HBM3\nBus Location: \t {address}\n"
            f"Device Minor: \t {number}\nGPU Excluded:\t No\n",
        )
        host.file(f"/sys/bus/pci/devices/{address}/vendor", "0x10de\n")
        host.file(f"/sys/bus/pci/devices/{address}/class", "0x030200\n")
        host.link(f"/sys/bus/pci/devices/{address}/driver", "../../../bus/pci/drivers/nvidia")
        host.nodes[f"/dev/nvidia{number}"] = Node(195, number, 0o666)
    for name, major, minor in (
        ("ctl", 195, 255),
        ("-modeset", 195, 254),
        ("-uvm", 511, 0),
        ("-uvm-tools", 511, 1),
    ):
        host.nodes[f"/dev/nvidia{name}"] = Node(major, minor, 0o666)
    for name in ("nvidia-ml", "cuda"):
        folder = "/usr/lib/x86_64-linux-gnu"
        host.file(f"{folder}/lib{name}.so.{DRIVER}", "")
        host.link(f"{folder}/lib{name}.so.1", f"lib{name}.so.{DRIVER}")
    host.says("modinfo -F version nvidia", f"{DRIVER}\n")


def _containers(host: FakeHost) -> None:
    host.says(
        "docker info --format {{json .}}",
        '{"ServerVersion":"28.2.2","CDISpecDirs":["/etc/cdi","/var/run/cdi"]}\n',
    )
    host.says("docker --version", "Docker version 28.2.2, build e6534b4\n")
    host.says("podman --version", "podman version 4.9.3\n")
    host.says(
        "nvidia-ctk --version", "NVIDIA Container Toolkit CLI version 1.18.0\ncommit: f7a6a5a\n"
    )
    host.file("/var/run/cdi/nvidia.yaml", spec(DRIVER, GPUS))


def spec(driver: str, gpus: int) -> str:
    """The parts of NVIDIA's CDI file that matter."""
    nodes = "".join(f"    - path: /dev/nvidia{number}\n" for number in range(gpus))
    return (
        "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: all\n  containerEdits:\n"
        f"    deviceNodes:\n{nodes}containerEdits:\n  mounts:\n"
        f"  - hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.{driver}\n"
    )
