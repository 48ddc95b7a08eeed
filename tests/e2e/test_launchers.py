"""PyTorch and its launchers under leases: the real parser of masks, torchrun and accelerate."""

import json
import subprocess
from collections.abc import Sequence

import pytest

from gpusched.client.document import Document
from tests.e2e.host import CONFINED, Host
from tests.e2e.servers import BIN, RUN
from tools.stage import GPUSCHED

_PARSE = """
import json, os, sys, torch
for mask in sys.argv[1:]:
    os.environ["CUDA_VISIBLE_DEVICES"] = mask
    print(json.dumps(torch.cuda._parse_visible_devices()))
"""
_TRAIN = """
import json, os, subprocess, sys, torch
import torch.distributed as dist
from tests.e2e.serving import report

dist.init_process_group("gloo")
rank = int(os.environ["LOCAL_RANK"])
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 1))
model(torch.full((2, 4), float(rank))).sum().backward()
work = [*sys.argv[1:], "--device-index", str(rank)]
on = json.loads(subprocess.run(work, stdout=subprocess.PIPE, check=True).stdout)["devices"]
told = [None, None]
gradient = model.module.weight.grad.sum().item()
dist.all_gather_object(told, {**report(), "on": on, "gradient": gradient})
if rank == 0:
    print(json.dumps({"ranks": told}), flush=True)
dist.barrier()
dist.destroy_process_group()
os._exit(0)  # gloo's threads may outlive it, and abort an interpreter that ends in order
"""
_WORK = (str(GPUSCHED), "simulated-worker", "--memory", "1GiB")
_ACCELERATE = (
    *(str(BIN / "accelerate"), "launch", "--gpu_ids", "0"),
    *("--num_processes", "1", "--num_machines", "1", "--mixed_precision", "no"),
    *("--dynamo_backend", "no", "--no_python"),
)
pytestmark = pytest.mark.torch


def test_torch_reads_every_format_of_a_mask(host: Host) -> None:
    """PyTorch's own parser finds the devices of a lease, in their order, in each mask format."""
    uuids = [one.text("uuid") for one in host.devices()]
    masks = {form: _mask(host, form) for form in ("index", "relative", "uuid", "auto")}
    masks["none"] = host.gpusched(*_show("--gpus", "0")).stdout.strip()
    parsed = dict(zip(masks, _parsed(host, list(masks.values())), strict=True))
    ordinals: list[object] = [1, 0]
    assert parsed == {
        "index": [6, 3],
        "relative": ordinals,
        "uuid": [uuids[6], uuids[3]],
        "auto": ordinals if CONFINED else [6, 3],
        "none": [],
    }


def _show(*wishes: str) -> tuple[str, ...]:
    return ("run", *wishes, "--", "printenv", "CUDA_VISIBLE_DEVICES")


def _mask(host: Host, form: str) -> str:
    return host.gpusched(*_show("--device", "6,3", "--mask-format", form)).stdout.strip()


def _parsed(host: Host, masks: Sequence[str]) -> list[object]:
    done = host.run(str(BIN / "python"), "-c", _PARSE, *masks)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_torchrun_has_a_rank_on_each_device(host: Host) -> None:
    """DistributedDataParallel over two devices: rank n is on the n-th of the lease."""
    script = host.folder / "train.py"
    script.write_text(_TRAIN)
    torchrun = (str(BIN / "torchrun"), "--standalone", "--nproc-per-node", "2", str(script))
    # The simulator's own words for `.to(f"cuda:{rank}")`.
    done = host.run(*RUN, "--device", "6,3", "--", *torchrun, *_WORK, "--for", "0.1")
    assert done.returncode == 0, done.stderr
    ranks = Document(json.loads(done.stdout)).parts("ranks")
    uuids = [one.text("uuid") for one in host.devices()]
    assert [one.texts("on") for one in ranks] == [[uuids[6]], [uuids[3]]]
    assert {one.text("mask") for one in ranks} == {"1,0" if CONFINED else "6,3"}
    # The mean of the gradients of both: they have talked to each other.
    assert [one.number("gradient") for one in ranks] == [4, 4]
    if CONFINED:
        assert [one.texts("opens") for one in ranks] == [["3", "6"]] * 2


def _accelerated(host: Host, enforce: str) -> tuple[subprocess.Popen[str], str]:
    """Start a worker by `accelerate --gpu_ids 0` under a lease of device 6; give its device."""
    wishes = ("--device", "6", "--enforce", enforce)
    worker = host.start(*RUN, *wishes, "--", *_ACCELERATE, *_WORK)
    assert worker.stdout is not None
    (device,) = Document(json.loads(worker.stdout.readline())).texts("devices")
    return worker, device


@pytest.mark.root
def test_a_launcher_that_leaves_its_mask_is_contained(host: Host) -> None:
    """`accelerate --gpu_ids 0` replaces the mask, and has the lease's device all the same."""
    _, device = _accelerated(host, "required")
    assert device == host.devices()[6].text("uuid")
    (lease,) = host.leases().values()
    assert not lease.parts("violations")


def test_a_launcher_that_leaves_an_advisory_mask_is_reported(host: Host) -> None:
    """Where nothing holds the mask it leaves the lease, and that is reported."""
    _, device = _accelerated(host, "advisory")
    assert device == host.devices()[0].text("uuid")
    ((name, _),) = host.leases().items()
    host.until(lambda: host.leases()[name].parts("violations"))
    (violation,) = host.leases()[name].parts("violations")
    assert violation.text("kind") == "VIOLATION_KIND_OUTSIDE_MASK"
    assert violation.text("device_uuid") == device
    assert "(outside its mask)" in host.gpusched("processes").stdout
