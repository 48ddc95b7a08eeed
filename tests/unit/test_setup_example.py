"""The configuration file that `gpusched setup` puts into its place, for the operator to change."""

import pytest

from gpusched.config.options import OPTIONS
from gpusched.config.read import parse
from gpusched.setup.example import example, untouched


def test_the_example_changes_nothing() -> None:
    """The example has every option, says its default, and leaves all of them as they are."""
    text = example()
    assert parse(text) == parse("")
    assert all(f"\n#{one.key.partition('.')[2]} = " in text for one in OPTIONS)


def test_the_example_is_right_when_it_is_taken_up() -> None:
    """With every # taken off, the example is a configuration without a fault."""
    _, *lines = example().splitlines()
    settings = [line[1:] for line in lines if line.startswith("#") and line[1:2] != " "]
    parse("\n".join(settings))


@pytest.mark.parametrize("change", ["\n", "# mine\n", "[log]\n"])
def test_a_change_of_the_example_is_seen(change: str) -> None:
    """The example is known as untouched until anything is added, a comment too."""
    assert untouched(example())
    assert not untouched(example() + change)
    assert not untouched("")
