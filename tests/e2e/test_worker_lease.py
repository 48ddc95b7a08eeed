"""`gpusched.worker_lease` in programs; for BentoML's workers see test_bentoml_bad_luck."""

import sys

import pytest

from tests.e2e.host import CONFINED, Host

_OF_ITS_OWN = """
import os, gpusched

with gpusched.worker_lease(gpus=2) as worker, gpusched.Client() as client:
    again = gpusched.worker_lease(gpus=2)
    (pid,) = (one.pid for one in client.lease(worker.id).processes)
    print(worker.id, again.id, pid == os.getpid(), worker.index, len(worker.devices))
    named = ",".join(one.uuid for one in worker.devices)
    print(os.environ["GPUSCHED_LEASE"], os.environ["GPUSCHED_DEVICES"] == named)
print("GPUSCHED_LEASE" in os.environ)
"""
_UNDER = """
import os, warnings, gpusched

warnings.simplefilter("error")
whole = os.environ["GPUSCHED_DEVICES"].split(",")
for number in (0, 1, 2):
    with gpusched.worker_lease(number) as worker:
        assert worker.id == os.environ["GPUSCHED_LEASE"]
        print(os.environ["CUDA_VISIBLE_DEVICES"], whole.index(worker.devices[0].uuid))
for words in ({"gpus": 3}, {"gpus": 1, "memory": "4GiB"}):
    try:
        gpusched.worker_lease(**words)
    except (gpusched.client.errors.BadRequest, UserWarning) as said:
        print(type(said).__name__)
"""
_NOT_UNDER = """
import os, warnings, gpusched

with warnings.catch_warnings(record=True) as said, gpusched.Client() as client:
    lease = os.environ["GPUSCHED_LEASE"]
    gpusched.worker_lease()
    client.attach(lease)
    gpusched.worker_lease()
    (one,) = said
    assert f"no process is under {lease} yet" in str(one.message)
    assert f"`gpusched attach {lease} --pid {os.getpid()}`" in str(one.message)
    assert one.filename == "<string>"
"""
_NOT_KEPT = """
import gc, os, subprocess, sys, gpusched

gpusched.worker_lease(gpus=1)
gpusched.worker_lease(gpus=1)
gc.collect()
with gpusched.Client() as client:
    lease = client.lease(os.environ["GPUSCHED_LEASE"])
    print(lease.id, [one.pid for one in lease.processes] == [os.getpid()], bool(lease.end_reason))
"""
_NOT_ITS_OWN = """
import gpusched
from gpusched.client.errors import BadRequest

for words in ({"affinity": "a"}, {"request_id": "r"}, {"index": "0"}, {"index": -1}):
    try:
        gpusched.worker_lease(**words)
    except BadRequest as refused:
        print(refused.field)
"""


def test_a_worker_has_a_lease_of_its_own(host: Host) -> None:
    """Where there is no lease a worker takes one; asked again it is the same."""
    lease, again, inside, number, devices, named, listed, left = host.program(_OF_ITS_OWN)
    assert lease == again == named
    assert (inside, number, devices, listed) == ("True", "0", "2", "True")
    assert left == "False"
    host.until(lambda: host.ended(lease) == "END_REASON_RELEASED")


def test_a_worker_need_not_keep_what_it_was_given(host: Host) -> None:
    """A lease lasts until its worker ends, also where nobody keeps what the call returned."""
    lease, inside, over = host.program(_NOT_KEPT)
    assert (inside, over) == ("True", "False")
    host.until(lambda: host.ended(lease) in ("END_REASON_RELEASED", "END_REASON_EMPTY"))


def test_a_lease_is_shared_out(host: Host) -> None:
    """Below `gpusched run` workers get its devices one after another, and nothing else."""
    words = ("run", "--device", "4,5", "--", sys.executable, "-c", _UNDER)
    done = host.gpusched(*words)
    assert done.returncode == 0, done
    masks = ["0 0", "1 1", "0 0"] if CONFINED else ["4 0", "5 1", "4 0"]
    assert done.stdout.splitlines() == [*masks, "BadRequest", "UserWarning"]


def test_a_lease_that_nobody_is_under(host: Host) -> None:
    """Who has a lease in the environment only is warned: it ends unless a process comes."""
    done = host.run(sys.executable, "-c", _NOT_UNDER, GPUSCHED_LEASE=host.allocate())
    assert done.returncode == 0, done


def test_words_that_are_worker_leases_own(host: Host) -> None:
    """`affinity` and `request_id` follow from the worker's number; they are refused by name, as is
    a number that is none.
    """
    assert host.program(_NOT_ITS_OWN) == ["affinity", "request_id", "index", "index"]


@pytest.mark.parametrize("key", [None, "reader"])
def test_another_process_with_the_same_place_gets_the_same_device(
    host: Host, key: str | None
) -> None:
    """By its number among its siblings, or by a key of its own, a replacement has its device."""
    asks = (
        f"import gpusched; held = gpusched.worker_lease(0, key={key!r}, devices=%s)\n"
        "print(held.devices[0].uuid)"
    )
    family = f"""
import subprocess, sys
for devices in (["6"], None):
    subprocess.run([sys.executable, "-c", {asks!r} % devices], check=True)
"""
    first, again = host.program(family)
    assert first == again == host.devices()[6].text("uuid")
