"""The screen of `gpusched status`, letter by letter."""

import pytest

from gpusched.cli.status_screen import screen
from gpusched.client.document import Document
from tests.fakes.messages import (
    GIB,
    Fields,
    device,
    lease,
    mig_device,
    process,
    status,
    unavailable,
    value,
    waiting,
)


def shown(width: int | None = None, **changed: object) -> str:
    return "\n".join(screen(Document(status(**changed)), width))


def part(text: str, number: int) -> str:
    """Gives one of the parts that empty lines make."""
    return text.split("\n\n")[number]


def test_normal() -> None:
    """Two leases on one device, a free device: header, devices, processes."""
    devices: list[Fields] = [
        device(
            0,
            memory={"total": value(80 * GIB), "used": value(8 * GIB)},
            allocated_bytes=str(16 * GIB),
            lease_ids=["lease-aaaaaaaaaa", "lease-bbbbbbbbbb"],
        ),
        device(1),
    ]
    processes = [process(0, 300, lease_id="lease-bbbbbbbbbb", user="bob"), process(0, 22)]
    assert shown(devices=devices, processes=processes) == (
        "host-1   gpusched 0.1.0\n"
        "driver 570.124.06   CUDA 12.8   read 0.4s ago\n"
        "enforcement: advisory: nobody holds masks\n"
        "\n"
        "GPU    GI    CI   Type               Memory used / total   Allocated   Health    Leases\n"
        "  0   N/A   N/A   nvidia-a100-80gb    8192MiB / 81920MiB    16384MiB   healthy"
        "   lease-aaaaaaaaaa, lease-bbbbbbbbbb\n"
        "  1   N/A   N/A   nvidia-a100-80gb       0MiB / 81920MiB        0MiB   healthy   free\n"
        "\n"
        "GPU    GI    CI   PID   Type   Process name       GPU Memory   Lease              User\n"
        "  0   N/A   N/A    22      C   /usr/bin/python3      4096MiB   lease-aaaaaaaaaa   alice\n"
        "  0   N/A   N/A   300      C   /usr/bin/python3      4096MiB   lease-bbbbbbbbbb   bob"
    )


def test_mig() -> None:
    """MIG instances stand under their GPU with GI and CI, and their processes together."""
    devices = [device(0, mig_enabled=True), mig_device(0, 7), mig_device(0, 9)]
    processes = [
        process(0, 5, gpu_instance=9, compute_instance=0),
        process(0, 8, gpu_instance=7, compute_instance=0, type="M+C"),
    ]
    text = shown(devices=devices, processes=processes)
    assert part(text, 1) == (
        "GPU    GI    CI   Type                       Memory used / total   Allocated   Health"
        "    Leases\n"
        "  0   N/A   N/A   nvidia-a100-80gb               0MiB / 81920MiB        0MiB   healthy"
        "   partitioned\n"
        "  0     7     0   nvidia-a100-80gb 1g.10gb        N/A / 10240MiB        0MiB   healthy"
        "   free\n"
        "  0     9     0   nvidia-a100-80gb 1g.10gb        N/A / 10240MiB        0MiB   healthy"
        "   free"
    )
    assert part(text, 2).splitlines()[1:] == [
        "  0    7    0     8    M+C   /usr/bin/python3      4096MiB   lease-aaaaaaaaaa   alice",
        "  0    9    0     5      C   /usr/bin/python3      4096MiB   lease-aaaaaaaaaa   alice",
    ]


def test_unknown_memory_is_not_zero() -> None:
    """Memory that could not be read is `N/A`, of a device and of a process."""
    devices = [device(0, memory={"total": unavailable("lost"), "used": unavailable("lost")})]
    text = shown(devices=devices, processes=[process(0, 1, memory=unavailable("not supported"))])
    assert "N/A / N/A" in part(text, 1)
    assert " N/A   lease-aaaaaaaaaa" in part(text, 2)


def test_long_names_keep_their_end() -> None:
    """On a narrow terminal a name loses its beginning; no id loses anything."""
    name = "/home/alice/environments/torch-2.20-cuda-13/bin/python3.11"
    text = part(shown(width=90, processes=[process(0, 1, name={"value": name})]), 2)
    assert max(map(len, text.splitlines())) == 90
    assert "...3/bin/python3.11   " in text
    assert "lease-aaaaaaaaaa" in text


def test_a_pipe_gets_whole_names() -> None:
    """Where the output is no terminal nothing is cut."""
    name = "/" + "x" * 300
    assert name in shown(processes=[process(0, 1, name={"value": name})])


def test_wide_characters_keep_columns_straight() -> None:
    """A name in another script takes the columns that a terminal gives it."""
    rows = [process(0, 1, name={"value": "/opt/模型"}), process(0, 2, name={"value": "/opt/mod"})]
    lines = part(shown(processes=rows), 2).splitlines()
    assert lines[1].index("4096MiB") + 2 == lines[2].index("4096MiB")


def test_a_name_cannot_move_the_cursor() -> None:
    """What a process calls itself is data: control characters are shown as `?`."""
    text = shown(processes=[process(0, 1, name={"value": "/bin/\x1b[2J\nevil"})])
    assert "/bin/?[2J?evil" in text


def test_an_unreadable_list_is_a_line_of_its_own() -> None:
    """A list that cannot be read is never "no processes"; equal lines of the MIG devices of a
    GPU are one.
    """
    unreadable = [{"gpu_index": 3, "reason": "Insufficient Permissions"}] * 7
    text = part(shown(unreadable=unreadable), 2)
    assert text == "process list of GPU 3 not readable: Insufficient Permissions"


def test_no_processes() -> None:
    """Where every list was read and all are empty, nvidia-smi's own words say so."""
    assert part(shown(), 2) == "No running processes found"


def test_no_devices() -> None:
    """Without a driver the screen says what is missing, and that there are no devices."""
    driver: Fields = {"sentence": "no NVIDIA driver: libnvidia-ml.so.1 is not installed"}
    text = shown(devices=[], driver=driver, sample_age="")
    assert part(text, 0).splitlines()[1:] == [
        "nothing read yet",
        "enforcement: advisory: nobody holds masks",
        "driver: no NVIDIA driver: libnvidia-ml.so.1 is not installed",
    ]
    assert part(text, 1) == "No devices"


def test_simulated() -> None:
    """The first line of a simulated host says SIMULATED, once."""
    text = shown(simulated=True, warnings=["SIMULATED: these devices do not exist."])
    assert "*** SIMULATED" in text.splitlines()[0]
    assert text.count("SIMULATED") == 1


def test_a_warning_is_said_once() -> None:
    """A warning that the line on enforcement has said already is not said again."""
    text = shown(warnings=["Nobody holds masks.", "There is no guard."])
    assert part(text, 0).splitlines()[3:] == ["warning: There is no guard."]


def test_an_old_reading_is_loud() -> None:
    """A sample that is too old to grant on is marked, and its age is in words."""
    text = shown(sample_age="125s", sample_stale=True)
    assert "read 2m5s ago (STALE: nothing is granted on it)" in text


def test_strays_are_marked() -> None:
    """A process without a lease is a stray, and its device is not called free."""
    stray = process(0, 9, kind="PROCESS_KIND_STRAY", lease_id="", user="", uid=1234)
    text = shown(processes=[stray])
    assert part(text, 2).splitlines()[1].endswith("stray   1234")
    assert part(text, 1).splitlines()[1].endswith("no lease (strays)")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"allocated_bytes": str(GIB)}, "leased"),
        ({"leased_exclusively": True, "schedulable": False}, "leased"),
        ({"account": {"strays": value(GIB), "unknown": value(0)}}, "no lease (strays)"),
        ({"account": {"strays": value(GIB), "unknown": value(GIB)}}, "free"),
    ],
)
def test_what_is_somebody_elses_is_not_free(changed: Fields, says: str) -> None:
    """A device whose leases or strays this user may not see is not shown as free."""
    text = shown(devices=[device(0, **changed)])
    assert part(text, 1).splitlines()[1].endswith(f"healthy   {says}")


def test_a_process_outside_its_mask_is_marked() -> None:
    """A process of a lease on a device that is not the lease's is named with its lease."""
    text = shown(processes=[process(0, 9, outside_mask=True)])
    assert "lease-aaaaaaaaaa (outside its mask)" in text


def test_a_process_that_ended_keeps_its_row() -> None:
    """Nobody's name, nobody's user: the row stays, unlike nvidia-smi's."""
    gone = process(0, 9, name=unavailable("gone"), kind="PROCESS_KIND_UNKNOWN", lease_id="")
    del gone["uid"], gone["user"]
    assert part(shown(processes=[gone]), 2).splitlines()[1] == (
        "  0   N/A   N/A     9      C   [not found]       4096MiB   unknown   ?"
    )


def test_leases_without_a_process() -> None:
    """A lease that holds devices and uses none is shown in a table of its own."""
    text = shown(
        leases=[lease("lease-cccccccccc"), lease("lease-aaaaaaaaaa")], processes=[process(0, 1)]
    )
    assert part(text, 3) == (
        "Leases without a process on a device:\n"
        "Lease              State      User    Devices     Limit   Ends\n"
        "lease-cccccccccc   reserved   alice   1         8192MiB"
        "   unless a process is attached in 3m59s"
    )


def test_why_a_device_is_not_free() -> None:
    """Cordoned, settling, unhealthy: what keeps leases away stands beside the device."""
    devices = [
        device(0, cordon={"reason": "fan"}, schedulable=False),
        device(1, settling=True, lease_ids=["lease-aaaaaaaaaa"]),
        device(2, health="HEALTH_LOST", health_reason="fell off the bus", schedulable=False),
    ]
    lines = part(shown(devices=devices), 1).splitlines()
    assert lines[1].endswith("no lease (cordoned)")
    assert lines[2].endswith("lease-aaaaaaaaaa (settling)")
    assert lines[3].endswith("lost: fell off the bus   no lease")


def test_a_device_that_is_kept_says_for_whom() -> None:
    """A free device that is not given to who comes now says why not."""
    kept = "kept for a request of bob that waits"
    devices = [
        device(0, schedulable=False, unschedulable_reason=kept),
        device(1, schedulable=False, unschedulable_reason="lost", health="HEALTH_LOST"),
    ]
    lines = part(shown(devices=devices), 1).splitlines()
    assert lines[1].endswith(f"healthy   no lease ({kept})")
    assert lines[2].endswith("lost      no lease")


def test_requests_that_wait_are_listed() -> None:
    """In the order of service, with who, what, since when and for what; the header counts them."""
    theirs = waiting(2, "lease-wwwwwwwwww", user="bob", uid=1001, priority="low", wanted="")
    text = shown(waiting=[waiting(1, "train-7"), theirs])
    assert "\nrequests waiting: 2\n" in text
    assert text.partition("\n\nRequests that wait, in the order of service:\n")[2] == (
        "Place   Request            User    Class    Wants       Waited   Leaves     Waits for\n"
        "    1   train-7            alice   normal   2 devices       5m   in 4m29s"
        "   the end of lease-1 of bob\n"
        "    2   lease-wwwwwwwwww   bob     low                      5m   in 4m29s"
        "   the end of lease-1 of bob"
    )


def test_of_very_many_the_first_are_listed() -> None:
    """The screen stays one; the command that lists them all is there."""
    text = shown(waiting=[waiting(place, f"train-{place}") for place in range(1, 13)])
    assert text.endswith("\nand 2 more: gpusched leases")
    assert "train-10 " in text
    assert "train-11 " not in text


def test_a_class_that_is_not_the_usual_one_is_told() -> None:
    """Of a lease whose devices are listed, and of one that has no process yet."""
    devices: list[Fields] = [device(0, lease_ids=["lease-aaaaaaaaaa", "lease-bbbbbbbbbb"])]
    way = {"deadline": "2026-11-22T12:01:26Z", "priority": "normal"}
    leases = [
        lease("lease-aaaaaaaaaa", priority="low", giving_way=way),
        lease("lease-bbbbbbbbbb", priority="normal"),
    ]
    text = shown(devices=devices, leases=leases, default_priority="normal")
    said = "lease-aaaaaaaaaa (low) gives way in 25s, lease-bbbbbbbbbb"
    assert part(text, 1).endswith(said)
    table = part(text, 3).splitlines()
    assert "User    Class   Devices" in table[1]
    assert "alice   low     1 " in table[2]
    assert table[2].endswith("gives way in 25s")
    assert "alice           1 " in table[3]


def test_idle_leases() -> None:
    """A device says which of its leases does not use it, and for how long."""
    devices: list[Fields] = [device(0, lease_ids=["lease-aaaaaaaaaa", "lease-bbbbbbbbbb"])]
    idle = {"idle_time": "720s", "idle_kind": "IDLE_KIND_NO_PROCESS"}
    leases = [lease("lease-aaaaaaaaaa", **idle), lease("lease-bbbbbbbbbb")]
    said = "lease-aaaaaaaaaa idle 12m (no process), lease-bbbbbbbbbb"
    assert part(shown(devices=devices, leases=leases), 1).endswith(said)
