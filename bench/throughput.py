"""How many durable calls 64 clients get a second, and what a slow disk does to that."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Contender, Figure, Goal, interleaved
from tools.stage import ROOT, Failed, Stage, end

HOST = "8xH100"
ROUNDS = 11
SECONDS = 1.5
"""How long one contender is measured in one round, after its warm-up."""

PROCESSES, CLIENTS = 2, 64
DELAY_MS = 2


class SlowStage(Stage):
    """The stage, with a daemon whose every commit takes longer."""

    def __init__(self, simulate: str) -> None:
        super().__init__(simulate)
        slow = (sys.executable, "-m", "bench.slow_daemon", str(DELAY_MS))
        self._serve = [*slow, *self._serve[1:]]


class Load:
    """Client processes on one daemon."""

    def __init__(self, socket: Path) -> None:
        words = [sys.executable, "-m", "bench.load", str(socket), str(CLIENTS // PROCESSES)]
        self._processes = [
            subprocess.Popen(
                words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(PROCESSES)
        ]
        self.refused = 0

    def wait_ready(self) -> None:
        """Wait until every client is connected."""
        for process in self._processes:
            _line(process)

    def contender(self, kind: str, name: str) -> Contender:
        """Make what measures calls a second.

        Args:
            kind: `null` or `durable`.
            name: Of the value.
        """

        def measure() -> Mapping[str, float]:
            return {name: self.play(kind, SECONDS) / SECONDS}

        return measure

    def play(self, kind: str, seconds: float) -> int:
        """Let all clients call for *seconds*; give how many calls were answered."""
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.write(f"{kind} {seconds}\n")
                process.stdin.flush()
        answers = [json.loads(_line(process)) for process in self._processes]
        self.refused += sum(answer["refused"] for answer in answers)
        return sum(answer["calls"] for answer in answers)

    def end(self) -> None:
        """End the processes."""
        for process in self._processes:
            end(process)
            if process.stdin is not None:
                process.stdin.close()


@contextmanager
def loaded(stage: Stage) -> Iterator[Load]:
    """Start the daemon of *stage*, and clients on it."""
    stage.start_daemon()
    load = Load(stage.socket)
    try:
        load.wait_ready()
        yield load
    finally:
        load.end()


def throughput() -> list[Figure]:
    """Measure calls a second."""
    with (
        Stage(HOST) as stage,
        SlowStage(HOST) as slow_stage,
        loaded(stage) as load,
        loaded(slow_stage) as slow_load,
    ):
        contenders = (
            load.contender("null", "null"),
            load.contender("durable", "durable"),
            slow_load.contender("durable", "slow"),
        )
        interleaved(contenders, 1)
        rounds = interleaved(contenders, ROUNDS)
        refused = load.refused + slow_load.refused
    if refused:
        raise Failed(f"{refused} calls were refused; the figures would be of refusals")
    null, durable, slow = (rounds.median(name) for name in ("null", "durable", "slow"))
    return [
        rounds.ratio(
            "durable",
            "null",
            Goal(0.85, at_least=True),
            f"durable / null calls a second, {CLIENTS} clients",
            f"{durable:.0f} / {null:.0f} calls/s, {refused} refused",
        ),
        rounds.ratio(
            "slow",
            "durable",
            Goal(0.8, at_least=True),
            f"durable with {DELAY_MS} ms more a commit / without",
            f"{slow:.0f} / {durable:.0f} calls/s",
        ),
    ]


def _line(process: subprocess.Popen[str]) -> str:
    line = "" if process.stdout is None else process.stdout.readline()
    if not line:
        raise Failed(f"a client process ended with {process.wait()}; it said why above")
    return line
