"""Which variables of a grant are advice, which a user's own settings outweigh.

The mask is the lease's, whatever was set before. How much of its limit each of several processes
takes is for their user to say. Imports nothing: `gpusched run` is started cold.
"""

from collections.abc import Mapping

ADVICE = {
    # JAX refuses to start with both names; the first is deprecated, and every version reads it.
    "XLA_PYTHON_CLIENT_MEM_FRACTION": "XLA_CLIENT_MEM_FRACTION",
    "TF_FORCE_GPU_ALLOW_GROWTH": "",
    "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": "",
}
"""Variables by which frameworks keep to a limit, each with its other name."""

_LEASE = "GPUSCHED_LEASE"


def settled(granted: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Give the variables of a grant without the advice that *own* variables outweigh."""
    return {
        name: value
        for name, value in granted.items()
        if not any(one in own for one in _outweighing(name, granted, own))
    }


def kept(granted: Mapping[str, str], own: Mapping[str, str]) -> list[str]:
    """Say, a sentence each, which advice of a grant differs from the user's and is not taken."""
    return [
        f"{one}={own[one]} stays as it was set; the lease's limit would be {value}"
        for name, value in granted.items()
        for one in _outweighing(name, granted, own)
        if own.get(one, value) != value
    ]


def _outweighing(name: str, granted: Mapping[str, str], own: Mapping[str, str]) -> tuple[str, ...]:
    """Give the variables which, where a user has set one, outweigh *name* of a grant."""
    if name not in ADVICE:
        return ()
    # Within another lease its own name was set by that, not by the user.
    if own.get(_LEASE) not in (None, granted.get(_LEASE)):
        return (ADVICE[name],)
    return (name, ADVICE[name])
