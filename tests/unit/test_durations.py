"""Time in words and words in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusched.core.durations import LONGEST, as_flag, in_words, parse_duration
from gpusched.core.errors import InvalidRequest
from gpusched.core.ids import SECOND


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("500ms", SECOND // 2),
        ("90s", 90 * SECOND),
        ("5m", 300 * SECOND),
        ("1h30m", 5400 * SECOND),
        ("2d", 172_800 * SECOND),
        ("1.5s", 3 * SECOND // 2),
        (" 1m1ms ", 60 * SECOND + SECOND // 1000),
    ],
)
def test_a_time_is_read_with_its_units(text: str, duration: int) -> None:
    """Parts with units are added up."""
    assert parse_duration(text, "keepalive") == duration


@pytest.mark.parametrize("text", ["90", "", "s", "-5s", "5 m", "5m!", "1h 30m", "5y"])
def test_a_time_without_known_units_is_refused(text: str) -> None:
    """A bare number is no time: nobody knows whether it means seconds or minutes."""
    with pytest.raises(InvalidRequest) as caught:
        parse_duration(text, "keepalive")
    assert str(caught.value) == f"keepalive: {text!r} is not a time such as 90s, 5m or 1h30m"


def test_no_time_at_all_is_refused() -> None:
    """Nothing is no time."""
    with pytest.raises(InvalidRequest) as caught:
        parse_duration("0s", "keepalive")
    assert str(caught.value) == "keepalive: '0s' is not more than nothing"


def test_the_longest_time() -> None:
    """A hundred years are a time; what is longer has an end that no calendar has."""
    assert parse_duration("36500d", "keepalive") == LONGEST
    for text in ("36501d", "36500d1s", f"{'9' * 400}s"):
        with pytest.raises(InvalidRequest) as caught:
            parse_duration(text, "keepalive")
        assert str(caught.value) == f"keepalive: {text!r} is more than 100 years"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (45, "45s"),
        (300, "5m"),
        (61, "1m1s"),
        (5400, "1h30m"),
        (3661, "1h1m"),
        (183_600, "2d3h"),
    ],
)
def test_a_time_is_told_in_its_two_largest_units(seconds: int, words: str) -> None:
    """What is smaller than the two largest units is left out."""
    assert in_words(seconds * SECOND + SECOND // 2) == words


@given(st.integers(min_value=1, max_value=59), st.integers(min_value=1, max_value=59))
def test_a_time_in_words_is_read_back(minutes: int, seconds: int) -> None:
    """Two units survive the way to words and back."""
    duration = (60 * minutes + seconds) * SECOND
    assert parse_duration(in_words(duration), "x") == duration


@given(st.integers(min_value=1, max_value=LONGEST // 10**6))
def test_a_time_as_a_flag_is_read_back(milliseconds: int) -> None:
    """A command to paste asks for exactly the time that was asked for."""
    duration = milliseconds * 10**6
    assert parse_duration(as_flag(duration), "x") == duration


def test_a_time_as_a_flag_has_no_empty_units() -> None:
    """It looks as a person would have typed it."""
    assert as_flag(5400 * SECOND) == "1h30m"
    assert as_flag(10**6) == "1ms"
