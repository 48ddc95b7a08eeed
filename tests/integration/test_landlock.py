"""`gpusched run` of an ordinary user where the daemon holds no mask: Landlock holds it."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpusched.launch import landlock
from tests.fakes.gateway import gateway, reply
from tests.fakes.messages import Fields, lease
from tests.integration.as_nobody import NOBODY

MAJOR = 60  # linux/Documentation/admin-guide/devices.txt: local and experimental
AS_NOBODY = [sys.executable, "-m", "tests.integration.as_nobody"]

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def has_landlock() -> None:
    """Skips where the kernel has none."""
    if why := landlock.available():
        pytest.skip(why)


@pytest.fixture
def nodes() -> Iterator[list[str]]:
    """Three GPUs and a control node without a driver, in a folder of /dev as `nvidia-caps` is."""
    folder = Path(tempfile.mkdtemp(prefix="gpusched-test-", dir="/dev"))
    try:
        folder.chmod(0o755)
        yield [make_node(folder / name, minor) for minor, name in enumerate("012c")]
    finally:
        shutil.rmtree(folder)


def make_node(path: Path, minor: int) -> str:
    """Makes a character device that everybody may open; gives its path."""
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(MAJOR, minor))
    path.chmod(0o666)
    return str(path)


def grant(leased: str, control: str, *denied: str) -> Fields:
    """Gives a grant whose mask the process has to hold itself."""
    return {
        "lease": lease("lease-a"),
        "devices": [{"nodes": [{"path": leased}]}],
        "control_nodes": [{"path": control}],
        "denied_nodes": [{"path": one} for one in denied],
        "enforcement": {"level": "ENFORCEMENT_LEVEL_LANDLOCK"},
    }


def run(
    folder: Path, granted: Fields, *words: str
) -> tuple[subprocess.CompletedProcess[str], list[tuple[str, Fields]]]:
    """Runs gpusched as nobody; gives how it ended and what it asked."""
    answers = {"Leases/Allocate": reply(granted), "Leases/Release": reply({})}
    folder.chmod(0o755)
    with gateway(folder, answers) as served:
        served.path.chmod(0o666)
        ended = subprocess.run(  # noqa: S603 - our own command
            [*AS_NOBODY, "run", *words],
            env={"PATH": os.environ["PATH"], "GPUSCHED_SOCKET": str(served.path)},
            capture_output=True,
            text=True,
            check=False,
        )
    return ended, served.asked


def opened(*paths: str) -> str:
    """Gives a shell script that says of each path how opening it ends."""
    return "".join(f'(: < {one}) 2>&1 | sed "s|.*: |{one} |"; ' for one in paths)


def said(ended: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Gives, by path, why it could not be opened."""
    assert not ended.stderr, ended
    return dict(line.split(" ", 1) for line in ended.stdout.splitlines())


def test_only_the_leased_nodes_open(socket_folder: Path, nodes: list[str]) -> None:
    """The unleased are denied; the leased and the control node reach their (missing) driver."""
    zero, one, two, control = nodes
    granted = grant(one, control, zero, two)
    ended, asked = run(socket_folder, granted, "--", "sh", "-c", opened(*nodes))
    assert said(ended) == {
        zero: "Permission denied",
        one: "No such device or address",
        two: "Permission denied",
        control: "No such device or address",
    }
    assert asked[0][1] == {"attach_caller": True, "confines_itself": True}


def test_without_a_denied_node_nothing_is_confined(socket_folder: Path, nodes: list[str]) -> None:
    """Who has leased all keeps setuid programs; a node that does not exist needs no mask."""
    granted = grant(nodes[0], nodes[1], "/dev/gpusched-test-none/0")
    ended, _ = run(socket_folder, granted, "--", "grep", "NoNewPrivs", "/proc/self/status")
    assert ended.stdout.split() == ["NoNewPrivs:", "0"]


def test_what_is_leased_is_never_denied(socket_folder: Path, nodes: list[str]) -> None:
    """A node that two devices have in common stays open to the holder of one."""
    zero, one, two, control = nodes
    granted = grant(one, control, zero, one, two)
    ended, _ = run(socket_folder, granted, "--", "sh", "-c", opened(zero, one))
    assert said(ended) == {zero: "Permission denied", one: "No such device or address"}


def test_everything_else_works(socket_folder: Path, nodes: list[str]) -> None:
    """Shells, /dev/null, shared memory, temporary files and moving them between folders."""
    script = (
        "set -e; echo lost > /dev/null; head -c1 /dev/urandom > /dev/null;"
        "shm=$(mktemp -d -p /dev/shm); one=$(mktemp -d); two=$(mktemp -d -p /var/tmp);"
        "echo kept > $shm/a; mv $shm/a $one/a; mkdir $one/sub;"
        "node=$(stat -c %i $one/a); mv $one/a $one/sub/a; test $node = $(stat -c %i $one/sub/a);"
        "ln $one/sub/a $one/b; cp $one/b $two/c; cat $two/c /proc/self/fd/0; rm -r $shm $one $two"
    )
    granted = grant(nodes[1], nodes[3], nodes[0])
    ended, _ = run(socket_folder, granted, "--", "sh", "-c", f"echo pipe | ({script})")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "kept\npipe\n", "")


def test_it_is_for_good_and_for_all_children(socket_folder: Path, nodes: list[str]) -> None:
    """A grandchild is denied too, and a user namespace of one's own changes nothing."""
    zero, one, _, control = nodes
    script = f"sh -c '{opened(zero)}'; setsid sh -c '{opened(zero)}'"
    mounting = "mount -t tmpfs none /mnt 2>/dev/null && echo mounted; true"
    namespace = f"unshare -Urm sh -c '{opened(zero)} {mounting}'"
    granted = grant(one, control, zero)
    ended, _ = run(socket_folder, granted, "--", "sh", "-c", f"{script}; {namespace}")
    denied = f"{zero} Permission denied"
    assert ended.stdout.splitlines()[:2] == [denied] * 2
    assert set(ended.stdout.splitlines()) == {denied}


def test_a_lease_without_devices(socket_folder: Path, nodes: list[str]) -> None:
    """CPU only: the control nodes are denied as well."""
    granted = grant(nodes[0], nodes[3], *nodes) | {"devices": [], "control_nodes": []}
    ended, _ = run(socket_folder, granted, "--gpus", "0", "--", "sh", "-c", opened(*nodes))
    assert set(said(ended).values()) == {"Permission denied"}


def test_nodes_deep_in_another_tree(socket_folder: Path) -> None:
    """Simulated nodes lie in the state directory: what lies beside the way to them stays open."""
    place = socket_folder / "state" / "simulator" / "dev"
    place.mkdir(parents=True)
    zero, one = (make_node(place / str(minor), minor) for minor in (0, 1))
    beside = socket_folder / "state" / "beside"
    beside.write_text("")
    link = socket_folder / "link"
    link.symlink_to(place)
    script = opened(f"{link}/0", zero, one, str(beside))
    ended, _ = run(socket_folder, grant(one, one, f"{link}/0"), "--", "sh", "-c", script)
    assert said(ended) == {
        f"{link}/0": "Permission denied",
        zero: "Permission denied",
        one: "No such device or address",
    }


UNLISTED = "on the way to a device node, cannot be listed: Permission denied"


@pytest.fixture
def unlisted(nodes: list[str]) -> list[str]:
    """The nodes, in a folder that may be walked through but not listed."""
    Path(nodes[0]).parent.chmod(0o711)
    return nodes


def test_a_required_mask_that_cannot_be_had(socket_folder: Path, unlisted: list[str]) -> None:
    """The lease is given back, CMD is not started, and a sentence says why and what would do."""
    granted = grant(unlisted[1], unlisted[3], unlisted[0])
    ended, asked = run(socket_folder, granted, "--enforce", "required", "--", "echo", "started")
    assert (ended.returncode, ended.stdout) == (78, "")
    assert UNLISTED in ended.stderr
    assert "`--enforce preferred`" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert asked[1:] == [("Leases/Release", {"lease_id": "lease-a"})]


def test_a_preferred_mask_that_cannot_be_had(socket_folder: Path, unlisted: list[str]) -> None:
    """CMD is started, and the user learns that the lease is advisory, and why."""
    granted = grant(unlisted[1], unlisted[3], unlisted[0])
    ended, asked = run(socket_folder, granted, "--", "echo", "started")
    assert (ended.returncode, ended.stdout) == (0, "started\n")
    assert ended.stderr.startswith("gpusched: this lease is advisory because /dev/")
    assert UNLISTED in ended.stderr
    assert len(asked) == 1


def test_who_asks_for_advice_gets_no_more(socket_folder: Path, nodes: list[str]) -> None:
    """With --enforce advisory nothing is offered to the daemon."""
    granted = grant(nodes[0], nodes[1]) | {"enforcement": {}}
    _, asked = run(socket_folder, granted, "--enforce", "advisory", "--", "true")
    assert asked[0][1] == {"attach_caller": True, "enforce": "ENFORCE_ADVISORY"}


def test_root_offers_nothing(socket_folder: Path) -> None:
    """Root could leave any such mask, and his setuid programs are none."""
    with gateway(socket_folder, {"Leases/Allocate": reply({"lease": lease("lease-a")})}) as served:
        subprocess.run(
            [sys.executable, "-m", "gpusched", "run", "--", "true"],
            env={"PATH": os.environ["PATH"], "GPUSCHED_SOCKET": str(served.path)},
            check=True,
        )
    assert NOBODY != os.geteuid() == 0
    assert served.asked == [("Leases/Allocate", {"attach_caller": True})]
