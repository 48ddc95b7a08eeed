"""The host on the wire: its driver, its counts, and what everyone should know of it."""

from collections.abc import Iterator

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from gpusched.api.v1 import device_pb2, node_pb2, process_pb2
from gpusched.core.enforcement import HELD
from gpusched.core.entitlement import bounds_on
from gpusched.core.ids import SECOND, Instant, Moment
from gpusched.core.ledger import Ledger
from gpusched.core.marked import let_go
from gpusched.core.pooling import twice_named
from gpusched.core.quota import as_told
from gpusched.core.sample import NOT_SAMPLED, DriverVersions, NodeReading, Reading, Unavailable
from gpusched.rpc.call import Call
from gpusched.rpc.convert_reading import number_of, text_of, time_of
from gpusched.rpc.host import Host
from gpusched.rpc.judging import whole_verdicts

_MISSING = ("driver is not loaded", "was not found")
_HANGS = "hangs in the driver"
_MISMATCH = ("different versions", "mismatch")

_UNGUARDED = "The guard is off: processes without a lease can open every device"
_TROUBLED = (device_pb2.HEALTH_LOST, device_pb2.HEALTH_UNREAD, device_pb2.HEALTH_UNHEALTHY)


def quotas_of(ledger: Ledger, call: Call) -> list[node_pb2.Quota]:
    """Give the quotas that bound the caller, and how much of each is used."""
    return [
        node_pb2.Quota(
            subject=one.subject,
            resource=one.resource.value,
            used=as_told(one.resource, one.used),
            allowed=as_told(one.resource, one.allowed),
        )
        for one in bounds_on(ledger, call.caller, ledger.waiting.count_of)
    ]


def sampled_at(ledger: Ledger, now: Moment) -> Timestamp | None:
    """Give the wall time of the last sample that could be read; nothing before the first."""
    at = _read_at(ledger)
    return None if at is None else time_of(now.wall_of(at))


def sample_age(ledger: Ledger, now: Instant) -> Duration | None:
    """Give the age of the last sample that could be read; nothing before the first."""
    at = _read_at(ledger)
    if at is None:
        return None
    seconds, nanos = divmod(max(0, now - at), SECOND)
    return Duration(seconds=seconds, nanos=nanos)


def sample_stale(ledger: Ledger, now: Instant) -> bool:
    """Say whether the last sample is too old to schedule by; where there is none it is not old."""
    at = _read_at(ledger)
    return at is not None and now - at > ledger.policy.max_sample_age


def _read_at(ledger: Ledger) -> Instant | None:
    """Give the instant of the last sample that could be read: one in vain tells nothing new."""
    sample = ledger.sample
    if sample is None or isinstance(sample.reading, Unavailable):
        return ledger.read_at
    return sample.begun_at


def reading_of(ledger: Ledger) -> Reading[NodeReading]:
    """Give the last sample's reading, or why there is none."""
    return NOT_SAMPLED if ledger.sample is None else ledger.sample.reading


def driver_of(ledger: Ledger) -> node_pb2.DriverStatus:
    """Say whether the driver answers."""
    reading = reading_of(ledger)
    if ledger.released is not None and isinstance(reading, Unavailable):
        return _let_go(ledger.released, reading)
    if isinstance(reading, Unavailable):
        none = text_of(reading)
        return node_pb2.DriverStatus(
            state=_state(ledger, reading),
            sentence=reading.reason,
            driver_version=none,
            nvml_version=none,
            cuda_version=none,
        )
    versions = reading.versions
    return node_pb2.DriverStatus(
        state=node_pb2.DRIVER_STATE_ANSWERING,
        driver_version=text_of(versions.driver),
        nvml_version=text_of(versions.nvml),
        cuda_version=text_of(_cuda(versions)),
    )


def _let_go(why: str, reading: Unavailable) -> node_pb2.DriverStatus:
    """Say that the driver is let go, and whether something of it is left all the same."""
    sentence = let_go(why)
    if _HANGS in reading.reason:
        sentence = f"{sentence}; but {reading.reason}"
    none = text_of(reading)
    return node_pb2.DriverStatus(
        state=node_pb2.DRIVER_STATE_RELEASED,
        sentence=sentence,
        driver_version=none,
        nvml_version=none,
        cuda_version=none,
    )


def simulated(ledger: Ledger, host: Host) -> bool:
    """Say whether a simulator stands in for a driver, or answered instead of one."""
    reading = reading_of(ledger)
    answered = not isinstance(reading, Unavailable) and reading.simulated
    return host.simulated or answered


def warnings_of(ledger: Ledger, now: Instant, host: Host) -> list[str]:
    """Say what is missing or wrong, and what everyone should know, a sentence each."""
    return [*device_warnings(ledger, now, host), *_standing(ledger, host)]


def device_warnings(ledger: Ledger, now: Instant, host: Host) -> Iterator[str]:
    """Say what is missing or wrong of the devices."""
    if simulated(ledger, host):
        yield "SIMULATED: these devices do not exist."
    reading = reading_of(ledger)
    if isinstance(reading, Unavailable):
        yield f"No devices are read: {reading.reason}."
    if not isinstance(reading, Unavailable) and not ledger.devices:
        yield "There are no devices: the driver answers and counts none."
    at = _read_at(ledger)
    if at is not None and sample_stale(ledger, now):
        age = (now - at) // SECOND
        yield f"The last reading is {age} s old: nothing is granted by it."
    for uuid, reason in ledger.lost.items():
        yield f"{uuid} is lost: {reason}."
    for uuid in ledger.marks:
        if uuid not in ledger.devices:
            yield f"{uuid} is marked, and has not been seen since the daemon started."
    yield from twice_named(ledger)


def guard_of(ledger: Ledger) -> node_pb2.GuardStatus:
    """Say whether the host-wide guard is on."""
    if not ledger.ability.guard:
        none = number_of(Unavailable("the guard is off"))
        return node_pb2.GuardStatus(on=False, sentence=_UNGUARDED, denied_opens=none)
    return node_pb2.GuardStatus(
        on=True,
        sentence="The guard is on: a process without a lease can open no device",
        denied_opens=number_of(_counted(ledger.guard_denied)),
    )


def _counted(number: int | None) -> Reading[int]:
    return Unavailable("not counted yet") if number is None else number


def counts_of(
    ledger: Ledger,
    now: Instant,
    devices: list[device_pb2.Device],
    processes: list[process_pb2.Process],
) -> node_pb2.Counts:
    """Count what the lists hold."""
    free = sum(one.obstacle is None for one in whole_verdicts(ledger, now).values())
    return node_pb2.Counts(
        devices=len(devices),
        free_devices=free,
        leases=ledger.live_count(),
        waiting=len(ledger.waiting),
        lease_processes=_pids(processes, process_pb2.PROCESS_KIND_LEASE),
        strays=_pids(processes, process_pb2.PROCESS_KIND_STRAY),
        troubled_devices=sum(one.health in _TROUBLED for one in devices),
        unknown_processes=_pids(processes, process_pb2.PROCESS_KIND_UNKNOWN),
        outside_mask=len({one.process.pid for one in processes if one.outside_mask}),
    )


def _pids(processes: list[process_pb2.Process], kind: process_pb2.ProcessKind.ValueType) -> int:
    return len({one.process.pid for one in processes if one.kind == kind})


def _standing(ledger: Ledger, host: Host) -> Iterator[str]:
    yield from host.remarks
    if ledger.ability.level not in HELD:
        yield f"Masks are advisory: {ledger.ability.sentence}."
    if not ledger.ability.guard:
        yield f"{_UNGUARDED}."
    if host.foreign_pid_namespace:
        yield "The daemon is outside the host's PID namespace: processes may be missing."


def _state(ledger: Ledger, reading: Unavailable) -> node_pb2.DriverState.ValueType:
    """Tell from the sampler's sentence; a sentence of no known kind means no answer."""
    if ledger.sample is None:
        return node_pb2.DRIVER_STATE_UNSPECIFIED
    words = reading.reason.lower()
    if any(one in words for one in _MISMATCH):
        return node_pb2.DRIVER_STATE_MISMATCH
    if any(one in words for one in _MISSING):
        return node_pb2.DRIVER_STATE_MISSING
    return node_pb2.DRIVER_STATE_NOT_ANSWERING


def _cuda(versions: DriverVersions) -> Reading[str]:
    """Give NVML's integer as a version: 12080 is 12.8."""
    if isinstance(versions.cuda, Unavailable):
        return versions.cuda
    return f"{versions.cuda // 1000}.{versions.cuda % 1000 // 10}"
