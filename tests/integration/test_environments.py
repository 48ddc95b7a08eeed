"""Specification: an environment whose making was cut off does not count as made."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.stage import ROOT

_NO_PIP = "#!/bin/sh\nexit 1\n"
_PYTHON = """#!/bin/sh
[ "$2" = venv ] || exit 0
echo "$@"
for folder; do :; done
rm -rf "$folder"
mkdir -p "$folder/bin"
ln -s /bin/true "$folder/bin/python"
"""


def _program(place: Path, text: str) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    place.chmod(0o755)
    return place


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_venv_without_pip_is_made_anew(tmp_path: Path) -> None:
    """`make` makes an environment anew that was cut off before it had pip, and only such a one."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    _program(tmp_path / ".venv/bin/python", _NO_PIP)
    python = _program(tmp_path / "python3", _PYTHON)
    words = ("make", ".venv/.stamp", f"PYTHON={python}")
    for expected in ("-m venv --clear .venv\n", ""):
        (tmp_path / ".venv/.stamp").unlink(missing_ok=True)
        done = subprocess.run(  # noqa: S603 - our own words
            words, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done
        assert done.stdout.replace("make: setting up .venv (once)\n", "") == expected


def test_servers_that_are_half_installed_are_not_there(tmp_path: Path) -> None:
    """While model servers of other versions are installed, and after that failed, none count."""
    tools = tmp_path / "tools"
    shutil.copytree(ROOT / "tools", tools, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path / ".cache/frameworks"
    _program(target / "bin/python", _NO_PIP)
    (target / ".place").write_text(f"{tmp_path}\n")
    stamp = target / ".servers"
    stamp.touch()
    os.utime(stamp, (0, 0))
    done = subprocess.run(  # noqa: S603 - our own
        [tools / "fetch_frameworks.sh"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 1, done
    assert not stamp.exists()
