"""What BentoML's guides to GPU inference say, held by real processes: docs/guides/seeds.md.

`gpusched simulated-worker` stands for the model: it finds its devices by CUDA's rules, opens their
nodes and takes memory there, so `--device-index 0` is what `.to("cuda:0")` is.
"""

import json

import pytest

from gpusched.client.document import Document
from tests.e2e.host import GIB, Host, first_line, lease_of, members
from tools.stage import GPUSCHED

_RUN = (str(GPUSCHED), "run")
_MODEL = (str(GPUSCHED), "simulated-worker", "--memory", "1GiB")
_BENTOML_COLUMNS = ["Name", "Price", "CPU", "Memory", "GPU", "GPU Type"]
_DISTILBERT = "4GiB"
_OVERWRITTEN = ("env", "CUDA_VISIBLE_DEVICES=0")


def _uuids(host: Host) -> list[str]:
    return [one.text("uuid") for one in host.devices()]


def _on(line: str) -> list[str]:
    """Give the devices that a model says it is on."""
    return Document(json.loads(line)).texts("devices")


def _started(host: Host, *words: str) -> tuple[int, list[str]]:
    """Start a model that stays; give its pid and the devices that it is on."""
    said = Document(json.loads(first_line(host.start(*words))))
    return said.number("pid"), said.texts("devices")


def test_the_first_found_gpu_is_a_free_one(host: Host) -> None:
    """A service that takes the first GPU it finds has one that nobody else uses."""
    uuids = _uuids(host)
    host.allocate("--device", "0,4")
    stray = host.stray("1GiB", 5)
    host.until(lambda: stray.pid in host.processes())
    model, found = _started(host, *_RUN, "--", *_MODEL, "--devices", "first")
    assert len(found) == 1
    assert found[0] in {uuids[1], uuids[2], uuids[3], uuids[6], uuids[7]}
    (device,) = host.leases()[lease_of(model)].parts("devices")
    assert found == [device.text("uuid")]


def test_every_model_has_the_gpu_that_it_names(host: Host) -> None:
    """With two GPUs `cuda:0` and `cuda:1` are the first and the second of the lease."""
    script = "".join(f'"$@" --device-index {number} --for 0.1;' for number in (0, 1))
    words = ("run", "--device", "6,3", "--", "sh", "-c", script, "sh", *_MODEL)
    done = host.gpusched(*words)
    assert done.returncode == 0, done
    uuids = _uuids(host)
    assert [_on(line) for line in done.stdout.splitlines()] == [[uuids[6]], [uuids[3]]]


def test_one_process_may_use_all_gpus_of_its_lease(host: Host) -> None:
    """What DataParallel does: one process has memory on each GPU, and all of it is accounted."""
    model, found = _started(host, *_RUN, "--device", "1,2", "--", *_MODEL)
    assert found == _uuids(host)[1:3]
    host.until(lambda: host.leases()[lease_of(model)].measured("used_memory") == 2 * GIB)


@pytest.mark.parametrize(
    ("wish", "variables"),
    [("1,2", {}), ("env", {"CUDA_VISIBLE_DEVICES": "1,2"})],
    ids=["option", "environment"],
)
def test_gpus_can_be_named(host: Host, wish: str, variables: dict[str, str]) -> None:
    """`CUDA_VISIBLE_DEVICES=1,2` gives the second and third GPU and no other."""
    words = ("run", "--device", wish, "--", *_MODEL, "--for", "0")
    done = host.gpusched(*words, **variables)
    assert done.returncode == 0, done
    assert _on(done.stdout) == _uuids(host)[1:3]


def test_a_gpu_that_is_named_and_taken_is_refused(host: Host) -> None:
    """Where a mask alone would land on another's GPU, the request is refused and names him."""
    lease = host.allocate("--device", "2")
    done = host.gpusched("run", "--device", "env", "--", "true", CUDA_VISIBLE_DEVICES="1,2")
    assert (done.returncode, done.stdout) == (75, "")
    assert lease in done.stderr


def test_only_the_first_gpu_is_visible(host: Host) -> None:
    """`CUDA_VISIBLE_DEVICES=0` makes only the first GPU visible, to all that is started."""
    words = ("run", "--device", "env", "--", "sh", "-c", '"$@"; "$@"', "sh", *_MODEL, "--for", "0")
    done = host.gpusched(*words, CUDA_VISIBLE_DEVICES="0")
    assert [_on(line) for line in done.stdout.splitlines()] == [_uuids(host)[:1]] * 2


def test_gpu_types_are_listed_as_bentoml_lists_them(host: Host) -> None:
    """`gpusched types` has the columns of `bentoml deployment list-instance-types`, and `Free`."""
    head, *rows = host.gpusched("types").stdout.splitlines()
    # Columns are two blanks apart or more; a name of a column may have one.
    assert [one.strip() for one in head.split("  ") if one.strip()] == [*_BENTOML_COLUMNS, "Free"]
    assert any(row.split()[0] == "cpu.1" for row in rows)
    (l4,) = (row.split() for row in rows if row.startswith("gpu.l4.1 "))
    assert l4[-3:] == ["1", "nvidia-l4", "4"]


def test_a_listed_type_can_be_asked_for(host: Host) -> None:
    """`gpu: 1` of `gpu_type: nvidia-l4` is a GPU of that type; one that is not here is named."""
    _, found = _started(host, *_RUN, "--gpus", "1", "--gpu-type", "nvidia-l4", "--", *_MODEL)
    assert found[0] in _uuids(host)[4:]
    refused = host.refused(64, "run", "--gpu-type", "nvidia-tesla-t5", "--", "true")
    assert "nvidia-tesla-t5" in refused
    assert "nvidia-l4" in refused


def test_it_is_seen_that_the_gpu_is_used(host: Host) -> None:
    """Memory above idle, a python process in the list and the 4 GB that are expected, by lease:
    used and at its peak, beside its limit.
    """
    idle = [one.part("memory").measured("used") for one in host.devices()]
    wishes = ("--memory", "5GiB", "--gpu-type", "l4")
    model, _ = _started(host, *_RUN, *wishes, "--", *_MODEL[:2], "--memory", _DISTILBERT)
    lease = lease_of(model)
    host.until(lambda: host.leases()[lease].measured("used_memory") == 4 * GIB)
    assert host.leases()[lease].measured("peak_memory") == 4 * GIB
    (device,) = host.leases()[lease].parts("devices")
    assert device.number("memory_limit_bytes") == 5 * GIB
    index = device.number("index")
    assert host.devices()[index].part("memory").measured("used") == (idle[index] or 0) + 4 * GIB
    for command in ("processes", "nvidia-smi"):
        shown = host.gpusched(command).stdout.splitlines()
        (line,) = (one for one in shown if str(model) in one.replace("|", " ").split())
        assert "python" in line
        assert "4096MiB" in line
    (line,) = (one for one in host.gpusched("leases").stdout.splitlines() if lease in one)
    assert "4096MiB (4096MiB)" in line


@pytest.mark.root
@pytest.mark.parametrize("mask", ["0", "foreign"])
def test_a_service_that_overwrites_its_mask_is_contained(host: Host, mask: str) -> None:
    """A mask that a service sets for itself shows it no GPU outside of its lease."""
    foreign = _uuids(host)[0]
    value = foreign if mask == "foreign" else mask
    words = ("run", "--device", "6", "--", "env", f"CUDA_VISIBLE_DEVICES={value}")
    done = host.gpusched(*words, *_MODEL, "--for", "0")
    if mask == "foreign":
        assert done.returncode == 3
        assert "no CUDA-capable device" in done.stderr
    else:
        assert _on(done.stdout) == [_uuids(host)[6]]


def test_a_service_that_overwrites_an_advisory_mask_is_reported(host: Host) -> None:
    """Where nothing holds the mask its use of another GPU is a violation of its lease."""
    words = ("--device", "6", "--enforce", "advisory", "--", *_OVERWRITTEN, *_MODEL)
    model, found = _started(host, *_RUN, *words)
    assert found == _uuids(host)[:1]
    lease = lease_of(model)
    host.until(lambda: host.leases()[lease].parts("violations"))
    (violation,) = host.leases()[lease].parts("violations")
    assert violation.text("kind") == "VIOLATION_KIND_OUTSIDE_MASK"
    assert violation.part("process").number("pid") == model


def test_the_lease_is_that_of_all_workers(host: Host) -> None:
    """Workers that a service starts are of its lease, and hold it when their parent is killed."""
    script = '"$@" & "$@" & wait'
    parent = host.start(*_RUN, "--gpus", "1", "--", "sh", "-c", script, "sh", *_MODEL)
    assert first_line(parent)
    (lease,) = host.leases()

    def workers() -> list[int]:
        rows = host.processes().items()
        return [pid for pid, row in rows if row.text("lease_id") == lease]

    host.until(lambda: len(workers()) == 2)
    parent.kill()
    parent.wait()
    host.until(lambda: parent.pid not in members(host.leases()[lease]))
    host.until(lambda: len(workers()) == 2)
    assert not host.ended(lease)
