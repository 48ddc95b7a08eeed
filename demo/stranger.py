"""A second user's worker that helps itself: it asks for one device and then goes for another.

Run as `python -m demo.stranger UID INDEX`, as root: it becomes UID before it asks. It prints what
the kernel answers when it opens its own device's node, and that of device INDEX.
"""

import errno
import os
import sys

from gpusched.client.address import socket_path
from gpusched.client.document import Document
from gpusched.client.thin import ThinClient


def main(uid: int, index: int) -> None:
    """Ask, then open what was granted and what was not."""
    client = ThinClient(socket_path(None, os.environ))
    client.call("Node/Ping")  # what is imported late is imported now: UID may not read it
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    grant = client.call("Leases/Allocate", {"gpu_types": ["a100"], "attach_caller": True})
    lease, own = grant.part("lease").text("id"), grant.parts("devices")[0]
    granted = grant.words("environment")["CUDA_VISIBLE_DEVICES"]
    print(f"{lease}: uid {os.geteuid()} has CUDA_VISIBLE_DEVICES={granted}")
    listed = client.call("Devices/List").parts("devices")
    foreign = next(one for one in listed if one.optional("index") == index)
    os.environ["CUDA_VISIBLE_DEVICES"] = forced = foreign.text("uuid")
    print(f"it sets CUDA_VISIBLE_DEVICES={forced} and opens the nodes, as CUDA would:")
    for what, device in (("leased", own), ("foreign", foreign)):
        path = _node(device)
        print(f"{what} {os.path.basename(path)}: {_opened(path)}")  # noqa: PTH119 - pathlib is not loaded


def _node(device: Document) -> str:
    return device.parts("nodes")[0].text("path")


def _opened(path: str) -> str:
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError as error:
        name = errno.errorcode[error.errno or 0]
        meaning = "no driver behind a simulated node" if name == "ENXIO" else "the mask"
        return f"{name} ({error.strerror}: {meaning})"
    return "opened"


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
