"""A stand-in for the NVML process that behaves as badly as its first argument says.

Run as a script. The second argument names a file: each start appends a line to it.
"""

import sys
import time
from pathlib import Path
from typing import BinaryIO

from gpusched.adapters.nvml import wire
from gpusched.core.ids import Instant
from gpusched.core.sample import DriverVersions, NodeReading, Unavailable

STARTS = Path(sys.argv[2])


def _reading() -> bytes:
    now = Instant(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    return wire.frame(NodeReading(now, now, DriverVersions(), devices=()))


def _hang() -> None:
    while True:
        time.sleep(60)  # noqa: TID251 - killed in the midst of it, which is the point


def _wait_for_permission() -> None:
    while not STARTS.with_name("go").exists():
        time.sleep(0.005)  # noqa: TID251 - a process that is slow on purpose


def _misbehave(manner: str, ask: int, answers: BinaryIO) -> None:
    """What happens at a request instead of, or before, a proper answer."""
    first_start = len(STARTS.read_text().splitlines()) == 1
    if manner == "hang" or (manner == "hang-second" and ask == 2 and first_start):
        _hang()
    elif manner == "slow":
        _wait_for_permission()
    elif manner == "exit":
        sys.exit(7)
    elif manner == "garbage":
        answers.write(b"\0\0\0\x05hello")
    elif manner == "endless":
        answers.write(b"\xff\xff\xff\xff")
    elif manner == "stutter":
        answers.write(b"\0\0\0\x05he")
        answers.flush()
        sys.exit(0)
    elif manner == "refuse":
        answers.write(wire.frame(Unavailable("no driver")))
        answers.flush()
        sys.exit(1)


def main() -> None:
    """Answer as told."""
    with STARTS.open("a") as starts:
        starts.write("started\n")
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    ask = 0
    while requests.read(1):
        ask += 1
        answer = _reading()
        _misbehave(sys.argv[1], ask, answers)
        answers.write(answer)
        answers.flush()
    if sys.argv[1] == "deaf":
        _hang()


if __name__ == "__main__":
    main()
