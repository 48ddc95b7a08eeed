"""Readings, times and processes on the wire. A reading holds a value or the reason for none."""

from google.protobuf.timestamp_pb2 import Timestamp

from gpusched.api.v1 import process_pb2, reading_pb2
from gpusched.core.ids import SECOND, Instant, Moment, ProcessId
from gpusched.core.sample import Reading, Unavailable

OF_ANOTHER = Unavailable("belongs to another user")
"""What the caller may not see."""

NOT_SHOWN = Unavailable("no sample has shown it")
"""Of the peak of what no sample has shown on a device yet, or not with a figure."""

NOT_EACH_TIME = Unavailable("not read with each sample: `gpusched nvidia-smi -q` asks for it")
"""Of what a tick does not ask the driver for."""


def bytes_of(reading: Reading[int]) -> reading_pb2.ByteReading:
    """Give a size."""
    if isinstance(reading, Unavailable):
        return reading_pb2.ByteReading(unavailable=reading.reason)
    return reading_pb2.ByteReading(value=reading)


def number_of(reading: Reading[int]) -> reading_pb2.NumberReading:
    """Give a whole number."""
    if isinstance(reading, Unavailable):
        return reading_pb2.NumberReading(unavailable=reading.reason)
    return reading_pb2.NumberReading(value=reading)


def text_of(reading: Reading[str]) -> reading_pb2.TextReading:
    """Give a text."""
    if isinstance(reading, Unavailable):
        return reading_pb2.TextReading(unavailable=reading.reason)
    return reading_pb2.TextReading(value=reading)


def flag_of(reading: Reading[bool]) -> reading_pb2.FlagReading:
    """Give a yes or no."""
    if isinstance(reading, Unavailable):
        return reading_pb2.FlagReading(unavailable=reading.reason)
    return reading_pb2.FlagReading(value=reading)


def time_of(wall: int) -> Timestamp:
    """Give Unix time in nanoseconds."""
    seconds, nanos = divmod(wall, SECOND)
    return Timestamp(seconds=seconds, nanos=nanos)


def moment_of(moment: Moment | None) -> Timestamp | None:
    """Give the wall time of a moment; nothing of none."""
    return None if moment is None else time_of(moment.wall)


def deadline_of(deadline: Instant | None, now: Moment) -> Timestamp | None:
    """Give the wall time of a deadline as seen from *now*; nothing of a clock that stands."""
    return None if deadline is None else time_of(now.wall_of(deadline))


def process_of(process: ProcessId) -> process_pb2.ProcessIdentity:
    """Give a process."""
    return process_pb2.ProcessIdentity(pid=process.pid, start_ticks=process.start_ticks)
