"""What setup plans to do, for the hosts that it may find; nothing is done."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gpusched.setup import installing, places, removing
from gpusched.setup.example import example
from gpusched.setup.host import Environment, Host
from gpusched.setup.source import Running, Source, source_of
from gpusched.setup.steps import Delete, Execute, Link, Reason, SetupFault, Step, Write

WHEEL = Source("/tmp/g.whl", Path("/tmp/g.whl"))  # noqa: S108 - never opened
RUNNING = Running(Path("/usr"), "0.1", None, None)
FRESH = Host(
    root=True,
    systemd=True,
    python=Path("/usr/bin/python3.11"),
    venv=Environment.ABSENT,
    installed="",
    running=RUNNING,
    config=None,
    service=False,
    masked=False,
    drop_ins=(),
    command=None,
    members=None,
)
INSTALLED = replace(
    FRESH,
    venv=Environment.USABLE,
    installed="0.1",
    config=example(),
    service=True,
    command=places.PROGRAM,
    members=(),
)


def commands(steps: Sequence[Step]) -> list[str]:
    """Gives the programs that run, each as one line."""
    return [" ".join(one.command) for one in steps if isinstance(one, Execute)]


def written(steps: Sequence[Step]) -> set[Path]:
    return {one.path for one in steps if isinstance(one, Write | Link)}


def removed(steps: Sequence[Step]) -> set[Path]:
    return {one.path for one in steps if isinstance(one, Delete)}


def test_everything_that_is_put_is_taken_away() -> None:
    """Uninstall removes each file, link and folder that setup makes."""
    made = written(installing.configuring(FRESH, "4xL4"))
    gone = removed(removing.removing(INSTALLED))
    assert made - gone == set()
    assert gone - made == {places.VENV, places.STATE, places.RUNTIME}


def test_documents_of_leases_go_with_it() -> None:
    """What a killed daemon told container engines is taken back: its hook would be gone."""
    left = places.SPECS / "gpusched-lease-1.json"
    assert left.match(places.DOCUMENTS[0])
    assert left in removed(removing.removing(replace(INSTALLED, documents=(left,))))


def test_a_fresh_host_gets_an_environment_first() -> None:
    """On a fresh host the environment is made by the interpreter, then pip installs into it."""
    made, installed = commands(installing.fetching(FRESH, WHEEL, None))
    assert made == "/usr/bin/python3.11 -I -m venv /opt/gpusched"
    assert installed.startswith("/opt/gpusched/bin/python -I -m pip install ")
    assert installed.endswith(" /tmp/g.whl")


def test_an_environment_that_works_is_kept() -> None:
    """An upgrade replaces the package in place, also by one of the same version."""
    first, second = commands(installing.fetching(INSTALLED, WHEEL, None))
    assert "--force-reinstall --no-deps" in first
    assert "--force-reinstall" not in second


def test_an_environment_of_another_python_is_made_anew() -> None:
    """After an upgrade of the host's Python the environment is emptied and made again."""
    host = replace(INSTALLED, venv=Environment.STALE, installed="")
    assert "venv --clear /opt/gpusched" in commands(installing.fetching(host, WHEEL, None))[0]


def test_a_tree_is_installed_with_the_versions_it_was_tested_with() -> None:
    """The constraints beside a source tree are given to pip."""
    *_, last = commands(installing.fetching(INSTALLED, WHEEL, Path("/s/constraints.txt")))
    assert " -c /s/constraints.txt " in last


@pytest.mark.parametrize("folder", ["/home/ann", "/root", "/tmp", "/var/tmp", "/run/user/0"])  # noqa: S108 - named
def test_an_interpreter_that_the_service_cannot_see_is_refused(folder: str) -> None:
    """The unit hides homes and temporary folders, so a Python from there is refused at once."""
    host = replace(FRESH, python=Path(folder, "bin/python3.11"))
    with pytest.raises(SetupFault, match="may not look") as caught:
        installing.fetching(host, WHEEL, None)
    assert caught.value.reason is Reason.WORDS


def test_the_service_is_started_last() -> None:
    """systemd reads its units before the service is enabled and started anew."""
    *_, reload, enable, start = commands(installing.configuring(FRESH, None))
    assert (reload, start) == ("systemctl daemon-reload", "systemctl restart gpusched.service")
    assert enable == "systemctl --quiet enable gpusched.service"


def test_settings_of_an_operator_stay() -> None:
    """A configuration that was changed is neither overwritten nor removed, and that is said."""
    host = replace(INSTALLED, config="[log]\nlevel = 'debug'\n")
    assert places.CONFIG not in written(installing.configuring(host, None))
    assert places.CONFIG not in removed(removing.removing(host))
    assert any(line.startswith(f"{places.CONFIG} stays") for line in removing.staying(host))


def test_settings_that_nobody_changed_are_kept_up_to_date() -> None:
    """An example as setup wrote it is written again by an upgrade."""
    assert places.CONFIG in written(installing.configuring(INSTALLED, None))


def test_another_program_of_the_name_stays() -> None:
    """A command that is not setup's own is neither replaced nor removed, and that is said."""
    host = replace(INSTALLED, command=places.COMMAND)
    assert places.COMMAND not in written(installing.configuring(host, None))
    assert places.COMMAND not in removed(removing.removing(host))
    assert any(str(places.PROGRAM) in line for line in installing.advice(host, None))
    assert any(line.startswith(f"{places.COMMAND} stays") for line in removing.staying(host))


def test_drop_ins_of_an_operator_stay() -> None:
    """What `systemctl edit` wrote is not removed, and that is said."""
    own = places.DROP_INS / "override.conf"
    host = replace(INSTALLED, drop_ins=(own,))
    assert not {own, places.DROP_INS} & removed(removing.removing(host))
    assert removing.staying(host) == [f"{own} stays: it was written by hand"]


def test_a_simulation_ends_with_the_flag() -> None:
    """Without --simulate, setup takes away the drop-in that an earlier one wrote."""
    assert places.SIMULATE in written(installing.configuring(INSTALLED, "4xL4"))
    assert places.SIMULATE in removed(installing.configuring(INSTALLED, None))


def test_the_simulation_is_not_mixed_with_the_ledger() -> None:
    """The simulated service has a state folder of its own and listens where clients look."""
    text = places.simulating("4xL4")
    assert "serve --simulate 4xL4 --socket /run/gpusched/gpusched.sock" in text
    assert "--state-dir /var/lib/gpusched/simulated\n" in text


@pytest.mark.parametrize("spec", ["", "4xL4; true", "4xL4\nExecStart=/x", "%h/x", "$X", "a/b"])
def test_what_a_unit_would_read_differently_is_refused(spec: str) -> None:
    """Words that would change the unit file, and paths that depend on a folder, are refused."""
    with pytest.raises(SetupFault):
        installing.check_spec(spec)


@pytest.mark.parametrize("spec", ["8xH100", "4xA100-80GB,4xL4", "/etc/gpusched/scenario.toml"])
def test_a_simulation_that_a_unit_can_name(spec: str) -> None:
    """Short forms and whole paths of scenario files are taken."""
    installing.check_spec(spec)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        (replace(FRESH, root=False, systemd=False), Reason.NOT_ROOT),
        (replace(FRESH, systemd=False), Reason.NO_SYSTEMD),
    ],
)
def test_a_host_that_is_not_one_for_setup(host: Host, reason: Reason) -> None:
    """Without root, and without systemd, nothing is begun."""
    with pytest.raises(SetupFault) as caught:
        installing.check_host(host)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (replace(FRESH, masked=True), "systemctl unmask gpusched.service"),
        (replace(FRESH, venv=Environment.STRANGER), "move it away"),
    ],
)
def test_what_is_in_the_way_is_not_overwritten(host: Host, words: str) -> None:
    """A masked unit and a strange folder are left, and the refusal says what to do."""
    with pytest.raises(SetupFault, match=words):
        installing.check_before(host)


def test_living_leases_keep_the_service() -> None:
    """Uninstall names living leases and refuses; forced, or with none, it goes on."""
    with pytest.raises(SetupFault, match="lease-a, lease-b;") as caught:
        removing.check_idle(["lease-a", "lease-b"], force=False)
    assert caught.value.reason is Reason.IN_USE
    with pytest.raises(SetupFault, match="and 2 more"):
        removing.check_idle([f"lease-{n}" for n in range(7)], force=False)
    removing.check_idle(["lease-a"], force=True)
    removing.check_idle([], force=False)


def test_the_guard_is_taken_off_before_its_daemon_is_stopped() -> None:
    """Nobody is kept from the devices by a guard whose service is gone."""
    first, second, *_ = commands(removing.removing(INSTALLED))
    assert first == "/opt/gpusched/bin/gpusched guard off"
    assert second == "systemctl --quiet disable --now gpusched.service"


def test_slices_end_before_their_units_are_forgotten() -> None:
    """Slices that are left are stopped after the daemon and before its files are removed."""
    steps = removing.removing(INSTALLED)
    _, _, stop, *_ = commands(steps)
    assert stop.startswith("systemctl stop gpusched-lease_*.slice user-*-gpusched_lease_*.slice ")
    assert " gpusched_users-*.slice gpusched_users[.]slice gpusched[.]slice " in stop
    assert not any(isinstance(one, Delete) for one in steps[:3])


def test_the_environment_goes_last() -> None:
    """The code that removes everything may run from the environment, so that goes at the end."""
    assert removing.removing(INSTALLED)[-1] == Delete(places.VENV)


def test_what_is_not_there_is_not_asked_for() -> None:
    """On a host without the service, uninstall stops no unit and removes no group."""
    lines = commands(removing.removing(FRESH))
    assert not any("disable" in line or "groupdel" in line or "guard" in line for line in lines)


def test_a_folder_that_is_no_environment_stays() -> None:
    """A strange folder at the environment's place is not removed, and that is said."""
    host = replace(FRESH, venv=Environment.STRANGER)
    assert places.VENV not in removed(removing.removing(host))
    assert any(line.startswith("/opt/gpusched stays") for line in removing.staying(host))


def test_members_of_the_group_are_named() -> None:
    """Who administered is said, for whoever installs again."""
    lines = removing.staying(replace(INSTALLED, members=("ann", "bob")))
    assert lines == ["the group gpusched is gone; its members were ann, bob"]


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        (None, "gpusched-daemon==0.1"),
        ('{"url": "file:///a%20b/g.whl", "archive_info": {}}', "/a b/g.whl"),
        ('{"url": "file:///src/g", "dir_info": {"editable": true}}', "/src/g"),
        ('{"url": "https://x/g.whl", "archive_info": {}}', "gpusched-daemon @ https://x/g.whl"),
        (
            '{"url": "https://x/g", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}',
            "gpusched-daemon @ git+https://x/g@c0ffee",
        ),
    ],
)
def test_what_runs_is_what_is_installed(origin: str | None, requirement: str) -> None:
    """The package comes from where the running one came, as pip recorded it."""
    source = source_of(None, replace(RUNNING, origin=origin))
    assert source is not None
    assert source.requirement == requirement


def test_a_tree_that_was_never_installed_is_the_source() -> None:
    """A gpusched that runs from its tree is installed from there."""
    source = source_of(None, replace(RUNNING, tree=Path("/src/g")))
    assert source == Source("/src/g", Path("/src/g"))


def test_what_is_named_comes_first() -> None:
    """A named package is installed also by the gpusched that is in its place already."""
    inside = replace(RUNNING, prefix=places.VENV)
    assert source_of(None, inside) is None
    assert source_of(Path("/g.whl"), inside) == Source("/g.whl", Path("/g.whl"))
