"""What a machine is made of: a Debian tree, and wheels for its Python, made once and kept.

Everything lies in `.cache/machine/`, each under a name that says what it was made of, so that a
change makes another one. This is the only place of the machine's tests that needs a network: apt's
sources and pip's configuration of the host are used, the machine itself has no network.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.stage import ROOT

CACHE = ROOT / ".cache" / "machine"
SUITE = "bookworm"
PYTHON = "3.11"  # of that suite
_PACKAGES = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "python3",
    "python3-venv",
    "libpam-systemd",
    "procps",
]
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_MIRROR = "deb.debian.org/debian"
_DEBIAN_ARCHIVE = re.compile(r"^[^#\n]*\s(https?://\S+/debian/?)(?=\s)", re.MULTILINE)
_GLIBC = 36  # the suite's is 2.36, and takes wheels for any older one
# What is being added to the dependencies; asked for twice it is fetched once.
_ALSO = ["dbus-fast"]
_BUILD_SECONDS = 900.0
_PACKAGE_PARTS = ("gpusched", "pyproject.toml", "LICENSE", "README.md")


class Unavailable(Exception):
    """The machine cannot be made here; its text says why."""


def rootfs() -> Path:
    """Give the tree that every machine starts from; never to be written to.

    Raises:
        Unavailable: It cannot be fetched.
    """
    name = f"rootfs-{_digest(SUITE, *_PACKAGES)}"
    return _once(name, _bootstrap)


def wheelhouse() -> Path:
    """Give a folder with wheels of all dependencies, for the Python of the machine.

    Raises:
        Unavailable: They cannot be fetched.
    """
    return _once(f"wheelhouse-{_dependencies_digest()}", _fetch_wheels)


def site() -> Path:
    """Give the same wheels unpacked: a folder for PYTHONPATH, where nothing is to be installed."""
    return _once(f"site-{_dependencies_digest()}", _unpack_wheels)


def package(target: Path) -> Path:
    """Build the wheel of the package as it is now, into *target*; from a copy.

    Raises:
        Unavailable: It cannot be built.
    """
    source = target / "source"
    source.mkdir(parents=True)
    for part in _PACKAGE_PARTS:
        origin = ROOT / part
        if origin.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(origin, source / part, ignore=ignored)
        else:
            shutil.copy(origin, source / part)
    words = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir"]
    _run([sys.executable, "-m", "pip", "--quiet", *words, str(target), str(source)])
    shutil.rmtree(source)
    (made,) = target.glob("*.whl")
    return made


def _bootstrap(target: Path) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}"]
    if _KEYRING.exists():
        command += [f"--keyring={_KEYRING}", SUITE, str(target), _mirror()]
    else:  # no Debian: the connection vouches for what no key does
        command += ["--no-check-gpg", SUITE, str(target), f"https://{_MIRROR}"]
    _run(command)
    shutil.rmtree(target / "var/cache/apt", ignore_errors=True)


def _mirror() -> str:
    """Give the Debian mirror that the host's apt uses, or the official one."""
    places = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    for place in sorted(places):
        if place.suffix not in (".list", ".sources") or not place.is_file():
            continue
        if found := _DEBIAN_ARCHIVE.search(place.read_text()):
            return found[1]
    return f"http://{_MIRROR}"


def _requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*(str(one) for one in project["dependencies"]), *_ALSO]


def _dependencies_digest() -> str:
    """Name what the wheels depend on: not the whole pyproject.toml, which changes more often."""
    constraints = (ROOT / "constraints.txt").read_text()
    return _digest(PYTHON, constraints, *sorted(set(_requirements())))


def _fetch_wheels(target: Path) -> None:
    machine = platform.machine()
    platforms = [f"manylinux_2_{n}_{machine}" for n in range(_GLIBC, 16, -1)]
    platforms += [f"manylinux2014_{machine}", f"manylinux2010_{machine}"]
    tags = [f"--platform={one}" for one in platforms]
    tags += [f"--python-version={PYTHON}", "--implementation=cp"]
    tags += [f"--abi={one}" for one in (f"cp{PYTHON.replace('.', '')}", "abi3", "none")]
    words = ["download", "--only-binary=:all:", "-c", str(ROOT / "constraints.txt")]
    words += ["--dest", str(target), *tags, *_requirements()]
    _run([sys.executable, "-m", "pip", "--quiet", *words])


def _unpack_wheels(target: Path) -> None:
    for wheel in wheelhouse().glob("*.whl"):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(target)


def _once(name: str, make: Callable[[Path], None]) -> Path:
    """Give `.cache/machine/<name>`; only when it is complete does it have that name."""
    made = CACHE / name
    if made.is_dir():
        return made
    with _locked(name):
        if not made.is_dir():
            part = CACHE / f"{name}.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            make(part)
            part.chmod(0o755)
            part.rename(made)
    return made


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join([platform.machine(), *words]).encode()).hexdigest()[:10]


def _run(command: list[str]) -> None:
    """Run *command*; where it fails, its last lines are the reason.

    Raises:
        Unavailable: It is not there, failed, or took too long.
    """
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_BUILD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{command[0]}: {error}") from None
    if done.returncode:
        last = " | ".join(done.stdout.splitlines()[-3:])
        raise Unavailable(f"`{' '.join(command[:4])} …` ended with {done.returncode}: {last}")
