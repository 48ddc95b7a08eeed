"""What `gpusched serve` was asked for, resolved: paths, right, configuration, simulator.

Everything that a user can have wrong is refused here, in lines that say what to do.
"""

import os
import socket
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gpusched.adapters.nvml.simulated import Scenario, ScenarioError
from gpusched.adapters.nvml.simulated.directory import prepare, read_scenario
from gpusched.cli import exits
from gpusched.config.paths import SYSTEM_SOCKET, default_socket, default_state
from gpusched.config.read import Config, ConfigFaults, read


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
        scenario: What to simulate; None over a driver.
        advisory: Whether an ordinary user serves real devices.
        reread: Reads the configuration again.
    """

    socket: Path
    state: Path
    config: Config
    scenario: Scenario | None
    advisory: bool
    reread: Callable[[], Config]

    @property
    def simulation(self) -> Path | None:
        """Folder of the simulator; None over a driver."""
        return None if self.scenario is None else self.state / "simulator"


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
        raise Refusal(exits.BAD_REQUEST, *error.faults) from None
    named_socket = options.socket or environment.get("GPUSCHED_SOCKET", "")
    named_state = options.state_dir or environment.get("GPUSCHED_STATE_DIR")
    # As clients read it: gRPC's way to write a unix socket.
    listen = Path(
        named_socket.removeprefix("unix:") or default_socket(environment, uid, simulated=simulated)
    )
    state = Path(named_state or default_state(environment, uid, simulated=simulated)).absolute()
    return Plan(
        socket=listen.absolute(),
        state=state,
        config=config,
        scenario=_scenario(options.simulate) if simulated else None,
        advisory=options.advisory,
        reread=reread,
    )


def _check_right(uid: int, *, simulated: bool, advisory: bool) -> None:
    """Refuse a second authority over real devices: root serves them, or nobody else does."""
    if simulated or (uid == 0 and not advisory):
        return
    if not advisory:
        raise Refusal(
            exits.NOT_ALLOWED,
            "the daemon over real GPUs runs as root; as an ordinary user try"
            " `gpusched serve --simulate 4xL4`, or --advisory where no system daemon runs",
        )
    if answered(SYSTEM_SOCKET):
        raise Refusal(
            exits.NOT_ALLOWED,
            f"a daemon of this host answers at {SYSTEM_SOCKET}: one authority per host;"
            " ask it instead of starting one with --advisory",
        )


def make_folders(plan: Plan) -> None:
    """Make the state folder, before it is locked.

    Raises:
        Refusal: It cannot be made.
    """
    # Workers of every user have to reach simulated devices in it; the ledger is 0600.
    mode = 0o700 if plan.scenario is None else 0o711
    try:
        plan.state.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(
            exits.UNREACHABLE, f"{plan.state}: {error.strerror}; name a --state-dir"
        ) from None


def make_simulator(plan: Plan) -> tuple[str, ...]:
    """Make the simulator's folder, under the lock; say what users of it should hear.

    Raises:
        Refusal: It cannot be made.
    """
    if plan.scenario is None or plan.simulation is None:
        return ()
    try:
        plain = prepare(plan.simulation, plan.scenario)
    except ScenarioError as error:
        raise Refusal(exits.UNREACHABLE, *error.faults) from None
    return () if plain is None else (f"Simulated nodes are plain files: {plain}.",)


def _scenario(argument: str) -> Scenario:
    try:
        return read_scenario(argument)
    except ScenarioError as error:
        raise Refusal(
            exits.BAD_REQUEST, *(f"--simulate {fault}" for fault in error.faults)
        ) from None


def answered(path: Path) -> bool:
    """Say whether a daemon listens at *path*."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True  # so many wait already: it listens, and hangs perhaps
        except OSError:
            return False
    return True
