"""`gpusched allocate` and `gpusched env`: a grant in the form that the next program reads."""

import argparse
import shlex
import sys

from gpusched.cli.allocation import add_allocation, request_of
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
        choices=("env", "docker", "json"),
        help="env: for eval in a shell; docker: flags of `docker run`; json: the grant. Default:"
        " words on a terminal, env elsewhere",
    )


def _showing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lease", metavar="LEASE", help="a lease's id, or the beginning of it")
    parser.add_argument(
        "--format",
        choices=("shell", "systemd", "docker"),
        default="shell",
        help="shell: for eval; systemd: an EnvironmentFile; docker: flags of `docker run`",
    )
    parser.add_argument(
        "--mask-format", choices=asking.MASK_FORMATS, help="how CUDA_VISIBLE_DEVICES names devices"
    )


def _allocate(invocation: Invocation) -> int:
    options = invocation.options
    request = request_of(options)
    if options.attach_deadline is not None:
        request["attach_deadline"] = asking.duration("attach_deadline", options.attach_deadline)
    grant = _granted(invocation, request)
    for sentence in grant.texts("warnings"):
        invocation.warn(sentence)
    form = options.format or ("words" if sys.stdout.isatty() else "env")
    if form == "json" and not invocation.json:
        show_json(grant.fields)
    elif form != "json":
        invocation.say(_in_form(grant, form))
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
    grant = invocation.call("Leases/Environment", message)
    for sentence in grant.texts("warnings"):
        invocation.warn(sentence)
    invocation.say(_in_form(grant, options.format))
    return 0


def _in_form(grant: Document, form: str) -> str:
    if form == "words":
        return grant_words(grant)
    if form == "docker":
        return docker_flags(grant)
    if form == "systemd":
        return environment_file(grant.words("environment"))
    return shell_exports(grant.words("environment"))


def shell_exports(environment: dict[str, str]) -> str:
    """Give the lines that a POSIX shell evaluates."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())


def environment_file(environment: dict[str, str]) -> str:
    """Give the lines of a systemd EnvironmentFile, which takes values in double quotes."""
    return "\n".join(f'{name}="{_escaped(value)}"' for name, value in environment.items())


def docker_flags(grant: Document) -> str:
    """Give the flags of `docker run`; the quotes inside keep Docker from parting the list."""
    devices = ",".join(one.text("uuid") for one in grant.parts("devices"))
    words = ["--gpus", f'"device={devices}"'] if devices else []
    for name, value in grant.words("container_environment").items():
        words += ["-e", f"{name}={value}"]
    return shlex.join(words)


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
