"""The CSV, the list and the selection of `gpusched nvidia-smi`."""

import pytest

from gpusched.cli.smi.fields import APPS, GPU, named
from gpusched.cli.smi.listing import listing_lines
from gpusched.cli.smi.names import names_of
from gpusched.cli.smi.query import Format, UnknownField, app_lines, fields_of, gpu_lines
from gpusched.cli.smi.selection import NoSuchDevice, selected
from tests.fakes.surveys import (
    LOST,
    MIB,
    NO_PERMISSION,
    NOT_FOUND,
    NOT_SUPPORTED,
    UNKNOWN,
    Fields,
    gpu,
    instance,
    lost_gpu,
    on,
    read,
    row,
)

GONE = "GPU is lost.  Reboot the system to recover this GPU"


def of_gpus(names: str, *devices: Fields, form: Format | None = None) -> list[str]:
    found = read(*devices)
    return gpu_lines(found, found.devices, fields_of(names), form or Format())


def of_apps(names: str, *devices: Fields, form: Format | None = None) -> list[str]:
    found = read(*devices)
    return app_lines(found, found.devices, fields_of(names, apps=True), form or Format())


def test_values_have_their_units() -> None:
    """Header and values carry units, and a header has the first name of what was asked for."""
    names = "index,gpu_name,memory.total,utilization.gpu,power.draw,temperature.gpu,gpu_uuid"
    header, line = of_gpus(names, gpu(0))
    assert header == (
        "index, name, memory.total [MiB], utilization.gpu [%], power.draw [W], temperature.gpu,"
        " uuid"
    )
    assert line == (
        "0, NVIDIA A100-SXM4-40GB, 40960 MiB, 0 %, 49.68 W, 32,"
        " GPU-00000000-0000-0000-0000-000000000001"
    )


def test_noheader_and_nounits() -> None:
    """Scripts get bare numbers."""
    form = Format(header=False, units=False)
    assert of_gpus("memory.used,power.draw", gpu(0), gpu(1), form=form) == ["0, 49.68"] * 2
    only_units = of_gpus("memory.used", gpu(0), form=Format(units=False))
    assert only_units == ["memory.used [MiB]", "0"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (NOT_SUPPORTED, "[N/A]"),
        (NO_PERMISSION, "[Insufficient Permissions]"),
        (LOST, "[GPU is lost]"),
        (UNKNOWN, "[Unknown Error]"),
    ],
)
def test_what_is_missing_says_why(value: tuple[int, str], text: str) -> None:
    """A missing value is no zero: NVML's words stand in brackets."""
    assert of_gpus("fan.speed", gpu(0, {"fan.speed": value}))[1] == text


def test_a_value_that_was_not_surveyed_is_not_available() -> None:
    """A name that is known and has no value here is `[N/A]`, as on a card without it."""
    assert of_gpus("fabric.state,clocks.sm", gpu(0))[1] == "[N/A], [N/A]"


def test_a_lost_gpu_keeps_its_line() -> None:
    """Its index is known, every value is lost with it."""
    assert of_gpus("index,count,name", lost_gpu(0), gpu(1))[1:] == [
        "0, 2, [GPU is lost]",
        "1, 2, NVIDIA A100-SXM4-40GB",
    ]


def test_the_host_has_values_too() -> None:
    """Time, driver and number of GPUs are those of the survey."""
    line = of_gpus("timestamp,driver_version,count", gpu(0))[1]
    assert line.endswith("36.250, 570.133.20, 1")
    assert line[4] == line[7] == "/"


def test_memory_of_a_device_is_rounded_as_the_branch_does() -> None:
    """Up, unless an old branch was asked for."""
    part = gpu(0, {"memory.used": MIB + 1})
    assert of_gpus("memory.used", part)[1] == "2 MiB"
    assert of_gpus("memory.used", part, form=Format(ceil=False))[1] == "1 MiB"


def test_nothing_between_commas_is_no_name() -> None:
    """Lists that a script has put together may end in a comma."""
    assert of_gpus(",index,,count,", gpu(0)) == ["index, count", "0, 1"]


def test_unknown_names_are_told() -> None:
    """One wrong name is enough, and it is named."""
    with pytest.raises(UnknownField, match=r"^cuda_version$"):
        fields_of("index,cuda_version")
    with pytest.raises(UnknownField, match=r"^ name$"):
        fields_of("index, name")
    with pytest.raises(UnknownField, match=r"^memory.used$"):
        fields_of("memory.used", apps=True)


def test_compute_processes_are_in_the_order_of_nvml() -> None:
    """Graphics-only processes are none of them; names are not quoted, and a comma in one is `?`;
    memory is rounded down.
    """
    rows = [
        row(333, "/usr/bin/gnome-shell", 9999 * MIB + 1, "C+G"),
        row(12, "/usr/bin/Xorg", MIB, "G"),
        row(7, "a, b", NOT_SUPPORTED, "M+C"),
        row(8, NOT_FOUND),
    ]
    assert of_apps("pid,process_name,used_memory", gpu(0, processes=rows)) == [
        "pid, process_name, used_gpu_memory [MiB]",
        "333, /usr/bin/gnome-shell, 9999 MiB",
        "7, a? b, [N/A]",
        "8, [Not Found], 1 MiB",
    ]


def test_processes_on_mig_devices_name_the_parent() -> None:
    """As with nvidia-smi, the UUID is that of the GPU."""
    parts = [instance(0, 1, processes=[on(row(5), 1, 0)])]
    assert of_apps("gpu_uuid,pid", gpu(0, mig_devices=parts))[1] == (
        "GPU-00000000-0000-0000-0000-000000000001, 5"
    )


def test_in_mig_mode_the_gpu_is_asked_and_else_its_mig_devices() -> None:
    """Its own list has all that is on it, in NVML's order; where it may not be read, or has
    nobody, those of the MIG devices stand in for it, each that is not readable with a line.
    """
    parts = [
        instance(0, 1, processes=[on(row(5), 1, 0)]),
        {**instance(1, 2), "processes_failure": {"code": 4, "words": "Insufficient Permissions"}},
    ]
    whole = gpu(0, processes=[on(row(6), 2, 0), row(4), on(row(5), 1, 0)], mig_devices=parts)
    assert of_apps("pid", whole)[1:] == ["6", "4", "5"]
    for unread in (NO_PERMISSION, None):
        rows = of_apps("pid", gpu(0, mig_devices=parts, unread=unread))[1:]
        assert rows == ["5", "[Insufficient Permissions]"]
    refused = gpu(0, mig_devices=parts[1:], unread=NO_PERMISSION)
    assert of_apps("pid", refused)[1:] == ["[Insufficient Permissions]"]
    assert of_apps("pid", {**whole, **lost_gpu(0)})[1:] == ["6", "4", "5", "[GPU is lost]"]


def test_a_list_that_was_not_read_has_a_line() -> None:
    """A script that counts lines does not take it for an idle GPU."""
    assert of_apps("gpu_name,pid,used_memory", gpu(0, unread=NO_PERMISSION))[1:] == [
        "NVIDIA A100-SXM4-40GB, [Insufficient Permissions], [Insufficient Permissions]"
    ]


@pytest.mark.parametrize(
    ("switch", "fields"), [("--query-gpu", GPU), ("--query-compute-apps", APPS)]
)
def test_every_name_is_listed(switch: str, fields: list[object]) -> None:
    """The help of a query has all of its names, each once."""
    text = names_of(switch)
    table = named(GPU if fields is GPU else APPS)
    assert [name for name in table if f'"{name}"' not in text] == []
    assert len(table) == sum(1 + len(one.aliases) for one in set(table.values()))


def test_the_list() -> None:
    """One line for each GPU and MIG device; a lost one says what nvidia-smi says."""
    lines = listing_lines(
        read(
            gpu(0, mig_devices=[instance(0, 1), instance(1, 2)]),
            lost_gpu(1),
        ).devices
    )
    assert lines == [
        "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-00000000-0000-0000-0000-000000000001)",
        "  MIG 3g.20gb     Device  0: (UUID: MIG-00000000-0000-0000-0000-000001000000)",
        "  MIG 3g.20gb     Device  1: (UUID: MIG-00000000-0000-0000-0000-000002000000)",
        f"Unable to determine the device handle for gpu 1: {GONE}",
        "",
        "",
    ]
    assert listing_lines([]) == ["No devices found."]


@pytest.mark.parametrize(
    ("words", "indices"),
    [
        (None, [0, 1, 2]),
        ("1", [1]),
        ("2,0", [0, 2]),
        ("GPU-00000000-0000-0000-0000-000000000002", [1]),
        ("165", [1]),
        ("00000000:07:00.0", [1]),
        ("0000:07:00.0", [1]),
        ("07:00.0", [1]),
        ("0:7:0.0", [1]),
        ("0,0", [0]),
        ("01", [1]),
        ("0x1", [1]),
        ("0,,9,foo, 1", [0, 1]),
    ],
)
def test_devices_are_selected(words: str | None, indices: list[int]) -> None:
    """By index, UUID, serial number or bus id, in index order."""
    found = read(gpu(0), gpu(1, {"pci.bus_id": "00000000:07:00.0", "serial": "165"}), lost_gpu(2))
    assert [one.index for one in selected(found, words)] == indices


@pytest.mark.parametrize(
    "words", ["3", "GPU-0", "07:00.1", "zz:00:00.0", "", "-1", "3,foo", "::."]
)
def test_a_device_that_is_not_there(words: str) -> None:
    """No word means a GPU."""
    with pytest.raises(NoSuchDevice):
        selected(read(gpu(0)), words)
