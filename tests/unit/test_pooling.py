"""Pools: which one a device is in, how it moves, and who may use it."""

from dataclasses import replace

import pytest

from gpusched.core.events import PolicyRead
from gpusched.core.ids import DeviceUuid
from gpusched.core.lease import LeaseState
from gpusched.core.policy import Policy
from gpusched.core.pool import DEFAULT_POOL, ONE_POOL, Pools
from gpusched.core.pooling import configured, pool_of, twice_named
from gpusched.core.replies import Obstacle, Refusal
from gpusched.core.request import Request
from gpusched.core.rights import Rights
from gpusched.core.sizes import GIB
from tests.fakes.bounding import pooled
from tests.fakes.builders import ADA, BOB, ROOT, A, B, C, caller, device, mig
from tests.fakes.host import Host, name, places

FIRST, SECOND_, THIRD = device(0), device(1), device(2)
ALL = (FIRST, SECOND_, THIRD)
PARENT = replace(device(1), mig_enabled=True)
ONE, TWO = mig(PARENT, 1), mig(PARENT, 2)


def host_of(pools: Pools, *devices: object) -> Host:
    """A host with pools."""
    return Host(*(devices or ALL), policy=Policy(pools=pools))  # type: ignore[arg-type]


def reload(host: Host, pools: Pools) -> None:
    """Read a configuration with other pools."""
    host.do(PolicyRead(replace(host.ledger.policy, pools=pools), {"policy.pools": str(pools)}))


def names(host: Host) -> list[str]:
    """The pool of each device, in their order."""
    return [pool_of(host.ledger, one) for one in host.ledger.devices.values()]


def test_every_device_is_in_one_pool() -> None:
    """A device is in the pool that names it, by UUID or index, and else in the default one."""
    assert names(host_of(pooled(training=FIRST.uuid, serving=2))) == [
        "training",
        DEFAULT_POOL,
        "serving",
    ]
    assert names(host_of(ONE_POOL)) == [DEFAULT_POOL] * 3


def test_a_uuid_says_more_than_an_index() -> None:
    """Where two pools name a GPU, one by UUID, that holds, and everybody is warned."""
    host = host_of(pooled(training=FIRST.uuid, serving=0))
    assert names(host)[0] == "training"
    assert list(twice_named(host.ledger)) == [
        f"{FIRST.uuid} is in pool training, by its UUID; pool serving names it by its index 0, too"
    ]
    assert list(twice_named(host_of(pooled(training=FIRST.uuid, serving=1)).ledger)) == []
    assert list(twice_named(host_of(pooled(training=PARENT.uuid), PARENT, ONE).ledger)) == []


def test_instances_follow_their_gpu() -> None:
    """A MIG instance is in the pool of its GPU, unless it is named itself."""
    by_uuid = host_of(pooled(training=PARENT.uuid, serving=TWO.uuid), PARENT, ONE, TWO)
    assert names(by_uuid) == ["training", "training", "serving"]
    by_index = host_of(pooled(training=1), PARENT, ONE, TWO)
    assert names(by_index) == ["training"] * 3
    assert list(twice_named(by_index.ledger)) == []
    assert configured(host_of(pooled(training=1), ONE).ledger, ONE) == DEFAULT_POOL


def test_a_request_gets_devices_of_its_pool() -> None:
    """A request is served out of the pool that it names, or out of the default one."""
    host = host_of(pooled(training=FIRST.uuid))
    lease = host.grant(Request(A, pool="training"))
    assert places(lease) == [FIRST.uuid]
    assert lease.shares[0].pool == "training"
    assert places(host.grant(Request(B, count=2))) == [SECOND_.uuid, THIRD.uuid]
    no = host.refusal(Request(C, count=2, pool="training"))
    assert no.why is Refusal.NEVER_HERE
    assert no.sentence == ("2 devices wanted, 1 can ever serve: 1, 2: is in pool default")
    assert [one.obstacle for one in no.verdicts][1:] == [Obstacle.OTHER_POOL] * 2


def test_a_named_device_of_another_pool_is_refused() -> None:
    """Naming a device is no way around its pool."""
    host = host_of(pooled(training=FIRST.uuid))
    no = host.refusal(Request(A, devices=(FIRST.uuid,)))
    assert no.why is Refusal.NEVER_HERE
    assert "0: is in pool training" in no.sentence
    host.grant(Request(A, devices=(FIRST.uuid,), pool="training"))


def test_a_pool_that_there_is_not() -> None:
    """An unknown pool is a bad request, which is told the pools that there are."""
    no = host_of(pooled(training=FIRST.uuid)).refusal(Request(A, pool="trainign"))
    assert (no.why, no.field) == (Refusal.BAD_REQUEST, "pool")
    assert no.sentence == "pool: there is no pool 'trainign'; known: default, training"


RIGHTS = Rights(frozenset({ADA.uid}), frozenset({27}), "user ada, group video")


@pytest.mark.parametrize(
    ("who", "may"),
    [
        (ADA, True),
        (BOB, False),
        (ROOT, True),
        (caller(1002, groups=(4, 27)), True),
        (caller(27), True),
        (caller(1002, groups=(4,)), False),
        (caller(1002, admin=True), True),
    ],
)
def test_a_pool_is_for_those_it_names(who: object, may: bool) -> None:  # noqa: FBT001 - a table
    """Named users, members of named groups and administrators may use a pool, others not."""
    host = host_of(pooled(training=FIRST.uuid, rights=RIGHTS))
    decision = host.ask(Request(A, pool="training"), who)  # type: ignore[arg-type]
    assert bool(decision.changes) is may


def test_who_may_not_use_a_pool_is_told_which_he_may() -> None:
    """A pool of others is not allowed, with the names of those that are open."""
    host = host_of(pooled(training=FIRST.uuid, rights=RIGHTS))
    no = host.refusal(Request(A, pool="training"), BOB)
    assert (no.why, no.field) == (Refusal.NOT_ALLOWED, "pool")
    assert no.sentence == (
        "pool training is for user ada, group video;"
        " open to you: default; name one as `pool` (`--pool`)"
    )


def test_the_default_pool_may_be_closed() -> None:
    """Who may use no pool at all is sent to an administrator."""
    host = host_of(Pools({DEFAULT_POOL: RIGHTS}))
    assert host.refusal(Request(A), BOB).sentence == (
        "pool default is for user ada, group video; no pool is open to you; ask an administrator"
    )


def test_a_free_device_moves_at_once() -> None:
    """A device without leases is in its new pool as soon as the configuration is read."""
    host = host_of(ONE_POOL)
    reload(host, pooled(training=FIRST.uuid))
    assert names(host)[0] == "training"
    host.grant(Request(A, pool="training"))


def test_a_leased_device_moves_when_its_leases_have_ended() -> None:
    """Until then nothing new is granted on it, to neither pool, and the move is told."""
    host = host_of(ONE_POOL, FIRST)
    held = host.grant(Request(A, memory=GIB))
    reload(host, pooled(training=FIRST.uuid))
    assert names(host) == [DEFAULT_POOL]
    no = host.refusal(Request(B, memory=GIB, pool="training"))
    assert no.why is Refusal.LATER
    assert no.sentence == (
        "1 device wanted, 0 free now: 0: moves from pool default to pool training when the leases"
        " on it have ended"
    )
    assert [one.lease for one in no.holders] == [held.id]
    assert host.refusal(Request(B, memory=GIB)).why is Refusal.NEVER_HERE
    host.release(held)
    assert names(host) == ["training"]
    host.grant(Request(B, memory=GIB, pool="training"))


def test_a_move_that_is_taken_back_is_none() -> None:
    """A device that is to stay where it is after all goes on as if nothing had been."""
    host = host_of(ONE_POOL, FIRST)
    host.grant(Request(A, memory=GIB))
    reload(host, pooled(training=FIRST.uuid))
    reload(host, ONE_POOL)
    host.grant(Request(B, memory=GIB))


def test_a_pool_that_is_gone_leaves_its_leases() -> None:
    """Leases of a pool that is not configured any more go on; the device then is the default's."""
    host = host_of(pooled(training=FIRST.uuid), FIRST)
    held = host.grant(Request(A, memory=GIB, pool="training"))
    reload(host, ONE_POOL)
    assert names(host) == ["training"]
    assert host.lease(held.id).state is LeaseState.RESERVED
    host.release(held)
    assert names(host) == [DEFAULT_POOL]


def test_a_restart_forgets_no_move() -> None:
    """A move that is pending is found in the leases, so a restart changes nothing of it."""
    host = host_of(ONE_POOL, FIRST)
    held = host.grant(Request(A, memory=GIB))
    again = host_of(pooled(training=FIRST.uuid), FIRST)
    again.ledger.restore([held], (), 1)
    assert names(again) == [DEFAULT_POOL]
    no = again.refusal(Request(name("d"), memory=GIB, pool="training"))
    assert no.verdicts[0].obstacle is Obstacle.MOVING


def test_instances_of_one_gpu_move_one_by_one() -> None:
    """A lease on one instance does not keep its neighbour from moving."""
    host = host_of(pooled("training"), PARENT, ONE, TWO)
    profile = ONE.mig.profile if ONE.mig else ""
    host.grant(Request(A, mig_profile=profile, devices=(ONE.uuid,)))
    reload(host, pooled(training=PARENT.uuid))
    assert names(host) == ["training", DEFAULT_POOL, "training"]
    assert places(host.grant(Request(B, mig_profile=profile, pool="training"))) == [TWO.uuid]


def test_pools_tell_what_they_have() -> None:
    """A story line says which pools there are now, with their devices, and for whom."""
    pools = Pools(
        {DEFAULT_POOL: Rights(), "training": RIGHTS},
        {DeviceUuid("GPU-a"): "training"},
        {3: "training"},
    )
    assert str(pools) == "default: all others; training: GPU-a 3 for user ada, group video"
