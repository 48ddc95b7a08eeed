"""The matrix of `gpusched devices --topology`, in the words of `nvidia-smi topo -m`."""

from gpusched.cli.table import Column, lines_of
from gpusched.cli.words import NONE, device_name
from gpusched.client.document import Document

_WORDS = {
    "COMMON_ANCESTOR_INTERNAL": "PIX",  # two GPUs of one board
    "COMMON_ANCESTOR_SINGLE": "PIX",
    "COMMON_ANCESTOR_MULTIPLE": "PXB",
    "COMMON_ANCESTOR_HOST_BRIDGE": "PHB",
    "COMMON_ANCESTOR_NODE": "NODE",
    "COMMON_ANCESTOR_SYSTEM": "SYS",
}
_UNKNOWN = "?"
_LEGEND = (
    "NV#: joined by so many NVLinks. Over PCIe: PIX one switch, PXB several switches,",
    "PHB one host bridge, NODE one NUMA node, SYS across NUMA nodes. ?: not known",
)


def topology_lines(devices: list[Document], width: int | None) -> list[str]:
    """Lay out how the GPUs of messages `Device` are joined; MIG instances are left out."""
    gpus = [one for one in devices if "mig" not in one]
    names = [_name(one) for one in gpus]
    columns = [Column(""), *(Column(name) for name in names), Column("NUMA NODE", right=True)]
    rows = [
        [name, *(_cell(one, other) for other in gpus), _numa(one)]
        for name, one in zip(names, gpus, strict=True)
    ]
    return [*lines_of(columns, rows, width), "", *_LEGEND]


def _name(device: Document) -> str:
    name = device_name(device)
    return f"GPU{name}" if name.isdigit() else name


def _numa(device: Document) -> str:
    node = device.optional("numa_node")
    return NONE if node is None else str(node)


def _cell(device: Document, other: Document) -> str:
    uuid = other.text("uuid")
    if device.text("uuid") == uuid:
        return "X"
    links = (one for one in device.parts("links") if one.text("peer_uuid") == uuid)
    link = next(links, Document({}))
    if link.number("nvlinks"):
        return f"NV{link.number('nvlinks')}"
    if link.flag("nvlinks_unread"):
        return _UNKNOWN
    return _WORDS.get(link.text("common_ancestor"), _UNKNOWN)
