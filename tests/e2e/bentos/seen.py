"""What a worker says of itself: who it is, what it was given, which devices it can open."""

import errno
import os
import time
from pathlib import Path

import bentoml

ANSWER_SECONDS = 0.1
"""How long a worker takes to answer, and cannot take another call: its sibling gets that."""


def seen() -> dict[str, object]:
    """Say it."""
    time.sleep(ANSWER_SECONDS)
    nodes = sorted(Path(os.environ["SEEN_NODES"]).glob("nvidia[0-9]*"))
    return {
        "pid": os.getpid(),
        "worker": bentoml.server_context.worker_index,
        "service": bentoml.server_context.service_name,
        "environment": dict(os.environ),
        "opened": sorted(int(one.name[6:]) for one in nodes if _opens(one)),
    }


def _opens(node: Path) -> bool:
    """Say whether the kernel lets it through: no driver answers for the simulator's nodes."""
    try:
        os.close(os.open(node, os.O_RDWR))
    except OSError as error:
        return error.errno == errno.ENXIO
    return True
