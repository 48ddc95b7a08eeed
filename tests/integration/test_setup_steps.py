"""The steps of setup done in a folder, and its unit files read by systemd's own tools."""

import shutil
import subprocess
from pathlib import Path

import pytest

from gpusched.setup import places
from gpusched.setup.doing import do
from gpusched.setup.example import example, untouched
from gpusched.setup.host import look
from gpusched.setup.steps import (
    Delete,
    DeleteEmpty,
    Execute,
    Link,
    Reason,
    SetupFault,
    Step,
    Write,
)


def _told(*steps: Step) -> list[str]:
    """Does the steps and gives what was told of them."""
    lines: list[str] = []
    do(steps, lines.append)
    return lines


def test_a_file_is_written_once(tmp_path: Path) -> None:
    """A file comes with its folder, readable to all; the second time there is nothing to tell."""
    step = Write(tmp_path / "new" / "file", "text\n")
    assert _told(step) == [f"write {step.path}"]
    assert step.path.read_text() == "text\n"
    assert step.path.stat().st_mode & 0o777 == 0o644
    assert _told(step) == []
    assert _told(Write(step.path, "other\n")) != []
    assert [one.name for one in step.path.parent.iterdir()] == ["file"]


def test_a_file_never_goes_through_a_link(tmp_path: Path) -> None:
    """A link in the place of a file is replaced; what it pointed to is as before."""
    (tmp_path / "target").write_text("of others")
    (tmp_path / "file").symlink_to("target")
    do([Write(tmp_path / "file", "of others")], print)
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "target").read_text() == "of others"


def test_a_link_is_made_once(tmp_path: Path) -> None:
    """A link replaces an older one, and is left when it is right."""
    step = Link(tmp_path / "link", Path("/opt/x"))
    step.path.symlink_to("/elsewhere")
    assert len(_told(step)) == 1
    assert step.path.readlink() == Path("/opt/x")
    assert _told(step) == []


def test_removal_does_not_follow_links(tmp_path: Path) -> None:
    """Removing a link to a folder leaves the folder; removing what is gone is no failure."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "link").symlink_to("kept")
    steps = (Delete(tmp_path / "link"), Delete(tmp_path / "never"))
    assert _told(*steps) == [f"remove {tmp_path / 'link'}"]
    assert (tmp_path / "kept" / "file").exists()


def test_a_folder_of_others_is_left(tmp_path: Path) -> None:
    """A folder is removed with all in it, one shared with others only when it is empty."""
    (tmp_path / "ours" / "deep").mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "file").touch()
    steps = (Delete(tmp_path / "ours"), DeleteEmpty(tmp_path / "shared"))
    assert _told(*steps) == [f"remove {tmp_path / 'ours'}"]
    (tmp_path / "shared" / "file").unlink()
    assert _told(DeleteEmpty(tmp_path / "shared")) != []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
def test_what_is_mounted_below_is_not_emptied(tmp_path: Path) -> None:
    """A folder with a mount in it is not removed, and the refusal says what to unmount."""
    place = tmp_path / "ours" / "mounted"
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "trial", place], check=True)  # noqa: S603, S607 - our own words
    try:
        (place / "file").touch()
        with pytest.raises(SetupFault, match="umount"):
            do([Delete(tmp_path / "ours")], print)
        assert (place / "file").exists()
    finally:
        subprocess.run(["umount", place], check=True)  # noqa: S603, S607 - our own words


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("echo first; echo the cause >&2; exit 3", "the cause"),
        ("echo 'ERROR: no such wheel' >&2; echo 'notice: new pip' >&2; exit 1", "no such wheel"),
        ("echo only here; exit 1", "only here"),
        ("exit 7", "code 7"),
    ],
)
def test_a_program_that_fails(script: str, cause: str) -> None:
    """The fault names the step, the line that tells the cause, and the next step."""
    step = Execute("try it", ("sh", "-c", script), otherwise="do that")
    with pytest.raises(SetupFault) as caught:
        do([step], print)
    assert str(caught.value) == f"try it: {cause}; do that"
    assert caught.value.reason is Reason.FAILED


def test_a_program_that_may_fail() -> None:
    """A step whose failure changes nothing lets the next one be done."""
    assert _told(Execute("try", ("false",), may_fail=True), Execute("go", ("true",))) != ["try"]


def test_a_program_that_is_missing() -> None:
    """The fault names the program that this host does not have."""
    with pytest.raises(SetupFault, match="no program gpusched-none"):
        do([Execute("try it", ("gpusched-none",))], print)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """What the file system refuses is a fault with the file's name, and no traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(SetupFault, match=r"write .*: File exists \(.*file\)"):
        do([Write(tmp_path / "file" / "below", "")], print)


def test_a_place_that_is_something_else(tmp_path: Path) -> None:
    """Where a folder stands in the place of a file the step says so, and nothing is changed."""
    with pytest.raises(SetupFault, match=r"write .*: Is a directory .*; mend that") as caught:
        do([Write(tmp_path, "text")], print)
    assert caught.value.reason is Reason.FAILED


def test_settings_in_another_encoding_are_an_operators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration that is not UTF-8 was changed by hand: setup runs all the same."""
    monkeypatch.setattr(places, "CONFIG", tmp_path / "gpusched.toml")
    assert look().config is None
    places.CONFIG.write_bytes(example().encode() + b"# caf\xe9\n")
    found = look().config
    assert found is not None
    assert not untouched(found)


def test_the_shipped_files_are_those_of_the_repository() -> None:
    """What setup installs is what lies in `systemd/`, every file of it."""
    folder = Path(__file__).parent.parent.parent / "systemd"
    texts = {*places.shipped().values(), places.SYSUSERS.read_text()}
    assert texts == {one.read_text() for one in folder.iterdir()}


@pytest.mark.systemd_analyze
def test_units_that_systemd_understands(tmp_path: Path) -> None:
    """The slice, and the service with the drop-in of a simulation, load without a warning."""
    program = shutil.which("true")
    assert program is not None
    for place, text in {
        **places.shipped(),
        places.SIMULATE: places.simulating("4xA100-80GB,4xL4"),
    }.items():
        if place.is_relative_to(places.UNITS):
            copy = tmp_path / place.relative_to(places.UNITS)
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(text.replace(str(places.PROGRAM), program))
    for name in (places.SERVICE, places.SLICE):
        done = subprocess.run(  # noqa: S603 - systemd's own tool
            ["systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", tmp_path / name],  # noqa: S607 - as above
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
