"""The log: one shape for our lines and the libraries'."""

import asyncio
import io
import json
import logging
import re
import time
from collections.abc import Iterator
from datetime import datetime

import pytest
import structlog

from gpusched import log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, str]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def library_says(name: str, level: int, message: str) -> None:
    logging.root.getChild(name).log(level, message)


def test_a_pipe_gets_json() -> None:
    """Into a pipe each event is one JSON object with time, level and event first."""
    stream = io.StringIO()
    log.configure(stream, "info", as_json=None)
    structlog.get_logger().info("lease granted", lease="lease-1", devices=2, text="two\nlines")
    (line,) = lines(stream)
    assert list(line)[:3] == ["time", "level", "event"]
    assert line["text"] == "two\nlines"
    assert (line["level"], line["event"], line["lease"]) == ("info", "lease granted", "lease-1")


def test_a_terminal_gets_words() -> None:
    """On a terminal an event is a readable line."""
    stream = Terminal()
    log.configure(stream, "info", as_json=None)
    structlog.get_logger().info("lease granted", lease="lease-1")
    assert not stream.getvalue().startswith("{")
    assert "lease granted" in stream.getvalue()


def test_a_terminal_obeys_nobody() -> None:
    """What would move the cursor, or begin another line, is escaped: it may be a user's words."""
    stream = Terminal()
    log.configure(stream, "info", as_json=False)
    structlog.get_logger().info("not signalled", cgroup="/a\x1b[2J\nb\x9b2Jé", many=["c"])
    library_says("library", logging.WARNING, "one\ntwo")
    first, second, *rest = stream.getvalue().splitlines()
    assert not rest
    assert r"/a\x1b[2J\nb\x9b2Jé" in first
    assert r"one\ntwo" in second


@pytest.mark.parametrize(("wish", "coloured"), [("", True), ("1", False)])
def test_no_colours(monkeypatch: pytest.MonkeyPatch, wish: str, *, coloured: bool) -> None:
    """Who sets NO_COLOR sees none on a terminal either."""
    monkeypatch.setenv("NO_COLOR", wish)
    stream = Terminal()
    log.configure(stream, "info", as_json=None)
    structlog.get_logger().info("lease granted", lease="lease-1")
    assert ("\x1b[" in stream.getvalue()) == coloured


def test_the_operator_may_choose() -> None:
    """A stated wish outranks what the stream is."""
    terminal, pipe = Terminal(), io.StringIO()
    log.configure(terminal, "info", as_json=True)
    structlog.get_logger().info("one")
    log.configure(pipe, "info", as_json=False)
    structlog.get_logger().info("two", lease="lease-1")
    assert [line["event"] for line in lines(terminal)] == ["one"]
    # A pipe gets no colours.
    assert re.search(r"two +lease=lease-1$", pipe.getvalue().strip())


def test_time_is_iso_with_milliseconds_and_zone() -> None:
    """The time of a line is the wall time with milliseconds and the zone's offset."""
    stream = io.StringIO()
    log.configure(stream, "info", as_json=True)
    structlog.get_logger().info("now")
    stamp = lines(stream)[0]["time"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", stamp)
    now = time.time_ns() / 1e9
    assert abs(datetime.fromisoformat(stamp).timestamp() - now) < 60


def test_less_than_the_level_is_dropped() -> None:
    """Only events of the level and above are written."""
    stream = io.StringIO()
    log.configure(stream, "warning", as_json=True)
    structlog.get_logger().info("quiet")
    structlog.get_logger().error("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_an_unknown_level_is_named() -> None:
    """A level that does not exist is refused with the ones that do."""
    with pytest.raises(ValueError, match=r"no such log level: loud; use debug, info"):
        log.configure(io.StringIO(), "loud", as_json=True)


@pytest.mark.parametrize("name", ["grpc", "grpc._cython.cygrpc", "aiohttp.server", "asyncio"])
def test_libraries_are_heard_from_warning_on(name: str) -> None:
    """What a library logs comes in the same shape, from WARNING on, whatever our level is."""
    stream = io.StringIO()
    log.configure(stream, "debug", as_json=True)
    library_says(name, logging.INFO, "chatter")
    library_says(name, logging.WARNING, "socket lost")
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("socket lost", "warning", name)
    assert "time" in line


def test_a_client_that_goes_is_no_news() -> None:
    """That a client goes while its call ends is nothing that an operator could do about."""
    stream = io.StringIO()
    log.configure(stream, "debug", as_json=True)
    core = "ExecuteBatchError raised in core by servicer method"
    library_says("grpc._cython.cygrpc", logging.ERROR, f"{core} [/gpusched.v1.Leases/Allocate]")
    library_says("grpc._cython.cygrpc", logging.ERROR, "out of descriptors")
    (line,) = lines(stream)
    assert line["event"] == "out of descriptors"


def test_a_second_set_up_replaces_the_first() -> None:
    """After a second set-up every line comes once, and loggers made before follow it."""
    first, second = io.StringIO(), io.StringIO()
    log.configure(first, "info", as_json=True)
    ours = structlog.get_logger()
    ours.info("one")
    log.configure(second, "info", as_json=True)
    ours.info("two")
    library_says("grpc", logging.ERROR, "three")
    assert [line["event"] for line in lines(first)] == ["one"]
    assert [line["event"] for line in lines(second)] == ["two", "three"]


def test_a_defect_keeps_its_traceback_in_one_line() -> None:
    """An exception is a field of its line, so that a reader of lines keeps it whole."""
    stream = io.StringIO()
    log.configure(stream, "info", as_json=True)
    try:
        json.loads("{")
    except json.JSONDecodeError:
        structlog.get_logger().exception("a defect")
    (line,) = lines(stream)
    assert "JSONDecodeError: Expecting" in line["exception"]


def test_a_field_that_is_no_json_is_written_all_the_same() -> None:
    """A value JSON does not know is written in words instead of failing the caller."""
    stream = io.StringIO()
    log.configure(stream, "info", as_json=True)
    structlog.get_logger().info("odd", raw=b"\xff")
    assert lines(stream)[0]["raw"] == "b'\\xff'"


def test_a_task_s_context_is_in_its_lines() -> None:
    """What a task binds, such as its request, is on its lines and on no other task's."""
    stream = io.StringIO()
    log.configure(stream, "info", as_json=True)

    async def task(request: str) -> None:
        structlog.contextvars.bind_contextvars(request=request)
        await asyncio.sleep(0)
        structlog.get_logger().info("done")

    async def both() -> None:
        await asyncio.gather(task("a"), task("b"))

    asyncio.run(both())
    structlog.get_logger().info("outside")
    assert [line.get("request") for line in lines(stream)] == ["a", "b", None]
