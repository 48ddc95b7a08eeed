"""Check of the device nodes: masks name their numbers, and who may not open one has no GPU."""

import re
from collections.abc import Iterator
from typing import Final

from gpusched.doctor.finding import Remark, Remarks, fail, ok, warn
from gpusched.doctor.host import Host, Node
from gpusched.doctor.kernel_driver import FOLDER
from gpusched.doctor.situation import Situation

_MAJOR: Final = (
    195  # Documentation/admin-guide/devices.txt; the names' minors: nv-chardev-numbers.h
)
_CONTROL: Final = 255
_MODESET: Final = 254
_NODE: Final = re.compile(r"nvidia(\d+)$")
_CAP: Final = re.compile(r"^DeviceFileMinor:\s*(\d+)", re.MULTILINE)
_ALL: Final = 0o666
_READ: Final = 0o444
_MAKE: Final = "`sudo nvidia-modprobe -c 0 -u` makes them, and so does `sudo nvidia-smi`"


def check_nodes(situation: Situation) -> Remarks:
    """Compare the nodes in `/dev` with what the driver has."""
    host = situation.host
    if not situation.loaded.version:
        yield _without_driver(host)
        return
    minors = [one.minor for one in situation.gpus if one.minor is not None]
    wanted = {f"/dev/nvidia{minor}": (_MAJOR, minor) for minor in minors}
    wanted["/dev/nvidiactl"] = (_MAJOR, _CONTROL)
    optional = _optional(host)
    nodes = {path: host.node(path) for path in (*wanted, *optional)}
    wrong = list(_wrong(nodes, wanted | optional))
    yield from wrong
    yield from _missing(nodes, tuple(wanted), uvm="/dev/nvidia-uvm" in optional)
    yield from _closed(nodes)
    if len(minors) == len(situation.gpus):  # else a node may be that of a GPU that says nothing
        yield from _left_over(host, minors)
    if not wrong:
        there = {path for path, node in nodes.items() if node is not None}
        gpus = sum(f"/dev/nvidia{minor}" in there for minor in minors)
        yield ok(f"{len(there)} nodes, of them {gpus} GPUs; numbers as the driver says")
    yield from _capabilities(host)


def _without_driver(host: Host) -> Remark:
    found = [one for one in host.entries("/dev") if one.startswith("nvidia")]
    if found:
        return warn(
            f"{', '.join(found)} in /dev, and no driver: left behind, or made by a failed start of"
            " NVML",
            "nothing; they prove no driver",
        )
    return ok("none, as there is no driver")


def _optional(host: Host) -> dict[str, tuple[int, int]]:
    """Give the nodes that not every host has, by the majors that the kernel gave them."""
    majors = _majors(host)
    found = {"/dev/nvidia-modeset": (_MAJOR, _MODESET)}
    if "nvidia-uvm" in majors:
        found["/dev/nvidia-uvm"] = (majors["nvidia-uvm"], 0)
        found["/dev/nvidia-uvm-tools"] = (majors["nvidia-uvm"], 1)
    return found


def _majors(host: Host) -> dict[str, int]:
    lines = (line.split() for line in (host.read("/proc/devices") or "").splitlines())
    return {words[1]: int(words[0]) for words in lines if len(words) == 2 and words[0].isdigit()}  # noqa: PLR2004 - number and name


def _wrong(nodes: dict[str, Node | None], wanted: dict[str, tuple[int, int]]) -> Iterator[Remark]:
    for path, node in nodes.items():
        if node is None:
            continue
        major, minor = wanted[path]
        if not node.character:
            yield fail(f"{path} is no device node", f"remove it; {_MAKE}")
        elif (node.major, node.minor) != (major, minor):
            yield fail(
                f"{path} is {node.major}:{node.minor}, the driver's is {major}:{minor}: it opens"
                " another device or none",
                f"remove it; {_MAKE}",
            )


def _missing(
    nodes: dict[str, Node | None], wanted: tuple[str, ...], *, uvm: bool
) -> Iterator[Remark]:
    needed = (*wanted, "/dev/nvidia-uvm") if uvm else wanted
    missing = [path for path in needed if nodes[path] is None]
    if missing:
        yield warn(
            f"{', '.join(missing)}: not there; they are made when root first uses them, and a"
            " container has those that it was given",
            _MAKE,
        )
    if not uvm:
        yield warn(
            "the module nvidia-uvm is not loaded: CUDA programs of ordinary users do not start",
            "`sudo nvidia-modprobe -c 0 -u`, or start nvidia-persistenced at boot",
        )


def _closed(nodes: dict[str, Node | None]) -> Iterator[Remark]:
    closed = [
        f"{path} ({node.mode:04o})"
        for path, node in nodes.items()
        if node is not None and node.character and node.mode & _ALL != _ALL
    ]
    if closed:
        yield warn(
            f"not open to everybody: {', '.join(closed)}; whose lease has it and who is not let in"
            " by the mode gets `permission denied`",
            "where that is not meant: NVreg_DeviceFileMode=0666 for the module nvidia; gpusched's"
            " masks narrow, they do not widen",
        )


def _left_over(host: Host, minors: list[int]) -> Iterator[Remark]:
    matches = (_NODE.match(one) for one in host.entries("/dev"))
    extra = sorted(int(one[1]) for one in matches if one and int(one[1]) not in minors)
    if extra:
        names = ", ".join(f"/dev/nvidia{minor}" for minor in extra)
        yield warn(
            f"{names}: no GPU of the driver has this minor; it fell off the bus, or was taken out",
            "look at `dmesg | grep NVRM`; a GPU that is back after a reset may have another minor",
        )


def _capabilities(host: Host) -> Iterator[Remark]:
    """Look at the nodes of MIG instances: a CUDA process needs those of its own."""
    minors = sorted(_capability_minors(host, f"{FOLDER}/capabilities"))
    nodes = {n: host.node(f"/dev/nvidia-caps/nvidia-cap{n}") for n in minors}
    missing = [f"nvidia-cap{n}" for n, node in nodes.items() if node is None]
    closed = [f"nvidia-cap{n}" for n, node in nodes.items() if node and node.mode & _READ != _READ]
    if missing:
        yield warn(
            f"/dev/nvidia-caps lacks {', '.join(missing)} of MIG instances",
            "`sudo nvidia-modprobe -f FILE` for each `access` below"
            f" {FOLDER}/capabilities makes them",
        )
    if closed:
        yield warn(
            f"/dev/nvidia-caps: {', '.join(closed)} may not be read by everybody",
            "`chmod 0444` them where every user may get a MIG instance",
        )


def _capability_minors(host: Host, folder: str) -> Iterator[int]:
    """Go over the instances: `gpu0/mig/gi1/access` and `gpu0/mig/gi1/ci0/access`."""
    for gpu in host.entries(folder):
        if not gpu.startswith("gpu"):
            continue
        for instance in host.entries(f"{folder}/{gpu}/mig"):
            place = f"{folder}/{gpu}/mig/{instance}"
            inner = [f"{place}/{one}" for one in host.entries(place) if one != "access"]
            for one in (place, *inner):
                found = _CAP.search(host.read(f"{one}/access") or "")
                if found:
                    yield int(found[1])
