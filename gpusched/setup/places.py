"""Where setup puts things, and the texts that it puts there; the units are those of `systemd/`."""

from pathlib import Path

from gpusched.config.paths import SYSTEM_CONFIG, SYSTEM_SOCKET, SYSTEM_STATE, instance_name

VENV = Path("/opt/gpusched")
PROGRAM = VENV / "bin" / "gpusched"
PYTHON = VENV / "bin" / "python"
COMMAND = Path("/usr/local/bin/gpusched")
STATE = SYSTEM_STATE
RUNTIME = SYSTEM_SOCKET.parent
CONFIG = SYSTEM_CONFIG
SPECS = Path("/run/cdi")

SERVICE = "gpusched.service"
SLICE = "gpusched.slice"
GROUP = "gpusched"
UNITS = Path("/etc/systemd/system")
DROP_INS = UNITS / f"{SERVICE}.d"
SIMULATE = DROP_INS / "simulate.conf"
TMPFILES = Path("/etc/tmpfiles.d/gpusched.conf")

SIMULATED = STATE / "simulated"
_INSTANCES = (
    instance_name(STATE, simulated=False),
    instance_name(SIMULATED, simulated=True),
)
DOCUMENTS = tuple(f"{name}-lease-*.json" for name in _INSTANCES)
"""In `SPECS`, also those that a killed daemon has left there."""
SLICES = tuple(
    pattern
    for name in _INSTANCES
    for pattern in (f"{name}_users-*.slice", f"{name}_users[.]slice", f"{name}[.]slice")
)
"""What stands above and beside the slices of leases, of a simulating service too.

Patterns, as the next: systemctl applies them to what is loaded, so that none is no failure.
"""
LEASE_SLICES = tuple(
    pattern
    for name in _INSTANCES
    for pattern in (f"{name}-lease_*.slice", f"user-*-{name}_lease_*.slice")
)

_SHIPPED = Path(__file__).parent / "units"
SYSUSERS = _SHIPPED / "gpusched.sysusers.conf"
"""Read once, where it lies; the others are read at every boot and get a place below /etc."""
_SIMULATE = """\
# Written by `gpusched setup --simulate`; without the flag, setup takes it away.
[Service]
# Workers of every user have to reach the simulated devices; the ledger itself is closed.
StateDirectoryMode=0711
ExecStart=
ExecStart={program} serve --simulate {spec} --socket {socket} --state-dir {state}
"""


def shipped() -> dict[Path, str]:
    """Give the files that come with the package, by the place where they belong."""
    names = {
        UNITS / SERVICE: SERVICE,
        UNITS / SLICE: SLICE,
        TMPFILES: "gpusched.tmpfiles.conf",
    }
    return {place: (_SHIPPED / name).read_text("utf-8") for place, name in names.items()}


def simulating(spec: str) -> str:
    """Give the drop-in by which the service serves simulated devices, at the system's socket.

    Args:
        spec: What `serve --simulate` takes, of letters, digits and `.,:/@+_-` only.
    """
    return _SIMULATE.format(program=PROGRAM, spec=spec, socket=SYSTEM_SOCKET, state=SIMULATED)
