"""Clients that were not made by us: by reflection, over HTTP, and health checks."""

import http.client
import json
import os
import shutil
import socket
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from gpusched.client.document import Document
from tests.e2e.host import HELD, Host

_SERVICES = ("Leases", "Devices", "Processes", "Events", "Node")
_URL = "http://gpusched/v1"


@pytest.fixture
def channel(host: Host) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"unix:{host.socket}") as found:
        yield found


class Reflected:
    """A client that knows only what the reflection service says, as grpcurl does."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        database = ProtoReflectionDescriptorDatabase(channel)
        self.services = set(database.get_services())
        self._pool = DescriptorPool(database)

    def call(self, service: str, method: str, request: dict[str, object]) -> Document:
        """Call a unary method with JSON, as a user of grpcurl would."""
        found = self._pool.FindServiceByName(service).FindMethodByName(method)
        reply_class: type[Message] = GetMessageClass(found.output_type)
        call: grpc.UnaryUnaryMultiCallable[Message, Message] = self._channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=reply_class.FromString,
        )
        message = ParseDict(request, GetMessageClass(found.input_type)())
        reply = call(message, timeout=10)
        return Document(MessageToDict(reply, preserving_proto_field_name=True))


def test_a_client_by_reflection_allocates_and_releases(host: Host, channel: grpc.Channel) -> None:
    """The reflection service is enough: no file of ours is needed to be a client."""
    client = Reflected(channel)
    assert {f"gpusched.v1.{name}" for name in _SERVICES} <= client.services
    wish: dict[str, object] = {"count": 2, "memory_bytes": 4 << 30, "gpu_types": ["l4"]}
    grant = client.call("gpusched.v1.Leases", "Allocate", wish)
    lease = grant.part("lease").text("id")
    # Where a mask will be held a grant that nobody has entered goes by UUID.
    mask = grant.words("environment")["GPUSCHED_DEVICES"] if HELD else "4,5"
    assert grant.words("environment")["CUDA_VISIBLE_DEVICES"] == mask
    assert lease in host.leases()
    client.call("gpusched.v1.Leases", "Release", {"lease_id": lease})
    assert not host.leases()


@pytest.mark.parametrize("service", ["", *(f"gpusched.v1.{name}" for name in _SERVICES)])
def test_the_health_service_says_serving(channel: grpc.Channel, service: str) -> None:
    """A health check of the whole and of each service is answered with SERVING."""
    request = health_pb2.HealthCheckRequest(service=service)
    stub = health_pb2_grpc.HealthStub(channel)
    reply = stub.Check(request, timeout=10)  # type: ignore[attr-defined]  # set by its constructor
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


def _curl(host: Host, *words: str) -> tuple[int, Document]:
    done = host.run(
        "curl", "-sS", "-w", "\n%{http_code}", "--unix-socket", str(host.socket), *words
    )
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), Document(json.loads(body))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_allocates_and_releases(host: Host) -> None:
    """The same socket speaks JSON over HTTP/1.1 to whoever has curl."""
    wish = '{"memory_bytes": "4294967296", "gpu_types": ["l4"]}'
    status, grant = _curl(host, "-d", wish, f"{_URL}/Leases/Allocate")
    lease = grant.part("lease").text("id")
    assert status == 200
    assert lease in host.leases()
    status, listed = _curl(host, f"{_URL}/Leases/List?mine=true")
    assert [one.text("id") for one in listed.parts("leases")] == [lease]
    status, _ = _curl(host, "-d", json.dumps({"lease_id": lease}), f"{_URL}/Leases/Release")
    assert status == 200
    assert not host.leases()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_is_refused_as_everybody_is(host: Host) -> None:
    """A refusal over HTTP has its status, the sentence and the rejection."""
    host.allocate("--gpus", "8")
    status, reply = _curl(host, "-d", "", f"{_URL}/Leases/Allocate")
    error = reply.part("error")
    assert (status, error.text("code")) == (429, "RESOURCE_EXHAUSTED")
    assert error.part("rejection").text("kind") == "REJECTION_KIND_LATER"
    status, reply = _curl(host, "-d", '{"memory": 5}', f"{_URL}/Leases/Allocate")
    assert (status, reply.part("error").text("code")) == (400, "INVALID_ARGUMENT")
    assert "memory" in reply.part("error").text("message")


class _UnixConnection(http.client.HTTPConnection):
    """The standard library's HTTP client, over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("gpusched", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def test_the_standard_library_is_a_client(host: Host) -> None:
    """Several requests over one connection are answered, and the caller is known by the kernel."""
    connection = _UnixConnection(str(host.socket))
    connection.request("POST", "/v1/Leases/Allocate", body='{"attach_caller": false}')
    grant = Document(json.loads(connection.getresponse().read()))
    assert grant.part("lease").part("holder").number("uid") == os.getuid()
    connection.request("GET", "/v1/status")
    status = Document(json.loads(connection.getresponse().read()))
    connection.close()
    assert [one.text("id") for one in status.parts("leases")] == [grant.part("lease").text("id")]
    assert status.text("socket") == str(host.socket)
