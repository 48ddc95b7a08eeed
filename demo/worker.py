"""A model worker as users write it: asks over gRPC, then uses what it was granted.

Run as `python -m demo.worker NAME MEMORY ALLOCATION…` where ALLOCATION are `key=value` arguments
of `gpusched.lease`. It becomes `gpusched simulated-worker`, which takes the memory: same process,
so the lease is its own until it ends.
"""

import os
import sys
from pathlib import Path

import gpusched


def main(name: str, memory: str, wishes: list[str]) -> None:
    """Ask for devices, say what came of it, and become the process that uses them."""
    wanted: dict[str, str | int | list[str]] = {}
    for wish in wishes:
        key, _, value = wish.partition("=")
        wanted[key] = int(value) if value.isdigit() else value
    if "gpu_types" in wanted:
        wanted["gpu_types"] = str(wanted["gpu_types"]).split(",")
    with gpusched.Client() as client:
        lease = client.allocate(attach_caller=True, labels={"demo": name}, **wanted)
    print(
        f"{name}: {lease.id}, CUDA_VISIBLE_DEVICES={lease.env['CUDA_VISIBLE_DEVICES']}", flush=True
    )
    command = Path(sys.executable).with_name("gpusched")
    environment = {**os.environ, **lease.env}
    os.execve(command, [command, "simulated-worker", "--memory", memory], environment)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
