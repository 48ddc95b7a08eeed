"""How far masks are held, on the screens of the command line and in the client library."""

import pytest

from gpusched.api.v1 import lease_pb2
from gpusched.cli.attaching import attached
from gpusched.cli.devices import device_lines
from gpusched.cli.lease_table import lease_lines
from gpusched.cli.status_screen import screen
from gpusched.client.asking import grace
from gpusched.client.channel import attach_request, release_request, revoke_request
from gpusched.client.document import Document
from gpusched.client.errors import BadRequest
from gpusched.client.held import HeldLease
from gpusched.client.level import level_word
from tests.fakes.messages import GIB, Fields, device, lease, status, value

NOON = 1795348800.0  # 2026-11-22T12:00:00Z
UNGUARDED = "The guard is off: processes without a lease can open every device"
ADVISORY = "the daemon runs without root"
LEVELS = {
    "ENFORCEMENT_LEVEL_ADVISORY": "advisory",
    "ENFORCEMENT_LEVEL_LANDLOCK": "landlock",
    "ENFORCEMENT_LEVEL_DEVICE_PROGRAM": "kernel",
    "ENFORCEMENT_LEVEL_GUARD": "guard",
}


def header(**changed: object) -> list[str]:
    """The lines of the status screen down to the first empty one."""
    lines = screen(Document(status(**changed)), None)
    return lines[: lines.index("")]


def test_every_level_has_a_word() -> None:
    """Each level of the API has a word of its own; one of a later version has none."""
    named = set(lease_pb2.EnforcementLevel.keys()) - {"ENFORCEMENT_LEVEL_UNSPECIFIED"}
    assert {name: level_word(name) for name in named} == LEVELS
    assert level_word("ENFORCEMENT_LEVEL_LATER") == ""


@pytest.mark.parametrize(("level", "word"), [*LEVELS.items(), ("", "-")])
def test_leases_show_who_holds_the_mask(level: str, word: str) -> None:
    """The table of leases has the level of each as a word."""
    line = lease_lines([Document(lease("lease-a", enforcement={"level": level}))], NOON, None)[1]
    assert f"8192MiB   {word}   " in " ".join(line.split(" "))


def test_a_lease_without_its_asker() -> None:
    """A lease whose asking process has ended while others live says so beside its state."""
    fields = lease("lease-a", state="LEASE_STATE_ACTIVE", asker_gone=True)
    assert "active (asker gone)   alice" in lease_lines([Document(fields)], NOON, None)[1]


def test_status_says_the_level_and_the_guard_once() -> None:
    """A line each for enforcement and guard; the warnings that say the same are left out."""
    lines = header(
        enforcement={"level": "ENFORCEMENT_LEVEL_ADVISORY", "sentence": ADVISORY},
        guard={"on": False, "sentence": UNGUARDED},
        warnings=[f"Masks are advisory: {ADVISORY}.", f"{UNGUARDED}.", "GPU-1 is lost: why."],
    )
    assert lines[2:] == [
        f"enforcement: advisory: {ADVISORY}",
        "guard: off: processes without a lease can open every device",
        "warning: GPU-1 is lost: why.",
    ]


def test_status_counts_what_the_guard_denied() -> None:
    """While the guard is on its line has the number of denied opens, where that is known."""
    guard: Fields = {"on": True, "sentence": "The guard is on: no lease, no device"}
    assert header(guard=guard)[3] == "guard: on: no lease, no device"
    counted = guard | {"denied_opens": value(3)}
    assert header(guard=counted)[3] == "guard: on: no lease, no device; 3 opens denied"


def test_ghost_memory_stands_beside_its_device() -> None:
    """Both lists of devices have the figure of ghost memory; none is not mentioned."""
    haunted = device(0, account={"ghost": value(GIB)})
    shown = screen(Document(status(devices=[haunted])), None)
    assert any(line.endswith("no lease (ghost memory 1024MiB)") for line in shown)
    assert device_lines([Document(haunted)], None)[1].endswith("healthy   ghost memory: 1024MiB")
    clean = device(0, account={"ghost": value(0)})
    assert device_lines([Document(clean)], None)[1].endswith("healthy")
    why = device(0, unschedulable_reason="1 GiB of lease-a did not come back", schedulable=False)
    assert device_lines([Document(why)], None)[1].endswith("lease-a did not come back")


@pytest.mark.parametrize(
    ("mode", "cgroup", "sentence"),
    [
        ("MOVED", "/g/lease-a", "p is under lease-a: 2 processes moved into its cgroup"),
        ("IN_PLACE", "/x", "p is under lease-a: masked in place in /x, 2 processes there"),
        ("RECORDED", "", "p is under lease-a: recorded by name; nothing holds it"),
        ("RECORDED", "/g/lease-a", "p is under lease-a"),
        ("UNSPECIFIED", "", "p is under lease-a"),
    ],
)
def test_what_attaching_did(mode: str, cgroup: str, sentence: str) -> None:
    """Attaching says how; what was in the lease's cgroup before is only said to be there."""
    held: Fields = {"sentence": "nothing holds it"}
    reply: Fields = {
        "lease": lease("lease-a", holder={"cgroup": cgroup}, enforcement=held),
        "attachment": {"mode": f"ATTACH_MODE_{mode}", "processes": [{"pid": 7}, {"pid": 8}]},
    }
    assert attached(Document(reply), "p") == sentence


def test_a_held_lease_knows_its_enforcement() -> None:
    """A program reads who holds its mask as a word and a sentence."""
    granted = lease_pb2.Grant(
        enforcement=lease_pb2.Enforcement(
            level=lease_pb2.ENFORCEMENT_LEVEL_DEVICE_PROGRAM, sentence="the kernel denies"
        )
    )
    assert HeldLease(granted).enforcement == ("kernel", "the kernel denies")


@pytest.mark.parametrize(
    ("given", "sent"), [("30s", "30s"), (1.5, "1.500000000s"), ("0s", "0s"), (0, "0s")]
)
def test_a_grace_may_be_nothing(given: str | float, sent: str) -> None:
    """The time between SIGTERM and SIGKILL may be zero, unlike other times."""
    assert grace(given) == sent


@pytest.mark.parametrize("given", ["5", "", False, -1, True])
def test_a_grace_is_a_time(given: object) -> None:
    """What is no time is refused, with the field's name."""
    with pytest.raises(BadRequest) as caught:
        grace(given)
    assert caught.value.field == "grace"


def test_messages_that_end_a_lease() -> None:
    """Kill, reason and grace are sent as said; no grace is the daemon's."""
    killed = release_request("l", "1500ms", kill=True)
    assert (killed.lease_id, killed.kill, killed.grace.ToMilliseconds()) == ("l", True, 1500)
    plain = release_request("l", None, kill=False)
    assert (plain.kill, plain.HasField("grace")) == (False, False)
    revoked = revoke_request("l", "why", 0, signal_in_place=True)
    assert (revoked.reason, revoked.signal_in_place) == ("why", True)
    assert revoked.HasField("grace")


def test_messages_that_attach() -> None:
    """The caller, a process or a cgroup is attached; two of them, and no pid, are refused."""
    assert attach_request("l", None, None).caller
    assert attach_request("l", 7, None).process.pid == 7
    assert attach_request("l", None, "/x.service").cgroup == "/x.service"
    with pytest.raises(BadRequest):
        attach_request("l", 7, "/x.service")
    for number in (-1, 0, 1 << 40):
        with pytest.raises(BadRequest, match=f"process: {number} is no process id"):
            attach_request("l", number, None)
