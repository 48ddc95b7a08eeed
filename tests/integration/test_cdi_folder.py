"""Documents on disk: whole or not there, readable by every engine, and NVIDIA's found beside."""

import json
import os
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gpusched.adapters.cdi.folder import CdiFolder
from gpusched.core.ids import LeaseId

ONE, TWO = LeaseId("lease-1"), LeaseId("lease-2")
NVIDIA = "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: '0'\n"


def folder_at(place: Path, name: str = "gpusched", *looks: Path) -> CdiFolder:
    """A folder of documents."""
    return CdiFolder(place, name, looks)


def test_a_document_is_written_and_removed(tmp_path: Path) -> None:
    """The folder is made, everybody may read the document, and nothing else lies there."""
    place = tmp_path / "run/cdi"
    documents = folder_at(place)
    before = os.umask(0o077)
    try:
        documents.put(ONE, {"kind": "k"}, public=True)
    finally:
        os.umask(before)
    (file,) = place.iterdir()
    assert file.name == "gpusched-lease-1.json"
    assert json.loads(file.read_text()) == {"kind": "k"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    documents.put(ONE, {"kind": "other"}, public=True)
    assert json.loads(file.read_text()) == {"kind": "other"}
    for _ in range(2):
        documents.remove(ONE)
    assert list(place.iterdir()) == []


def test_a_document_that_is_not_for_everybody(tmp_path: Path) -> None:
    """Nobody else may read it, at no moment, also where a crash left half of a public one."""
    (tmp_path / "gpusched-lease-1.new").write_text("{")
    documents = folder_at(tmp_path)
    place = tmp_path / "gpusched-lease-1.json"
    before = os.umask(0)
    try:
        for public, mode in ((True, 0o644), (False, 0o600)):
            documents.put(ONE, {"kind": "k"}, public=public)
            assert stat.S_IMODE(place.stat().st_mode) == mode
    finally:
        os.umask(before)
    assert list(tmp_path.iterdir()) == [place]


def test_a_document_is_never_half(tmp_path: Path) -> None:
    """What cannot be written leaves nothing behind, and the error names file and reason."""
    place = tmp_path / "gpusched-lease-1.json"
    place.mkdir()
    documents = folder_at(tmp_path)
    with pytest.raises(OSError, match=r"gpusched-lease-1\.json: Is a directory"):
        documents.put(ONE, {}, public=True)
    assert list(tmp_path.iterdir()) == [place]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the place of the folder is an error with its name."""
    (tmp_path / "cdi").write_text("")
    with pytest.raises(OSError, match=r"gpusched-lease-1\.json: "):
        folder_at(tmp_path / "cdi").put(ONE, {}, public=True)


def test_every_daemon_knows_its_own(tmp_path: Path) -> None:
    """A simulator beside the service does not take its documents for its own, nor NVIDIA's."""
    here, simulator = folder_at(tmp_path), folder_at(tmp_path, "gpusched_sim_1")
    here.put(ONE, {}, public=True)
    simulator.put(TWO, {}, public=True)
    (tmp_path / "nvidia.yaml").write_text(NVIDIA)
    assert list(here.leases()) == [ONE]
    assert list(simulator.leases()) == [TWO]
    assert list(folder_at(tmp_path / "none").leases()) == []


def test_what_a_crash_left_goes(tmp_path: Path) -> None:
    """A document that was being written when the daemon was killed is cleared away."""
    (tmp_path / "gpusched-lease-1.new").write_text("{")
    assert list(folder_at(tmp_path).leases()) == []
    assert list(tmp_path.iterdir()) == []


def test_nvidias_document_is_found(tmp_path: Path) -> None:
    """YAML or JSON, in the first folder that has one, whatever else lies there."""
    first, second = tmp_path / "run", tmp_path / "etc"
    for one in (first, second):
        one.mkdir()
    documents = folder_at(first, "gpusched", first, second)
    assert documents.driver() == {}
    (second / "nvidia.yaml").write_text(NVIDIA)
    assert documents.driver()["devices"] == [{"name": "0"}]
    (first / "other.json").write_text('{"kind": "x/y", "why": "not nvidia.com/gpu"}')
    documents.put(ONE, {"kind": "nvidia.com/gpu"}, public=True)
    assert documents.driver()["devices"] == [{"name": "0"}]
    (first / "nvidia.json").write_text('{"kind": "nvidia.com/gpu", "devices": []}')
    assert documents.driver()["devices"] == []


def test_it_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    """A new driver brings a new document; until then the parsed one is kept."""
    documents = folder_at(tmp_path, "gpusched", tmp_path)
    file = tmp_path / "nvidia.yaml"
    file.write_text(NVIDIA)
    found = documents.driver()
    assert documents.driver() is found
    file.write_text(NVIDIA + "- name: '1'\n")
    assert documents.driver()["devices"] == [{"name": "0"}, {"name": "1"}]


@pytest.mark.parametrize(
    "text",
    [
        "kind: [nvidia.com/gpu",
        "- nvidia.com/gpu",
        "\x00nvidia.com/gpu",
        f"kind: nvidia.com/gpu\nx: {'[' * 5000}",
    ],
)
def test_a_broken_document_is_told_and_left(tmp_path: Path, text: str) -> None:
    """What is no YAML, or no table, is none of NVIDIA's documents."""
    (tmp_path / "nvidia.yaml").write_text(text)
    with capture_logs() as logs:
        assert folder_at(tmp_path, "gpusched", tmp_path).driver() == {}
    assert all(one["file"].endswith("nvidia.yaml") for one in logs)


def test_a_document_without_end_is_told_and_left(tmp_path: Path) -> None:
    """What is too large to be one is not read."""
    (tmp_path / "nvidia.yaml").write_text(NVIDIA + "# " + "x" * (4 << 20))
    with capture_logs() as logs:
        assert folder_at(tmp_path, "gpusched", tmp_path).driver() == {}
    assert [one["file"] for one in logs] == [str(tmp_path / "nvidia.yaml")]


def test_a_pipe_is_no_document(tmp_path: Path) -> None:
    """Nobody waits for whoever might write into it."""
    os.mkfifo(tmp_path / "nvidia.yaml")
    assert folder_at(tmp_path, "gpusched", tmp_path).driver() == {}


def test_what_is_no_text_is_left(tmp_path: Path) -> None:
    """A file that is not UTF-8 is no document."""
    (tmp_path / "nvidia.yaml").write_bytes(b"\xff nvidia.com/gpu")
    assert folder_at(tmp_path, "gpusched", tmp_path).driver() == {}
