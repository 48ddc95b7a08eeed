"""The gRPC clients and the lease of a block, against a service of gRPC."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import grpc
import pytest

import gpusched
from gpusched.api.v1 import lease_pb2, leases_pb2, rejection_pb2, request_pb2
from gpusched.client import errors
from gpusched.client.aio import AsyncClient
from gpusched.client.held import HeldLease
from gpusched.client.sync import Client
from tests.fakes.lease_service import LeaseService, lease_service


@pytest.fixture
def served(
    socket_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, LeaseService]]:
    """A service, where clients look for it."""
    with lease_service(socket_folder) as (path, service):
        monkeypatch.setenv("GPUSCHED_SOCKET", path)
        yield path, service


def later() -> tuple[grpc.StatusCode, str, rejection_pb2.Rejection]:
    rejection = rejection_pb2.Rejection(
        kind=rejection_pb2.REJECTION_KIND_LATER,
        nearest_command="gpusched run --gpus 1 -- CMD",
        verdicts=[rejection_pb2.DeviceVerdict(uuid="GPU-a", wanted_bytes=1 << 40)],
    )
    return grpc.StatusCode.RESOURCE_EXHAUSTED, "not free now", rejection


def in_use() -> tuple[grpc.StatusCode, str, rejection_pb2.Rejection]:
    rejection = rejection_pb2.Rejection(kind=rejection_pb2.REJECTION_KIND_WRONG_STATE)
    return grpc.StatusCode.FAILED_PRECONDITION, "lease-1 is in use by 7", rejection


def test_words_become_a_request(served: tuple[str, LeaseService]) -> None:
    """What a program says arrives as the message that means it."""
    with Client() as client:
        grant = client.allocate(gpus=2, memory="4GiB", time_limit=90, enforce="advisory")
    assert grant.lease.id == "lease-1"
    request = served[1].asked[0]
    assert isinstance(request, request_pb2.AllocateRequest)
    assert (request.count, request.memory_bytes) == (2, 4 << 30)
    assert request.time_limit.ToSeconds() == 90
    assert request.enforce == request_pb2.ENFORCE_ADVISORY


def test_a_refusal_has_its_class_and_its_data(served: tuple[str, LeaseService]) -> None:
    """A refusal over gRPC is the same error with the same data as over the gateway."""
    served[1].refusals["Allocate"] = later()
    with Client() as client, pytest.raises(errors.CouldFitLater) as caught:
        client.allocate()
    error = caught.value
    assert (error.sentence, error.code) == ("not free now", "RESOURCE_EXHAUSTED")
    assert error.nearest_command == "gpusched run --gpus 1 -- CMD"
    assert error.rejection["verdicts"] == [{"uuid": "GPU-a", "wanted_bytes": str(1 << 40)}]


def test_a_status_without_a_rejection(served: tuple[str, LeaseService]) -> None:
    """What comes without a rejection is told by its status."""
    served[1].refusals["Renew"] = (grpc.StatusCode.INTERNAL, "a defect", None)
    with Client() as client:
        with pytest.raises(errors.DaemonFault):
            client.renew("lease-1")
        with pytest.raises(errors.NotYet):
            client.cancel("key")  # the service does not have it


def test_a_wrong_word_asks_nobody(served: tuple[str, LeaseService]) -> None:
    """What is wrong whatever the host is refused before the daemon is asked."""
    with Client() as client, pytest.raises(errors.BadRequest):
        client.allocate(memory="4")
    assert served[1].asked == []


def test_no_daemon(socket_folder: Path) -> None:
    """Without a daemon the error names the path and the next step, as the command line does."""
    path = f"{socket_folder}/none.sock"
    with Client(path) as client, pytest.raises(errors.DaemonUnreachable) as caught:
        client.status()
    assert f"there is no socket at {path}; " in caught.value.sentence


def test_a_daemon_that_does_not_answer(socket_folder: Path) -> None:
    """A reply that takes too long is an error in time, in the words of the command line."""
    path = f"{socket_folder}/slow.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with Client(path, timeout=0.05) as client, pytest.raises(errors.DaemonUnreachable) as it:
            client.ping()
    assert "does not answer in time" in it.value.sentence


def test_unavailable_with_a_daemon(served: tuple[str, LeaseService]) -> None:
    """A daemon that stops says so itself, and its own sentence is kept."""
    served[1].refusals["Renew"] = (grpc.StatusCode.UNAVAILABLE, "the daemon is stopping", None)
    with Client() as client, pytest.raises(errors.DaemonUnreachable) as caught:
        client.renew("lease-1")
    assert caught.value.sentence == "the daemon is stopping"


def test_a_watch(served: tuple[str, LeaseService]) -> None:
    """A watch gives messages until it ends or is refused, and may be left at any time."""
    with Client() as client:
        assert [one.generation for one in client.watch_leases()] == [1, 2]
        assert next(client.watch_leases()).generation == 1
        served[1].refusals["Watch"] = in_use()
        with pytest.raises(errors.WrongState):
            list(client.watch_leases())


def test_notices(served: tuple[str, LeaseService]) -> None:
    """A worker hears in order what is going to be done to its lease, until it has ended."""
    with Client() as client:
        assert [one.sentence for one in client.notices("lease-1")] == ["first", "then"]
    assert served[1].asked[-1] == leases_pb2.WatchLeasesRequest(lease_id="lease-1")


def test_a_users_own_settings_stay_in_a_block(
    served: tuple[str, LeaseService], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How much of a framework's memory a process takes is not overwritten, however often the
    variables are applied.
    """
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", "0.5")
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    advice = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.100", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    served[1].environment |= advice
    with gpusched.lease() as held:
        held.apply()
        assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in os.environ
        assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "false"
        assert held.env.items() >= advice.items()
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "false"


def test_a_block_holds_a_lease(served: tuple[str, LeaseService]) -> None:
    """Within the block the environment has the lease's variables; after it, what was before."""
    service = served[1]
    os.environ["CUDA_VISIBLE_DEVICES"] = "0"
    try:
        with gpusched.lease(gpus=1, memory="4GiB") as held:
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
            assert os.environ["GPUSCHED_LEASE"] == held.id == "lease-1"
            assert ([one.uuid for one in held.devices], held.memory_limit) == (["GPU-a"], 4 << 30)
            assert held.env["CUDA_VISIBLE_DEVICES"] == "3"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
        assert "GPUSCHED_LEASE" not in os.environ
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]
    asked, released = service.asked
    assert isinstance(asked, request_pb2.AllocateRequest)
    assert asked.attach_caller
    assert isinstance(released, leases_pb2.ReleaseRequest)
    assert released.lease_id == "lease-1"


def test_a_block_may_leave_the_environment_alone(served: tuple[str, LeaseService]) -> None:
    """With `apply=False` only `held.env` has the variables."""
    with gpusched.lease(apply=False, socket=served[0]) as held:
        assert "GPUSCHED_LEASE" not in os.environ
        assert held.env["GPUSCHED_LEASE"] == "lease-1"


def test_a_lease_in_use_outlives_its_block(served: tuple[str, LeaseService]) -> None:
    """A lease that other processes use is theirs: its refusal to end is no error."""
    served[1].refusals["Release"] = in_use()
    with gpusched.lease() as held:
        pass
    assert held.id == "lease-1"


def test_an_error_in_a_block_stays_the_error(served: tuple[str, LeaseService]) -> None:
    """A block that fails releases its lease, and its own error is the one that is seen."""
    with pytest.raises(ZeroDivisionError), gpusched.lease():
        raise ZeroDivisionError
    assert isinstance(served[1].asked[-1], leases_pb2.ReleaseRequest)


def test_a_keepalive_is_renewed(served: tuple[str, LeaseService]) -> None:
    """A lease with a keepalive is renewed in the background, well before it would end."""
    served[1].keepalive = 30_000_000
    with gpusched.lease():
        wait_for(lambda: renewals(served[1]) >= 2)


def test_a_keepalive_that_has_run_before_is_renewed_in_time() -> None:
    """A lease that is given again is older than its keepalive: what is left of that counts."""
    grant = lease_pb2.Grant()
    now = time.time_ns()
    grant.lease.created_at.FromNanoseconds(now - 3600 * 10**9)
    grant.lease.keepalive_deadline.FromNanoseconds(now + 30 * 10**9)
    renewal = HeldLease(grant).renewal
    assert renewal is not None
    assert 0 < renewal <= 10


async def test_the_async_face(served: tuple[str, LeaseService]) -> None:
    """Everything that the blocking client does can be awaited."""
    service = served[1]
    async with AsyncClient() as client:
        assert (await client.status()).node == "host-1"
        assert [one.generation async for one in client.watch_leases()] == [1, 2]
        assert [one.sentence async for one in client.notices("lease-1")] == ["first", "then"]
        assert (await client.release("lease-1")).id == "lease-1"
        service.refusals["Allocate"] = later()
        with pytest.raises(errors.CouldFitLater) as caught:
            await client.allocate(gpus=1)
    assert caught.value.nearest_command == "gpusched run --gpus 1 -- CMD"


async def test_an_async_block(served: tuple[str, LeaseService]) -> None:
    """`async with` holds, renews and releases as `with` does."""
    service = served[1]
    service.keepalive = 30_000_000
    async with gpusched.async_lease(memory=4 << 30) as held:
        assert os.environ["GPUSCHED_LEASE"] == held.id
        async with AsyncClient() as client:
            while renewals(service) < 2:
                await client.status()
    assert "GPUSCHED_LEASE" not in os.environ
    assert isinstance(service.asked[-1], leases_pb2.ReleaseRequest)


def test_both_faces_have_the_same_methods() -> None:
    """A method of one client is a method of the other."""
    names = [{one for one in vars(face) if one[0] != "_"} for face in (Client, AsyncClient)]
    assert names[0] == names[1]


def test_grpc_is_loaded_when_it_is_used() -> None:
    """Importing the package, or the command line, does not import grpc."""
    code = (
        "import sys, gpusched, gpusched.client, gpusched.cli.main, gpusched.cli.status,"
        " gpusched.cli.run; heavy = {'grpc', 'google', 'asyncio', 'typing', 'dataclasses',"
        " 'inspect', 'shutil', 'pathlib', 'traceback', 'threading'};"
        " print(sorted(heavy & set(sys.modules)))"
    )
    # -S: what installed packages load at the start of Python is not the command line's.
    command = [sys.executable, "-S", "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own Python
    assert answer.stdout.strip() == "[]"


def test_the_package_names_what_users_import() -> None:
    """The names are there each time they are asked for, and no others."""
    for _ in range(2):
        assert callable(gpusched.lease)
        assert callable(gpusched.async_lease)
        assert gpusched.Client is Client
        assert gpusched.AsyncClient is AsyncClient
    with pytest.raises(AttributeError):
        getattr(gpusched.client, "nothing")  # noqa: B009 - a name that mypy would refuse


def renewals(service: LeaseService) -> int:
    """Renewals by the clock."""
    renewed = (one for one in service.asked if isinstance(one, leases_pb2.RenewRequest))
    return sum(one.automatic for one in renewed)


def wait_for(condition: Callable[[], bool]) -> None:
    """Waits until *condition* holds; fails after ten seconds."""
    for _ in range(1000):
        if condition():
            return
        Event().wait(0.01)
    raise AssertionError
