"""`gpusched oci-hook`: puts a container that is being created under a lease.

A container runtime calls it as root of the host, as a lease's CDI document says, with the
container's state on its input. The container's first process is in its cgroup by then and has run
nothing of the image. Where this fails no container is started, and the runtime shows what it said.
Source: OCI runtime-spec, config.md (createRuntime hooks) and runtime.md (state).
"""

import json
import sys
from collections.abc import Sequence

from gpusched.client.errors import GpuschedError
from gpusched.client.thin import ThinClient

_SECONDS = 20.0
"""Less than a document gives the hook: the sentence must come first."""

_NOT_CALLED_BY_HAND = (
    "oci-hook is called by container runtimes with a container's state on its input;"
    " `gpusched attach LEASE --container C` attaches one that runs"
)


def oci_hook(words: Sequence[str]) -> int:
    """Attach the container; give the exit code.

    Args:
        words: `--lease`, the lease, `--socket`, and the daemon's socket.
    """
    match list(words):
        case ["--lease", lease, "--socket", socket]:
            pid = _first_process(sys.stdin.read())
        case _:
            return _failed(_NOT_CALLED_BY_HAND)
    if pid is None:
        return _failed(_NOT_CALLED_BY_HAND)
    message: dict[str, object] = {"lease_id": lease, "process": {"pid": pid}}
    try:
        ThinClient(socket, _SECONDS).call("Leases/Attach", message)
    except GpuschedError as error:
        return _failed(f"the container does not start: {error.sentence}")
    return 0


def _first_process(text: str) -> int | None:
    try:
        state = json.loads(text)
    except ValueError:
        return None
    pid = state.get("pid") if isinstance(state, dict) else None
    return pid if isinstance(pid, int) and pid > 0 else None


def _failed(sentence: str) -> int:
    print(f"gpusched: {sentence}", file=sys.stderr)  # noqa: T201 - what the runtime shows
    return 1
