"""The configuration file that `gpusched setup` puts into its place, for the operator to change."""

from dataclasses import replace

import pytest

from gpusched.config.options import OPTIONS
from gpusched.config.read import parse
from gpusched.rpc.host import Host as HostFacts
from gpusched.rpc.instance_types import types_of
from gpusched.setup.example import example, untouched
from tests.fakes.builders import L4, device
from tests.fakes.host import Host

FACTS = HostFacts("n", "1", "/s", "b", 1, cores=1, memory=1)


def test_the_example_changes_nothing() -> None:
    """The example has every option, says its default, and leaves all of them as they are."""
    text = example()
    assert parse(text) == parse("")
    assert all(f"\n#{one.key.partition('.')[2]} = " in text for one in OPTIONS)


def test_the_example_is_right_when_it_is_taken_up() -> None:
    """With every # taken off, the example is a configuration without a fault, and its price is
    that of a row.
    """
    _, *lines = example().splitlines()
    settings = [line[1:] for line in lines if line.startswith("#") and line[1:2] != " "]
    prices = parse("\n".join(settings)).prices
    host, facts = Host(device(0, L4)), replace(FACTS, prices=prices)
    rows = types_of(host.ledger, host.now.instant, facts)
    assert [one.price for one in rows if one.price] == list(prices.values())


@pytest.mark.parametrize("change", ["\n", "# mine\n", "[log]\n"])
def test_a_change_of_the_example_is_seen(change: str) -> None:
    """The example is known as untouched until anything is added, a comment too."""
    assert untouched(example())
    assert not untouched(example() + change)
    assert not untouched("")
