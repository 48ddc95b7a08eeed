"""Bytes in words and words in bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusched.core.errors import InvalidRequest
from gpusched.core.sizes import GIB, MIB, as_flag, in_words, of_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GiB", 4 * GIB),
        ("4000MiB", 4000 * MIB),
        ("1.5 GiB", 3 * GIB // 2),
        (" 2gib ", 2 * GIB),
        ("1TiB", 1024 * GIB),
        ("3KiB", 3072),
        ("4GB", 4_000_000_000),
        ("4MB", 4_000_000),
        ("4KB", 4000),
        ("2TB", 2_000_000_000_000),
    ],
)
def test_a_size_is_read_with_its_unit(text: str, size: int) -> None:
    """GiB counts by 1024, GB by 1000, in any case of letters."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["4", "", "GiB", "-4GiB", "4XB", "4 G iB", "1.GiB", "4GiB!"])
def test_a_size_without_a_known_unit_is_refused(text: str) -> None:
    """A bare number is no size: nobody knows whether it means MiB or GiB."""
    with pytest.raises(InvalidRequest) as caught:
        parse_size(text)
    assert caught.value.field == "memory"
    assert caught.value.why == f"{text!r} is not a size such as 4GiB, 4000MiB or 4GB"


@pytest.mark.parametrize("text", ["0GiB", "0.0001KB"])
def test_no_size_at_all_is_refused(text: str) -> None:
    """Nothing is no size, and the error names the field that it was given for."""
    with pytest.raises(InvalidRequest) as caught:
        parse_size(text, "withheld")
    assert str(caught.value) == f"withheld: {text!r} is not more than nothing"


@pytest.mark.parametrize("text", ["8388608TiB", "9" * 400 + "GiB"])
def test_more_than_can_be_told_is_refused(text: str) -> None:
    """A size that has no number on the wire is refused, however many digits it has."""
    with pytest.raises(InvalidRequest) as caught:
        parse_size(text)
    assert caught.value.why == f"{text!r} is not less than 2^63 bytes"
    assert parse_size("8388607TiB") < 1 << 63


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 MiB"),
        (642 * MIB + 5, "642 MiB"),
        (GIB - 1, "1023 MiB"),
        (GIB, "1 GiB"),
        (80 * GIB, "80 GiB"),
        (8 * GIB + 103 * MIB, "8.1 GiB"),
    ],
)
def test_a_size_is_told_in_the_unit_that_suits_it(size: int, words: str) -> None:
    """From one GiB on, a size is told in GiB with one digit at most."""
    assert in_words(size) == words


@pytest.mark.parametrize(
    ("size", "flag"), [(4 * GIB, "4GiB"), (4 * GIB + MIB, "4097MiB"), (5 * MIB + 7, "5MiB")]
)
def test_a_size_as_a_flag_is_never_more_than_it_was(size: int, flag: str) -> None:
    """What the command line is offered can be asked for: it is rounded down."""
    assert as_flag(size) == flag


@given(st.integers(min_value=1, max_value=2**20))
def test_a_flag_is_read_back_as_it_was(mebibytes: int) -> None:
    """Whole MiB survive the way to the command line and back."""
    assert parse_size(as_flag(mebibytes * MIB)) == mebibytes * MIB


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (int(8.1 * GIB), 12 * GIB, "8.1 of 12 GiB"),
        (642 * MIB, 12 * GIB, "642 MiB of 12 GiB"),
        (256 * MIB, 512 * MIB, "256 of 512 MiB"),
        (MIB, 80 * GIB, "1 MiB of 80 GiB"),
        (MIB - 1, 80 * GIB, "0 of 80 GiB"),
    ],
)
def test_a_part_of_a_whole(part: int, whole: int, words: str) -> None:
    """A part and its whole are told in one unit where they have the same; nothing needs none."""
    assert of_size(part, whole) == words
