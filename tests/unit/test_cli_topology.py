"""The matrix of `gpusched devices --topology`."""

from gpusched.cli.topology_table import topology_lines
from gpusched.client.document import Document
from tests.fakes.messages import Fields


def gpu(index: int | None, **links: Fields) -> Document:
    """A GPU with its links by the letter of the other."""
    listed = [{"peer_uuid": f"GPU-{name}", **link} for name, link in links.items()]
    fields: Fields = {"uuid": f"GPU-{'abc'[index or 0]}", "links": listed}
    if index is not None:
        fields |= {"index": index, "numa_node": index // 2}
    return Document(fields)


def near(word: str, nvlinks: int = 0, *, unread: bool = False) -> Fields:
    return {
        "common_ancestor": f"COMMON_ANCESTOR_{word}",
        "nvlinks": nvlinks,
        "nvlinks_unread": unread,
    }


def test_the_matrix_is_that_of_nvidia_smi() -> None:
    """Pairs are told in the words of `nvidia-smi topo -m`; what is unknown is `?`."""
    devices = [
        gpu(0, b=near("NODE", 4), c=near("SYSTEM")),
        gpu(1, a=near("NODE", 4), c=near("MULTIPLE", unread=True)),
        gpu(2, a=near("SYSTEM"), b=near("UNSPECIFIED")),
        Document({"uuid": "MIG-a", "index": 0, "mig": {"parent_uuid": "GPU-a"}}),
    ]
    lines = topology_lines(devices, None)
    assert [line.split() for line in lines[:4]] == [
        ["GPU0", "GPU1", "GPU2", "NUMA", "NODE"],
        ["GPU0", "X", "NV4", "SYS", "0"],
        ["GPU1", "NV4", "X", "?", "0"],
        ["GPU2", "SYS", "?", "X", "1"],
    ]
    assert lines[-2].startswith("NV#: joined by so many NVLinks")


def test_a_lost_gpu_is_named_by_its_uuid() -> None:
    """A GPU that does not answer has no index, no links and no NUMA node that is known."""
    lines = topology_lines([gpu(None)], None)
    assert lines[1].split() == ["GPU-a", "X", "-"]
