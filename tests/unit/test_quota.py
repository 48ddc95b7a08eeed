"""Quotas as values: whom they bound, by how much, and in which words."""

import pytest

from gpusched.core.ids import SECOND
from gpusched.core.quota import (
    UNBOUNDED,
    Exempt,
    QuotaExcess,
    Quotas,
    Resource,
    as_told,
    sentence_of,
)
from gpusched.core.sizes import GIB
from tests.fakes.bounding import each, group, label, together, user
from tests.fakes.builders import ADA, BOB, ROOT, caller, labelled

ADMIN = caller(1002, admin=True)


def told(quotas: Quotas, who: str = "ada", **labels: str) -> list[tuple[str, str, int]]:
    """Whose bounds hold for a request, on what, and how much."""
    callers = {"ada": ADA, "bob": BOB, "member": caller(1003, groups=(4, 27))}
    found = quotas.on(callers[who], labelled(**labels))
    return [(one.name, one.resource.value, one.allowed) for one in found]


def test_all_that_match_apply() -> None:
    """A request is bounded by the quota of its user, of each of his groups, and of its labels."""
    quotas = together(
        user(1003, devices=4), group(27, devices=3, leases=9), label(("team", "red"), devices=2)
    )
    assert told(quotas, "member", team="red") == [
        ("user user1003", "devices", 4),
        ("gid 27", "devices", 3),
        ("gid 27", "leases", 9),
        ("label team=red", "devices", 2),
    ]
    assert told(quotas, "member", team="blue")[-1] == ("gid 27", "leases", 9)
    assert told(quotas, "bob") == []


def test_the_main_group_counts_as_the_others() -> None:
    """A quota of a group holds for whom it is the main group, too."""
    assert told(group(ADA.gid, devices=3)) == [("gid 1000", "devices", 3)]


def test_a_default_is_for_whom_nothing_else_is_said() -> None:
    """A bound of each user holds for what no quota of that very user says."""
    quotas = together(each(devices=1, leases=5), user(ADA.uid, devices=8))
    assert told(quotas) == [("each user", "leases", 5), ("user user1000", "devices", 8)]
    assert told(quotas, "bob") == [("each user", "devices", 1), ("each user", "leases", 5)]
    assert told(each(devices=1)) == [("each user", "devices", 1)]


@pytest.mark.parametrize(
    ("exempt", "free"),
    [
        (Exempt.NOBODY, ()),
        (Exempt.ROOT, (ROOT,)),
        (Exempt.ADMINS, (ROOT, ADMIN)),
    ],
)
def test_who_is_free_of_quotas_is_configured(exempt: Exempt, free: tuple[object, ...]) -> None:
    """Root and administrators are bounded like everybody, unless the configuration frees them."""
    quotas = together(each(devices=1), exempt=exempt)
    everybody = (ADA, ROOT, ADMIN)
    assert tuple(one for one in everybody if not list(quotas.on(one))) == free


def test_quotas_tell_what_they_allow() -> None:
    """A story line says what quotas there are now."""
    quotas = together(
        user(ADA.uid, devices=4, memory=160 * GIB),
        group(27, time_limit=86400 * SECOND),
        each(leases=2, waiting=3),
    )
    assert str(quotas) == (
        "user user1000: devices 4, memory 160 GiB; gid 27: time limit 1d;"
        " each user: leases 2, waiting requests 3"
    )
    assert str(UNBOUNDED) == "none"
    assert str(together(exempt=Exempt.ROOT)) == "free of them: root"


@pytest.mark.parametrize(
    ("resource", "numbers", "sentence"),
    [
        (Resource.DEVICES, (3, 2, 4), "quota of user ann: devices: 3 of 4 used, 2 wanted"),
        (
            Resource.MEMORY,
            (120 * GIB, 80 * GIB, 160 * GIB),
            "quota of user ann: memory: 120 GiB of 160 GiB used, 80 GiB wanted",
        ),
        (Resource.LEASES, (3, 1, 3), "quota of user ann: leases: 3 of 3 used, 1 wanted"),
        (
            Resource.WAITING,
            (0, 1, 0),
            "quota of user ann: waiting requests: 0 of 0 used, 1 wanted",
        ),
        (
            Resource.TIME_LIMIT,
            (0, 7200 * SECOND, 3600 * SECOND),
            "quota of user ann: time limit: 1h at most, 2h wanted",
        ),
    ],
)
def test_an_excess_names_quota_used_wanted_and_allowed(
    resource: Resource, numbers: tuple[int, int, int], sentence: str
) -> None:
    """The sentence of an excess says which quota it is, what is used, and what is allowed."""
    assert sentence_of(QuotaExcess("user ann", resource, *numbers)) == sentence


def test_clients_are_told_seconds_and_bytes() -> None:
    """A longest time is told in whole seconds, everything else as it is counted."""
    assert as_told(Resource.TIME_LIMIT, 90 * SECOND) == 90
    assert as_told(Resource.MEMORY, 90) == 90
