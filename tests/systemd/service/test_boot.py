"""Units that need a lease when the host starts: they say so with After= and Wants=."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.service.installed import NODES, Installed

pytestmark = pytest.mark.nspawn

_TRAINER = """\
[Unit]
Wants=gpusched.service
After=gpusched.service

[Service]
Type=exec
ExecStart=/usr/local/bin/gpusched run --device 3 -- sh -c '{script}'

[Install]
WantedBy=multi-user.target
"""
# The machine's own boot id is a mount, which this setting of the unit would take from the daemon:
# it would see the host's, which does not boot with the machine.
_OWN_BOOT_ID = "[Service]\\nProtectKernelTunables=no\\n"
_TOLD = "/run/trainer"
_OPENS = "/run/trainer.opens"
_SCRIPT = (
    f"for n in 0 1 2 3; do cat {NODES}/nvidia$$n; done 2> {_OPENS};"
    f" echo $$GPUSCHED_LEASE > {_TOLD}; exec sleep infinity"
)


@pytest.fixture(scope="module")
def rebooted(service: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The machine after a boot with a unit that wants a device."""
    unit: Path = tmp_path_factory.mktemp("unit") / "trainer.service"
    unit.write_text(_TRAINER.format(script=_SCRIPT))
    machine = service.machine
    machine.put(unit, "/etc/systemd/system/trainer.service")
    machine.told("systemctl", "--quiet", "enable", "trainer.service")
    drop_ins = "/etc/systemd/system/gpusched.service.d"
    machine.told("sh", "-c", f"printf '{_OWN_BOOT_ID}' > {drop_ins}/boot_id.conf")
    machine.told("systemctl", "daemon-reload")
    machine.told("systemctl", "restart", "gpusched.service")
    service.allocate("--device", "0")
    machine.stop()
    machine.boot()
    yield service
    machine.told("systemctl", "stop", "trainer.service")


def test_a_unit_gets_its_lease_at_boot(rebooted: Installed) -> None:
    """The unit runs under a lease of the device that it named, without having waited for it."""
    rebooted.until("a word", lambda: rebooted.machine.run(["cat", _TOLD]).stdout != "")
    lease = rebooted.machine.told("cat", _TOLD)
    assert rebooted.show("ActiveState", "trainer.service") == "active"
    assert rebooted.show("NRestarts", "trainer.service") == "0"
    assert lease in rebooted.leases()


def test_leases_of_before_the_boot_have_ended(rebooted: Installed) -> None:
    """A lease does not outlive the host's run: only what was granted since is there."""
    rebooted.until("one lease", lambda: len(rebooted.leases()) == 1)


def test_a_unit_has_its_mask(rebooted: Installed) -> None:
    """The unit's processes open the device of its lease and no other."""
    rebooted.until("a word", lambda: rebooted.machine.run(["cat", _TOLD]).stdout != "")
    lines = rebooted.machine.told("cat", _OPENS).splitlines()
    words = [line.rpartition(": ")[2] for line in lines]
    assert words == [*["Operation not permitted"] * 3, "No such device or address"]
