"""`gpusched setup` on a host with a real systemd: what it makes, refuses and takes away."""

import pytest

from tests.systemd.service.installed import NEWER, SPEC, Installed, Worker, listing

pytestmark = pytest.mark.nspawn

_OF_A_RESTART = ("__pycache__", "/systemd-private-", "/run/systemd/journal/streams/")


def _uninstalled(host: Installed, *words: str) -> None:
    done = host.gpusched("setup", "--uninstall", *words)
    assert done.returncode == 0, done.stderr


def test_uninstall_leaves_nothing(bare: Installed) -> None:
    """After setup, a lease that has ended, and uninstall, the files are those of before."""
    before = listing(bare.machine)
    bare.simulated()
    assert bare.gpusched("run", "--gpus", "1", "--", "true").returncode == 0
    assert listing(bare.machine) - before
    bare.until("no lease", lambda: not bare.leases())
    _uninstalled(bare)
    assert listing(bare.machine) ^ before == set()
    assert bare.machine.run(["getent", "group", "gpusched"]).returncode != 0
    assert bare.show("LoadState") == "not-found"
    assert bare.machine.told("find", "/sys/fs/cgroup", "-name", "*gpusched*") == ""
    assert bare.machine.told("systemctl", "list-units", "--all", "--no-legend", "*gpusched*") == ""


def test_setup_says_what_to_type_next(bare: Installed) -> None:
    """Setup tells each step and ends with the first commands of a user."""
    done = bare.first_setup("--simulate", SPEC)
    assert done.returncode == 0, done.stderr
    steps = [line for line in done.stdout.splitlines() if line.startswith("· ")]
    assert "· start gpusched.service and wait until it is ready" in steps
    for words in ("gpusched status", "usermod", "gpusched run --gpus 1"):
        assert words in done.stdout
    assert bare.gpusched("status").returncode == 0
    _uninstalled(bare)


def test_setup_again_upgrades(bare: Installed, newer: str) -> None:
    """Setup with a newer wheel runs that one; leases and masks are the same as before."""
    bare.simulated()
    lease = bare.allocate("--device", "0")
    with Worker(bare, "--device", "2") as worker:
        opened = worker.opens()
        leases, before = set(bare.leases()), bare.show("MainPID")
        done = bare.gpusched("setup", "--simulate", SPEC, "--from", newer)
        assert done.returncode == 0, done.stderr
        assert bare.show("MainPID") != before
        assert NEWER in bare.gpusched("status").stdout
        assert bare.gpusched("--version").stdout == f"gpusched {NEWER}\n"
        assert set(bare.leases()) == leases
        assert lease in leases
        assert worker.opens() == opened == ["EPERM", "EPERM", "ENXIO", "EPERM"]
    bare.end_all()
    _uninstalled(bare)


def test_setup_again_changes_nothing(bare: Installed) -> None:
    """A second setup of the same writes no file anew and leaves the service running."""
    bare.simulated()
    before = listing(bare.machine)
    done = bare.gpusched("setup", "--simulate", SPEC)
    assert done.returncode == 0, done.stderr
    assert "· write" not in done.stdout
    assert bare.show("ActiveState") == "active"
    changed = listing(bare.machine) ^ before
    assert [one for one in changed if not any(word in one for word in _OF_A_RESTART)] == []
    _uninstalled(bare)


def test_real_devices_follow_simulated_ones(bare: Installed) -> None:
    """Setup without --simulate serves what the host really has, even when that is nothing."""
    bare.simulated()
    done = bare.gpusched("setup")
    assert done.returncode == 0, done.stderr
    status = bare.gpusched("status").stdout
    assert "SIMULATED" not in status
    _uninstalled(bare)


def test_living_leases_are_not_abandoned(bare: Installed) -> None:
    """Uninstall refuses while a lease lives and removes nothing."""
    bare.simulated()
    lease = bare.allocate("--gpus", "1")
    before = listing(bare.machine)
    done = bare.gpusched("setup", "--uninstall")
    assert (done.returncode, done.stderr.count("\n")) == (75, 1)
    assert lease in done.stderr
    assert listing(bare.machine) == before
    bare.end_all()
    _uninstalled(bare)


def test_force_ends_leases(bare: Installed) -> None:
    """Uninstall with --force ends leases with their processes, and then leaves nothing."""
    before = listing(bare.machine)
    bare.simulated()
    with Worker(bare, "--device", "2"):
        done = bare.gpusched("setup", "--uninstall", "--force")
    assert done.returncode == 0, done.stderr
    assert listing(bare.machine) ^ before == set()
    assert bare.slices() == []


def test_leases_are_seen_without_a_daemon(bare: Installed) -> None:
    """Where no daemon answers the slices tell which leases live; --force ends what is in them."""
    before = listing(bare.machine)
    bare.simulated()
    bare.machine.told("systemctl", "stop", "gpusched.service")
    slice_ = "gpusched-lease_dead.slice"
    words = ["--quiet", f"--slice={slice_}", "--unit=holder", "--collect", "sleep", "infinity"]
    bare.machine.told("systemd-run", *words)
    done = bare.gpusched("setup", "--uninstall")
    assert (done.returncode, done.stderr.count("\n")) == (75, 1)
    assert slice_ in done.stderr
    _uninstalled(bare, "--force")
    assert bare.show("ActiveState", "holder.service") == "inactive"
    assert bare.slices() == []
    assert listing(bare.machine) ^ before == set()


def test_settings_of_the_operator_stay(bare: Installed) -> None:
    """A changed configuration survives uninstall and setup, and both say so or use it."""
    bare.simulated()
    config = "/etc/gpusched/gpusched.toml"
    bare.machine.told("sh", "-c", f"printf '[log]\\nlevel = \"debug\"\\n' > {config}")
    done = bare.gpusched("setup", "--uninstall")
    assert f"{config} stays" in done.stdout
    bare.simulated()
    assert "debug" in bare.machine.told("cat", config)
    bare.machine.told("rm", config)
    _uninstalled(bare)


@pytest.mark.parametrize(
    ("words", "user", "code", "part"),
    [
        ([], "ann", 77, "with sudo"),
        (["--from", "/nowhere.whl"], None, 64, "/nowhere.whl is not there"),
        (["--simulate", "a b"], None, 64, "cannot stand in a unit"),
        (["--uninstall", "--simulate", "1xL4"], None, 64, "takes neither"),
        (["--force"], None, 64, "belongs to --uninstall"),
    ],
)
def test_what_setup_refuses(
    bare: Installed, words: list[str], user: str | None, code: int, part: str
) -> None:
    """A refusal is one line with the next step, has its code, and changes nothing."""
    before = listing(bare.machine)
    done = bare.machine.run(["python3", "-m", "gpusched", "setup", *words], user)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("gpusched: ")
    assert done.stderr.count("\n") == 1
    assert part in done.stderr
    assert listing(bare.machine) == before


def test_a_step_that_fails_says_why(bare: Installed) -> None:
    """Without a network pip cannot install; that is one line with what to do, and code 69."""
    before = listing(bare.machine)
    words = ["env", "PIP_RETRIES=0", "python3", "-m", "gpusched", "setup", "--from", bare.wheel]
    done = bare.machine.run(words)
    assert (done.returncode, done.stderr.count("\n")) == (69, 1)
    assert "PIP_FIND_LINKS" in done.stderr
    done = bare.machine.run(["python3", "-m", "gpusched", "setup", "--uninstall"])
    assert done.returncode == 0, done.stderr
    assert listing(bare.machine) ^ before == set()
