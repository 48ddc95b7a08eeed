"""What `gpusched setup` does, as lists of steps. Pure: the host as it was found in, steps out.

Two stages: `fetching` puts the package into its environment, then the gpusched that is now in
there does `configuring`, so that units and code are of one version.
"""

import re
from pathlib import Path

from gpusched.setup import places
from gpusched.setup.example import example, untouched
from gpusched.setup.host import Environment, Host
from gpusched.setup.source import Source
from gpusched.setup.steps import (
    Delete,
    DeleteEmpty,
    Execute,
    Link,
    Reason,
    SetupFault,
    Step,
    Write,
)

_SPEC = re.compile(r"[A-Za-z0-9.,:/@+_-]+")
# Below these the service sees no interpreter (ProtectHome=, PrivateTmp=).
_HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108 - named, not used
_SYSTEM_PYTHON = "/usr/bin/python3"


def check_host(host: Host) -> None:
    """Refuse a host on which setup has no business.

    Raises:
        SetupFault: With what is missing.
    """
    if not host.root:
        raise SetupFault(
            Reason.NOT_ROOT,
            "setup writes below /opt and /etc and commands systemd: run it as root, with sudo",
        )
    if not host.systemd:
        raise SetupFault(
            Reason.NO_SYSTEMD,
            "setup makes a service of systemd, and systemd does not run this host: let its own"
            " service manager run `gpusched serve`",
        )


def check_before(host: Host) -> None:
    """Refuse what setup would have to overwrite, before anything is changed.

    Raises:
        SetupFault: With what is in the way.
    """
    if host.masked:
        raise SetupFault(
            Reason.WORDS,
            f"{places.SERVICE} is masked: `systemctl unmask {places.SERVICE}` first",
        )
    if host.venv is Environment.STRANGER:
        raise SetupFault(
            Reason.WORDS,
            f"{places.VENV} is there and is no virtual environment: move it away, then run setup"
            " again",
        )


def check_spec(spec: str) -> None:
    """Refuse words that a unit file would read differently.

    Raises:
        SetupFault: With what is allowed.
    """
    if not _SPEC.fullmatch(spec) or ("/" in spec and not spec.startswith("/")):
        raise SetupFault(
            Reason.WORDS,
            f"--simulate {spec!r} cannot stand in a unit: name devices as in 4xA100-80GB,4xL4, or"
            " a file by its whole path, of letters, digits and .,:/@+_- only",
        )


def fetching(host: Host, source: Source, constraints: Path | None) -> list[Step]:
    """Put the package into its environment.

    Args:
        host: As it was found.
        source: What to install.
        constraints: The file of versions beside it, if it is a tree that has one.

    Raises:
        SetupFault: The service could not run it.
    """
    extra = () if constraints is None else ("-c", str(constraints))
    steps: list[Step] = []
    if host.venv is not Environment.USABLE:
        steps.append(_environment(host.python, clear=host.venv is Environment.STALE))
    if host.installed:
        # Without it pip leaves a package of the same version as it is.
        steps.append(_pip("replace the package", source, "--force-reinstall", "--no-deps"))
    steps.append(_pip(f"install {source.requirement}", source, *extra))
    return steps


def _environment(python: Path, *, clear: bool) -> Execute:
    hidden = next((one for one in _HIDDEN if python.is_relative_to(one)), None)
    if hidden is not None:
        raise SetupFault(
            Reason.WORDS,
            f"the interpreter {python} lies below {hidden}, where the service may not look:"
            f" install gpusched into an environment of {_SYSTEM_PYTHON} and run setup from there",
        )
    return Execute(
        f"make the virtual environment {places.VENV}",
        (str(python), "-I", "-m", "venv", *(["--clear"] if clear else []), str(places.VENV)),
        otherwise="if ensurepip is missing, `apt-get install python3-venv`; then run setup again",
    )


def _pip(title: str, source: Source, *more: str) -> Execute:
    quiet = ("--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir")
    return Execute(
        title,
        (
            *(str(places.PYTHON), "-I", "-m", "pip", "install", *quiet),
            *(*more, source.requirement),
        ),
        otherwise="without a network, set PIP_NO_INDEX=1 and PIP_FIND_LINKS=FOLDER-OF-WHEELS;"
        " what runs is as it was",
    )


def configuring(host: Host, simulate: str | None) -> list[Step]:
    """Make a service of what is in the environment, and start it anew."""
    steps: list[Step] = [Write(path, text) for path, text in places.shipped().items()]
    if simulate is not None:
        steps.append(Write(places.SIMULATE, places.simulating(simulate)))
    else:
        steps += [Delete(places.SIMULATE), DeleteEmpty(places.DROP_INS)]
    if host.config is None or untouched(host.config):
        steps.append(Write(places.CONFIG, example()))
    steps += [
        Execute(f"make the group {places.GROUP}", ("systemd-sysusers", str(places.SYSUSERS))),
        Execute("make the folders", ("systemd-tmpfiles", "--create", str(places.TMPFILES))),
    ]
    if host.command is None or host.command_is_ours:
        steps.append(Link(places.COMMAND, places.PROGRAM))
    return [*steps, *_starting()]


def _starting() -> list[Step]:
    service = places.SERVICE
    return [
        Execute("let systemd read its units", ("systemctl", "daemon-reload")),
        Execute(f"enable {service}", ("systemctl", "--quiet", "enable", service)),
        Execute(
            f"start {service} and wait until it is ready",
            ("systemctl", "restart", service),
            otherwise=f"`journalctl -u {service}` tells all; systemd keeps trying to start it",
            journal=service,
        ),
    ]


def advice(host: Host, simulate: str | None) -> list[str]:
    """Say what to type next, and what setup left alone."""
    lines = [
        "gpusched is installed and runs" + (" over SIMULATED devices" if simulate else ""),
        "  see what is there:    gpusched status",
        "  use a device:         gpusched run --gpus 1 -- python train.py",
        f"  let USER administer:  usermod --append --groups {places.GROUP} USER",
        f"  change its settings:  edit {places.CONFIG}, then systemctl reload gpusched",
    ]
    if not (host.command is None or host.command_is_ours):
        lines.append(
            f"{places.COMMAND} is another program ({host.command}) and was left: the service's"
            f" own command is {places.PROGRAM}"
        )
    return lines
