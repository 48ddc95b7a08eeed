"""Reads the configuration file: TOML in, one frozen `Config` out, or all its faults at once."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gpusched.config import options, rules
from gpusched.config.paths import SYSTEM_CONFIG
from gpusched.config.principals import HOST, Names
from gpusched.config.reader import Reader
from gpusched.core.health_rules import HealthRules
from gpusched.core.ids import SECOND
from gpusched.core.policy import IdleRules, OverUseRules, Policy
from gpusched.core.stray import StrayRules


class ConfigFaults(Exception):
    """A configuration that cannot be used.

    Attributes:
        faults: Every fault, each naming its key or its line.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Config:
    """Everything an operator can set.

    Attributes:
        policy: What decisions depend on.
        interval: Seconds between ticks.
        sample_deadline: Seconds after which NVML is late.
        boot_patience: Seconds that a start soon after a boot waits for the driver.
        admin_group: Its members administer, beside root.
        connections_per_user: Open connections of one uid, root excepted.
        log_level: Least severe lines that are written.
        prices: By row of `gpusched types`.
        events_kept: Events that are kept on disk.
        events_time: Nanoseconds for which they are; None: whatever their age.
        guard_top: Cgroup that the host-wide guard is attached to.
        guard_admits: Units, or paths of cgroups, that it lets through without a lease.
        cdi: Whether container engines are told of leases: `auto`, `on` or `off`.
        cdi_directory: Where their documents are written.
        written: Every option by its key, as the file has it or its default would be written.
    """

    policy: Policy
    interval: float
    sample_deadline: float
    boot_patience: float
    admin_group: str
    connections_per_user: int
    log_level: str
    prices: Mapping[str, str]
    events_kept: int
    events_time: int | None
    guard_top: str
    guard_admits: tuple[str, ...]
    cdi: str
    cdi_directory: str
    written: Mapping[str, object]


def parse(text: str, names: Names = HOST) -> Config:
    """Read a configuration.

    Args:
        text: TOML.
        names: Where the users and groups in it are looked up.

    Raises:
        ConfigFaults: With every fault in it.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigFaults((f"not TOML: {error}",)) from None
    except RecursionError:
        raise ConfigFaults(("not TOML that can be read: it is nested too deeply",)) from None
    reader = Reader(tables, names)
    config = _config(reader)
    faults = (*reader.faults, *_faults_together(config))
    if faults:
        raise ConfigFaults(faults)
    return config


def read(path: Path | None, environment: Mapping[str, str]) -> Config:
    """Read the file at *path*, else the one of GPUSCHED_CONFIG, else the system's if it is there.

    Raises:
        ConfigFaults: A file that was named is not there, or has faults.
    """
    said = environment.get("GPUSCHED_CONFIG")
    named = path or (Path(said) if said else None)
    chosen = named or SYSTEM_CONFIG
    try:
        return parse(chosen.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if named is None:
            return parse("")
        raise ConfigFaults((f"{chosen}: there is no such file",)) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigFaults((f"{chosen}: not readable: {why}",)) from None
    except ConfigFaults as error:
        raise ConfigFaults(tuple(f"{chosen}: {one}" for one in error.faults)) from None


def _faults_together(config: Config) -> Iterator[str]:
    """Name what is right by itself, and wrong beside another option."""
    if config.policy.max_tick_gap <= config.interval * SECOND:
        gap, interval = options.MAX_GAP.key, options.INTERVAL.key
        words = f"{gap}: {config.written[gap]} is not more than {interval}"
        yield (
            f"{words}, {config.written[interval]}: each sample would pass for a sleep of the host,"
            " and no clock would run out"
        )


def _policy(reader: Reader) -> Policy:
    return Policy(
        placement=reader.get(options.PLACEMENT),
        withheld=reader.get(options.WITHHELD),
        attach_deadline=reader.get(options.ATTACH_DEADLINE),
        keepalive=reader.get(options.KEEPALIVE),
        max_sample_age=reader.get(options.MAX_AGE),
        max_tick_gap=reader.get(options.MAX_GAP),
        history=reader.get(options.HISTORY),
        history_time=reader.get(options.HISTORY_TIME),
        infrastructure=reader.get(options.INFRA),
        grace=reader.get(options.GRACE),
        settle=reader.get(options.SETTLE),
        tolerance=reader.get(options.TOLERANCE),
        recheck=reader.get(options.RECHECK),
        guard=reader.get(options.GUARD) == "on",
        others=reader.get(options.OTHERS),
        overuse=_overuse(reader),
        drain_deadline=reader.get(options.DRAIN_DEADLINE),
        health=_health(reader),
        strays=_strays(reader),
        settle_starts=reader.get(options.SETTLE_STARTS),
        quotas=reader.quotas(),
        pools=reader.pools(),
        queue=reader.queue(),
        idle=_idle(reader),
    )


def _config(reader: Reader) -> Config:
    return Config(
        policy=_policy(reader),
        interval=reader.get(options.INTERVAL) / SECOND,
        sample_deadline=reader.get(options.DEADLINE) / SECOND,
        boot_patience=reader.get(options.BOOT_PATIENCE) / SECOND,
        admin_group=reader.get(options.ADMIN_GROUP),
        connections_per_user=reader.get(options.CONNECTIONS),
        log_level=reader.get(options.LOG_LEVEL),
        prices=reader.prices(),
        events_kept=reader.get(options.EVENTS),
        events_time=reader.get(options.EVENTS_TIME),
        guard_top=reader.get(options.GUARD_TOP),
        guard_admits=reader.get(options.GUARD_ADMITS),
        cdi=reader.get(options.CDI),
        cdi_directory=reader.get(options.CDI_DIRECTORY),
        written=reader.written,
    )


def _health(reader: Reader) -> HealthRules:
    return HealthRules(
        soft=reader.get(rules.SOFT),
        hard=reader.get(rules.HARD),
        lost=reader.get(rules.LOST),
        soft_time=reader.get(rules.SOFT_TIME),
        ignored=reader.get(rules.IGNORE_XIDS),
        fatal=reader.get(rules.FATAL_XIDS),
    )


def _overuse(reader: Reader) -> OverUseRules:
    return OverUseRules(
        terminate=reader.get(rules.OVERUSE) == "terminate",
        grace=reader.get(rules.OVERUSE_GRACE),
        cool_down=reader.get(rules.OVERUSE_COOL_DOWN),
        tolerance=reader.get(rules.OVERUSE_TOLERANCE),
        in_place=reader.get(rules.OVERUSE_IN_PLACE) == "on",
        dry_run=reader.get(rules.OVERUSE_DRY_RUN) == "on",
    )


def _idle(reader: Reader) -> IdleRules:
    return IdleRules(
        after=reader.get(rules.IDLE_AFTER),
        end=reader.get(rules.IDLE_POLICY) == "end",
        grace=reader.get(rules.IDLE_GRACE),
    )


def _strays(reader: Reader) -> StrayRules:
    return StrayRules(
        policy=reader.get(rules.STRAYS),
        devices=reader.stray_devices(),
        grace=reader.get(rules.STRAY_GRACE),
        spare_uids=reader.get(rules.STRAY_SPARED),
        dry_run=reader.get(rules.STRAY_DRY_RUN) == "on",
    )
