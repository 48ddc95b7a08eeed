"""The document by which container engines know a lease."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from gpusched.client.document import Document
from gpusched.core.cdi import Fields, Host, document_of, inside, name_of
from gpusched.core.device import Device, DeviceNode
from gpusched.core.ids import LeaseId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.request import MaskFormat, Request
from tests.fakes.builders import CONTROL_NODE, A, device, lease, mig, share

SOCKET = "/run/gpusched/gpusched.sock"
HOOK = ("/opt/gpusched/bin/python", "-I", "-m", "gpusched", "oci-hook")
HOST = Host(SOCKET, HOOK)
UVM = DeviceNode("/dev/nvidia-uvm", 234, 0)
CONTROL = (CONTROL_NODE, UVM)


def gpu(place: int) -> Device:
    """A GPU with its node and a display node."""
    own = DeviceNode(f"/dev/nvidia{place}", 195, place)
    return replace(
        device(place), nodes=(own,), dri_nodes=(DeviceNode(f"/dev/dri/card{place}", 226, place),)
    )


GPUS = tuple(gpu(place) for place in range(4))
CAPABILITY = DeviceNode("/dev/nvidia-caps/nvidia-cap12", 235, 12)
INSTANCE = replace(mig(GPUS[3]), nodes=(*GPUS[3].nodes, CAPABILITY))


def leased(*devices: Device, wanted: MaskFormat = MaskFormat.AUTO) -> Lease:
    """A lease of these devices."""
    asked = Request(A, count=len(devices), mask_format=wanted)
    return lease(LeaseState.RESERVED, *map(share, devices), request=asked)


def edits_of(
    one: Lease, inventory: Sequence[Device] = GPUS, host: Host = HOST
) -> tuple[str, Document]:
    """Make the document; give its version, and what it does to a container."""
    made = Document(dict(document_of(one, inventory, CONTROL, host)))
    (entry,) = made.parts("devices")
    assert made.text("kind") == "gpusched.io/lease"
    assert entry.text("name") == one.id
    assert name_of(one.id) == f"gpusched.io/lease={entry.text('name')}"
    return made.text("cdiVersion"), entry.part("containerEdits")


def paths(edits: Document) -> list[str]:
    """Give the nodes that a container gets."""
    return [one.text("path") for one in edits.parts("deviceNodes")]


def variables(edits: Document) -> dict[str, str]:
    """Give the environment that a container gets."""
    return dict(one.split("=", 1) for one in edits.texts("env"))


def test_a_container_gets_the_leased_nodes() -> None:
    """The nodes of leased devices, those of every holder, and none of another device."""
    version, edits = edits_of(leased(GPUS[1], GPUS[3]))
    assert version == "0.5.0"
    assert paths(edits) == ["/dev/nvidia1", "/dev/nvidia3", "/dev/nvidiactl", "/dev/nvidia-uvm"]
    assert {one.text("permissions") for one in edits.parts("deviceNodes")} == {"rw"}
    assert not any("hostPath" in one for one in edits.parts("deviceNodes"))


def test_an_instance_brings_its_capabilities() -> None:
    """A MIG instance is its GPU's node and its capabilities, and CUDA knows it by its UUID."""
    _, edits = edits_of(leased(INSTANCE), (*GPUS, INSTANCE))
    assert paths(edits)[:2] == ["/dev/nvidia3", CAPABILITY.path]
    assert variables(edits)["CUDA_VISIBLE_DEVICES"] == INSTANCE.uuid


def test_a_lease_without_devices_gets_no_nodes() -> None:
    """Where nothing is leased there are no nodes, the variables say so, and it is attached too."""
    host = replace(HOST, driver=nvidia(common={"env": ["A=1"]}))
    _, edits = edits_of(leased(), host=host)
    assert "deviceNodes" not in edits
    assert variables(edits)["CUDA_VISIBLE_DEVICES"] == ""
    assert "A" not in variables(edits)
    assert len(edits.parts("hooks")) == 1


def test_the_variables_are_right_inside() -> None:
    """Ordinals count what the container sees; NVIDIA's legacy runtime is told to do nothing."""
    told = variables(edits_of(leased(GPUS[1], GPUS[3]))[1])
    assert told["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert told["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert told["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert told["GPUSCHED_LEASE"] == "lease-1"
    assert told["GPUSCHED_DEVICES"] == f"{GPUS[1].uuid},{GPUS[3].uuid}"


@pytest.mark.parametrize(
    ("wanted", "visible"),
    [(MaskFormat.INDEX, "0"), (MaskFormat.RELATIVE, "0"), (MaskFormat.UUID, GPUS[2].uuid)],
)
def test_a_wanted_format_is_kept_where_it_can_be(wanted: MaskFormat, visible: str) -> None:
    """UUIDs are right everywhere; the host's ordinals name nothing in a container."""
    told = variables(edits_of(leased(GPUS[2], wanted=wanted))[1])
    assert told["CUDA_VISIBLE_DEVICES"] == visible


def test_the_hook_attaches_the_container() -> None:
    """Before anything of the image runs, the runtime calls gpusched with lease and socket."""
    (hook,) = edits_of(leased(GPUS[0]))[1].parts("hooks")
    assert hook.text("hookName") == "createRuntime"
    assert hook.text("path") == HOOK[0]
    assert hook.texts("args") == [*HOOK, "--lease", "lease-1", "--socket", SOCKET]
    assert 0 < hook.number("timeout") < 60


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/dev/nvidia1", "/dev/nvidia1"),
        ("/srv/simulator/dev/nvidia1", "/dev/nvidia1"),
        ("/srv/simulator/dev/nvidia-caps/nvidia-cap3", "/dev/nvidia-caps/nvidia-cap3"),
        ("/srv/nvidia1", "/srv/nvidia1"),
    ],
)
def test_simulated_nodes_are_where_real_ones_are(path: str, seen: str) -> None:
    """In a container a node is below /dev, wherever the host has it."""
    assert inside(path) == seen
    one = replace(GPUS[0], nodes=(DeviceNode(path, 60, 1),))
    node = edits_of(leased(one), (one,))[1].parts("deviceNodes")[0]
    assert node.text("path") == seen
    assert node.text("hostPath") == ("" if path == seen else path)


def nvidia(common: Fields | None = None, devices: Mapping[str, Fields] | None = None) -> Fields:
    """A document as `nvidia-ctk cdi generate` writes it."""
    entries = [{"name": name, "containerEdits": edits} for name, edits in (devices or {}).items()]
    return {
        "cdiVersion": "0.5.0",
        "kind": "nvidia.com/gpu",
        "devices": entries,
        "containerEdits": common or {},
    }


LIBRARY = {
    "hostPath": "/usr/lib/libcuda.so.580",
    "containerPath": "/usr/lib/libcuda.so.580",
    "options": ["ro", "nosuid", "bind"],
}
CACHE = {
    "hookName": "createContainer",
    "path": "/usr/bin/nvidia-cdi-hook",
    "args": ["nvidia-cdi-hook", "update-ldcache"],
}


def test_the_drivers_files_are_nvidias_business() -> None:
    """Mounts, hooks and further nodes come from NVIDIA's own document, each once."""
    modeset = {"path": "/dev/nvidia-modeset", "permissions": "rw", "fileMode": 438}
    common = {
        "env": ["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_CTK=x=1", 7],
        "mounts": [LIBRARY, LIBRARY],
        "hooks": [CACHE, CACHE],
        "deviceNodes": [{"path": "/dev/nvidiactl", "major": 1}, modeset, "no node"],
    }
    version, edits = edits_of(leased(GPUS[1]), host=replace(HOST, driver=nvidia(common)))
    assert version == "0.5.0"
    assert edits.fields["mounts"] == [LIBRARY]
    assert edits.fields["hooks"] == [CACHE, edits.parts("hooks")[-1].fields]
    nodes = edits.parts("deviceNodes")
    assert [one.fields for one in nodes if one.text("path") == "/dev/nvidia-modeset"] == [modeset]
    # What gpusched says itself stands.
    assert "major" not in next(one for one in nodes if one.text("path") == "/dev/nvidiactl")
    assert variables(edits)["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert variables(edits)["NVIDIA_CTK"] == "x=1"


@pytest.mark.parametrize("name", ["1", "gpu1", GPUS[1].uuid])
def test_what_it_says_of_a_leased_device_is_taken(name: str) -> None:
    """However the document names the device; what it says of another is left."""
    own = {"deviceNodes": [{"path": "/dev/nvidia1"}, {"path": "/dev/dri/card1"}]}
    other = {"deviceNodes": [{"path": "/dev/nvidia2"}], "env": ["OTHER=1"]}
    every = {"deviceNodes": [{"path": f"/dev/nvidia{one}"} for one in range(4)]}
    document = nvidia(None, {name: own, "2": other, "all": every})
    _, edits = edits_of(leased(GPUS[1]), host=replace(HOST, driver=document))
    assert paths(edits) == ["/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/dri/card1"]
    assert "OTHER" not in variables(edits)


def test_an_index_may_mean_another_gpu() -> None:
    """An entry without the leased node is of a document older than the last reboot: not taken."""
    own = {"deviceNodes": [{"path": "/dev/nvidia0"}], "env": ["OLD=1"]}
    _, edits = edits_of(leased(GPUS[1]), host=replace(HOST, driver=nvidia(None, {"1": own})))
    assert "OLD" not in variables(edits)
    assert "/dev/nvidia0" not in paths(edits)


def test_an_instance_is_known_by_its_uuid_only() -> None:
    """The index of an instance is no name of a GPU."""
    own = {"deviceNodes": [{"path": "/dev/nvidia3"}], "env": ["MINE=1"]}
    wrong = {"deviceNodes": [{"path": "/dev/nvidia3"}], "env": ["WRONG=1"]}
    document = nvidia(None, {str(INSTANCE.index): wrong, INSTANCE.uuid: own})
    _, edits = edits_of(leased(INSTANCE), (*GPUS, INSTANCE), replace(HOST, driver=document))
    assert variables(edits)["MINE"] == "1"
    assert "WRONG" not in variables(edits)


def test_no_document_gives_another_device() -> None:
    """A node of a device that is not leased is never copied, wherever it stands."""
    nodes = [
        {"path": "/dev/nvidia2"},
        {"path": "/dev/gpu", "hostPath": "/dev/nvidia0"},
        {"path": "/dev/dri/card0"},
    ]
    document = nvidia({"deviceNodes": nodes})
    _, edits = edits_of(leased(GPUS[1]), host=replace(HOST, driver=document))
    assert paths(edits) == ["/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm"]


def test_the_version_is_the_lowest_that_will_do() -> None:
    """Only what needs a later version raises it, and a field that is not known is left out."""
    strange = {**LIBRARY, "type": "bind", "idMapped": True}
    common = {"mounts": [strange], "netDevices": [{}], "additionalGids": [44, 44, "video"]}
    version, edits = edits_of(leased(GPUS[1]), host=replace(HOST, driver=nvidia(common)))
    assert version == "0.7.0"
    assert edits.fields["additionalGids"] == [44]
    assert edits.fields["mounts"] == [{**LIBRARY, "type": "bind"}]
    assert "netDevices" not in edits


@pytest.mark.parametrize(
    "document",
    [
        {"devices": 7, "containerEdits": []},
        {"devices": ["x", {"name": "1"}], "containerEdits": {"env": 1, "mounts": {}, "hooks": 0}},
        {"containerEdits": {"deviceNodes": "no list", "additionalGids": 1}},
    ],
)
def test_a_broken_document_costs_nothing(document: Fields) -> None:
    """What is not of the form is left out; the lease has its nodes."""
    _, edits = edits_of(leased(GPUS[1]), host=replace(HOST, driver=document))
    assert paths(edits) == ["/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm"]
    assert len(edits.parts("hooks")) == 1


def test_a_broken_part_costs_no_more_than_itself() -> None:
    """A part without its path, or with a field of another type, would make engines take the
    whole document for unusable: it is left out, and the others are taken.
    """
    common = {
        "env": ["=no name", "GOOD=1"],
        "mounts": [
            {"containerPath": "/usr/lib/half.so"},
            {**LIBRARY, "containerPath": "/a", "options": "ro"},
            {**LIBRARY, "containerPath": "/b", "options": ["ro", 7]},
            LIBRARY,
        ],
        "hooks": [{"hookName": "prestart"}, {**CACHE, "timeout": True}, CACHE],
        "deviceNodes": [
            {"permissions": "rw"},
            {"path": ["/dev/nvidia-modeset"]},
            {"path": "/dev/nvidia-modeset", "major": "195"},
        ],
        "additionalGids": [True],
    }
    version, edits = edits_of(leased(GPUS[1]), host=replace(HOST, driver=nvidia(common)))
    assert version == "0.5.0"
    assert edits.fields["mounts"] == [LIBRARY]
    assert edits.parts("hooks")[0].fields == CACHE
    assert len(edits.parts("hooks")) == 2
    assert paths(edits) == ["/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm"]
    assert variables(edits)["GOOD"] == "1"
    assert "" not in variables(edits)


def test_a_device_has_the_name_of_its_lease() -> None:
    """A name that begins with a letter is allowed since the first version."""
    assert name_of(LeaseId("lease-x")) == "gpusched.io/lease=lease-x"
