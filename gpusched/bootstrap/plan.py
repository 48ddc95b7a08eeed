"""What `gpusched serve` was asked for, resolved: paths, right, configuration, simulator.

Everything that a user can have wrong is refused here, in lines that say what to do.
"""

import os
import socket
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gpusched.adapters.nvml.simulated import ScenarioError
from gpusched.adapters.nvml.simulated.directory import prepare, read_scenario
from gpusched.config.paths import SYSTEM_SOCKET, default_socket, default_state
from gpusched.config.read import Config, ConfigFaults, read

EXIT_BAD, EXIT_UNUSABLE, EXIT_NOT_ALLOWED, EXIT_DEFECT = 64, 69, 77, 70


class Refusal(Exception):
    """The daemon does not start; the text is the one line for the user."""

    def __init__(self, code: int, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.code = code
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Plan:
    """What `gpusched serve` was asked for, resolved.

    Attributes:
        socket: Where to listen.
        state: Folder of the ledger.
        config: As read at the start.
        simulation: Folder of the simulator; None over a driver.
        advisory: Whether an ordinary user serves real devices.
        reread: Reads the configuration again.
    """

    socket: Path
    state: Path
    config: Config
    simulation: Path | None
    advisory: bool
    reread: Callable[[], Config]


def plan_of(options: Namespace, environment: Mapping[str, str]) -> Plan:
    """Resolve *options*.

    Raises:
        Refusal: Something in them, in the environment or in the configuration is wrong.
    """
    uid, simulated = os.geteuid(), options.simulate is not None
    _check_right(uid, simulated=simulated, advisory=options.advisory)
    path = None if options.config is None else Path(options.config)

    def reread() -> Config:
        return read(path, environment)

    try:
        config = reread()
    except ConfigFaults as error:
        raise Refusal(EXIT_BAD, *error.faults) from None
    named_socket = options.socket or environment.get("GPUSCHED_SOCKET")
    named_state = options.state_dir or environment.get("GPUSCHED_STATE_DIR")
    listen = Path(named_socket or default_socket(environment, uid, simulated=simulated))
    state = Path(named_state or default_state(environment, uid, simulated=simulated)).absolute()
    return Plan(
        socket=listen.absolute(),
        state=state,
        config=config,
        simulation=_simulation(options.simulate, state) if simulated else None,
        advisory=options.advisory,
        reread=reread,
    )


def _check_right(uid: int, *, simulated: bool, advisory: bool) -> None:
    """Refuse a second authority over real devices: root serves them, or nobody else does."""
    if simulated or (uid == 0 and not advisory):
        return
    if not advisory:
        raise Refusal(
            EXIT_NOT_ALLOWED,
            "the daemon over real GPUs runs as root; as an ordinary user try"
            " `gpusched serve --simulate 4xL4`, or --advisory where no system daemon runs",
        )
    if answered(SYSTEM_SOCKET):
        raise Refusal(
            EXIT_NOT_ALLOWED,
            f"a daemon of this host answers at {SYSTEM_SOCKET}: one authority per host;"
            " ask it instead of starting one with --advisory",
        )


def _simulation(argument: str, state: Path) -> Path:
    try:
        scenario = read_scenario(argument)
        # Workers of every user have to reach the simulated devices; the ledger is 0600.
        state.mkdir(mode=0o711, parents=True, exist_ok=True)
        directory = state / "simulator"
        prepare(directory, scenario)
    except ScenarioError as error:
        raise Refusal(EXIT_BAD, *(f"--simulate {fault}" for fault in error.faults)) from None
    except OSError as error:
        raise Refusal(EXIT_UNUSABLE, f"{state}: {error.strerror}; name a --state-dir") from None
    return directory


def answered(path: Path) -> bool:
    """Say whether a daemon listens at *path*."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
