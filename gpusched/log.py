"""What the daemon says to its operator: structlog, JSON lines to a pipe, readable on a terminal.

Exists so that every line looks alike, also those of grpc, aiohttp and asyncio. Only the set-up is
here: who has something to say calls `structlog.get_logger()`.
"""

import logging
import os
import time
from collections.abc import Iterable, MutableMapping
from datetime import UTC, datetime
from typing import TextIO

import structlog
from structlog.typing import Processor

_FIRST = ("time", "level", "event")
_TRACEBACK = "exception"
_CLIENT_GONE = "ExecuteBatchError raised in core by servicer method"
"""How grpc begins to say that a client went away while its call's end was on the way to it."""
_NANOSECONDS = 1_000_000_000


class _LibraryHandler(logging.StreamHandler[TextIO]):
    """Carries what libraries log; a type of our own so that a second set-up finds the first's."""


def configure(stream: TextIO, level: str, *, as_json: bool | None) -> None:
    """Send every log line to *stream*; may be called again, the last call holds.

    Args:
        stream: Usually standard error.
        level: Least level of our own lines: `debug`, `info`, `warning`, `error` or `critical`.
            Libraries are heard from `warning` on, whatever it is.
        as_json: One JSON object a line; None for JSON unless *stream* is a terminal.

    Raises:
        ValueError: No such level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(
            f"no such log level: {level}; use debug, info, warning, error or critical"
        )
    terminal = stream.isatty()
    render = _renderers(
        as_json=not terminal if as_json is None else as_json,
        colors=terminal and not os.environ.get("NO_COLOR"),
    )
    before: list[Processor] = [structlog.processors.add_log_level, _add_time]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *before, *render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(stream),
        # Loggers of modules live longer than a configuration.
        cache_logger_on_first_use=False,
    )
    _listen_to_libraries(stream, before, render)


def _renderers(*, as_json: bool, colors: bool) -> list[Processor]:
    """Give the last steps: from the fields of an event to its text."""
    if not as_json:
        return [
            _printable,
            structlog.dev.ConsoleRenderer(
                colors=colors,
                timestamp_key="time",
                # The default may print local variables: tokens and environments among them.
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ]
    return [
        structlog.processors.format_exc_info,
        _in_order,
        structlog.processors.JSONRenderer(),
    ]


def _is_news(record: logging.LogRecord) -> bool:
    """Say whether a library's line is for the operator: that a client went is none of his."""
    return not record.getMessage().startswith(_CLIENT_GONE)


def _listen_to_libraries(
    stream: TextIO, before: Iterable[Processor], render: Iterable[Processor]
) -> None:
    """Render what libraries log like our own lines, from WARNING on."""
    handler = _LibraryHandler(stream)
    handler.setLevel(logging.WARNING)
    handler.addFilter(_is_news)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *before],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.root
    for old in [one for one in root.handlers if isinstance(one, _LibraryHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)


def _add_time(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Add the wall time with milliseconds and zone, ISO 8601."""
    now = datetime.fromtimestamp(time.time_ns() / _NANOSECONDS, tz=UTC).astimezone()
    event["time"] = now.isoformat(timespec="milliseconds")
    return event


def _printable(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Escape what a terminal would obey: names of cgroups, say, are anybody's words."""
    for name, value in event.items():
        if isinstance(value, str) and name != _TRACEBACK and not value.isprintable():
            event[name] = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in value)
    return event


def _in_order(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Put first what a reader looks for first."""
    first = {name: event[name] for name in _FIRST if name in event}
    return first | {name: value for name, value in event.items() if name not in first}
