"""Services of others, attached by name and by the drop-in of the guide; leases end with them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.service.installed import NODES, Installed
from tools.stage import ROOT

pytestmark = pytest.mark.nspawn

_UNIT = "model.service"
_FILE = f"/run/systemd/system/{_UNIT}"
_DROP_IN = f"{_FILE}.d/gpusched.conf"
_EXCEPT_TWO = ["EPERM", "EPERM", "ENXIO", "EPERM"]
# Says each half second what it may open, and what it was told, in a file of its own.
_PROGRAM = """
import errno, os, pathlib, time
while True:
    said = []
    for number in range(4):
        try:
            os.close(os.open(f"{NODES}/nvidia{number}", os.O_RDWR))
        except OSError as error:
            said.append(errno.errorcode[error.errno])
    said += [os.environ.get("GPUSCHED_LEASE", "-"), os.environ.get("CUDA_VISIBLE_DEVICES", "-")]
    fresh = pathlib.Path("/run/model/fresh")
    fresh.write_text(" ".join(said))
    fresh.rename("/run/model/said")
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def service(lasting: Installed) -> Installed:
    """The machine that these files of tests share."""
    return lasting


@pytest.fixture
def unit(host: Installed, tmp_path: Path) -> Iterator[str]:
    """A service of somebody else's, which does not run yet."""
    program = tmp_path / "model.py"
    program.write_text(_PROGRAM.replace("{NODES}", NODES))
    host.machine.put(program, "/opt/model.py")
    _put(
        host,
        tmp_path,
        _FILE,
        "[Service]\nRuntimeDirectory=model\nExecStart=python3 /opt/model.py\n",
    )
    yield _UNIT
    host.machine.run(["systemctl", "stop", _UNIT])
    host.machine.told("rm", "-rf", _FILE, f"{_FILE}.d")
    host.machine.told("systemctl", "daemon-reload")


def _put(host: Installed, folder: Path, place: str, text: str) -> None:
    file = folder / "unit"
    file.write_text(text)
    host.machine.put(file, place)
    host.machine.told("systemctl", "daemon-reload")


def _said(host: Installed) -> list[str]:
    host.machine.run(["rm", "-f", "/run/model/said"])
    host.until(
        "a word", lambda: host.machine.run(["test", "-e", "/run/model/said"]).returncode == 0
    )
    return host.machine.told("cat", "/run/model/said").split()


def _recipe(*changes: tuple[str, str]) -> str:
    """Give the drop-in as the guide has it."""
    text = (ROOT / "docs/guides/systemd.md").read_text()
    found = re.search(r"<!-- drop-in -->\n```ini\n(.*?)```", text, re.DOTALL)
    assert found is not None
    recipe = found[1]
    for before, after in changes:
        assert before in recipe
        recipe = recipe.replace(before, after)
    return recipe


def test_a_running_unit_is_attached_by_its_name(host: Installed, unit: str) -> None:
    """It is masked in place, systemd keeps it, and the lease ends with it."""
    host.machine.told("systemctl", "start", unit)
    assert _said(host)[:4] == ["ENXIO"] * 4
    lease = host.allocate("--device", "2")
    done = host.gpusched("attach", lease, "--unit", "model")
    assert done.returncode == 0, done.stderr
    assert "masked in place in /system.slice/model.service" in done.stdout
    assert _said(host)[:4] == _EXCEPT_TWO
    host.machine.told("systemctl", "daemon-reload")
    assert _said(host)[:4] == _EXCEPT_TWO
    host.machine.told("systemctl", "stop", unit)
    host.until("no lease", lambda: not host.leases())


def test_a_unit_that_is_not_there_or_does_not_run(host: Installed, unit: str) -> None:
    """A refusal is one line, and the lease waits for another process."""
    lease = host.allocate("--device", "2")
    done = host.gpusched("attach", lease, "--unit", "nobody.service")
    assert (done.returncode, "no unit nobody.service is loaded" in done.stderr) == (64, True)
    host.machine.told("systemctl", "start", unit)
    host.machine.told("systemctl", "stop", unit)
    done = host.gpusched("attach", lease, "--unit", unit)
    assert done.returncode == 64
    assert done.stderr.count("\n") == 1
    assert list(host.leases()) == [lease]


@pytest.mark.parametrize("user", ["root", "ann"])
def test_the_drop_in_of_the_guide(host: Installed, unit: str, tmp_path: Path, user: str) -> None:
    """Before the unit's own program begins it is masked, and has the lease's environment; the
    lease is the unit's user's where the commands are, and ends with the unit, at each start anew.
    """
    hers = ("=+", "="), ("/run/%N.gpu.env", "/run/%N/gpu.env")
    recipe = _recipe() if user == "root" else f"{_recipe(*hers)}RuntimeDirectory=%N\nUser=ann\n"
    _put(host, tmp_path, _DROP_IN, recipe.replace("--gpus 1", "--device 2"))
    before = ""
    for _ in range(2 if user == "root" else 1):
        host.machine.told("systemctl", "start", unit)
        *opened, lease, visible = _said(host)
        assert opened == _EXCEPT_TWO
        assert visible == "0"
        assert lease not in {before, "-"}
        assert {name: one.part("holder").text("user") for name, one in host.leases().items()} == {
            lease: user
        }
        before = lease
        host.machine.told("systemctl", "stop", unit)
        host.until("no lease", lambda: not host.leases())
        assert host.machine.told("find", "/run", "-name", "*gpu.env") == ""


def test_a_unit_whose_name_is_escaped(host: Installed, tmp_path: Path) -> None:
    """The drop-in goes with every name; root's file is in no folder that its user may write to."""
    name = "model@a\\x2db.service"
    text = "[Service]\nUser=ann\nExecStart=sleep 600\n"
    _put(host, tmp_path, _FILE.replace("model", "model@"), text)
    recipe = _recipe(("--gpus 1", "--device 2"))
    _put(host, tmp_path, _DROP_IN.replace("model", "model@"), recipe)
    try:
        host.machine.told("systemctl", "start", name)
        assert {one.part("holder").text("user") for one in host.leases().values()} == {"root"}
        (file,) = host.machine.told("find", "/run", "-name", "*gpu.env").splitlines()
        assert Path(file).parent == Path("/run")
    finally:
        host.machine.run(["systemctl", "stop", name])
        for one in (_FILE, f"{_FILE}.d"):
            host.machine.told("rm", "-rf", one.replace("model", "model@"))
        host.machine.told("systemctl", "daemon-reload")
    host.until("no lease", lambda: not host.leases())


def test_a_start_without_a_device_fails(host: Installed, unit: str, tmp_path: Path) -> None:
    """The unit does not run unmasked: its start fails, and the journal says why."""
    _put(host, tmp_path, _DROP_IN, _recipe(("--gpus 1 --wait 1m", "--gpus 9")))
    assert host.machine.run(["systemctl", "start", unit]).returncode != 0
    assert "gpusched: " in host.machine.told("journalctl", "-u", unit, "-ocat")
    assert host.leases() == {}
