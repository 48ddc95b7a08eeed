"""The screen of `gpusched status`: header, devices, whose their memory is, processes, the rest.

Pure: the message `NodeStatus` in, lines out.
"""

from collections.abc import Mapping, Sequence

from gpusched.cli.account_table import account_lines
from gpusched.cli.lease_table import (
    class_of,
    devices_of,
    end_of,
    gives_way_of,
    idle_of,
    limit_of,
    state_of,
)
from gpusched.cli.process_table import process_lines
from gpusched.cli.quota_table import quota_lines
from gpusched.cli.table import Column, lines_of, printable
from gpusched.cli.waiting_table import waiting_lines
from gpusched.cli.words import instant, mib, name_of, seconds_of, span, user_of
from gpusched.client.document import Document
from gpusched.client.level import level_word

_DEVICES = (
    Column("GPU", right=True),
    Column("GI", right=True),
    Column("CI", right=True),
    Column("Type"),
    Column("Memory used / total", right=True),
    Column("Allocated", right=True),
    Column("Health"),
    Column("Leases"),
)
_RESERVED = (
    Column("Lease"),
    Column("State"),
    Column("User"),
    Column("Class", optional=True),
    Column("Devices"),
    Column("Limit", right=True),
    Column("Ends"),
)

_HEALTHY = "HEALTH_HEALTHY"
_SHOWN = 10
"""Requests that wait and are listed; of more only how many they are."""


def screen(status: Document, width: int | None) -> list[str]:
    """Lay out the screen.

    Args:
        status: A message `NodeStatus`.
        width: Columns of the terminal; None: as wide as it needs.
    """
    lines = [*_header(status), ""]
    devices = status.parts("devices")
    strays = {
        one.text("device_uuid")
        for one in status.parts("processes")
        if one.text("kind") == "PROCESS_KIND_STRAY"
    }
    if devices:
        notes = _notes(status)
        lines += lines_of(_DEVICES, [_device(one, strays, notes) for one in devices], width)
    else:
        lines.append("No devices")
    if accounts := account_lines(devices, width):
        lines += ["", *accounts]
    lines += ["", *process_lines(status.parts("processes"), status.parts("unreadable"), width)]
    lines += _without_process(status, width)
    lines += _waiting(status, width)
    quotas = quota_lines(status.parts("quotas"), width)
    return [*lines, "", *quotas] if quotas else lines


def _header(status: Document) -> list[str]:
    loud = "   *** SIMULATED: no real GPU is behind these numbers ***"
    driver = status.part("driver")
    versions = [
        f"{name} {value}"
        for name, field in (("driver", "driver_version"), ("CUDA", "cuda_version"))
        if (value := driver.part(field).text("value"))
    ]
    lines = [
        f"{status.text('node')}   gpusched {status.text('version')}"
        + (loud if status.flag("simulated") else ""),
        "   ".join([*versions, _age(status)]),
        _enforcement(status.part("enforcement")),
        *_guard(status.part("guard")),
    ]
    if driver.text("sentence"):
        lines.append(f"driver: {driver.text('sentence')}")
    waiting = len(status.parts("waiting"))
    if waiting:
        lines.append(f"requests waiting: {waiting}")
    lines += [f"warning: {one}" for one in status.texts("warnings") if _news(one, status)]
    return [printable(one) for one in lines]


def _news(warning: str, status: Document) -> bool:
    """Say whether the header has not said it already."""
    if warning.startswith("SIMULATED"):
        return not status.flag("simulated")
    said = [status.part(name).text("sentence") for name in ("enforcement", "guard")]
    return not any(one and one.rstrip(".").casefold() in warning.casefold() for one in said)


def _age(status: Document) -> str:
    seconds = seconds_of(status.text("sample_age"))
    if seconds is None:
        return "nothing read yet"
    read = f"read {seconds:.1f}s ago" if seconds < 60 else f"read {span(seconds)} ago"  # noqa: PLR2004 - a minute
    return read + (" (STALE: nothing is granted on it)" if status.flag("sample_stale") else "")


def _enforcement(enforcement: Document) -> str:
    level = level_word(enforcement.text("level"))
    sentence = enforcement.text("sentence")
    return f"enforcement: {level or 'not known'}" + (f": {sentence}" if sentence else "")


def _guard(guard: Document) -> list[str]:
    sentence = guard.text("sentence")
    if not sentence:
        return []
    denied = guard.measured("denied_opens") if guard.flag("on") else None
    count = "" if denied is None else f"; {denied} opens denied"
    return [f"guard: {sentence.removeprefix('The guard is ').rstrip('.')}{count}"]


def _notes(status: Document) -> dict[str, str]:
    """Give what is to be said of leases where they are named, by their ids."""
    usual, at = status.text("default_priority"), instant(status.text("at")) or 0.0
    notes: dict[str, str] = {}
    for one in status.parts("leases"):
        priority = class_of(one, usual)
        words = (f"({priority})" if priority else "", idle_of(one), gives_way_of(one, at))
        notes[one.text("id")] = " ".join(filter(None, words))
    return notes


def _device(device: Document, strays: set[str], notes: Mapping[str, str]) -> list[str]:
    memory, mig = device.part("memory"), device.part("mig")
    whole = "mig" not in device
    index = mig.number("parent_index") if not whole else device.optional("index")
    kind = device.text("gpu_type") + ("" if whole else f" {mig.text('profile')}")
    return [
        "?" if index is None else str(index),
        "N/A" if whole else str(mig.number("gpu_instance")),
        "N/A" if whole else str(mig.number("compute_instance")),
        kind,
        f"{mib(memory.measured('used'))} / {mib(memory.measured('total'))}",
        mib(device.number("allocated_bytes")),
        _health(device),
        _leases(device, strays, notes),
    ]


def _health(device: Document) -> str:
    health = name_of(device.text("health"), "HEALTH")
    reason = device.text("health_reason")
    return f"{health}: {reason}" if reason else health


def _leases(device: Document, strays: set[str], of_leases: Mapping[str, str]) -> str:
    leases = device.texts("lease_ids")
    found = ", ".join(f"{one} {of_leases.get(one, '')}".rstrip() for one in leases)
    if device.flag("mig_enabled") and not found:
        return "partitioned"
    ghost = device.part("account").measured("ghost")
    notes = [
        words
        for words, holds in (
            (_mark(device), "cordon" in device),
            ("tainted", bool(device.parts("taints"))),
            ("settling", device.flag("settling")),
            (f"ghost memory {mib(ghost)}", bool(ghost)),
            ("strays", device.text("uuid") in strays or _has_strays(device)),
        )
        if holds
    ]
    if not found and not notes and device.text("health") == _HEALTHY:
        # Such as that it is kept for a request; of a device in trouble its health says more.
        notes = [*filter(None, [device.text("unschedulable_reason")])]
    if not found and (device.number("allocated_bytes") or device.flag("leased_exclusively")):
        found = "leased"  # whose it is this user may not see
    elif not found:
        found = "free" if device.flag("schedulable") and not notes else "no lease"
    return f"{found} ({', '.join(notes)})" if notes else found


def _has_strays(device: Document) -> bool:
    """Say whether strays hold memory of a device, whoever may see them."""
    account = device.part("account")
    strays, unknown = account.measured("strays"), account.measured("unknown")
    return (strays or 0) > (unknown or 0)


def _mark(device: Document) -> str:
    """Say what a cordon means for the leases on a device, in Slurm's words for the two stages."""
    cordon = device.part("cordon")
    if cordon.flag("drained"):
        return "drained"
    return "draining" if "drain_deadline" in cordon else "cordoned"


def _without_process(status: Document, width: int | None) -> list[str]:
    """List the leases that the process table does not name."""
    seen = {one.text("lease_id") for one in status.parts("processes")}
    leases = [one for one in status.parts("leases") if one.text("id") not in seen]
    if not leases:
        return []
    now = instant(status.text("at")) or 0.0
    usual = status.text("default_priority")
    rows = [_reserved(one, now, usual) for one in leases]
    return ["", "Leases without a process on a device:", *lines_of(_RESERVED, rows, width)]


def _waiting(status: Document, width: int | None) -> list[str]:
    """List the first of the requests that wait."""
    waiting = status.parts("waiting")
    if not waiting:
        return []
    at = instant(status.text("at")) or 0.0
    lines = ["", "Requests that wait, in the order of service:"]
    lines += waiting_lines(waiting[:_SHOWN], at, width, loud=False)
    more = len(waiting) - _SHOWN
    return [*lines, f"and {more} more: gpusched leases"] if more > 0 else lines


def _reserved(lease: Document, now: float, usual: str) -> Sequence[str]:
    return [
        lease.text("id"),
        state_of(lease),
        user_of(lease.part("holder")),
        class_of(lease, usual),
        devices_of(lease),
        limit_of(lease),
        end_of(lease, now),
    ]
