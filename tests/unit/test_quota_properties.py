"""Quotas under any order of grants and ends: sums are those of live leases, no bound breaks."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gpusched.core.ids import Caller
from gpusched.core.lease import Lease
from gpusched.core.policy import Policy
from gpusched.core.quota import Quotas, Resource
from gpusched.core.replies import Granted, Rejected
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from gpusched.core.tally import Subject
from tests.examples import examples
from tests.fakes.bounding import each, group, label, together, user
from tests.fakes.builders import A100, L4, caller, device, labelled
from tests.fakes.host import Host, name

DEVICES = (device(0, A100), device(1, A100), device(2, L4, 24 * GIB), device(3, L4, 24 * GIB))
CALLERS = (caller(1), caller(2, groups=(50,)), caller(3, groups=(50, 60)), caller(60))
TEAMS = ("red", "blue")
SIZES = st.none() | st.integers(min_value=1, max_value=30).map(lambda many: many * GIB)
BOUNDS = st.fixed_dictionaries(
    {},
    optional={
        "devices": st.integers(0, 4),
        "memory": st.integers(0, 200).map(lambda many: many * GIB),
        "leases": st.integers(0, 4),
    },
)
QUOTAS = st.builds(
    lambda own, members, team, default: together(
        user(1, **own), group(50, **members), label(("team", "red"), **team), each(**default)
    ),
    *[BOUNDS] * 4,
)


class Quoted(RuleBasedStateMachine):
    """Users of two groups ask, with labels and without, and end what they have."""

    @initialize(quotas=QUOTAS)
    def begin(self, quotas: Quotas) -> None:
        self.host = Host(*DEVICES, policy=Policy(quotas=quotas))
        self.asked = 0
        self.holders: dict[str, Caller] = {}

    @rule(
        who=st.sampled_from(CALLERS),
        count=st.integers(0, 3),
        memory=SIZES,
        team=st.none() | st.sampled_from(TEAMS),
        least=st.none() | st.just(1),
    )
    def ask(
        self, who: Caller, count: int, memory: int | None, team: str | None, least: int | None
    ) -> None:
        self.asked += 1
        request = Request(
            name(str(self.asked)),
            count=count,
            memory=memory,
            min_count=least if count else None,
            labels=labelled(team=team) if team else labelled(),
        )
        reply = self.host.ask(request, who).reply
        if isinstance(reply, Granted):
            self.holders[reply.lease.id] = who
        else:
            assert isinstance(reply, Rejected)

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        live = list(self.host.ledger.live())
        if live:
            lease = data.draw(st.sampled_from(live))
            self.host.release(lease, self.holders[lease.id])

    @invariant()
    def sums_are_those_of_the_live_leases(self) -> None:
        """What is used is what a look at every lease adds up to."""
        ledger = self.host.ledger
        for subject in subjects():
            mine = [one for one in ledger.live() if concerns(subject, one)]
            taken = ledger.taken(subject)
            assert list(taken.leases) == [one.id for one in mine]
            assert taken.devices == sum(len(one.shares) for one in mine)
            assert taken.memory == sum(promised(one) for one in mine)

    @invariant()
    def no_quota_is_exceeded(self) -> None:
        """No bound is broken, neither a user's nor a group's nor a label's."""
        ledger = self.host.ledger
        for who in CALLERS:
            for bound in ledger.policy.quotas.on(who, labelled(team="red")):
                taken = ledger.taken(bound.subject)
                used = {
                    Resource.DEVICES: taken.devices,
                    Resource.MEMORY: taken.memory,
                    Resource.LEASES: len(taken.leases),
                }[bound.resource]
                assert used <= bound.allowed, bound


def subjects() -> list[Subject]:
    """Everybody who may have something here."""
    return [
        *(Subject("uid", one.uid) for one in CALLERS),
        *(Subject("gid", one) for one in (1, 2, 3, 50, 60)),
        *(Subject("label", ("team", one)) for one in TEAMS),
    ]


def concerns(subject: Subject, lease: Lease) -> bool:
    """Whether a lease is on somebody's account, worked out anew."""
    if subject.kind == "uid":
        return lease.uid == subject.name
    if subject.kind == "gid":
        return subject.name in (lease.gid, *lease.groups)
    return subject.name in list(lease.request.labels.items())


def promised(lease: Lease) -> int:
    """Bytes of a lease, worked out anew."""
    sizes = {one.uuid: one.memory_total or 0 for one in DEVICES}
    return sum(sizes[one.device] if one.memory is None else one.memory for one in lease.shares)


TestQuoted = Quoted.TestCase
TestQuoted.settings = examples(60, steps=30)
