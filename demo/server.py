"""A server of two workers, forked as gunicorn's and its like are: each takes a device of its own.

Run as `python -m demo.server` under a lease of two devices.
"""

import os
import sys

import gpusched

WORKERS = 2


def work(number: int) -> None:
    """Take this worker's device of the lease that the server is under."""
    held = gpusched.worker_lease(number)
    (device,) = held.devices
    print(f"worker {held.index} of {held.id} has {held.torch_device()}, {device.uuid}", flush=True)


def main() -> int:
    """Fork the workers; 0 where each had its device."""
    pids = []
    for number in range(WORKERS):
        pid = os.fork()
        if not pid:
            work(number)
            os._exit(0)
        pids.append(pid)
    return max(os.waitpid(pid, 0)[1] for pid in pids)


if __name__ == "__main__":
    sys.exit(main())
