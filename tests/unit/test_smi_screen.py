"""The screens of `gpusched nvidia-smi`: every branch's layout, byte for byte."""

import pytest

from gpusched.cli.smi.cells import keep_end, pid_of, written
from gpusched.cli.smi.layouts import LAYOUTS
from gpusched.cli.smi.screen import screen_lines
from tests.fakes.surveys import (
    LOST,
    MIB,
    NO_PERMISSION,
    NOT_FOUND,
    NOT_SUPPORTED,
    Fields,
    gpu,
    instance,
    lost_gpu,
    on,
    read,
    row,
)

WIDTHS = {"470": 79, "535": 89, "550": 91, "555": 91, "570": 91}
APART = {"470": 79, "535": 89, "550": 89, "555": 89, "570": 89}
"""Spaces above the process table: NVIDIA's programs up to 555, public captures of 570 and 575."""
GNOME = row(333, "/usr/bin/gnome-shell", 9999 * MIB, "C+G")
TENSORFLOW = row(22976, "/home/alice/ml/tf_2.20/tf_2.20/bin/python", 9170 * MIB)
MPS = on(row(3003, "mpsclient", 5 * MIB, "M+C"), 13, 0)
NAMELESS = row(88888888, "na", NOT_SUPPORTED)
MEASURED = {
    "470": """
|    0   N/A  N/A       333    C+G   /usr/bin/gnome-shell             9999MiB |
""",
    "535": """
|    0   N/A  N/A       333    C+G   /usr/bin/gnome-shell                       9999MiB |
""",
    "550": """
|    0   N/A  N/A       333    C+G   /usr/bin/gnome-shell                         9999MiB |
|    0   13    0       3003    M+C   mpsclient                                       5MiB |
|    0   N/A  N/A  88888888      C   na                                          N/A      |
""",
    "570": """
|    0   N/A  N/A           22976      C   ...ml/tf_2.20/tf_2.20/bin/python       9170MiB |
""",
}
"""Rows that NVIDIA's programs printed."""


DEVICES_570 = """
+-----------------------------------------------------------------------------------------+
| gpusched   570.133.20             Driver Version: 570.133.20     CUDA Version: 12.8     |
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
|   0  NVIDIA A100-SXM4-40GB          On  |   00000000:06:00.0 Off |                    0 |
| N/A   32C    P0             49W /  400W |       0MiB /  40960MiB |      0%      Default |
|                                         |                        |             Disabled |
+-----------------------------------------+------------------------+----------------------+
"""
SHARED_550 = """
|  0    1   0   0  |            4380MiB / 19968MiB    | 42      0 |  3   0    2    0    0 |
|                  |                 0MiB / 32767MiB  |           |                       |
+------------------+                                  +-----------+-----------------------+
|  0    1   1   1  |                                  | 42      0 |  3   0    2    0    0 |
|                  |                                  |           |                       |
+------------------+----------------------------------+-----------+-----------------------+
|  0   13   0   2  |            4380MiB / 19968MiB    | 42      0 |  3   0    2    0    0 |
|                  |                 0MiB / 32767MiB  |           |                       |
+------------------+----------------------------------+-----------+-----------------------+
"""
LOST_550 = (
    "|ERR!  ERR! ERR!             ERR! / ERR!  | GPU is lost            |    ERR!         ERR! |"
)


def screen(layout: str, *devices: Fields, room: int = 0) -> list[str]:
    found = read(*devices)
    return screen_lines(found, found.devices, LAYOUTS[layout], room)


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_every_line_is_as_wide_as_the_branch_has_it(layout: str) -> None:
    """But for the date, and the lines between the tables."""
    devices = (
        gpu(0, processes=[GNOME, TENSORFLOW, NAMELESS, row(5, "x", 123456 * MIB)]),
        gpu(1, {"mig.mode.current": "Enabled"}, mig_devices=[instance(0, 13, processes=[MPS])]),
        lost_gpu(2),
        gpu(3, {"memory.total": 143771 * MIB, "power.draw": NOT_SUPPORTED}, unread=NO_PERMISSION),
    )
    lines = screen(layout, *devices)
    assert {len(one) for one in lines[1:] if one.strip()} == {WIDTHS[layout]}
    assert [one for one in lines if not one.strip()] == ["", " " * APART[layout]]


@pytest.mark.parametrize("layout", list(MEASURED))
def test_rows_are_those_that_were_measured(layout: str) -> None:
    """A process has the row that NVIDIA's program of that branch gave it."""
    partitioned = gpu(
        0, {"mig.mode.current": "Enabled"}, mig_devices=[instance(0, 13, processes=[MPS])]
    )
    lines = [
        *screen(layout, gpu(0, processes=[GNOME, TENSORFLOW, NAMELESS])),
        *screen(layout, partitioned),
    ]
    assert [one for one in MEASURED[layout].split("\n") if one and one not in lines] == []


def test_the_device_table_of_570() -> None:
    """The head names gpusched where nvidia-smi names itself, and every column is where it was."""
    assert screen("570", gpu(0))[1:12] == DEVICES_570.split("\n")[1:-1]


def test_the_device_table_of_470() -> None:
    """Its names are shorter, its states have another gap."""
    laptop = {"power.draw": NOT_SUPPORTED, "enforced.power.limit": NOT_SUPPORTED}
    lines = screen("470", gpu(0, {"persistence_mode": "Disabled"}), gpu(1, laptop))
    assert lines[8:11] == [
        "|   0  NVIDIA A100-SXM...  Off  | 00000000:06:00.0 Off |                    0 |",
        "| N/A   32C    P0    49W / 400W |      0MiB / 40960MiB |      0%      Default |",
        "|                               |                      |             Disabled |",
    ]
    assert lines[13].startswith("| N/A   32C    P0    N/A /  N/A |")


@pytest.mark.parametrize(
    ("layout", "row_of_it"),
    [
        ("470", "|ERR!  ERR! ERR!    ERR! / ERR! | GPU is lost          |    ERR!         ERR! |"),
        ("550", LOST_550),
    ],
)
def test_a_lost_gpu_has_a_row_and_takes_no_other_with_it(layout: str, row_of_it: str) -> None:
    """The table goes on below it, and its process list is said to be unreadable."""
    lines = screen(layout, lost_gpu(0), gpu(1, processes=[GNOME]))
    assert row_of_it in lines
    assert any(one.startswith("|   1  NVIDIA A100-SXM") for one in lines)
    assert any("/usr/bin/gnome-shell" in one for one in lines)
    unread = "|    0   N/A  N/A  not readable: GPU is lost"
    assert any(one.startswith(unread) for one in lines)


@pytest.mark.parametrize(
    ("field", "value", "cell"),
    [
        ("fan.speed", 100, "|100%   32C    P0"),
        ("temperature.gpu", (999, "Unknown Error"), "| N/A  ERR!    P0"),
        ("pstate", NOT_SUPPORTED, "| N/A   32C  N/A  "),
        ("pstate", "P12", "| N/A   32C   P12"),
        ("compute_mode", "Exclusive_Process", "      0%   E. Process |"),
        ("compute_mode", "Prohibited", "      0%   Prohibited |"),
        ("utilization.gpu", NOT_SUPPORTED, "|     N/A      Default |"),
        ("memory.used", MIB + 1, "|       2MiB /  40960MiB |"),
        ("memory.used", NO_PERMISSION, "|                  N/A   |"),
        ("memory.used", NOT_SUPPORTED, "| Not Supported          |"),
        ("ecc.mode.current", "Disabled", "|                  Off |"),
        ("ecc.mode.current", NOT_SUPPORTED, "|                  N/A |"),
        ("ecc.errors.uncorrected.volatile.total", 12, "|                   12 |"),
        ("mig.mode.pending", "Enabled", "|             Enabled* |"),
        ("mig.mode.current", NOT_SUPPORTED, "|                  N/A |"),
        ("persistence_mode", NOT_SUPPORTED, "NVIDIA A100-SXM4-40GB         N/A  |"),
        ("display_active", "Enabled", "|   00000000:06:00.0  On |"),
        ("name", "NVIDIA GeForce GTX 1060 3GB", "|   0  NVIDIA GeForce GTX 1060 3GB    On  |"),
        ("name", "NVIDIA GeForce RTX 2070 SUPER", "|   0  NVIDIA GeForce RTX 2070 ...    On  |"),
        ("enforced.power.limit", 1000000, "             49W / 1000W |"),
    ],
)
def test_cells(field: str, value: str | int | tuple[int, str], cell: str) -> None:
    """Each value has the cell that public captures show, and what is missing a word for why."""
    assert cell in "\n".join(screen("570", gpu(0, {field: value})))


def test_used_memory_is_rounded_up_from_550_on() -> None:
    """Older branches round a device down; none rounds a process up."""
    part = gpu(0, {"memory.used": MIB + 1}, processes=[row(1, memory=MIB + 1)])
    for layout, used in {"470": "1MiB", "535": "1MiB", "550": "2MiB", "570": "2MiB"}.items():
        lines = screen(layout, part)
        assert any(f" {used} / " in one for one in lines)
        assert lines[-2].endswith(" 1MiB |")


def test_processes_are_sorted_and_none_is_dropped() -> None:
    """By GPU and PID; a pid in a list twice has two rows, a dead one keeps its row."""
    lines = screen("570", gpu(0, processes=[row(9, NOT_FOUND), row(7), row(7)]), gpu(1))
    rows = [one.split()[4:7] for one in lines[-4:-1]]
    assert rows == [["7", "C", "python"], ["7", "C", "python"], ["9", "C", "[not"]]
    assert "[not found] " in lines[-2]


def test_a_failed_list_is_not_an_idle_gpu() -> None:
    """Only where every list was read and is empty, nothing runs."""
    assert "  No running processes found" in screen("570", gpu(0))[-2]
    lines = screen("570", gpu(0, unread=NO_PERMISSION), gpu(1, unread=LOST))
    assert not any("No running" in one for one in lines)
    assert lines[-3].startswith("|    0   N/A  N/A  not readable: Insufficient Permissions  ")
    assert lines[-2].startswith("|    1   N/A  N/A  not readable: GPU is lost  ")


def test_memory_of_100_gib_keeps_its_digits() -> None:
    """The cell takes of the gap before it; NVIDIA's would be `10000...`."""
    for layout in LAYOUTS:
        lines = screen(layout, gpu(0, processes=[row(1, memory=1234567 * MIB)]))
        assert lines[-2].endswith(" 1234567MiB |")


def test_names_count_bytes_and_lose_their_beginning() -> None:
    """A name in UTF-8 is cut as bytes, as nvidia-smi does; what moves the cursor is no part."""
    lines = screen("470", gpu(0, processes=[row(1, "/opt/ü" + "x" * 24), row(2, "a\x1b[2Jb")]))
    assert "...\xbc" + "x" * 24 in lines[-3]
    assert b"...\xbc" + b"x" * 24 in written(lines)
    assert "   a?[2Jb  " in lines[-2]


def test_names_take_the_room_of_a_wide_terminal() -> None:
    """No wider than the longest of them needs."""
    long = "/home/alice/" + "x" * 40
    wide = screen("570", gpu(0, processes=[row(1, long)]), room=50)
    assert f"  {long}  " in wide[-2]
    assert {len(one) for one in wide[-7:]} == {91 + len(long) - 32}
    narrow = screen("570", gpu(0, processes=[row(1, long)]), room=5)
    assert keep_end(long, 37) in narrow[-2]
    assert screen("570", gpu(0, processes=[row(1, long)]), room=-9) == screen(
        "570", gpu(0, processes=[row(1, long)])
    )


@pytest.mark.parametrize(
    ("pid", "longest", "text"),
    [(7, 8, "7"), (99999999, 8, "99999999"), (123456789, 8, "12345..."), (-1, 8, "-1")],
)
def test_pids(pid: int, longest: int, text: str) -> None:
    """A PID is cut where no real one would be so long."""
    assert pid_of(pid, longest) == text


def test_mig_devices_of_one_gpu_instance_share_a_memory_cell() -> None:
    """Compute instances of one GPU instance have one memory, without a rule between them."""
    parts = [instance(0, 1, 0), instance(1, 1, 1), instance(2, 13, 0)]
    lines = screen("550", gpu(0, {"mig.mode.current": "Enabled"}, mig_devices=parts))
    start = lines.index("| MIG devices:" + " " * 76 + "|")
    assert lines[start - 2] == ""
    assert lines[start + 6 : start + 15] == SHARED_550.split("\n")[1:-1]


def test_pids_are_signed() -> None:
    """A PID above 2^31 is less than nothing, and so the first."""
    lines = screen("550", gpu(0, processes=[row(7), row(4294967295)]))
    assert [one[18:28].strip() for one in lines[-3:-1]] == ["-1", "7"]


def test_in_mig_mode_without_instances_the_rows_are_those_of_the_gpu() -> None:
    """As with nvidia-smi: there is nobody else to ask."""
    lines = screen("550", gpu(0, {"mig.mode.current": "Enabled"}, processes=[row(7)]))
    assert lines[-2].startswith("|    0   N/A  N/A         7      C   python")


def test_in_mig_mode_the_rows_are_those_of_the_mig_devices() -> None:
    """A row of the GPU's own list is none of the table, and that it may not be read is no matter;
    of a GPU that was lost meanwhile it is told.
    """
    on_mig, parts = {"mig.mode.current": "Enabled"}, [instance(0, 13, processes=[MPS])]
    plain = screen("550", gpu(0, on_mig, mig_devices=parts))
    assert screen("550", gpu(0, on_mig, processes=[GNOME, MPS], mig_devices=parts)) == plain
    refused = gpu(0, on_mig, mig_devices=parts, unread=NO_PERMISSION)
    assert screen("550", refused) == plain
    lost = screen("550", {**gpu(0, on_mig, mig_devices=parts), **lost_gpu(0)})
    assert "|    0   N/A  N/A  not readable: GPU is lost" in "\n".join(lost)


def test_mig_mode_without_instances() -> None:
    """The MIG table is there, and says that it is empty."""
    lines = screen("535", gpu(0, {"mig.mode.current": "Enabled"}))
    assert "|  No MIG devices found" + " " * 65 + "|" in lines
    assert "|                   On |" in lines[8]
