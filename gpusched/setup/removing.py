"""What `gpusched setup --uninstall` does, as a list of steps. Pure, as `installing`.

What an operator wrote (settings, drop-ins, a program of the same name) stays, and is named.
"""

from collections.abc import Sequence

from gpusched.setup import places
from gpusched.setup.example import untouched
from gpusched.setup.host import Environment, Host
from gpusched.setup.steps import Delete, DeleteEmpty, Execute, Reason, SetupFault, Step

_NAMED = 5


def check_idle(leases: Sequence[str], *, force: bool) -> None:
    """Refuse to take the authority away from under those who rely on it.

    Raises:
        SetupFault: Leases live, and the user did not say that this is meant.
    """
    if leases and not force:
        more = f" and {len(leases) - _NAMED} more" if len(leases) > _NAMED else ""
        raise SetupFault(
            Reason.IN_USE,
            f"leases live: {', '.join(leases[:_NAMED])}{more}; wait for their end (`gpusched"
            " leases`), or end them and their processes with --uninstall --force",
        )


def removing(host: Host) -> list[Step]:
    """Take all of it away; the environment that this code may run from goes last."""
    steps = [
        *_stopping(host),
        # By patterns: one that ended by itself meanwhile is no failure.
        Execute(
            "stop the slices of leases",
            ("systemctl", "stop", *places.LEASE_SLICES, *places.SLICES),
        ),
        Delete(places.UNITS / places.SERVICE),
        Delete(places.UNITS / places.SLICE),
        *(Delete(places.SIMULATE), DeleteEmpty(places.DROP_INS)),
        Delete(places.TMPFILES),
        Execute("let systemd read its units", ("systemctl", "daemon-reload")),
        Execute(
            "forget failures of the service",
            ("systemctl", "reset-failed", places.SERVICE),
            may_fail=True,
        ),
    ]
    if host.members is not None:
        steps.append(
            Execute(
                f"remove the group {places.GROUP}",
                ("groupdel", places.GROUP),
                otherwise="where it is some user's first group, give that user another; then run"
                " it again",
            )
        )
    return [*steps, *_files(host)]


def _stopping(host: Host) -> list[Step]:
    steps: list[Step] = []
    if host.venv is Environment.USABLE and host.installed:
        steps.append(
            # Nobody would be left to take it off, and it keeps every process from the devices.
            Execute("take the guard off", (str(places.PROGRAM), "guard", "off"))
        )
    if host.service:
        steps.append(
            Execute(
                f"stop and disable {places.SERVICE}",
                ("systemctl", "--quiet", "disable", "--now", places.SERVICE),
                otherwise=f"`journalctl -u {places.SERVICE}` tells why; then run it again",
            )
        )
    return steps


def _files(host: Host) -> list[Step]:
    steps: list[Step] = []
    if host.config is not None and untouched(host.config):
        steps.append(Delete(places.CONFIG))
    steps += [
        DeleteEmpty(places.CONFIG.parent),
        Delete(places.STATE),
        Delete(places.RUNTIME),
        *map(Delete, host.documents),
        DeleteEmpty(places.SPECS),
    ]
    if host.command_is_ours:
        steps.append(Delete(places.COMMAND))
    if host.venv is not Environment.STRANGER:
        steps.append(Delete(places.VENV))
    return steps


def staying(host: Host) -> list[str]:
    """Name what was not removed, and why."""
    lines: list[str] = []
    if host.config is not None and not untouched(host.config):
        lines.append(f"{places.CONFIG} stays: it was changed by hand")
    lines += [f"{one} stays: it was written by hand" for one in host.drop_ins]
    if host.command is not None and not host.command_is_ours:
        lines.append(f"{places.COMMAND} stays: it is another program, {host.command}")
    if host.venv is Environment.STRANGER:
        lines.append(f"{places.VENV} stays: it is no virtual environment of setup")
    if host.members:
        members = ", ".join(host.members)
        lines.append(f"the group {places.GROUP} is gone; its members were {members}")
    return lines
