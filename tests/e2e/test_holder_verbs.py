"""What a holder can do with a lease: enter, renew, give back, withdraw, ask why."""

import shlex
import threading
from collections.abc import Iterator

import pytest

import gpusched
from gpusched.api.v1 import lease_pb2
from gpusched.client.errors import WrongState
from tests.e2e.host import HELD, Host, first_line, kill, lease_of, members
from tools.stage import GPUSCHED

_LONG_BLOCK = """
import threading, gpusched

with gpusched.lease(keepalive=1.5) as lease, gpusched.Client() as client:
    threading.Event().wait(3.5)
    print(lease.id, client.lease(lease.id).state)
"""


@pytest.fixture
def client(host: Host) -> Iterator[gpusched.Client]:
    with gpusched.Client(str(host.socket)) as found:
        yield found


def test_a_lease_is_taken_entered_and_given_back(host: Host) -> None:
    """Allocate, env, attach and release are one job for a launcher that is not ours."""
    lease = host.allocate("--gpus", "2", "--memory", "6GiB", "--gpu-type", "l4")
    assert host.leases()[lease].text("state") == "LEASE_STATE_RESERVED"
    exports = host.gpusched("env", lease).stdout.splitlines()
    found = dict(shlex.split(line)[1].split("=", 1) for line in exports)
    # Ordinals change when the kernel denies the others, at the attach; UUIDs do not.
    mask = found["GPUSCHED_DEVICES"] if HELD else "4,5"
    assert (found["GPUSCHED_LEASE"], found["CUDA_VISIBLE_DEVICES"]) == (lease, mask)

    sleeper = host.start("sleep", "60")
    host.told("attach", lease, "--pid", str(sleeper.pid))
    host.told("attach", lease, "--pid", str(sleeper.pid))
    held = host.leases()[lease]
    assert (held.text("state"), members(held)) == ("LEASE_STATE_ACTIVE", [sleeper.pid])

    sleeper.kill()
    sleeper.wait()
    host.told("release", lease)
    host.until(lambda: host.ended(lease))
    host.told("release", lease)


def test_a_lease_in_use_is_not_released(host: Host) -> None:
    """A release names the processes that are in the way, and changes nothing."""
    worker = host.worker("1GiB")
    lease = lease_of(worker.pid)
    line = host.refused(64, "release", lease)
    assert f"{lease} is in use by {worker.pid}" in line
    assert host.leases()[lease].text("state") == "LEASE_STATE_ACTIVE"


def test_a_release_right_after_the_end_succeeds(host: Host) -> None:
    """Who is alive counts, not who was at the last tick."""
    worker = host.worker("1GiB")
    lease = lease_of(worker.pid)
    worker.kill()
    worker.wait()
    assert host.gpusched("release", lease).returncode == 0


def test_a_lease_lives_as_long_as_it_is_renewed(host: Host, client: gpusched.Client) -> None:
    """A keepalive that nobody renews ends the lease; renewing sets it back."""
    wish = client.allocate(keepalive=3, attach_deadline="1h").lease.id
    host.told("renew", wish)
    for _ in range(4):  # by the client: a command may take longer than the lease lasts
        threading.Event().wait(0.9)
        client.renew(wish)
    assert wish in [one.id for one in client.leases().leases]
    host.until(lambda: host.ended(wish) == "END_REASON_KEEPALIVE")
    with pytest.raises(WrongState, match="was not renewed in time"):
        client.renew(wish)


def test_a_block_renews_its_lease_by_itself(host: Host) -> None:
    """`with gpusched.lease(keepalive=…)` needs no renewal by the program."""
    lease, state = host.program(_LONG_BLOCK)
    assert int(state) == lease_pb2.LEASE_STATE_ACTIVE
    host.until(lambda: host.ended(lease) == "END_REASON_RELEASED")


def test_a_request_is_withdrawn(host: Host, client: gpusched.Client) -> None:
    """Cancel ends what its request was granted, and the key is free again."""
    lease = client.allocate(request_id="train-1").lease.id
    host.told("cancel", "train-1")
    assert host.ended(lease) == "END_REASON_CANCELLED"
    assert client.allocate(request_id="train-1").lease.id != lease


def test_a_request_in_use_is_not_withdrawn(host: Host, client: gpusched.Client) -> None:
    """Cancel refuses when somebody uses the lease already, and says how to end it."""
    lease = client.allocate(request_id="train-2").lease.id
    sleeper = host.start("sleep", "60")
    client.attach(lease, sleeper.pid)
    assert f"`gpusched release {lease}`" in host.refused(64, "cancel", "train-2")


def test_asking_again_gives_the_same(client: gpusched.Client, host: Host) -> None:
    """The same `request_id` is answered with the same grant, and takes nothing more."""
    first = client.allocate(gpus=2, request_id="same")
    again = client.allocate(gpus=2, request_id="same")
    assert again.lease.id == first.lease.id
    assert again.environment == first.environment
    assert len(host.leases()) == 1


def test_a_lease_is_named_by_its_beginning(host: Host) -> None:
    """A unique beginning of the id is enough for every verb."""
    lease = host.allocate()
    short = lease[: len("lease-") + 4]
    assert lease in host.gpusched("env", short).stdout
    assert host.gpusched("release", short).stdout == f"{lease} has ended\n"


def test_explain_changes_nothing(host: Host) -> None:
    """Explain says what a request would get, and leaves the ledger as it is."""
    host.allocate("--gpu-type", "l4")
    before = host.told("status")
    fits = host.told("explain", "--gpus", "2", "--memory", "4GiB", "--gpu-type", "l4")
    never = host.told("explain", "--memory", "100GiB")
    assert [one.text("uuid") for one in before.parts("devices")][5:7] == fits.texts("device_uuids")
    assert never.part("rejection").text("kind") == "REJECTION_KIND_NEVER_HERE"
    after = host.told("status")
    assert after.number("generation") == before.number("generation")
    assert len(host.leases()) == 1


def test_explain_tells_the_story_of_a_lease(host: Host) -> None:
    """`explain --lease` says what happened to it, in order."""
    lease = host.allocate("--memory", "4GiB")
    host.told("release", lease)
    kinds = [one.text("kind") for one in host.told("explain", "--lease", lease).parts("story")]
    assert kinds == ["granted", "ended"]


def test_events_tell_the_story_in_order(host: Host) -> None:
    """What happened to a lease is told once each, oldest first, with who and why."""
    last = host.told("events").number("last_sequence")
    # It opens no device: the denials that CUDA's search for devices meets are told, too.
    command = ("sh", "-c", "echo ready; exec sleep 60")
    worker = host.start(str(GPUSCHED), "run", "--memory", "2GiB", "--", *command)
    assert first_line(worker) == "ready\n"
    lease = lease_of(worker.pid)
    kill(worker.pid)
    host.until(lambda: host.ended(lease))
    events = [
        one
        for one in host.told("events").parts("events")
        if one.number("sequence") > last and one.text("id") == lease
    ]
    assert [one.text("kind") for one in events] == ["granted", "attached", "ending", "ended"]
    sequences = [one.number("sequence") for one in events]
    assert sequences == sorted(set(sequences))
    assert f"process {worker.pid} attached" in events[1].text("sentence")
    assert "its last process ended" in events[3].text("sentence")
    assert events[0].words("data")["uid"] == "0"
