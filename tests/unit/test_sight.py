"""What a user sees of others is what the operator chose, wherever it is told."""

from dataclasses import replace

import pytest
from google.protobuf.json_format import MessageToJson

from gpusched.api.v1 import lease_pb2, process_pb2
from gpusched.config.read import ConfigFaults, parse
from gpusched.core.changes import GhostChanged, LeaseChanged, StoryLine, StoryTold
from gpusched.core.enforcement import LeaseCgroup
from gpusched.core.ghost import Ghost
from gpusched.core.holding import not_yours
from gpusched.core.ids import Caller
from gpusched.core.lease import Lease
from gpusched.core.policy import Policy
from gpusched.core.request import Request
from gpusched.core.sight import ALL, COMMON, Sight, sight_of
from gpusched.core.sizes import GIB
from gpusched.core.story import denied, ghost_found
from gpusched.rpc.call import Call, Users
from gpusched.rpc.convert_device import as_seen, devices_of
from gpusched.rpc.convert_event import visible
from gpusched.rpc.convert_lease import lease_of
from gpusched.rpc.convert_process import rows_of
from gpusched.rpc.convert_rejection import rejection_of
from tests.fakes.builders import ADA, BOB, ROOT, A, B, context, device, facts, reading
from tests.fakes.host import Host

NONE = sight_of(())
EACH = (Sight(uid=False), Sight(device=False), Sight(memory=False), ALL)


def busy(others: Sight) -> tuple[Host, Lease]:
    """A GPU that ADA has, with a process of hers; what others see of it is *others*."""
    host = Host(device(0), policy=Policy(others=others))
    lease = host.attach(host.grant(Request(A, memory=8 * GIB)), 20)
    running = replace(context(20, 5 * GIB), name="/home/ada/python")
    host.tick(reading(device(0), running), known=[replace(facts(20), command="python x.py")])
    return host, host.lease(lease.id)


def shown(host: Host, lease: Lease, caller: Caller) -> lease_pb2.Lease:
    return lease_of(lease, host.ledger, host.now, Call(caller))


def processes(host: Host, caller: Caller) -> list[process_pb2.Process]:
    return rows_of(host.ledger, Call(caller), Users())


def test_the_words_of_the_configuration() -> None:
    """`access.others` lists what is seen; a word that is none is a fault that names the words."""
    assert parse("").policy.others == COMMON == Sight(command=False)
    assert parse("[access]\nothers = []").policy.others == NONE
    everything = parse('[access]\nothers = ["command", "memory", "device", "uid"]')
    assert everything.policy.others == ALL
    with pytest.raises(ConfigFaults) as caught:
        parse('[access]\nothers = ["uid", "name"]')
    assert caught.value.faults == (
        "access.others: 'name' is not one of uid, device, memory, command",
    )
    assert (str(COMMON), str(NONE)) == ("uid, device, memory", "nothing")


@pytest.mark.parametrize("others", [*EACH, NONE])
def test_owners_and_administrators_see_all(others: Sight) -> None:
    """The choice is about others: an owner and an administrator see the same, and all."""
    host, lease = busy(others)
    assert shown(host, lease, ADA) == shown(host, lease, ROOT)
    assert shown(host, lease, ADA).request.memory_bytes == 8 * GIB
    (row,) = processes(host, ADA)
    assert [row] == processes(host, ROOT)
    assert (row.command.value, row.name.value) == ("python x.py", "/home/ada/python")


@pytest.mark.parametrize("others", EACH)
def test_each_part_of_a_lease(others: Sight) -> None:
    """Of another's lease each part is there or not as chosen; what was asked for never is."""
    host, lease = busy(others)
    found = shown(host, lease, BOB)
    assert found.HasField("holder") == others.uid
    assert len(found.devices) == others.device
    assert found.used_memory.HasField("value") == others.memory
    for one in found.devices:
        assert one.HasField("memory_limit_bytes") == others.memory
        assert one.used_memory.HasField("value") == others.memory
    assert not found.HasField("request")


def test_where_another_runs() -> None:
    """Nobody but owner and administrators learns the cgroup, and why the mask is not held."""
    host, lease = busy(ALL)
    cgroup = LeaseCgroup("/ada.service", 7, made=False)
    odd = replace(lease, cgroup=cgroup, level_reason="/ada.service is frozen")
    host.apply((LeaseChanged(odd),))
    assert "ada.service" not in MessageToJson(shown(host, odd, BOB))
    assert shown(host, odd, BOB).enforcement.level == shown(host, odd, ADA).enforcement.level
    assert shown(host, odd, ADA).holder.cgroup == "/ada.service"
    assert shown(host, odd, ADA).enforcement.sentence == "/ada.service is frozen"


@pytest.mark.parametrize("others", EACH)
def test_each_part_of_a_process(others: Sight) -> None:
    """Of another's process each part is there or not; without its device the row is not."""
    host, _ = busy(others)
    rows = processes(host, BOB)
    assert len(rows) == others.device
    for row in rows:
        assert row.HasField("uid") == others.uid
        assert row.memory.HasField("value") == others.memory
        assert row.command.HasField("value") == others.command
        assert row.name.value == ("/home/ada/python" if others.command else "python")


def test_a_process_of_nobody_known() -> None:
    """A process that /proc does not know is as another's: its name may be anything."""
    host = Host(device(0))
    host.tick(reading(device(0), replace(context(20), name="/home/ada/python")))
    (row,) = processes(host, BOB)
    assert row.name.unavailable == "the process is not in /proc"
    (row,) = processes(host, ROOT)
    assert row.name.value == "/home/ada/python"


def test_a_refusal_names_no_more() -> None:
    """A refusal says who has the devices as far as users may know of each other."""
    for others, there in ((COMMON, True), (Sight(uid=False), False), (NONE, False)):
        host, lease = busy(others)
        refused = host.refusal(Request(B), BOB)
        text = MessageToJson(rejection_of(refused, host.ledger, host.now))
        assert (ADA.user in text) == there
        assert (lease.id in text) == others.device
        assert (ADA.user in not_yours(host.ledger, lease, BOB)) == there


def test_a_stray_in_a_refusal() -> None:
    """Of a stray in the way a refusal says what the process table says."""
    said = []
    for others in (COMMON, Sight(uid=False), Sight(memory=False), NONE):
        host = Host(device(0), policy=Policy(others=others))
        host.tick(reading(device(0), context(30, GIB)), known=[facts(30)])
        said.append(host.refusal(Request(B), BOB).sentence.partition("by ")[2])
    assert said == [
        "pid 30 of uid 1000 (python, 1 GiB, just seen)",
        "pid 30 (python, 1 GiB, just seen)",
        "pid 30 of uid 1000 (python, just seen)",
        "",
    ]


def test_the_leases_on_a_device() -> None:
    """A device names the leases on it that the caller may know to be there."""
    for others, caller, there in (
        (COMMON, BOB, True),
        (NONE, BOB, False),
        (NONE, ADA, True),
        (NONE, ROOT, True),
    ):
        host, lease = busy(others)
        listed = as_seen(devices_of(host.ledger, host.now.instant), host.ledger, Call(caller))
        assert list(listed[0].lease_ids) == ([lease.id] if there else [])


def test_lines_about_devices_and_the_daemon() -> None:
    """A line of history tells everybody only what everybody may see of users."""
    host, lease = busy(COMMON)
    ghost = Ghost(GIB, 0, lease.id, host.now)
    opened = denied(None, None, {"/dev/nvidia0": 1}, host.now)
    lines = (_line(ghost_found(device(0).uuid, ghost, host.now)), _line(opened))
    for others, seen in ((COMMON, True), (NONE, False)):
        host.ledger.policy = Policy(others=others)
        for line in lines:
            assert visible(line, host.ledger, Call(BOB)) is seen
            assert visible(line, host.ledger, Call(ROOT))


def test_ghost_memory_in_a_refusal() -> None:
    """Whose memory did not come back is said where it may be known on which device he was."""
    for others in (COMMON, NONE):
        host, lease = busy(others)
        fresh = Host(device(0), policy=Policy(others=others))
        fresh.apply((GhostChanged(device(0).uuid, Ghost(GIB, 0, lease.id, host.now)),))
        sentence = fresh.refusal(Request(B), BOB).sentence
        assert (lease.id in sentence) == others.device


def _line(told: StoryTold) -> StoryLine:
    return told.line
