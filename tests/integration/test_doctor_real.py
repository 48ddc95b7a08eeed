"""Specification: `gpusched doctor` on this very machine: as root, as nobody, in a container.

The container is made of namespaces, with a `/dev` and a `/proc` of its own: what is mounted in it
nobody else sees, and it is gone with the command.
"""

import json
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gpusched.client.document import Document
from gpusched.doctor.table import CHECKS
from tests import capabilities

DRIVER = "999.42.01"
NAMESPACES = ("unshare", "--mount", "--pid", "--cgroup", "--fork", "--kill-child")
DEV = (
    "mount -t proc proc /proc && mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3"
    " && mknod -m 666 /dev/urandom c 1 9"
)
BROKEN = (
    "mount -t tmpfs none /proc/driver && mkdir -p /proc/driver/nvidia/gpus/0000:01:00.0"
    " && mkdir /proc/driver/nvidia/gpus/0000:01:00.0/information"
)
HAS_DRIVER = Path("/proc/driver/nvidia/version").exists()
no_driver = pytest.mark.skipif(HAS_DRIVER, reason="here is a driver")


def asked(
    *before: str, module: str = "gpusched", environment: Mapping[str, str] | None = None
) -> tuple[int, list[Document]]:
    """Runs the doctor; gives its exit code and its findings."""
    done = subprocess.run(  # noqa: S603 - our own words
        [*before, sys.executable, "-m", module, "--json", "--socket", "/nowhere", "doctor"],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert not [one for one in done.stderr.splitlines() if not one.startswith("· ")], done.stderr
    return done.returncode, Document(json.loads(done.stdout)).parts("findings")


def contained(script: str) -> tuple[str, ...]:
    """What a command stands behind to run in namespaces of its own, made by *script*."""
    return (*NAMESPACES, "sh", "-c", f'{script} && exec "$@"', "sh")


def levels(findings: list[Document], name: str) -> list[str]:
    """The levels of what a check found."""
    return [one.text("level") for one in findings if one.text("name") == name]


def seen(findings: list[Document], name: str) -> str:
    """What a check saw."""
    return " | ".join(one.text("seen") for one in findings if one.text("name") == name)


def traces() -> set[str]:
    """What the doctor could leave behind."""
    mount = capabilities.cgroup2_mount()
    folders = [Path("/dev")] if mount is None else [Path("/dev"), mount]
    names = {one.name for folder in folders for one in folder.iterdir()}
    return {one for one in names if one.startswith(("gpusched_doctor", "nvidia"))}


def test_on_this_machine() -> None:
    """Every check says something, a FAIL makes exit code 78, and nothing is left behind."""
    before = traces()
    code, findings = asked()
    assert list(dict.fromkeys(one.text("name") for one in findings)) == [n for n, _ in CHECKS]
    assert all(one.text("seen") for one in findings)
    assert all(bool(one.text("advice")) != (one.text("level") == "OK") for one in findings)
    failed = any(one.text("level") == "FAIL" for one in findings)
    assert code == (78 if failed else 0)
    assert traces() == before
    assert os.uname().release in seen(findings, "kernel")
    assert "there is no socket at /nowhere" in seen(findings, "daemon")


@pytest.mark.root
def test_as_root() -> None:
    """Root hears that a device program was tried in a cgroup, and denied."""
    _, findings = asked()
    assert levels(findings, "device program") == ["OK"]
    assert "denied a process there its device" in seen(findings, "device program")


@pytest.mark.root
def test_as_an_ordinary_user() -> None:
    """An ordinary user hears what is not visible to him, and a host is no worse for it."""
    # podman says nothing to whom the home is not his.
    _, user = asked(module="tests.integration.as_nobody", environment={"HOME": "/"})
    _, root = asked()
    assert seen(user, "device program") == "not visible to this user: only root may try one"
    # MPS daemons come and go, such as those of other tests.
    hidden = {"device program", "docker", "daemon", "mps"}
    for name in {one for one, _ in CHECKS} - hidden:
        assert levels(user, name) == levels(root, name), name


@pytest.mark.root
@pytest.mark.namespaces
@no_driver
def test_in_a_container() -> None:
    """In a container it says which namespaces are not the host's, and what a daemon needs."""
    code, findings = asked(*contained(DEV))
    assert code == 78
    assert levels(findings, "namespaces") == ["WARN"]
    assert seen(findings, "namespaces").startswith("not the host's: pid, cgroup namespace")
    (advice,) = (one.text("advice") for one in findings if one.text("name") == "namespaces")
    assert advice.endswith("a daemon needs --pid=host, --cgroupns=host")
    assert levels(findings, "device nodes") == ["OK"]


@pytest.mark.root
@pytest.mark.namespaces
@no_driver
def test_a_broken_driver_directory() -> None:
    """A driver that left half of its directory behind is broken, not absent; NVML is not asked."""
    _, findings = asked(*contained(f"{DEV} && {BROKEN}"))
    assert levels(findings, "driver") == ["FAIL"]
    assert "its file `version` is empty or not there" in seen(findings, "driver")
    assert seen(findings, "nvml") == "not asked: the driver in the kernel is broken"
    assert levels(findings, "cuda") == ["WARN"]


@pytest.mark.root
@pytest.mark.namespaces
@no_driver
def test_a_gpu_that_cannot_be_read(libnvidia_ml: Path) -> None:
    """A GPU without its file, and NVIDIA's own library over another driver: each is named."""
    version = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {DRIVER}  Wed"
    script = f"{DEV} && {BROKEN} && echo {shlex.quote(version)} > /proc/driver/nvidia/version"
    folder = {"LD_LIBRARY_PATH": str(libnvidia_ml.parent)}
    _, findings = asked(*contained(script), environment=folder)
    assert "information cannot be read: Is a directory" in seen(findings, "driver")
    found = libnvidia_ml.resolve().name.removeprefix("libnvidia-ml.so.")
    expected = f"is of {found}, the loaded kernel module of {DRIVER}: NVML answers"
    assert expected in seen(findings, "libraries")
    assert seen(findings, "nvml") == "the NVIDIA kernel driver is not loaded"
    assert levels(findings, "nvml") == ["FAIL"]
    control = Path("/dev/nvidiactl")
    assert not (control.exists() and stat.S_ISCHR(control.stat().st_mode))


@pytest.mark.root
@pytest.mark.namespaces
@no_driver
def test_a_driver_that_hangs() -> None:
    """A driver's file that never answers costs five seconds, once, and the doctor goes on."""
    script = f"{DEV} && {BROKEN} && mkfifo /proc/driver/nvidia/version"
    code, findings = asked(*contained(script))
    assert code == 78
    assert "version` did not answer within 5 s" in seen(findings, "driver")
    assert levels(findings, "clock")
