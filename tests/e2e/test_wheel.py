"""What is shipped: a wheel that has everything the installed command needs."""

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.stage import ROOT

_SHIPPED = ("gpusched", "pyproject.toml", "LICENSE", "README.md")
_NEEDED = {
    "gpusched/py.typed",
    "gpusched/__init__.py",
    "gpusched/adapters/nvml/simulated/profiles.toml",
    "gpusched/api/v1/leases_pb2.py",
    "gpusched/api/v1/leases_pb2.pyi",
    "gpusched/api/v1/leases_pb2_grpc.py",
}
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("setuptools") is None or importlib.util.find_spec("pip") is None,
    reason="pip and setuptools are not both in this environment",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel, built from a copy: a build leaves its traces in the tree."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in _SHIPPED:
        _copy(ROOT / name, source / name)
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, *words, "--wheel-dir", str(target), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = target.glob("*.whl")
    with zipfile.ZipFile(path) as found:
        yield found


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    elif source.exists():
        shutil.copy(source, target)


def test_the_wheel_has_all_it_needs(wheel: zipfile.ZipFile) -> None:
    """Types, profiles of the simulator and generated code are shipped."""
    names = set(wheel.namelist())
    assert names >= _NEEDED
    modules = {str(one.relative_to(ROOT)) for one in (ROOT / "gpusched").rglob("*.py")}
    assert modules - names == set()


def test_the_wheel_has_nothing_else(wheel: zipfile.ZipFile) -> None:
    """Tests, tools and benchmarks stay in the repository; only one package is installed."""
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {one for one in tops if not one.endswith(".dist-info")} == {"gpusched"}


def test_the_wheel_has_the_command(wheel: zipfile.ZipFile) -> None:
    """The distribution is gpusched-daemon, and brings the command gpusched."""
    (entries,) = (one for one in wheel.namelist() if one.endswith("entry_points.txt"))
    assert entries.startswith("gpusched_daemon-")
    assert b"gpusched = gpusched.__main__:main" in wheel.read(entries)
