"""`gpusched allocate` and `gpusched env`: a grant in the form that the next program reads."""

import argparse
import shlex
import sys
from collections.abc import Callable

from gpusched.cli.allocation import add_allocation, request_of
from gpusched.cli.arguments import add_lease
from gpusched.cli.command import Command, Invocation, show_json
from gpusched.cli.lease_table import devices_of, end_of, limit_of
from gpusched.cli.words import now
from gpusched.client import asking
from gpusched.client.document import Document
from gpusched.client.patience import granted, waits


def _allocating(parser: argparse.ArgumentParser) -> None:
    add_allocation(parser)
    parser.add_argument(
        "--attach-deadline",
        metavar="TIME",
        help="the lease ends after it unless a process is attached; default: the daemon's",
    )
    parser.add_argument(
        "--format",
        choices=("env", "docker", "json", "systemd"),
        help="env: for eval in a shell; docker: flags of `docker run` or `podman run`, for the"
        " engine of this host; systemd: an EnvironmentFile; json: the grant. Default: words on a"
        " terminal, env elsewhere",
    )


def _showing(parser: argparse.ArgumentParser) -> None:
    add_lease(parser)
    parser.add_argument(
        "--format",
        choices=("shell", "systemd", "docker"),
        default="shell",
        help="shell: for eval; systemd: an EnvironmentFile; docker: flags of `docker run` or"
        " `podman run`, for the engine of this host",
    )
    parser.add_argument(
        "--mask-format", choices=asking.MASK_FORMATS, help="how CUDA_VISIBLE_DEVICES names devices"
    )


def _allocate(invocation: Invocation) -> int:
    options = invocation.options
    request = request_of(options)
    if options.attach_deadline is not None:
        request["attach_deadline"] = asking.duration("attach_deadline", options.attach_deadline)
    form = options.format or ("words" if sys.stdout.isatty() else "env")
    # First: an engine that is refused costs no lease, and one that is slow none of its time.
    put = _in_form(invocation, form)
    grant = _granted(invocation, request)
    for sentence in grant.texts("warnings"):
        invocation.warn(sentence)
    if form == "json" and not invocation.json:
        show_json(grant.fields)
    elif form != "json":
        invocation.say(put(grant))
    return 0


def _granted(invocation: Invocation, request: dict[str, object]) -> Document:
    if not waits(request):
        return invocation.call("Leases/Allocate", request)
    grant = granted(invocation.client, request, invocation.warn)
    if invocation.json:
        show_json(grant.fields)
    return grant


def _environment(invocation: Invocation) -> int:
    options = invocation.options
    message: dict[str, object] = {"lease_id": options.lease}
    if options.mask_format is not None:
        message["mask_format"] = asking.mask_format("mask_format", options.mask_format)
    put = _in_form(invocation, options.format)
    grant = invocation.call("Leases/Environment", message)
    for sentence in grant.texts("warnings"):
        invocation.warn(sentence)
    invocation.say(put(grant))
    return 0


def _in_form(invocation: Invocation, form: str) -> Callable[[Document], str]:
    if form == "words":
        return grant_words
    if form == "docker":
        return _docker_flags(invocation)
    if form == "systemd":
        return lambda grant: environment_file(grant.words("environment"))
    return lambda grant: shell_exports(grant.words("environment"))


def shell_exports(environment: dict[str, str]) -> str:
    """Give the lines that a POSIX shell evaluates."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())


def environment_file(environment: dict[str, str]) -> str:
    """Give the lines of a systemd EnvironmentFile, which takes values in double quotes."""
    return "\n".join(f'{name}="{_escaped(value)}"' for name, value in environment.items())


def _docker_flags(invocation: Invocation) -> Callable[[Document], str]:
    # Here: only this form asks an engine, and the cold start is measured.
    from gpusched.cli.container_engine import engine_here  # noqa: PLC0415
    from gpusched.cli.container_flags import flags_of, refuse_too_old  # noqa: PLC0415

    engine = engine_here()
    refuse_too_old(engine)

    def put(grant: Document) -> str:
        flags = flags_of(grant, engine)
        for sentence in flags.remarks:
            invocation.warn(sentence)
        return flags.text

    return put


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def grant_words(grant: Document) -> str:
    """Give what a person needs to go on with a grant."""
    lease = grant.part("lease")
    name = lease.text("id")
    return "\n".join(
        (
            f"{name}: devices {devices_of(lease)}, {limit_of(lease)}; ends {end_of(lease, now())}",
            f'  its environment:     eval "$(gpusched env {name})"',
            f"  this shell under it: gpusched attach {name} --pid $$",
            f"  give it back:        gpusched release {name}",
        )
    )


COMMANDS = {
    "allocate": Command(_allocating, _allocate),
    "env": Command(_showing, _environment),
}
