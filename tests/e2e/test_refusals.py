"""A refusal has its exit code, one sentence why, and what would do."""

import json
import re

import grpc
import pytest

from gpusched.api.v1 import leases_pb2_grpc, rejection_pb2, request_pb2
from gpusched.client.document import Document
from tests.e2e.host import GIB, HELD, Host, as_user, lease_of

NOBODY = 65534
_REJECTION = "gpusched-rejection-bin"
_AS_NOBODY = as_user(NOBODY)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--gpu-type", "h100"), "--gpu-type: this host has no 'h100'; it has nvidia-a100-80gb"),
        (("--memory", "4"), "--memory: '4' is not a size"),
        (("--memory", "0GiB"), "--memory: "),
        (("--gpus", "-1"), "--gpus: '-1' is not a number of devices"),
        (("--gpus", "2000"), "--gpus: "),
        (("--device", "0,0"), "--device: "),
        (("--label", "name"), "--label 'name' is not KEY=VALUE"),
        (("--time-limit", "5"), "--time-limit: '5' is not a time"),
        (("--wait", "0s"), "--wait: '0s' is not more than nothing"),
        (("--priority", "urgent"), "--priority: there is no class 'urgent'; known: high, "),
        (("--pool", "training"), "--pool: there is no pool 'training'"),
        (("--gpus", "4-2"), "--gpus: '4-2': M is less than N"),
        (("--gpus", "2", "--min-gpus", "3"), "--min-gpus: 3 is not between"),
        (("--no-such-flag",), "--no-such-flag"),
    ],
)
def test_a_bad_request_ends_with_64(host: Host, words: tuple[str, ...], sentence: str) -> None:
    """What is wrong whatever the host names the flag that was typed."""
    said = host.refused(64, "run", *words, "--", "true")
    assert sentence in said
    assert not host.leases()


def test_a_device_that_is_not_there_is_refused_by_any_name(host: Host) -> None:
    """An unknown index and an unknown UUID are the same refusal, which names the flag."""
    unknown = "GPU-00000000-0000-0000-0000-000000000000"
    by_index, by_uuid = (host.gpusched("allocate", "--device", name) for name in ("8", unknown))
    assert by_index.returncode == by_uuid.returncode
    assert by_index.stderr.startswith("gpusched: --device: this host has no device 8")
    assert by_uuid.stderr.startswith(f"gpusched: --device: this host has no device {unknown}")


def test_all_busy_ends_with_75_and_names_the_holders(host: Host) -> None:
    """What could fit later says who holds the devices."""
    worker = host.worker("1GiB", "--gpus", "4", "--gpu-type", "l4")
    said = host.refused(75, "run", "--gpu-type", "l4", "--", "true")
    assert lease_of(worker.pid) in said
    assert "root" in said
    assert len(host.leases()) == 1


def test_what_fits_in_part_says_how_much(host: Host) -> None:
    """The nearest request that would be granted now is a command that is granted."""
    host.allocate("--gpus", "3", "--gpu-type", "l4")
    said = host.refused(75, "run", "--gpus", "2", "--gpu-type", "l4", "--", "true")
    command = re.findall(r": gpusched (.*)", said)[0].split()
    assert command[:3] == ["run", "--gpus", "1"]
    assert host.gpusched(*command).returncode == 0


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (("--gpus", "9"), "--gpus 8"),
        (("--memory", "100GiB"), "--memory 81301MiB"),
        (("--gpus", "5", "--gpu-type", "a100"), "--gpus 4"),
        (("--gpus", "6", "--memory", "40GiB"), "--gpus 6 --memory 22543MiB"),
    ],
)
def test_never_here_ends_with_78_and_says_the_nearest(
    host: Host, words: tuple[str, ...], nearest: str
) -> None:
    """What this host can never serve says the nearest request that it can, and grants that."""
    said = host.refused(78, "allocate", *words)
    command = said.rpartition(": gpusched allocate ")[2].split()
    assert nearest in " ".join(command)
    assert host.allocate(*command) in host.leases()


def test_a_mig_profile_that_is_not_there_is_never_here(host: Host) -> None:
    """Without a MIG instance on the host none can be had later."""
    assert "never" not in host.refused(78, "run", "--mig", "1g.10gb", "--", "true").lower()


def test_enforcement_that_cannot_be_had_is_refused() -> None:
    """`required` is a condition: where no mask can be held an advisory one does not do."""
    with Host("2xL4") as host:
        if HELD:
            host.serve_as(NOBODY)
        host.start_daemon()
        said = host.refused(78, "allocate", "--enforce", "required")
    assert "the mask cannot be held, and it is required" in said
    assert "runs without root" in said


@pytest.mark.root
@pytest.mark.parametrize("verb", ["release", "renew", "env"])
def test_a_lease_of_another_user_is_left_alone(host: Host, verb: str) -> None:
    """Whoever is neither holder nor administrator is refused with 77."""
    lease = host.allocate()
    done = host.run(*_AS_NOBODY, verb, lease)
    assert done.returncode == 77, done
    assert f"{lease} belongs to root" in done.stderr
    assert lease in host.leases()


@pytest.mark.root
def test_another_user_sees_that_a_device_is_held(host: Host) -> None:
    """A refusal names the holder to everybody; what he asked for is his own affair."""
    lease = host.allocate("--gpus", "8", "--label", "secret=word")
    done = host.run(*_AS_NOBODY, "allocate")
    assert done.returncode == 75, done
    assert lease in done.stderr
    assert "secret" not in host.run(*_AS_NOBODY, "status", "--json").stdout


@pytest.mark.root
def test_an_ordinary_user_has_leases_of_his_own(host: Host) -> None:
    """Everybody may allocate, and ends what is his."""
    done = host.run(*_AS_NOBODY, "allocate", "--memory", "4GiB")
    assert done.returncode == 0, done
    (lease,) = host.leases().values()
    assert lease.part("holder").number("uid") == NOBODY
    done = host.run(*_AS_NOBODY, "release", lease.text("id"))
    assert done.returncode == 0, done
    assert not host.leases()


@pytest.mark.root
def test_another_users_process_is_not_attached(host: Host) -> None:
    """A holder attaches only processes that are his."""
    host.run(*_AS_NOBODY, "allocate", "--memory", "4GiB")
    (lease,) = host.leases()
    sleeper = host.start("sleep", "60")
    done = host.run(*_AS_NOBODY, "attach", lease, "--pid", str(sleeper.pid))
    assert done.returncode == 77, done
    assert f"process {sleeper.pid} has uids 0" in done.stderr


def test_an_unknown_lease_is_named(host: Host) -> None:
    """A lease that is not there is refused with where to look."""
    assert "`gpusched leases`" in host.refused(64, "release", "lease-0000000000")


def test_a_refusal_has_its_data_for_programs(host: Host) -> None:
    """With --json the rejection stands on standard output: kind, holders, a verdict per device."""
    lease = host.allocate("--gpus", "8")
    done = host.gpusched("allocate", "--json")
    assert done.returncode == 75
    rejection = Document(json.loads(done.stdout)).part("error").part("rejection")
    assert rejection.text("kind") == "REJECTION_KIND_LATER"
    assert [one.text("lease_id") for one in rejection.parts("holders")] == [lease]
    assert {one.text("lease_id") for one in rejection.parts("verdicts")} == {lease}
    assert len(rejection.parts("verdicts")) == 8


def test_over_grpc_a_bad_field_is_named(host: Host) -> None:
    """INVALID_ARGUMENT comes with the field, in the sentence and in the trailing metadata."""
    request = request_pb2.AllocateRequest(count=2, device_uuids=["0"], memory_bytes=GIB)
    with grpc.insecure_channel(f"unix:{host.socket}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            leases_pb2_grpc.LeasesStub(channel).Allocate(request, timeout=10)
        error = caught.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.details() or "").startswith("count: ")
    metadata = [one for one in error.trailing_metadata() or () if isinstance(one, tuple)]
    (found,) = (one[1] for one in metadata if one[0] == _REJECTION)
    assert isinstance(found, bytes)
    assert rejection_pb2.Rejection.FromString(found).field == "count"


def test_a_stranger_to_the_protocol_is_refused(host: Host) -> None:
    """Bytes that are no message of ours are INVALID_ARGUMENT, and the daemon goes on."""
    with grpc.insecure_channel(f"unix:{host.socket}") as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/gpusched.v1.Leases/Allocate"
        )
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff\xff\xff", timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert host.told("status").parts("devices")
