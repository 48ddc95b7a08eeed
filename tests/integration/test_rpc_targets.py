"""Units and containers that are attached by their names, over both protocols' one service."""

import grpc
import pytest

from gpusched.api.v1 import leases_pb2, request_pb2
from gpusched.core.ids import LeaseId
from gpusched.ports import Named
from tests.integration.serving_rpc import Public, refusal

Target = leases_pb2.AttachRequest


async def told(face: Public, target: leases_pb2.AttachRequest, code: grpc.StatusCode) -> str:
    """Attach what cannot be attached; give the sentence."""
    grant = await face.leases.Allocate(request_pb2.AllocateRequest())
    request = Target(lease_id=grant.lease.id)
    request.MergeFrom(target)
    return (await refusal(face.leases.Attach(request), code)).details() or ""


@pytest.mark.parametrize(
    "name", ["", ".service", "a/b.service", "system.slice", "x.socket", "a\nb"]
)
async def test_what_is_no_unit(face: Public, name: str) -> None:
    """Only services and scopes have processes of their own."""
    said = await told(face, Target(unit=name), grpc.StatusCode.INVALID_ARGUMENT)
    assert said.startswith("unit: ")


async def test_a_unit_that_is_not_there(face: Public) -> None:
    """The refusal tells the way for a unit of a user's own manager."""
    said = await told(face, Target(unit="web.service"), grpc.StatusCode.NOT_FOUND)
    assert "no unit web.service is loaded" in said
    assert "systemctl --user" in said


async def test_a_unit_that_does_not_run(face: Public) -> None:
    """Without processes there is nothing to attach; `.service` may be left out."""
    face.units.running["web.service"] = ""
    said = await told(face, Target(unit="web"), grpc.StatusCode.FAILED_PRECONDITION)
    assert said == "unit: web.service does not run; start it first"


async def test_nobody_knows_units(face: Public) -> None:
    """On a host without systemd the sentence says so."""
    face.units.fault = "this host is not run by systemd"
    said = await told(face, Target(unit="web.scope"), grpc.StatusCode.FAILED_PRECONDITION)
    assert said == "unit: where web.scope is cannot be told: this host is not run by systemd"


async def test_a_unit_is_its_cgroup(face: Public) -> None:
    """What systemd says is looked for as a cgroup that was named is."""
    face.units.running["web.service"] = "/gpusched-test-nowhere/web.service"
    said = await told(face, Target(unit="web.service"), grpc.StatusCode.NOT_FOUND)
    assert "there is no cgroup /gpusched-test-nowhere/web.service" in said


@pytest.mark.parametrize(
    ("name", "code"),
    [("", grpc.StatusCode.INVALID_ARGUMENT), ("f" * 64, grpc.StatusCode.NOT_FOUND)],
)
async def test_a_container_that_is_not_there(
    face: Public, name: str, code: grpc.StatusCode
) -> None:
    """It is named by its id, and one that does not run is not found."""
    said = await told(face, Target(container=name), code)
    assert said.startswith("container: ")


async def test_a_name_for_engines_is_in_the_grant(face: Public) -> None:
    """Where engines are told of a lease its grant has the name, however it is asked for."""
    first, second = (LeaseId(f"lease-{number:010}") for number in (1, 2))
    face.authority.names[first] = Named(f"gpusched.io/lease={first}")
    face.authority.names[second] = Named("", "containers cannot be given it: full")
    wish = request_pb2.AllocateRequest
    grant = await face.leases.Allocate(wish())
    assert grant.lease.id == first
    assert grant.cdi_name == f"gpusched.io/lease={first}"
    assert [one.cdi_name for one in grant.devices] == [grant.cdi_name]
    again = await face.leases.Environment(leases_pb2.EnvironmentRequest(lease_id=first))
    assert again.cdi_name == grant.cdi_name
    streamed = [update.grant async for update in face.leases.AllocateStream(wish())]
    assert [(one.cdi_name, one.devices[0].cdi_name) for one in streamed] == [("", "")]
    assert "containers cannot be given it: full" in streamed[0].warnings
    assert not (await face.leases.Allocate(wish())).cdi_name
