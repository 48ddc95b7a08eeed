"""Priority classes: who passes whom, for how long, and who may use which."""

from dataclasses import replace

import pytest

from gpusched.core.events import ExplainRequested
from gpusched.core.ids import Caller, RequestId
from gpusched.core.policy import Policy
from gpusched.core.priority import PriorityClass, QueueRules
from gpusched.core.replies import Explained, Granted, Refusal, Rejected
from gpusched.core.request import Request
from gpusched.core.rights import Rights
from tests.fakes.builders import ADA, BOB, ROOT, device
from tests.fakes.host import Host, places
from tests.fakes.queued_host import busy, host_of, let_go, order, wish

ONE, TWO, THREE, FOUR = (device(place) for place in range(4))


def test_a_higher_class_is_served_first() -> None:
    """Within a class the first comes first; a higher one passes."""
    host = busy(1)
    for name, priority in (("a", None), ("b", "high"), ("c", "normal"), ("d", "high")):
        host.queue(wish(name, priority=priority))
        host.later(1)
    assert order(host) == ["b", "d", "a", "c"]


def test_nobody_is_passed_for_ever() -> None:
    """Who has waited as long as a class is worth is not passed by it any more."""
    host = busy(1)
    host.queue(wish("old"))
    host.later(600)
    host.queue(wish("soon", priority="high"))
    host.later(1)
    host.queue(wish("late", priority="high"))
    assert order(host) == ["old", "soon", "late"]


def test_a_higher_class_takes_what_is_kept_for_a_lower_one() -> None:
    """What is kept for a request is kept from those behind it only."""
    host = busy(2)
    pair = host.queue(wish("pair", 2))
    let_go(host, "held-0")
    urgent = host.grant(Request(RequestId("urgent"), priority="high"))
    assert places(urgent) == [ONE.uuid]
    assert host.waits(pair)


def test_a_class_that_is_not_there() -> None:
    """A priority class that does not exist is a bad request that names those that do."""
    refusal = busy(1).refusal(wish("a", priority="urgent"))
    assert (refusal.why, refusal.field) == (Refusal.BAD_REQUEST, "priority")
    assert refusal.sentence == (
        "priority: there is no class 'urgent'; known: high, normal, admins, bobs, team"
    )


@pytest.mark.parametrize(
    ("priority", "allowed"),
    [("admins", [ROOT]), ("bobs", [BOB, ROOT]), ("team", [BOB, ROOT]), ("high", [ADA, BOB, ROOT])],
)
def test_who_may_use_a_class(priority: str, allowed: list[Caller]) -> None:
    """A class may be for some users and groups; administrators may use each."""
    for who in (ADA, BOB, ROOT):
        reply = host_of(ONE).ask(Request(RequestId("a"), priority=priority), who).reply
        if who in allowed:
            assert isinstance(reply, Granted)
        else:
            assert isinstance(reply, Rejected)
            assert reply.why is Refusal.NOT_ALLOWED
            assert f"may not use the class '{priority}'" in reply.sentence


def test_who_may_not_use_the_default_class_names_another() -> None:
    """A class that is not for the caller is not his by naming none either, and he is told which
    ones are.
    """
    rights = Rights(uids=frozenset({ADA.uid}), words="ada")
    classes = {"adas": PriorityClass(rights=rights), "low": PriorityClass(-1)}
    rules = QueueRules(classes=classes, default="adas")
    host = Host(ONE, policy=Policy(queue=rules))
    refusal = host.refusal(Request(RequestId("a")), BOB)
    assert (refusal.why, refusal.field) == (Refusal.NOT_ALLOWED, "priority")
    assert refusal.sentence == (
        f"priority: {BOB.user} may not use the class 'adas';"
        " open to you: low; name one as `priority` (`--priority`)"
    )
    host.grant(Request(RequestId("a"), priority="low"), BOB)
    closed = Host(ONE, policy=Policy(queue=replace(rules, classes={"adas": classes["adas"]})))
    assert closed.refusal(Request(RequestId("a")), BOB).sentence.endswith(
        "no class is open to you; ask an administrator"
    )
    closed.grant(Request(RequestId("a")))


def test_a_class_is_explained_as_it_would_be_refused() -> None:
    """A dry run of a request says that its class may not be used, as asking for it would."""
    event = ExplainRequested(ADA, Request(RequestId("a"), priority="admins"))
    reply = host_of(ONE).do(event).reply
    assert isinstance(reply, Explained)
    assert reply.rejection is not None
    assert reply.rejection.why is Refusal.NOT_ALLOWED
