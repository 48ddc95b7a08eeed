"""`gpusched doctor`: its words, what it prints, and how it ends."""

import argparse
import os
import sys

from gpusched.cli import exits
from gpusched.cli.command import Command, Invocation, show_json
from gpusched.cli.table import printable
from gpusched.doctor.examine import examine, worst
from gpusched.doctor.finding import Finding, Level
from gpusched.doctor.situation import NEWER_THAN, Situation
from gpusched.doctor.versions import Version, written

_NAME = 19
_LEVEL = 6
_COLOURS = {Level.OK: "32", Level.WARN: "33", Level.FAIL: "31"}


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--cuda",
        type=_version,
        metavar="VERSION",
        help="CUDA version that the driver must offer at least; else"
        f" newer than {written(NEWER_THAN)}",
    )
    add(
        "--state-dir",
        metavar="DIR",
        help="the daemon's; else $GPUSCHED_STATE_DIR, /var/lib/gpusched",
    )


def _version(text: str) -> Version:
    parts = text.split(".")
    if len(parts) > 3 or not all(one.isascii() and one.isdigit() for one in parts):  # noqa: PLR2004 - 12.8.1
        raise argparse.ArgumentTypeError(f"{text!r} is not a version; write for example 12.4")
    return tuple(int(one) for one in parts[:2])


def diagnose(invocation: Invocation, situation: Situation) -> int:
    """Make all checks and print what they find; give the exit code.

    Returns:
        0, or `exits.NEVER_HERE` where a finding is FAIL.
    """
    quiet = invocation.options.quiet
    findings: list[Finding] = []
    for one in examine(situation, lambda name: None if quiet else _still(name)):
        findings.append(one)
        if not (quiet and one.level is Level.OK):
            invocation.say("\n".join(_lines(one)))
            sys.stdout.flush()
    count = {level: sum(one.level is level for one in findings) for level in Level}
    if invocation.json:
        show_json({"findings": list(map(_fields, findings)), "worst": worst(findings).value})
    invocation.note(", ".join(f"{many} {level.value}" for level, many in count.items()))
    return exits.NEVER_HERE if count[Level.FAIL] else exits.OK


def _still(name: str) -> None:
    print(f"· {name}: still looking", file=sys.stderr, flush=True)


def _lines(finding: Finding) -> list[str]:
    level = f"{finding.level.value:<{_LEVEL}}"
    if _coloured():
        level = f"\x1b[{_COLOURS[finding.level]}m{level}\x1b[0m"
    lines = [f"{level}{finding.name:<{_NAME}}{printable(finding.seen)}"]
    if finding.advice:
        lines.append(f"{'':<{_LEVEL + _NAME}}→ {printable(finding.advice)}")
    return lines


def _coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _fields(finding: Finding) -> dict[str, object]:
    return {
        "name": finding.name,
        "level": finding.level.value,
        "seen": finding.seen,
        "advice": finding.advice,
    }


def _run(_invocation: Invocation) -> int:
    """Never reached: `main` hands `doctor` on to its caller."""
    raise NotImplementedError("doctor is run by whoever calls main")


COMMANDS = {"doctor": Command(_arguments, _run)}
