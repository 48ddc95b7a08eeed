"""The thin client against what a unix socket may answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gpusched.client import errors
from gpusched.client.thin import ThinClient
from tests.fakes.gateway import gateway, refusal, reply

HEAD = b"HTTP/1.0 200 OK\r\n\r\n"


@contextmanager
def answering(folder: Path, *pieces: bytes, method: str = "Node/Status") -> Iterator[ThinClient]:
    with gateway(folder, {method: pieces}) as served:
        yield ThinClient(str(served.path), timeout=5)


def test_a_call(socket_folder: Path) -> None:
    """A call is one POST with the message, and its answer a document."""
    with gateway(socket_folder, {"Leases/List": reply({"generation": "7"})}) as served:
        listed = ThinClient(str(served.path)).call("Leases/List", {"mine": True})
    assert listed.number("generation") == 7
    assert served.asked == [("Leases/List", {"mine": True})]


def test_an_answer_in_pieces(socket_folder: Path) -> None:
    """An answer may come byte by byte."""
    whole = reply({"node": "x" * 100})
    with answering(socket_folder, *[whole[at : at + 1] for at in range(len(whole))]) as client:
        assert client.call("Node/Status").text("node") == "x" * 100


def test_an_answer_without_a_length(socket_folder: Path) -> None:
    """An HTTP/1.0 answer ends with the connection."""
    with answering(socket_folder, HEAD, b'{"node":', b'"a"}') as client:
        assert client.call("Node/Status").text("node") == "a"


def test_a_refusal(socket_folder: Path) -> None:
    """A refusal has its class, its sentence and its rejection."""
    no = refusal("FAILED_PRECONDITION", "never", {"kind": "REJECTION_KIND_NEVER_HERE"}, 409)
    with answering(socket_folder, no) as client, pytest.raises(errors.NeverHere) as caught:
        client.call("Node/Status")
    assert caught.value.sentence == "never"
    assert caught.value.rejection == {"kind": "REJECTION_KIND_NEVER_HERE"}


def test_no_such_method(socket_folder: Path) -> None:
    """An older daemon answers 404 to a method that it does not have."""
    with answering(socket_folder) as client, pytest.raises(errors.NotFound):
        client.call("Leases/Frobnicate")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        HEAD + b"<html>",
        HEAD + b"[1]",
        HEAD + b"[" * 100_000,
        b"HTTP/1.0 200 OK\r\n\r\n\xff\xfe",
        b"HTTP/1.0 503 Busy\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 what\r\n\r\n{}",
    ],
)
def test_a_stranger(socket_folder: Path, answer: bytes) -> None:
    """What answers and is no gpusched daemon is named as that, with its socket."""
    with answering(socket_folder, answer) as client, pytest.raises(errors.DaemonFault) as caught:
        client.call("Node/Status")
    assert client.path in caught.value.sentence


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.0 200 O",
        HEAD[:-2],
        b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\n{}",
    ],
)
def test_closed_early(socket_folder: Path, answer: bytes) -> None:
    """A connection that ends within the answer is a daemon that went away."""
    with answering(socket_folder, answer) as client:
        with pytest.raises(errors.DaemonUnreachable) as caught:
            client.call("Node/Status")
        assert "closed the connection" in caught.value.sentence


def test_a_slow_daemon(socket_folder: Path) -> None:
    """A daemon that does not answer in time is told apart from one that is not there."""
    path = str(socket_folder / "slow.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with pytest.raises(errors.DaemonUnreachable) as caught:
            ThinClient(path, timeout=0.05).call("Node/Status")
    assert "does not answer in time" in caught.value.sentence


def test_nobody_listens(socket_folder: Path) -> None:
    """A socket that was left behind is told apart from none at all."""
    path = str(socket_folder / "left.sock")
    with pytest.raises(errors.DaemonUnreachable) as missing:
        ThinClient(path).call("Node/Status")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
    with pytest.raises(errors.DaemonUnreachable) as refused:
        ThinClient(path).call("Node/Status")
    assert "there is no socket" in missing.value.sentence
    assert "left behind" in refused.value.sentence


@pytest.mark.parametrize("name", ["", "file"])
def test_no_socket_lies_there(tmp_path: Path, name: str) -> None:
    """A file or a folder in the place of the socket is told as that, not as one left behind."""
    path = tmp_path / name
    if name:
        path.touch()
    with pytest.raises(errors.DaemonUnreachable) as refused:
        ThinClient(str(path)).call("Node/Status")
    assert refused.value.sentence.startswith(f"no daemon: what lies at {path} is no socket; ")
    assert refused.value.nobody


def test_a_stream(socket_folder: Path) -> None:
    """A stream is a document a line, however the lines are cut into pieces."""
    pieces = (HEAD + b'{"sequence":"1"}\n{"seq', b'uence":"2"}\n', b"\n")
    with answering(socket_folder, *pieces, method="Events/Watch") as client:
        found = [one.number("sequence") for one in client.stream("Events/Watch")]
    assert found == [1, 2]


def test_a_stream_that_is_refused(socket_folder: Path) -> None:
    """A stream is refused before its first line, or by its last."""
    no = refusal("UNIMPLEMENTED", "not yet", status=501)
    with answering(socket_folder, no) as client, pytest.raises(errors.NotYet):
        list(client.stream("Node/Status"))


def test_a_stream_that_ends_with_a_refusal(socket_folder: Path) -> None:
    """What was told before the refusal is told."""
    lines = b'{"sequence":"1"}\n{"error":{"code":"UNAVAILABLE","message":"stopping"}}\n'
    found: list[int] = []
    with (
        answering(socket_folder, HEAD + lines) as client,
        pytest.raises(errors.DaemonUnreachable, match="stopping"),
    ):
        found.extend(one.number("sequence") for one in client.stream("Node/Status"))
    assert found == [1]


def test_a_stream_cut_within_a_line(socket_folder: Path) -> None:
    """A line without an end is not told."""
    pieces = HEAD + b'{"sequence":"1"}\n{"se'
    with answering(socket_folder, pieces) as client, pytest.raises(errors.DaemonUnreachable):
        list(client.stream("Node/Status"))


def test_two_clients_at_once(socket_folder: Path) -> None:
    """A client has no state: threads may share it."""
    found: list[str] = []
    with gateway(socket_folder, {"Node/Status": reply({"node": "a"})}) as served:
        client = ThinClient(str(served.path))

        def ask() -> None:
            found.append(client.call("Node/Status").text("node"))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert found == ["a"] * 4
