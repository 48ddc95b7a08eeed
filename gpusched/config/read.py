"""Reads the configuration file: TOML in, one frozen `Config` out, or all its faults at once."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gpusched.config import options, rules
from gpusched.config.option import Option, stray_policy
from gpusched.config.paths import SYSTEM_CONFIG
from gpusched.config.pools import pools_of
from gpusched.config.principals import HOST, Names
from gpusched.config.priorities import priorities_of
from gpusched.config.quotas import quotas_of
from gpusched.core.health_rules import HealthRules
from gpusched.core.ids import SECOND, DeviceUuid
from gpusched.core.policy import IdleRules, OverUseRules, Policy
from gpusched.core.pool import Pools
from gpusched.core.priority import QueueRules
from gpusched.core.quota import Quotas
from gpusched.core.stray import StrayPolicy, StrayRules

T = TypeVar("T")


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
    reader = _Reader(tables, names)
    config = _config(reader)
    if reader.faults:
        raise ConfigFaults(tuple(reader.faults))
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
        raise ConfigFaults((f"{chosen}: not readable: {error}",)) from None
    except ConfigFaults as error:
        raise ConfigFaults(tuple(f"{chosen}: {one}" for one in error.faults)) from None


class _Reader:
    """Takes options out of the tables and collects what is wrong."""

    def __init__(self, tables: Mapping[str, object], names: Names) -> None:
        self.tables = tables
        self.names = names
        self.faults = list(_unknown(tables))
        self.written: dict[str, object] = {}

    def get(self, option: Option[T]) -> T:
        table, name = option.key.split(".")
        found = self.tables.get(table)
        value = found.get(name, option.default) if isinstance(found, dict) else option.default
        self.written[option.key] = value
        try:
            return option.read(value)
        except (TypeError, ValueError) as error:
            self.faults.append(f"{option.key}: {error}")
            return option.read(option.default)

    def prices(self) -> dict[str, str]:
        found = self.tables.get(options.PRICES, {})
        if not isinstance(found, dict):
            return {}
        self.written[options.PRICES] = found
        self.faults += [
            f"{options.PRICES}.{key}: {value!r} is not words in quotes"
            for key, value in found.items()
            if not isinstance(value, str)
        ]
        return {key: str(value) for key, value in found.items()}

    def quotas(self) -> Quotas:
        exempt = self.get(options.QUOTA_EXEMPT)
        quotas, faults = quotas_of(self.tables.get(options.QUOTAS, []), exempt, self.names)
        self.faults += faults
        return quotas

    def queue(self) -> QueueRules:
        classes, faults = priorities_of(self.tables.get(options.PRIORITIES, {}), self.names)
        self.faults += faults
        default = self.get(rules.QUEUE_DEFAULT)
        if default not in classes:
            key = rules.QUEUE_DEFAULT.key
            self.faults.append(
                f"{key}: there is no class {default!r}; there is {', '.join(classes)}"
            )
        return QueueRules(
            classes=classes,
            default=default,
            ageing=self.get(rules.QUEUE_AGEING),
            grace=self.get(rules.QUEUE_GRACE),
            preemption=self.get(rules.PREEMPTION) == "on",
            notice=self.get(rules.PREEMPTION_NOTICE),
        )

    def pools(self) -> Pools:
        pools, faults = pools_of(self.tables.get(options.POOLS, {}), self.names)
        self.faults += faults
        return pools

    def stray_devices(self) -> dict[DeviceUuid, StrayPolicy]:
        table, name = options.STRAY_DEVICES
        strays = self.tables.get(table)
        found = strays.get(name, {}) if isinstance(strays, dict) else {}
        if not isinstance(found, dict):
            self.faults.append(f"{table}.{name}: is a table, [{table}.{name}], not a value")
            return {}
        self.written[f"{table}.{name}"] = found
        policies: dict[DeviceUuid, StrayPolicy] = {}
        for key, value in found.items():
            try:
                policies[DeviceUuid(key)] = stray_policy(value)
            except ValueError as error:
                self.faults.append(f"{table}.{name}.{key}: {error}")
            if not key.startswith(("GPU-", "MIG-")):
                self.faults.append(f"{table}.{name}.{key}: is no UUID of a device")
        return policies


def _policy(reader: _Reader) -> Policy:
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


def _config(reader: _Reader) -> Config:
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
        written=reader.written,
    )


def _health(reader: _Reader) -> HealthRules:
    return HealthRules(
        soft=reader.get(rules.SOFT),
        hard=reader.get(rules.HARD),
        lost=reader.get(rules.LOST),
        soft_time=reader.get(rules.SOFT_TIME),
        ignored=reader.get(rules.IGNORE_XIDS),
        fatal=reader.get(rules.FATAL_XIDS),
    )


def _overuse(reader: _Reader) -> OverUseRules:
    return OverUseRules(
        terminate=reader.get(rules.OVERUSE) == "terminate",
        grace=reader.get(rules.OVERUSE_GRACE),
        cool_down=reader.get(rules.OVERUSE_COOL_DOWN),
        tolerance=reader.get(rules.OVERUSE_TOLERANCE),
        in_place=reader.get(rules.OVERUSE_IN_PLACE) == "on",
        dry_run=reader.get(rules.OVERUSE_DRY_RUN) == "on",
    )


def _idle(reader: _Reader) -> IdleRules:
    return IdleRules(
        after=reader.get(rules.IDLE_AFTER),
        end=reader.get(rules.IDLE_POLICY) == "end",
        grace=reader.get(rules.IDLE_GRACE),
    )


def _strays(reader: _Reader) -> StrayRules:
    return StrayRules(
        policy=reader.get(rules.STRAYS),
        devices=reader.stray_devices(),
        grace=reader.get(rules.STRAY_GRACE),
        spare_uids=reader.get(rules.STRAY_SPARED),
        dry_run=reader.get(rules.STRAY_DRY_RUN) == "on",
    )


def _unknown(tables: Mapping[str, object]) -> Iterator[str]:
    """Name what no option has: a typing error must not read as "default"."""
    known: dict[str, set[str]] = {}
    own = (options.QUOTAS, options.POOLS, options.PRIORITIES)
    for option in options.OPTIONS:
        table, name = option.key.split(".")
        known.setdefault(table, set()).add(name)
    known[options.STRAY_DEVICES[0]].add(options.STRAY_DEVICES[1])
    for table, found in tables.items():
        if table == options.PRICES and isinstance(found, dict):
            continue
        if table in own:
            continue
        if table not in known:
            tables_known = ", ".join(sorted({*known, options.PRICES, *own}))
            yield f"{table}: there is no such table; there are {tables_known}"
        elif not isinstance(found, dict):
            yield f"{table}: is a table, [{table}], not a value"
        else:
            names = ", ".join(sorted(known[table]))
            for name in sorted(found.keys() - known[table]):
                yield f"{table}.{name}: no such option; there are {names}"
