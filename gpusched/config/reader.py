"""Takes options and tables out of what TOML has, and collects every fault of them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from gpusched.config import options, rules
from gpusched.config.option import Option, stray_policy
from gpusched.config.pools import pools_of
from gpusched.config.principals import Names
from gpusched.config.priorities import priorities_of
from gpusched.config.quotas import quotas_of
from gpusched.core.ids import DeviceUuid
from gpusched.core.pool import Pools
from gpusched.core.priority import QueueRules
from gpusched.core.quota import Exempt, Quotas
from gpusched.core.stray import StrayPolicy

T = TypeVar("T")


class Reader:
    """Takes options out of the tables and collects what is wrong."""

    def __init__(self, tables: Mapping[str, object], names: Names) -> None:
        self.tables = tables
        self.names = names
        self.faults = list(_unknown(tables))
        self.written: dict[str, object] = {}

    def get(self, option: Option[T]) -> T:
        """Take one option; a faulty one is its default."""
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
        """Take what rows of `gpusched types` cost."""
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
        """Take the quotas."""
        exempt = self.get(options.QUOTA_EXEMPT)
        quotas, faults = quotas_of(self.tables.get(options.QUOTAS, []), exempt, self.names)
        self.faults += faults
        # Whom they do not bound is an option of its own.
        self.written[options.QUOTAS] = str(replace(quotas, exempt=Exempt.NOBODY))
        return quotas

    def queue(self) -> QueueRules:
        """Take how requests wait."""
        classes, faults = priorities_of(self.tables.get(options.PRIORITIES, {}), self.names)
        self.faults += faults
        told = (f"{name}: {one}" for name, one in classes.items())
        self.written[options.PRIORITIES] = "; ".join(told)
        default = self.get(rules.QUEUE_DEFAULT)
        if default not in classes:
            key = rules.QUEUE_DEFAULT.key
            self.faults.append(
                f"{key}: there is no class {default!r}; known: {', '.join(classes)}"
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
        """Take the pools."""
        pools, faults = pools_of(self.tables.get(options.POOLS, {}), self.names)
        self.faults += faults
        self.written[options.POOLS] = str(pools)
        return pools

    def stray_devices(self) -> dict[DeviceUuid, StrayPolicy]:
        """Take what is done about strays on single devices."""
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


def _unknown(tables: Mapping[str, object]) -> Iterator[str]:
    """Name what no option has: a typing error must not read as "default"."""
    known: dict[str, set[str]] = {}
    own = (options.QUOTAS, options.POOLS, options.PRIORITIES)
    for option in options.OPTIONS:
        table, name = option.key.split(".")
        known.setdefault(table, set()).add(name)
    known[options.STRAY_DEVICES[0]].add(options.STRAY_DEVICES[1])
    for table, found in tables.items():
        if table in own or (table == options.PRICES and isinstance(found, dict)):
            continue
        if table not in {*known, options.PRICES}:
            tables_known = ", ".join(sorted({*known, options.PRICES, *own}))
            yield f"{table}: there is no such table; known: {tables_known}"
        elif not isinstance(found, dict):
            yield f"{table}: is a table, [{table}], not a value"
        else:
            names = ", ".join(sorted(known[table]))
            for name in sorted(found.keys() - known[table]):
                yield f"{table}.{name}: no such option; known: {names}"
