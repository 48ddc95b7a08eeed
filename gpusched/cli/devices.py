"""`gpusched devices`, `types` and `forget`: what this host has, offers and gives up."""

import argparse

from gpusched.cli.account_table import account_lines
from gpusched.cli.command import Command, Invocation, no_arguments
from gpusched.cli.table import Column, lines_of
from gpusched.cli.terminal import terminal_width
from gpusched.cli.topology_table import topology_lines
from gpusched.cli.words import NONE, device_name, gib, mib, name_of
from gpusched.client.document import Document

_DEVICES = (
    Column("INDEX", right=True),
    Column("UUID"),
    Column("TYPE"),
    Column("TOTAL", right=True),
    Column("USED", right=True),
    Column("ALLOCATED", right=True),
    Column("GRANTABLE", right=True),
    Column("PCI BUS ID"),
    Column("HEALTH"),
    Column("POOL", optional=True),
    Column("NOTE"),
)
_DEFAULT_POOL = "default"
_TYPES = (
    Column("Name"),
    Column("Price", right=True),
    Column("CPU", right=True),
    Column("Memory", right=True),
    Column("GPU", right=True),
    Column("GPU Type"),
    Column("Free", right=True),
)


def device_lines(devices: list[Document], width: int | None) -> list[str]:
    """Lay out messages `Device`."""
    return lines_of(_DEVICES, [_device(one) for one in devices], width)


def type_lines(types: list[Document], width: int | None) -> list[str]:
    """Lay out messages `InstanceType`."""
    return lines_of(_TYPES, [_type(one) for one in types], width)


def _device(device: Document) -> list[str]:
    memory, mig = device.part("memory"), device.part("mig")
    index = device_name(device)
    if "mig" in device:
        index = f"{mig.number('parent_index')}:{device.number('index')}"
    return [
        "?" if index == device.text("uuid") else index,
        device.text("uuid"),
        f"{device.text('gpu_type')} {mig.text('profile')}".rstrip(),
        mib(memory.measured("total")),
        mib(memory.measured("used")),
        mib(device.number("allocated_bytes")),
        mib(device.measured("grantable")),
        device.text("pci_bus_id"),
        name_of(device.text("health"), "HEALTH"),
        _pool(device),
        _note(device),
    ]


def _pool(device: Document) -> str:
    """Give the pool, and the one that it moves to once its leases have ended."""
    now, after = device.text("pool"), device.words("attributes").get("moves_to_pool")
    return now if after is None else f"{now or _DEFAULT_POOL} -> {after}"


def _note(device: Document) -> str:
    """Say what keeps leases away; ghost memory also where it does not."""
    reason = device.text("health_reason") or device.text("unschedulable_reason")
    ghost = device.part("account").measured("ghost")
    return reason or (f"ghost memory: {mib(ghost)}" if ghost else "")


def _type(row: Document) -> list[str]:
    profile = row.text("mig_profile")
    return [
        row.text("name"),
        row.text("price") or NONE,
        f"{row.number('cpu_millicores') / 1000:.1f}".removesuffix(".0"),
        gib(row.number("memory_bytes")),
        str(row.number("gpu_count")),
        f"{row.text('gpu_type')} {profile}".strip() or NONE,
        str(row.number("free_count")),
    ]


def _list_devices(invocation: Invocation) -> int:
    listed = invocation.call("Devices/List")
    for sentence in listed.texts("warnings"):
        invocation.warn(sentence)
    devices = listed.parts("devices")
    width = terminal_width()
    lines = device_lines(devices, width) if devices else ["no devices"]
    if devices and invocation.options.topology:
        lines = topology_lines(devices, None)
    elif accounts := account_lines(devices, width):
        lines += ["", *accounts]
    invocation.say("\n".join(lines))
    return 0


def _list_types(invocation: Invocation) -> int:
    types = invocation.call("Devices/ListTypes").parts("types")
    invocation.say("\n".join(type_lines(types, terminal_width())))
    return 0


def _listing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--topology", action="store_true", help="how they are joined, as `nvidia-smi topo -m`"
    )


def _naming(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", metavar="DEVICE", help="index or UUID, as in `gpusched devices`")


def _forget(invocation: Invocation) -> int:
    device = invocation.call("Devices/Forget", {"device": invocation.options.device})
    name = device_name(device)
    invocation.note(f"no memory of device {name} is waited for any more")
    return 0


COMMANDS = {
    "devices": Command(_listing, _list_devices),
    "types": Command(no_arguments, _list_types),
    "forget": Command(_naming, _forget),
}
