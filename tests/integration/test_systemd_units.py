"""The files under `systemd/`, read by systemd's own tools; nothing is installed or started."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import TypedDict

import pytest

_UNITS = Path(__file__).parent.parent.parent / "systemd"
_DAEMON = "/opt/gpusched/bin/gpusched"
# Tenths of systemd's exposure level; 4.3 is what root with this little needs, 9.6 no hardening.
_EXPOSURE_THRESHOLD = 45

pytestmark = pytest.mark.systemd_analyze


class _Finding(TypedDict):
    set: bool | None
    name: str
    description: str
    exposure: str | None


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - systemd's own tools, with files of this project
        command, capture_output=True, text=True, check=False, timeout=60
    )


def _verify(unit: Path) -> subprocess.CompletedProcess[str]:
    return _run("systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", unit)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """A copy of the service whose program exists on this machine."""
    program = shutil.which("true")
    assert program is not None
    text = (_UNITS / "gpusched.service").read_text()
    assert text.count(f"ExecStart={_DAEMON} serve\n") == 1
    copy = tmp_path / "gpusched.service"
    copy.write_text(text.replace(_DAEMON, program))
    return copy


def test_the_unit_is_one_that_systemd_understands(unit: Path) -> None:
    """The service unit loads without an error and without a warning."""
    result = _verify(unit)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_misspelt_setting_would_be_found(unit: Path) -> None:
    """A setting that systemd does not know is an error here, and not a line in a journal."""
    unit.write_text(unit.read_text().replace("NoNewPrivileges=", "NoNewPrivilegs="))
    result = _verify(unit)
    assert result.returncode != 0
    assert "NoNewPrivilegs" in result.stderr


def test_the_service_is_hardened(unit: Path) -> None:
    """The exposure that systemd computes stays below the threshold."""
    threshold = f"--threshold={_EXPOSURE_THRESHOLD}"
    result = _run("systemd-analyze", "security", "--offline=yes", "--no-pager", threshold, unit)
    assert result.returncode == 0, result.stdout.splitlines()[-1]


def test_a_hardening_that_is_left_out_has_its_reason(unit: Path) -> None:
    """Every setting that systemd would like stronger is in the unit, set or with a reason."""
    result = _run("systemd-analyze", "security", "--offline=yes", "--json=short", unit)
    findings: list[_Finding] = json.loads(result.stdout)
    wanted = {
        option
        for finding in findings
        if finding["exposure"] is not None
        for option in finding["name"].split("/")
    }
    text = unit.read_text()
    assert [name for name in sorted(wanted) if f"{name.partition('=')[0]}=" not in text] == []


def test_nobody_but_the_shell_is_needed_to_reload(unit: Path) -> None:
    """A reload works on a system without a kill command."""
    lines = [line for line in unit.read_text().splitlines() if line.startswith("ExecReload=")]
    assert lines == ["ExecReload=/bin/sh -c 'kill -HUP \"$$MAINPID\"'"]


@pytest.mark.root
def test_the_group_of_administrators_is_made(tmp_path: Path) -> None:
    """The package's sysusers file makes the group gpusched, and nothing else."""
    (tmp_path / "etc").mkdir()
    result = _run("systemd-sysusers", f"--root={tmp_path}", _UNITS / "gpusched.sysusers.conf")
    assert result.returncode == 0, result.stderr
    groups = (tmp_path / "etc" / "group").read_text().splitlines()
    assert [line.partition(":")[0] for line in groups] == ["gpusched"]
    assert not (tmp_path / "etc" / "passwd").exists()


@pytest.mark.root
def test_the_folders_of_sockets_and_specs_are_made(tmp_path: Path) -> None:
    """The package's tmpfiles file makes folders that all may enter and only root may write."""
    config = _UNITS / "gpusched.tmpfiles.conf"
    result = _run("systemd-tmpfiles", "--create", f"--root={tmp_path}", config)
    assert result.returncode == 0, result.stderr
    modes = {p.name: oct(p.stat().st_mode & 0o7777) for p in (tmp_path / "run").iterdir()}
    assert modes == {"gpusched": "0o755", "cdi": "0o755"}
