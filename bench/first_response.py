"""What a user of BentoML waits from the start of `serve` to the first answer of his service."""

import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

from bench.figures import Contender, Figure, Goal, interleaved
from tools.stage import GPUSCHED, ROOT, Failed, Stage, waiting

HOST = "8xH100"
ROUNDS = 9
NOISE = Goal(1.1)
"""No difference beyond what rounds of the same differ by."""

_BENTOML = ROOT / ".cache" / "bentoml" / "1.4" / "bin"
_SECONDS = 60.0
_SERVICE = """
import bentoml

@bentoml.service(resources={"gpu": 1})
class Service:
    @bentoml.api
    async def answer(self) -> str:
        return "here"
"""


def first_response() -> list[Figure]:
    """Measure BentoML by itself, below `gpusched run`, and with a lease for each service.

    Raises:
        Failed: BentoML is not there, or does not answer.
    """
    if not (_BENTOML / "bentoml").exists():
        raise Failed("there is no BentoML; `make bentoml` installs it")
    with Stage(HOST) as stage:
        stage.start_daemon()
        (stage.folder / "service.py").write_text(_SERVICE)
        contenders = (
            _contender("alone", stage, "bentoml"),
            _contender("run", stage, str(GPUSCHED), "run", "--", "bentoml"),
            _contender("serve", stage, str(GPUSCHED), "bentoml"),
        )
        interleaved(contenders, 1)
        rounds = interleaved(contenders, ROUNDS)
    alone, run, serve = (rounds.median(name) for name in ("alone", "run", "serve"))
    return [
        rounds.ratio(
            "run",
            "alone",
            NOISE,
            "first answer, gpusched run -- bentoml / bentoml",
            f"{run:.2f} / {alone:.2f} s",
        ),
        rounds.ratio(
            "serve",
            "alone",
            NOISE,
            "first answer, gpusched bentoml / bentoml",
            f"{serve:.2f} / {alone:.2f} s",
        ),
    ]


def _contender(name: str, stage: Stage, *before: str) -> Contender:
    def measure() -> Mapping[str, float]:
        return {name: _first_answer(stage, before)}

    return measure


def _first_answer(stage: Stage, before: Sequence[str]) -> float:
    """Give the seconds from the start of the command to the answer of the service."""
    port = _free_port()
    where = ("--working-dir", str(stage.folder), "--host", "127.0.0.1", "--port", str(port))
    environment = {
        name: value for name, value in stage.environment.items() if name != "PYTHONPATH"
    }
    environment |= {
        "PATH": f"{_BENTOML}:{os.environ['PATH']}",
        "BENTOML_HOME": str(stage.folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        # Where BentoML leaves sockets, as it is killed.
        "TMPDIR": str(stage.folder),
    }
    began = perf_counter()
    process = subprocess.Popen(
        [*before, "serve", "service:Service", *where],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/answer", process)
        return perf_counter() - began
    finally:
        _end(process)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    request = urllib.request.Request(  # noqa: S310 - of this machine
        url, b"{}", {"Content-Type": "application/json"}
    )
    for _ in waiting(_SECONDS, "the service to answer"):
        if process.poll() is not None:
            raise Failed(f"BentoML ended with {process.returncode}")
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as reply:  # noqa: S310 - as above
                reply.read()
        except (urllib.error.URLError, ConnectionError):
            continue
        return


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it with its workers, which would outlive it; its own end takes a second."""
    lists = Path(f"/proc/{process.pid}/task").glob("*/children")
    workers = [os.pidfd_open(int(pid)) for one in lists for pid in one.read_text().split()]
    process.kill()
    process.wait()
    for worker in workers:
        signal.pidfd_send_signal(worker, signal.SIGKILL)
        os.close(worker)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
