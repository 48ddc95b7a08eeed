"""What the front costs: the same null RPC through it and without it."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter

import grpc

from bench.figures import Contender, Figure, Goal, interleaved
from bench.null_server import METHOD, SERVICE
from tools.stage import ROOT, Failed, end

ROUNDS = 31
CALLS = 200
"""Calls of one contender in one round."""


def splice() -> list[Figure]:
    """Measure what one client waits, with and without the front."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gps-", dir="/tmp")))
        server = subprocess.Popen(
            [sys.executable, "-m", "bench.null_server", str(folder)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(end, server)
        if server.stdout is None or not server.stdout.readline():
            raise Failed("the null server did not start")
        paths = {"front": folder / "front", "direct": folder / "private" / "direct"}
        contenders = [_contender(name, path, stack) for name, path in paths.items()]
        interleaved(contenders, 2)
        rounds = interleaved(contenders, ROUNDS)
    front, direct = rounds.median("front") * 1e6, rounds.median("direct") * 1e6
    detail = f"{front:.0f} / {direct:.0f} µs"
    title = "null RPC through the front / direct, p50"
    return [rounds.ratio("front", "direct", Goal(1.25), title, detail)]


def _contender(name: str, path: Path, stack: ExitStack) -> Contender:
    channel = stack.enter_context(grpc.insecure_channel(f"unix:{path}"))
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes]
    call = channel.unary_unary(f"/{SERVICE}/{METHOD}")

    def measure() -> Mapping[str, float]:
        times = []
        for _ in range(CALLS):
            began = perf_counter()
            call(b"")
            times.append(perf_counter() - began)
        return {name: median(times)}

    return measure
