"""The tables of leases, devices, types, events and verdicts."""

import os
import time

import pytest

from gpusched.cli.devices import device_lines, type_lines
from gpusched.cli.environment import environment_file, grant_words, shell_exports
from gpusched.cli.events import event_line
from gpusched.cli.explain import explain_lines
from gpusched.cli.lease_table import ended_lines, lease_lines
from gpusched.cli.table import Column, lines_of, tail_of
from gpusched.cli.words import gib, instant, span
from gpusched.client.document import Document
from tests.fakes.messages import (
    GIB,
    Fields,
    device,
    lease,
    mig_device,
    unavailable,
    value,
)

NOON = 1795348800.0  # 2026-11-22T12:00:00Z


def row(fields: Fields, seconds: float = 60) -> str:
    return lease_lines([Document(fields)], NOON + seconds, None)[1]


def test_leases() -> None:
    """A lease shows who has what, how much of it is used, and what ends it next."""
    fields = lease(
        "lease-aaaaaaaaaa",
        state="LEASE_STATE_ACTIVE",
        used_memory=value(3 * GIB),
        peak_memory=value(4 * GIB),
        attach_deadline=None,
    )
    heading, line = lease_lines([Document(fields)], NOON + 3700, None)
    assert " ".join(heading.split()) == (
        "LEASE STATE USER DEVICES USED (PEAK) LIMIT ENFORCED AGE ENDS"
    )
    assert line == (
        "lease-aaaaaaaaaa   active   alice   1         3072MiB (4096MiB)   8192MiB   advisory"
        "   1h1m   with its last process"
    )


@pytest.mark.parametrize(
    ("limit", "peaks", "suggestion", "said"),
    [
        (12, [3.9], "--memory 5GiB", "peak 3.9 of 12 GiB; ask --memory 5GiB"),
        (12, [0.5], "--memory 768MiB", "peak 512 MiB of 12 GiB; ask --memory 768MiB"),
        (0.5, [0.25], "", "peak 256 of 512 MiB"),
        (5, [3.9], "", "peak 3.9 of 5 GiB"),
        (12, [1, 3.9], "--memory 5GiB", "peak 3.9 of 12 GiB each; ask --memory 5GiB"),
        (None, [3.9], "--memory 5GiB", "peak 3.9 GiB, exclusive; ask --memory 5GiB"),
        (None, [40, None], "", "peak 40 GiB each"),
        (12, [None], "", "-"),
        (12, [], "", "-"),
    ],
)
def test_ended_leases(
    limit: float | None, peaks: list[float | None], suggestion: str, said: str
) -> None:
    """An ended lease says how long it ran, why it ended, what it held and what would have done."""
    devices: list[Fields] = [
        {
            "uuid": "GPU-1",
            "index": 1,
            "memory_limit_bytes": None if limit is None else str(int(limit * GIB)),
            "peak_memory": unavailable("no") if peak is None else value(int(peak * GIB)),
        }
        for peak in peaks
    ]
    fields = lease(
        "lease-aaaaaaaaaa",
        state="LEASE_STATE_ENDED",
        end_reason="END_REASON_EMPTY",
        ended_at="2026-11-22T12:01:00Z",
        devices=devices,
        suggestion=suggestion,
    )
    heading, line = ended_lines([Document(fields)], NOON + 90, None)
    assert heading.split() == ["LEASE", "USER", "DEVICES", "RAN", "ENDED", "MEMORY"]
    assert line.split("   ", 4)[-1].endswith(f"1m   its last process ended, 30s ago   {said}")


@pytest.mark.parametrize(
    ("changed", "ends"),
    [
        ({}, "unless a process is attached in 4m"),
        ({"time_limit_deadline": "2026-11-22T12:03:00Z"}, "in 2m"),
        ({"keepalive_deadline": "2026-11-22T12:01:30Z"}, "unless renewed in 30s"),
        ({"attach_deadline": None}, "with its last process"),
        (
            {
                "state": "LEASE_STATE_ENDED",
                "end_reason": "END_REASON_EMPTY",
                "ended_at": "2026-11-22T12:00:58Z",
            },
            "its last process ended, 2s ago",
        ),
        ({"state": "LEASE_STATE_RELEASING", "end_reason": "END_REASON_TIME_LIMIT"}, "time limit"),
    ],
)
def test_what_ends_a_lease(changed: Fields, ends: str) -> None:
    """The nearest clock ends a lease; without a clock its last process does."""
    assert row(lease("lease-a") | changed).endswith(f"1m   {ends}")


def test_devices_of_a_lease() -> None:
    """Indices stand for GPUs, full UUIDs for MIG instances and for what does not answer."""
    devices: list[Fields] = [
        {"uuid": "GPU-a", "index": 3},
        {"uuid": "MIG-b", "index": 0},
        {"uuid": "GPU-c"},
    ]
    assert "3,MIG-b,GPU-c" in row(lease("lease-a", devices=devices))
    assert " none " in row(lease("lease-a", devices=[]))


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ([8], "8192MiB"),
        ([8, 8], "2x8192MiB"),
        ([None], "exclusive"),
        ([None, None], "exclusive"),
        ([2, None, 3], "2048MiB,exclusive,3072MiB"),
        ([None, 2], "exclusive,2048MiB"),
    ],
)
def test_limits_of_a_lease(limits: list[int | None], said: str) -> None:
    """Limits that are alike are counted; those that an adopted lease has by device stand each."""
    devices = [limited(one) for one in limits]
    assert row(lease("lease-a", devices=devices)).split()[6] == said


def test_a_limit_that_is_not_told() -> None:
    """The limit of somebody else's share is unknown to who may not see it, and not the whole."""
    devices: list[Fields] = [{"uuid": "GPU-a", "index": 3, "exclusive": False}] * 2
    assert row(lease("lease-a", devices=devices)).split()[6] == "N/A"


def test_what_an_ended_lease_of_several_limits_held() -> None:
    """Its greatest peak is told, and of no limit: none is that of all its devices."""
    devices = [limited(2, 1), limited(None, 3)]
    fields = lease("lease-a", state="LEASE_STATE_ENDED", devices=devices)
    assert ended_lines([Document(fields)], NOON, None)[1].endswith("  peak 3 GiB")


def limited(limit: int | None, peak: int = 0) -> Fields:
    """A device of a lease that may hold so many GiB of it, or has the whole."""
    size: Fields = {} if limit is None else {"memory_limit_bytes": str(limit * GIB)}
    return {
        "uuid": "GPU-a",
        "index": 3,
        "exclusive": limit is None,
        "peak_memory": value(peak * GIB),
    } | size


def test_types() -> None:
    """The columns are those of an instance-type table, and Free."""
    gpu: Fields = {
        "name": "gpu.l4.1",
        "price": "0.70/h",
        "cpu_millicores": "12500",
        "memory_bytes": str(48 * GIB),
        "gpu_count": 1,
        "gpu_type": "nvidia-l4",
        "free_count": 3,
    }
    cpu: Fields = {"name": "cpu.1", "cpu_millicores": "1000", "memory_bytes": str(GIB // 2)}
    assert type_lines([Document(gpu), Document(cpu)], None) == [
        "Name        Price    CPU    Memory   GPU   GPU Type    Free",
        "gpu.l4.1   0.70/h   12.5    48 GiB     1   nvidia-l4      3",
        "cpu.1           -      1   0.5 GiB     0   -              0",
    ]


def test_devices() -> None:
    """A device is listed with its whole UUID, on the narrowest terminal too."""
    listed = [Document(device(0, pci_bus_id="00000000:07:00.0")), Document(mig_device(0, 7))]
    lines = device_lines(listed, 40)
    assert "GPU-00000000-0000-0000-0000-000000000000" in lines[1]
    assert lines[2].startswith("  0:7   MIG-00000007-0000-0000-0000-000000000000")
    lost = device(1, health="HEALTH_LOST", health_reason="fell off the bus")
    del lost["index"]
    assert device_lines([Document(lost)], None)[1].startswith("    ?   GPU-")


def test_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event is a line: local time, whom it is about, the sentence."""
    monkeypatch.setitem(os.environ, "TZ", "UTC")
    time.tzset()
    event: Fields = {"at": "2026-11-22T12:00:00.25Z", "id": "lease-a", "sentence": "granted to al"}
    assert event_line(Document(event)) == "2026-11-22 12:00:00  lease-a  granted to al"
    unknown: Fields = {"kind": "started"}
    assert event_line(Document(unknown)) == "-  daemon  started"
    rude: Fields = {"sentence": "\x1b[2Jgone"}
    assert event_line(Document(rude)) == "-  daemon  ?[2Jgone"
    monkeypatch.undo()
    time.tzset()


def test_explain() -> None:
    """The sentence comes first, then a verdict for each device, then what would do; what it
    quotes of others moves no cursor.
    """
    reply: Fields = {
        "sentence": "1 free\x1b[31m",
        "verdicts": [
            {"uuid": "GPU-a", "index": 0, "fits": True, "sentence": "free"},
            {"uuid": "GPU-b", "index": 1, "sentence": "held by bob"},
            {"uuid": "GPU-c", "never": True, "sentence": "is lost"},
        ],
        "rejection": {"nearest_command": "gpusched run --gpus 1 -- CMD"},
        "story": [{"id": "lease-a", "sentence": "granted"}],
    }
    assert explain_lines(Document(reply), None) == [
        "1 free?[31m",
        "",
        "DEVICE   FITS      WHY",
        "     0   yes       free",
        "     1   not now   held by bob",
        " GPU-c   never     is lost",
        "",
        "the nearest that would do: gpusched run --gpus 1 -- CMD",
        "",
        "-  lease-a  granted",
    ]


def test_a_shell_reads_the_environment_back() -> None:
    """Values are quoted, so that a shell takes them as they are."""
    assert shell_exports({"A": "1,2", "B": "it's $HOME"}) == (
        "export A=1,2\nexport B='it'\"'\"'s $HOME'"
    )


def test_systemd_reads_the_environment_back() -> None:
    """Quotes and backslashes are escaped as an EnvironmentFile wants it."""
    assert environment_file({"A": 'a "b" \\'}) == 'A="a \\"b\\" \\\\"'


def test_a_grant_in_words() -> None:
    """On a terminal a grant tells what it is and the three commands that come next."""
    grant: Fields = {"lease": lease("lease-a", attach_deadline=None)}
    assert grant_words(Document(grant)) == (
        "lease-a: devices 1, 8192MiB; ends with its last process\n"
        '  its environment:     eval "$(gpusched env lease-a)"\n'
        "  this shell under it: gpusched attach lease-a --pid $$\n"
        "  give it back:        gpusched release lease-a"
    )


def test_times_and_sizes_in_words() -> None:
    """A time has its two largest units; a size has at most one decimal."""
    assert [span(one) for one in (0, 45, 300, 5400, 183600, -5)] == [
        "0s",
        "45s",
        "5m",
        "1h30m",
        "2d3h",
        "0s",
    ]
    assert gib(GIB * 31 // 2) == "15.5 GiB"
    assert instant("yesterday") is None


def test_only_what_may_gives_way() -> None:
    """A table that is too wide anyway leaves twelve columns of a name and cuts nothing else."""
    columns = (Column("ID"), Column("NAME", gives_way=True))
    assert lines_of(columns, [["lease-aaaaaaaaaa", "a" * 30 + "z"]], 10) == [
        "ID                 NAME",
        "lease-aaaaaaaaaa   ...aaaaaaaaz",
    ]


def test_a_tail_of_wide_characters_fits() -> None:
    """A tail never takes more columns than there are."""
    assert tail_of("模型模型模型", 8) == "...模型"
