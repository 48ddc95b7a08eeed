"""How a test runs `gpusched run` over a lease without a cgroup."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.fakes.gateway import gateway, reply
from tests.fakes.messages import Fields, lease

ANSWERS = {
    "Leases/Allocate": reply({"lease": lease("lease-a"), "environment": {"WORD": "said"}}),
    "Leases/Release": reply({}),
}
RUN = (sys.executable, "-m", "gpusched", "run", "--")
QUEUE = "import signal as s; S = {int(one) for one in '%s'.split()}; s.pthread_sigmask(0, S);"
"""Python that holds back the signals with these numbers."""


@contextmanager
def running(
    folder: Path, *words: str, asked: list[tuple[str, Fields]] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Runs *words*, which lead to `gpusched run`, and ends it if it has not ended."""
    with gateway(folder, ANSWERS) as served:
        process = subprocess.Popen(  # noqa: S603 - our own command
            words,
            env={"PATH": os.environ["PATH"], "GPUSCHED_SOCKET": str(served.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()
        if asked is not None:
            asked += served.asked


def ended(folder: Path, *words: str) -> tuple[int, str, str]:
    """Runs to the end; gives the code, and what was said on both outputs."""
    with running(folder, *words) as process:
        out, err = process.communicate(timeout=20)
    return process.returncode, out, err


def line(stream: IO[str] | None) -> str:
    """Reads a line without its end."""
    assert stream is not None
    return stream.readline().rstrip("\n")
