"""What a user waits for a command, from the start of its process to the end of it."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from time import perf_counter

from bench.figures import Contender, Figure, Goal, interleaved
from tools.stage import GPUSCHED, Failed, Stage

HOST = "8xH100"
ROUNDS = 31


def cold() -> list[Figure]:
    """Measure cold commands beside an empty Python."""
    with Stage(HOST) as stage:
        stage.start_daemon()
        contenders = (
            _contender("pass", stage, sys.executable, "-c", "pass"),
            _contender("status", stage, str(GPUSCHED), "status"),
            _contender("run", stage, str(GPUSCHED), "run", "--", "true"),
            _contender("true", stage, "true"),
        )
        interleaved(contenders, 2)
        rounds = interleaved(contenders, ROUNDS)
    names = ("pass", "status", "run", "true")
    python, status, run, true = (rounds.median(name) * 1e3 for name in names)
    return [
        rounds.ratio(
            "status",
            "pass",
            Goal(3),
            "gpusched status, cold / python -c pass",
            f"{status:.1f} / {python:.1f} ms",
        ),
        rounds.ratio(
            "run",
            "pass",
            Goal(5),
            "gpusched run -- true, cold / python -c pass",
            f"{run:.1f} / {python:.1f} ms",
        ),
        # Only informs: most of it is the start of Python, which the line above compares with.
        Figure(
            "gpusched run -- true, cold, more than true",
            run - true,
            "ms",
            None,
            f"{run:.1f} - {true:.1f} ms",
        ),
    ]


def _contender(name: str, stage: Stage, *words: str) -> Contender:
    def measure() -> Mapping[str, float]:
        return {name: _run(stage, words)}

    return measure


def _run(stage: Stage, words: Sequence[str]) -> float:
    began = perf_counter()
    # Without closing descriptors Python spawns instead of forking, which costs the least.
    process = subprocess.Popen(
        words,
        env=stage.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        close_fds=False,
    )
    code = process.wait()
    took = perf_counter() - began
    said = b"" if process.stderr is None else process.stderr.read()
    if process.stderr is not None:
        process.stderr.close()
    if code:
        raise Failed(f"`{' '.join(words)}` ended with {code}: {said.decode()}")
    return took
