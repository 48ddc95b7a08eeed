"""The names by which a grant's devices are given to containers, as a gRPC client gets them."""

import json
from pathlib import Path

import gpusched
from gpusched import testing
from gpusched.api.v1 import lease_pb2
from gpusched.client.document import Document


def nodes_by_name(folder: Path) -> dict[str, set[str]]:
    """Give the nodes that an engine gives a container, by the name that it would be told."""
    found: dict[str, set[str]] = {}
    for one in folder.glob("*.json"):
        document = Document(json.loads(one.read_text()))
        for entry in document.parts("devices"):
            nodes = entry.part("containerEdits").parts("deviceNodes")
            name = f"{document.text('kind')}={entry.text('name')}"
            found[name] = {node.text("hostPath") or node.text("path") for node in nodes}
    return found


def nodes_of(device: lease_pb2.GrantedDevice) -> set[str]:
    """Give the nodes of one device."""
    return {one.path for one in device.nodes}


def test_each_device_has_the_name_that_engines_know(tmp_path: Path) -> None:
    """When a reply has it, engines know it, and it gives the device: by a first grant, by the same
    one again, and for each of several devices the name of the lease.
    """
    config = f'[containers]\ncdi = "on"\ncdi_directory = "{tmp_path}"'
    with testing.daemon("4xL4", config=config) as host, gpusched.Client(host.socket) as client:
        for number in (1, 2):
            grant = client.allocate(gpus=number)
            known = nodes_by_name(tmp_path)
            for one in (*grant.devices, *client.environment(grant.lease.id).devices):
                assert one.cdi_name == grant.cdi_name
                assert nodes_of(one)
                assert nodes_of(one) <= known[one.cdi_name]
            client.release(grant.lease.id)


def test_a_device_that_engines_are_not_told_of_has_no_name(tmp_path: Path) -> None:
    """None is made up for a lease that its process is in, nor where the document is not there."""
    config = f'[containers]\ncdi = "on"\ncdi_directory = "{tmp_path}/cdi"'
    with testing.daemon("2xL4", config=config), gpusched.lease(gpus=1) as held:
        assert [one.cdi_name for one in held.grant.devices] == [""]
        (tmp_path / "cdi").write_text("no folder")
        with gpusched.Client() as client:
            grant = client.allocate(gpus=1)
            assert [one.cdi_name for one in grant.devices] == [""]
            assert "containers cannot be given" in grant.warnings[0]
    with testing.daemon("L4"), gpusched.Client() as client:
        assert not client.allocate(gpus=1).devices[0].cdi_name
