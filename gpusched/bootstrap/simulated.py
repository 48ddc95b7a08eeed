"""`gpusched simulated-worker`: apart, for it must start fast and needs nothing of the daemon."""

from collections.abc import Sequence

from gpusched.adapters.nvml.simulated import worker


def simulated_worker(arguments: Sequence[str]) -> int:
    """Use simulated memory as a real process; return its exit code."""
    return worker.main(arguments)
