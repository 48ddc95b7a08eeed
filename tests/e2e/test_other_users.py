"""Real processes of two ordinary users: who is not the holder looks on, and changes nothing."""

import json
import signal
import sys

import pytest

from tests.e2e.host import Host, first_line, kill, members
from tests.e2e.opener import Opener, as_user, cgroup, path_of, starting_in
from tests.fakes.stranger import HIDDEN, ROWS

pytestmark = pytest.mark.root

HOLDER, STRANGER = 65533, 65534
_WORK = f"echo {HIDDEN}; exec sleep 60"


def words_as(uid: int, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.e2e.as_user", str(uid), *words)


def let_work(host: Host) -> None:
    """Let the holder run something under a lease."""
    wishes = ("--memory", "1GiB", "--label", f"team={HIDDEN}")
    worker = host.start(*words_as(HOLDER, "run", *wishes, "--", "sh", "-c", _WORK))
    assert first_line(worker).strip() == HIDDEN


@pytest.fixture
def running(host: Host) -> Host:
    """A host on which the holder runs something under a lease."""
    let_work(host)
    return host


def only_lease(host: Host) -> str:
    (lease,) = host.leases()
    return lease


def test_every_method_from_a_process_of_another_user(running: Host) -> None:
    """Over the public socket, with nothing but his uid, a stranger gets what the table says."""
    lease = only_lease(running)
    words = (str(STRANGER), str(running.socket), lease, str(HOLDER))
    done = running.run(sys.executable, "-m", "tests.e2e.as_stranger", *words)
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert {name: code for name, (code, _) in got.items()} == {
        name: code for name, (code, _) in ROWS.items()
    }, got
    assert HIDDEN not in done.stdout
    held = running.leases()[lease]
    assert held.text("state") == "LEASE_STATE_ACTIVE"
    assert held.part("holder").number("uid") == HOLDER


@pytest.mark.parametrize(
    "words",
    [
        ("release", "LEASE", "--kill"),
        ("renew", "LEASE"),
        ("env", "LEASE"),
        ("attach", "LEASE", "--pid", "4194304"),
        ("revoke", "LEASE", "--reason", "mine"),
        ("forget", "0"),
        ("guard", "off"),
    ],
)
def test_the_command_line_of_another_user(running: Host, words: tuple[str, ...]) -> None:
    """Each verb ends with 77 and one line, and the lease is as it was."""
    lease = only_lease(running)
    before = members(running.leases()[lease])
    asked = [lease if one == "LEASE" else one for one in words]
    done = running.run(*words_as(STRANGER, *asked))
    assert done.returncode == 77, done
    assert done.stderr.count("\n") == 1, done
    assert members(running.leases()[lease]) == before


def test_processes_of_others_are_not_attached(running: Host) -> None:
    """To his own lease nobody attaches a process, or a cgroup, of somebody else."""
    lease = only_lease(running)
    holder = running.leases()[lease]
    pid, cgroup = members(holder)[0], holder.part("holder").text("cgroup")
    done = running.run(*words_as(STRANGER, "allocate", "--gpus", "1"))
    assert done.returncode == 0, done
    (own,) = set(running.leases()) - {lease}
    for target in (("--pid", str(pid)), *((("--cgroup", cgroup),) if cgroup else ())):
        done = running.run(*words_as(STRANGER, "attach", own, *target))
        assert done.returncode == 77, done
        assert f"has uids {HOLDER}" in done.stderr
    assert not members(running.leases()[own])


def test_what_is_kept_from_others_is_the_operators_choice(own_host: Host) -> None:
    """After a reload another user sees no more than the configuration lets him; root sees all."""
    let_work(own_host)
    lease = only_lease(own_host)
    look = words_as(STRANGER, "leases", "--json")
    assert f'"uid": {HOLDER}' in own_host.run(*look).stdout
    own_host.config.write_text(own_host.config.read_text() + "[access]\nothers = []\n")
    kill(own_host.pid, signal.SIGHUP)
    own_host.until(lambda: f'"uid": {HOLDER}' not in own_host.run(*look).stdout)
    assert lease in own_host.run(*look).stdout
    assert own_host.leases()[lease].part("holder").number("uid") == HOLDER


def test_a_cgroup_that_others_come_into_is_not_attached(host: Host) -> None:
    """Alone in `/user.slice` a user may not have it masked: who comes later would have that."""
    with cgroup() as top:
        place = top / "user.slice"
        session = place / f"user-{HOLDER}.slice" / "session-1.scope"
        session.mkdir(parents=True)
        with Opener(host.environment, *starting_in(session), *as_user(HOLDER)):
            told = host.run(*words_as(HOLDER, "allocate", "--gpus", "0", "--json"))
            lease = json.loads(told.stdout)["lease"]["id"]
            attach = ("attach", lease, "--cgroup")
            done = host.run(*words_as(HOLDER, *attach, path_of(place)))
            assert (done.returncode, done.stderr.count("\n")) == (77, 1), done
            assert "others who come there would have its mask" in done.stderr
            done = host.run(*words_as(HOLDER, *attach, path_of(session.parent)))
            assert done.returncode == 0, done
