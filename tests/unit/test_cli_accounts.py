"""Whose the memory of each device is, on the screen; and the columns that need room."""

from gpusched.cli.account_table import account_lines
from gpusched.cli.devices import device_lines
from gpusched.cli.process_table import process_lines
from gpusched.cli.status_screen import screen
from gpusched.client.document import Document
from tests.fakes.messages import (
    GIB,
    Fields,
    device,
    mig_device,
    process,
    status,
    unavailable,
    value,
)

NOTHING = ("leases", "strays", "unknown", "infrastructure", "ghost", "unattributed", "overlap")


def used(index: int, used: int, **parts: Fields) -> Fields:
    """A device with an account: what is not named is zero."""
    account = {name: parts.get(name, value(0)) for name in NOTHING}
    memory: Fields = {"total": value(80 * GIB), "used": value(used)}
    return device(index, account=account, memory=memory)


def lines(*devices: Fields, width: int | None = None) -> list[str]:
    return account_lines([Document(one) for one in devices], width)


def test_every_part_that_is_not_zero_is_named() -> None:
    """Strays and processes that nobody knows are told apart; sums are those of the API."""
    one = used(
        0,
        9 * GIB,
        leases=value(3 * GIB),
        strays=value(3 * GIB),
        unknown=value(GIB),
        infrastructure=value(1000),
        ghost=value(GIB),
        unattributed=value(2 * GIB),
    )
    heading, *told = lines(one, used(1, 0))
    assert heading == "GPU    GI      Used   Held by"
    assert "\n".join(told) == (
        "  0   N/A   9216MiB   leases 3072MiB + strays 2048MiB + unknown processes 1024MiB"
        " + infrastructure <1MiB + ghost memory 1024MiB + unattributed 2048MiB"
    )


def test_what_leases_have_alone_needs_no_row() -> None:
    """Where leases have all that is used, the table of the devices has said so already."""
    assert lines(used(0, 3 * GIB, leases=value(3 * GIB))) == []
    unknown = used(0, 0, leases=unavailable("no permission"))
    assert len(lines(unknown)) == 2


def test_what_is_counted_twice_is_taken_off() -> None:
    """Overlap has its sign, and figures of a driver that do not add up are said to be such."""
    one = used(0, 2 * GIB, leases=value(3 * GIB), overlap=value(GIB))
    memory = one["memory"]
    assert isinstance(memory, dict)
    memory["difference_bytes"] = str(-(5 << 20))
    assert lines(one)[1] == (
        "  0   N/A   2048MiB   leases 3072MiB - 1024MiB counted twice"
        " (the driver's own figures differ by 5MiB)"
    )


def test_what_is_not_known_is_named_with_its_reason() -> None:
    """A part without a figure is not left out, and not zero."""
    why = unavailable("N/A")
    some = used(0, GIB, leases=value(GIB // 2), strays=why, unattributed=why, overlap=why)
    every = used(1, GIB, **{name: unavailable("no permission") for name in NOTHING})
    one, other = lines(some, every)[1:]
    assert one == "  0   N/A   1024MiB   leases 512MiB + not known: strays, unattributed: N/A"
    assert other == (
        "  1   N/A   1024MiB   not known: leases, strays, unknown processes, infrastructure,"
        " ghost memory, unattributed: no permission"
    )


def test_instances_that_share_a_memory_have_one_row() -> None:
    """A compute instance more is no memory more; a lost GPU has no index."""
    account = used(0, 0, leases=value(GIB // 2), strays=value(GIB // 2))["account"]
    memory = {"used": value(GIB)}
    left, right = (mig_device(0, 7) | {"account": account, "memory": memory} for _ in range(2))
    assert lines(left, right)[1:] == ["  0    7   1024MiB   leases 512MiB + strays 512MiB"]
    lost = used(1, 0, leases=unavailable("lost"))
    del lost["index"]
    assert lines(lost)[1].startswith("  ?   N/A")
    assert lines(lost | {"health": "HEALTH_LOST"}) == []


def test_a_narrow_terminal_breaks_between_parts() -> None:
    """No part is cut: what has no room goes on below."""
    one = used(0, 4 * GIB, leases=value(GIB), strays=value(GIB), unattributed=value(2 * GIB))
    assert lines(one, width=60) == [
        "GPU    GI      Used   Held by",
        "  0   N/A   4096MiB   leases 1024MiB + strays 1024MiB",
        "                      + unattributed 2048MiB",
    ]
    assert len(lines(one, width=10)) == 4


def test_status_has_the_accounts_below_the_devices() -> None:
    """They stand between the devices and the processes, where anything is used."""
    text = "\n".join(screen(Document(status(devices=[used(0, GIB, strays=value(GIB))])), None))
    assert text.split("\n\n")[2].splitlines()[1] == "  0   N/A   1024MiB   strays 1024MiB"
    assert device_lines([Document(used(0, GIB))], None)


def rows(changed: Fields, width: int | None = None) -> list[str]:
    return process_lines([Document(process(0, 22, **changed))], [], width)


def test_peak_and_place_stand_where_there_is_room() -> None:
    """The last columns go first where the terminal is narrow; the name gives way after them."""
    places: Fields = {"peak_memory": value(6 * GIB), "unit": "vllm.service"}
    wide = rows(places)
    assert wide[0].endswith("User       Peak   Unit or container")
    assert wide[1].endswith("alice   6144MiB   vllm.service")
    assert rows(places, len(wide[0])) == wide
    assert rows(places, len(wide[0]) - 1)[1].endswith("alice   6144MiB")
    assert rows(places, len(wide[0]) - 30)[1].endswith(
        "/usr/bin/python3      4096MiB   lease-aaaaaaaaaa   alice"
    )


def test_where_a_process_runs() -> None:
    """The container, else the unit; the unit of the lease itself says nothing new."""
    docker: Fields = {"container": "abababababab", "unit": ""}
    assert rows(docker)[1].endswith("alice   abababababab")
    assert rows({"unit": "gpusched-lease_aaaaaaaaaa-0a.scope"})[1].endswith("alice")
    stray: Fields = {"unit": "x.service", "lease_id": "", "kind": "PROCESS_KIND_STRAY"}
    assert rows(stray)[1].endswith("x.service")
