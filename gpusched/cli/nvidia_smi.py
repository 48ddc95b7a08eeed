"""`gpusched nvidia-smi`: NVIDIA's flags and NVIDIA's output, from one survey of the daemon.

A link or copy named `nvidia-smi` is the same command. There what scripts expect goes before what
gpusched says elsewhere: without a daemon it is a host without a driver.
"""

import argparse
import os
import sys
from collections.abc import Callable

from gpusched import __version__
from gpusched.cli.command import Command, Invocation, complain, show_json
from gpusched.cli.smi import refusals
from gpusched.cli.smi.cells import lines_of, written
from gpusched.cli.smi.flags import Flags
from gpusched.cli.smi.layouts import DEFAULT, LAYOUTS
from gpusched.cli.smi.refusals import FAILED, NOT_THERE, SUCCESS, Refused
from gpusched.cli.smi.selection import NoSuchDevice, selected
from gpusched.cli.smi.survey import NO_PERMISSION, RESET_REQUIRED, Device, Survey
from gpusched.cli.terminal import columns
from gpusched.client.errors import DaemonUnreachable

NAME = "nvidia-smi"
_NO_DRIVER = 9
_WORDS = {
    NO_PERMISSION: "Failed to initialize NVML: Insufficient Permissions",
    _NO_DRIVER: "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    " Make sure that the latest NVIDIA driver is installed and running.\n",
    12: "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that"
    " the NVIDIA Display Driver is properly installed and present in your system.\n"
    "Please also try adding directory that contains libnvidia-ml.so to your system PATH.",
    18: "Failed to initialize NVML: Driver/library version mismatch",
    999: "Failed to initialize NVML: Unknown Error",
}
"""What nvidia-smi says where there is nothing to print, by NVML's code."""

_NO_DEVICES = "No devices were found"

Make = Callable[[Survey, list[Device]], list[str]]
"""Lays out a survey, of the GPUs that are meant."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    """Tell help and completion of the flags; `smi.flags` reads them, as NVIDIA spells them."""
    add = parser.add_argument
    add("-L", "--list-gpus", action="store_true", help="list the GPUs and their MIG devices")
    add("-i", "--id", metavar="ID", help="index, UUID, serial number or bus id, with commas")
    add("-f", "--filename", metavar="FILE", help="write into a file")
    add("-l", "--loop", metavar="SECONDS", help="again and again, until Ctrl-C")
    add("--loop-ms", metavar="MS", help="the same in milliseconds; also -lms")
    add("-q", "--query", action="store_true", help="everything of each GPU")
    add("-d", "--display", metavar="SECTIONS", help="with -q: only these, such as MEMORY,PIDS")
    add("-x", "--xml-format", action="store_true", help="with -q: as XML")
    add("--query-gpu", metavar="NAMES", help="these values of each GPU")
    add("--query-compute-apps", metavar="NAMES", help="these values of each compute process")
    add("--format", metavar="FORMAT", help="csv[,noheader][,nounits], with a query")
    add("--help-query-gpu", action="store_true", help="the names for --query-gpu")
    add("--help-query-compute-apps", action="store_true", help="those for the other query")
    add("--layout", choices=sorted(LAYOUTS), help=f"the driver branch (default {DEFAULT})")


def _run(invocation: Invocation) -> int:
    try:
        flags = Flags(invocation.options.command)
        listed = flags.value("help_names")
        if listed is not None:
            from gpusched.cli.smi.names import names_of  # noqa: PLC0415 - cold start: only help

            print(names_of(listed))
            return SUCCESS
        invocation.options.socket = flags.value("socket") or invocation.options.socket
        return _repeated(invocation, flags)
    except Refused as refused:
        print(refused)
        return refused.code
    except NoSuchDevice:
        print(_NO_DEVICES)
        return NOT_THERE
    except DaemonUnreachable as error:
        if os.path.basename(sys.argv[0]) != NAME:  # noqa: PTH119 - pathlib would cost the cold start
            raise
        print(_WORDS[_NO_DRIVER])
        complain(error.sentence)
        return _NO_DRIVER


def _repeated(invocation: Invocation, flags: Flags) -> int:
    code = _once(invocation, flags, _maker(flags), "wb")
    if flags.seconds is None:
        return code
    from threading import Event  # noqa: PLC0415 - cold start: not needed for a single output

    never = Event()  # Ctrl-C ends the wait
    following = _maker(flags, again=True)
    while True:
        never.wait(flags.seconds)
        _once(invocation, flags, following, "ab")


def _once(invocation: Invocation, flags: Flags, make: Make, mode: str) -> int:
    reply = invocation.client.call("Node/Survey")
    if "json" in flags or invocation.json:
        show_json(reply.fields)
        return SUCCESS
    survey = Survey(reply)
    sentence = reply.text("unavailable")
    if sentence:
        code = reply.number("unavailable_code")
        print(_WORDS.get(code, f"Failed to initialize NVML: {sentence}"))
        complain(sentence)
        return _exit_of(code)
    devices = selected(survey, flags.value("id"))
    if not devices and "list" not in flags:
        raise NoSuchDevice
    if reply.flag("simulated") and sys.stderr.isatty():
        # NVIDIA's layouts have no place for it, and scripts read standard error too.
        invocation.warn("SIMULATED: no real GPU is behind these numbers")
    _write(written(make(survey, devices)), flags, mode)
    failed = [one.failure.number("code") for one in devices if one.lost]
    return _exit_of(failed[0]) if failed else SUCCESS


def _exit_of(code: int) -> int:
    """Give NVML's code, as far as nvidia-smi ends with it."""
    return code if 0 < code < FAILED and code != RESET_REQUIRED else FAILED


def _write(output: bytes, flags: Flags, mode: str) -> None:
    file = flags.value("file")
    if file is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(output)
        sys.stdout.buffer.flush()
        return
    try:
        with open(file, mode) as target:  # noqa: PTH123 - pathlib would cost the cold start
            target.write(output)
    except OSError as error:
        complain(f"{file}: {error.strerror}")
        query = "query_gpu" in flags or "query_apps" in flags
        raise refusals.no_file(file, query=query) from None


def _maker(flags: Flags, *, again: bool = False) -> Make:
    """Say what lays out what was asked for; only that is loaded.

    Args:
        flags: What was asked for.
        again: Whether it follows an earlier output: a header is printed once.
    """
    if "query" in flags:
        return _everything(flags)
    if "query_gpu" in flags or "query_apps" in flags:
        return _csv(flags, again=again)
    if "list" in flags:
        from gpusched.cli.smi.listing import listing_lines  # noqa: PLC0415 - cold start

        return lambda _, devices: listing_lines(devices)
    if "version" in flags:
        return lambda survey, _: _versions(survey)
    from gpusched.cli.smi.screen import screen_lines  # noqa: PLC0415 - cold start

    layout = LAYOUTS[flags.layout]
    fixed = "layout" in flags or "file" in flags or not sys.stdout.isatty()
    room = 0 if fixed else columns() - layout.inner - 2
    return lambda survey, devices: screen_lines(survey, devices, layout, room)


def _csv(flags: Flags, *, again: bool) -> Make:
    from gpusched.cli.smi import query  # noqa: PLC0415 - cold start

    kind = "query_gpu" if "query_gpu" in flags else "query_apps"
    try:
        fields = query.fields_of(flags.given[kind], apps=kind == "query_apps")
    except query.UnknownField as unknown:
        raise Refused(f'Field "{unknown}" is not a valid field to query.\n') from None
    flags.check_formats()
    form = query.Format(
        header="noheader" not in flags.formats and not again,
        units="nounits" not in flags.formats,
        ceil=LAYOUTS[flags.layout].ceil,
    )
    make = query.gpu_lines if kind == "query_gpu" else query.app_lines
    return lambda survey, devices: make(survey, devices, fields, form)


def _everything(flags: Flags) -> Make:
    from gpusched.cli.smi.xml import xml_of  # noqa: PLC0415 - cold start

    if "xml" in flags:
        return lambda survey, devices: lines_of(xml_of(survey.document, _indices(devices)))
    from gpusched.cli.smi import text  # noqa: PLC0415 - cold start: brings a parser of XML

    sections = flags.value("display")
    try:
        wanted = None if sections is None else text.wanted_of(sections)
    except text.UnknownSection:
        raise Refused(refusals.NO_SUCH_SECTION) from None
    return lambda survey, devices: text.text_lines(
        xml_of(survey.document, _indices(devices)), wanted
    )


def _indices(devices: list[Device]) -> list[int]:
    return [one.index for one in devices]


def _versions(survey: Survey) -> list[str]:
    # NVML's own version has CUDA's major in front, which nvidia-smi leaves out, and the last part.
    nvml = ".".join(survey.words("nvml_version").split(".")[1:3])
    return [
        f"{title:<20}: {text}"
        for title, text in (
            ("gpusched version", __version__),
            ("NVML version", nvml or survey.words("nvml_version")),
            ("DRIVER version", survey.words("driver_version")),
            ("CUDA Version", survey.words("cuda_version")),
        )
    ]


COMMANDS = {NAME: Command(_arguments, _run)}
