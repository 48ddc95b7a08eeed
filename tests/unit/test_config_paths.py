"""Where things lie by default."""

from pathlib import Path

import pytest

from gpusched.config.paths import (
    SYSTEM_STATE,
    default_socket,
    default_state,
    instance_name,
    runtime_directory,
)


@pytest.mark.parametrize(
    ("uid", "simulated", "socket", "state"),
    [
        (0, False, "/run/gpusched/gpusched.sock", "/var/lib/gpusched"),
        (0, True, "/run/gpusched-simulated/gpusched.sock", "/var/lib/gpusched-simulated"),
        (7, False, "/r/gpusched/gpusched.sock", "/s/gpusched"),
        (7, True, "/r/gpusched-simulated/gpusched.sock", "/s/gpusched-simulated"),
    ],
)
def test_each_daemon_has_its_own_place(
    uid: int, *, simulated: bool, socket: str, state: str
) -> None:
    """Root's daemon, a user's, and their simulated ones do not meet."""
    environment = {"XDG_RUNTIME_DIR": "/r", "XDG_STATE_HOME": "/s"}
    assert str(default_socket(environment, uid, simulated=simulated)) == socket
    assert str(default_state(environment, uid, simulated=simulated)) == state


def test_a_user_without_a_session_has_a_place_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the session names no folder, sockets lie under /tmp by uid, state at home."""
    monkeypatch.setenv("HOME", "/home/ada")
    assert runtime_directory({}, 7) == Path("/tmp/gpusched-7")  # noqa: S108 - only a name
    assert default_state({}, 7, simulated=False) == Path("/home/ada/.local/state/gpusched")


def test_a_folder_gives_one_name_however_it_is_named(tmp_path: Path) -> None:
    """A link to the state folder names the same cgroups: a restart by it finds the leases."""
    state, link = tmp_path / "state", tmp_path / "link"
    state.mkdir()
    link.symlink_to(state)
    names = {instance_name(one, simulated=True) for one in (state, link, link / ".." / "state")}
    assert len(names) == 1
    assert names != {instance_name(tmp_path, simulated=True)}
    assert instance_name(SYSTEM_STATE, simulated=False) == "gpusched"
