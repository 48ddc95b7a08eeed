"""A model worker as users write it: asks over gRPC, then uses what it was granted.

Run as `python -m demo.worker NAME MEMORY KEY=VALUE…` with the arguments of `Client.allocate`. It
becomes `gpusched simulated-worker`, which takes the memory: the same process, so the lease stays
its own until it ends.
"""

import os
import sys
from pathlib import Path

import gpusched
from gpusched.client.wish import Wish


def main(name: str, memory: str, words: list[str]) -> None:
    """Ask for devices, say what came of it, and become the process that uses them."""
    said = dict(word.split("=") for word in words)
    wish = Wish(attach_caller=True, labels={"demo": name}, gpus=int(said.get("gpus", "1")))
    if "memory" in said:
        wish["memory"] = said["memory"]
    if "gpu_types" in said:
        wish["gpu_types"] = [said["gpu_types"]]
    with gpusched.Client() as client:
        grant = client.allocate(**wish)
    visible = grant.environment["CUDA_VISIBLE_DEVICES"]
    print(f"{name}: {grant.lease.id}, CUDA_VISIBLE_DEVICES={visible}", flush=True)
    command = Path(sys.executable).with_name("gpusched")
    environment = {**os.environ, **grant.environment}
    os.execve(  # noqa: S606 - no shell is wanted
        command, [str(command), "simulated-worker", "--memory", memory], environment
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
