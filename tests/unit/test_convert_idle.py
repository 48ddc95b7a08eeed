"""Idle leases as clients see them, and as the screens say it."""

from dataclasses import replace

import pytest
from google.protobuf.json_format import MessageToDict

from gpusched.cli.lease_table import ended_lines, lease_lines
from gpusched.client.document import Document
from gpusched.core.idleness import IdleKind
from gpusched.core.ids import SECOND
from gpusched.core.lease import EndReason
from gpusched.core.policy import Policy
from gpusched.core.sight import Sight
from gpusched.rpc.call import Call
from gpusched.rpc.convert_idle import KINDS
from gpusched.rpc.convert_lease import lease_of
from gpusched.rpc.convert_reading import moment_of
from tests.fakes.builders import ADA, BOB
from tests.fakes.host import Host
from tests.fakes.idling import AFTER, ENDS, EVERY, FIRST, GRACE, blind, host, idle, tick, used
from tests.fakes.messages import lease


def message(made: Host, call: Call | None = None) -> Document:
    """The first lease as a client gets it."""
    found = lease_of(made.lease(FIRST), made.ledger, made.now, call or Call(ADA))
    return Document(MessageToDict(found, preserving_proto_field_name=True))


def test_every_kind_has_its_own() -> None:
    """No two kinds are one on the wire, and none is missing."""
    assert set(KINDS) == set(IdleKind)
    assert len(set(KINDS.values())) == len(KINDS)


def test_an_idle_lease() -> None:
    """Since when, for how long by samples, what is missing, and when it ends for it."""
    made = host(rules=ENDS)
    tick(made)
    blind(made)
    for _ in range(AFTER // EVERY + 1):
        tick(made)
    found = lease_of(made.lease(FIRST), made.ledger, made.now, Call(ADA))
    assert found.idle_since == moment_of(idle(made).since)
    assert found.idle_kind == KINDS[IdleKind.NO_PROCESS]
    assert found.idle_time.ToNanoseconds() == AFTER * SECOND
    seconds = found.idle_deadline.ToNanoseconds() - made.now.wall
    assert seconds == GRACE * SECOND
    told = message(made)
    assert (told.text("idle_kind"), told.text("idle_time")) == ("IDLE_KIND_NO_PROCESS", "60s")


def test_a_lease_in_use_says_nothing() -> None:
    """What is used, or ends, is not idle."""
    made = host()
    tick(made, used(101, busy=5))
    assert not [one for one in message(made).fields if one.startswith("idle")]
    tick(made)
    assert "idle_since" in message(made)
    row = made.lease(FIRST)
    ends = replace(row, reason=EndReason.RELEASED, idle=idle(made))
    found = lease_of(ends, made.ledger, made.now, Call(ADA))
    assert not found.HasField("idle_since")


def test_whose_devices_nobody_may_see_is_idle_for_himself() -> None:
    """Users see of each other whether a lease is idle as far as they see its devices."""
    made = host()
    tick(made)
    assert "idle_since" in message(made, Call(BOB))
    made.ledger.policy = Policy(others=Sight(uid=True, device=False, memory=True, command=True))
    assert "idle_since" not in message(made, Call(BOB))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"idle_time": "59.9s", "idle_kind": "IDLE_KIND_NO_PROCESS"}, "active   "),
        (
            {"idle_time": "725s", "idle_kind": "IDLE_KIND_NO_PROCESS"},
            "active, idle 12m5s (no process) ",
        ),
        (
            {"idle_time": "3600s", "idle_kind": "IDLE_KIND_NO_UTILIZATION"},
            "active, idle 1h (no utilization) ",
        ),
        ({"idle_time": "60s", "idle_kind": "IDLE_KIND_SLEEPING"}, "active, idle 1m (not used) "),
    ],
)
def test_the_table_says_so(changed: dict[str, object], said: str) -> None:
    """A lease that is idle for a minute says for how long, and what is missing."""
    fields = lease("lease-a", state="LEASE_STATE_ACTIVE", attach_deadline=None, **changed)
    assert said in lease_lines([Document(fields)], 0, None)[1]


def test_the_table_says_what_comes() -> None:
    """One that was asked says how long there is to renew it, however short it was idle."""
    fields = lease(
        "lease-a",
        state="LEASE_STATE_ACTIVE",
        attach_deadline=None,
        idle_time="5s",
        idle_kind="IDLE_KIND_NO_PROCESS",
        idle_deadline="1970-01-01T00:05:00Z",
    )
    line = lease_lines([Document(fields)], 0, None)[1]
    assert "active, idle 5s (no process) " in line
    assert line.endswith("unless used or renewed in 5m")


def test_what_ended_for_it_says_so() -> None:
    """The reason is in words."""
    fields = lease(
        "lease-a",
        state="LEASE_STATE_ENDED",
        end_reason="END_REASON_IDLE",
        ended_at="1970-01-01T00:01:00Z",
    )
    assert "its devices were idle, 1m ago" in ended_lines([Document(fields)], 120, None)[1]
