"""Which running processes would become a lease together."""

from dataclasses import replace

from gpusched.core.adoptable import Group, groups_of, rows_with
from tests.fakes.adopting import GIB, SERVICE, SESSION, host_of, served
from tests.fakes.builders import (
    UNREADABLE,
    context,
    facts,
    process,
    reading,
)
from tests.fakes.strays import GPU, OTHER


def pids(group: Group) -> list[int]:
    """The pids of a group, in its order."""
    return [one.pid for one in group.processes]


def test_who_belongs_together() -> None:
    """A unit is one group with all below it; elsewhere a process and its descendants are."""
    below = f"{SERVICE}/worker"
    known = [
        served(7, below),
        served(8),
        served(9, "/system.slice/b.service"),
        served(10, SESSION),
        facts(11, cgroup=SESSION, parents=[12, 10, 1]),
        served(13, SESSION),
    ]
    shown = reading(GPU, *(context(one.identity.pid) for one in known))
    host = host_of(shown, reading(OTHER, context(7, UNREADABLE)), known=known)
    groups = groups_of(host.ledger)
    assert [(one.cgroup, one.in_place, pids(one)) for one in groups] == [
        (SERVICE, True, [8, 7]),
        ("/system.slice/b.service", True, [9]),
        (SESSION, False, [10, 11]),
        (SESSION, False, [13]),
    ]
    assert groups[0].uses == {GPU.uuid: 2 * GIB, OTHER.uuid: UNREADABLE}


def test_without_cgroups_descent_decides() -> None:
    """Where no cgroups can be had, those of a unit are told apart by descent, too."""
    known = [served(7), served(8), facts(9, cgroup=SERVICE, parents=[8])]
    shown = reading(GPU, *(context(one.identity.pid) for one in known))
    host = host_of(shown, known=known, cgroups=False)
    assert [pids(one) for one in groups_of(host.ledger)] == [[7], [8, 9]]


def test_what_a_sample_shows_of_a_process() -> None:
    """Its rows on all devices, those of an unknown process of that pid included."""
    host = host_of(
        reading(GPU, context(7), context(8)), reading(OTHER, context(7)), known=[served()]
    )
    assert len(rows_with(host.ledger, process(7))) == 2
    assert [one.facts for one in rows_with(host.ledger, process(8))] == [None]
    assert rows_with(host.ledger, replace(process(7), start_ticks=1)) == []
