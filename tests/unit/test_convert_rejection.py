"""Rejections on the wire: the kind, what is in the way, and what would do."""

from dataclasses import replace

import pytest

from gpusched.api.v1 import rejection_pb2, request_pb2
from gpusched.core.errors import InvalidRequest
from gpusched.core.ids import SECOND, DeviceUuid
from gpusched.core.preferences import Placement, Sharing, Topology
from gpusched.core.replies import Obstacle, Refusal, Rejected, Verdict
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from gpusched.rpc.call import Code
from gpusched.rpc.commands import command_of
from gpusched.rpc.convert_rejection import (
    OBSTACLES,
    refusal_of,
    rejection_of,
    verdict_of,
)
from gpusched.rpc.status import (
    CODES,
    KINDS,
    bad_field,
    details_of,
    not_yet,
    stopping,
    trailer_of,
)
from tests.fakes.builders import ADA, BOB, A, B, device
from tests.fakes.host import Host

Reason = rejection_pb2.VerdictReason


def test_every_kind() -> None:
    """Every kind of refusal has one status and one kind on the wire."""
    assert set(CODES) == set(KINDS) == set(Refusal)
    assert len(set(KINDS.values())) == len(Refusal)
    assert set(OBSTACLES) == set(Obstacle)


@pytest.mark.parametrize("why", Refusal)
def test_kind(why: Refusal) -> None:
    """A rejection of each kind arrives as that kind, with its sentence."""
    host = Host(device(0))
    refused = refusal_of(Rejected(why, "no", "count"), host.ledger, host.now)
    assert refused.code is CODES[why]
    assert refused.rejection is not None
    assert refused.rejection.kind == KINDS[why]
    assert refused.rejection.sentence == "no"
    assert refused.rejection.field == "count"


def test_holders() -> None:
    """Who has what is wanted is told with since when and until when."""
    host = Host(device(0))
    lease = host.grant(Request(A, time_limit=60 * SECOND))
    wanted = Request(B)
    rejection = rejection_of(host.refusal(wanted, BOB), host.ledger, host.now, wanted)
    holder = rejection.holders[0]
    assert (holder.lease_id, holder.uid, holder.user) == (lease.id, ADA.uid, ADA.user)
    assert holder.until.ToNanoseconds() - holder.since.ToNanoseconds() == 60 * SECOND
    assert list(holder.device_uuids) == [lease.shares[0].device]
    assert rejection.waits_for == f"the end of {lease.id} of {ADA.user}"
    verdict = rejection.verdicts[0]
    assert (verdict.reason, verdict.lease_id) == (Reason.VERDICT_REASON_HELD, lease.id)
    assert not verdict.never
    assert verdict.HasField("since")
    assert rejection.hint_command == "gpusched explain --gpus 1"


def test_waits_for_a_reading() -> None:
    """What no lease blocks waits for the devices themselves."""
    host = Host(device(0))
    rejected = Rejected(Refusal.LATER, "not read")
    assert "readable" in rejection_of(rejected, host.ledger, host.now).waits_for


def test_shared_is_not_held() -> None:
    """A device with shares on it is shared, not held, for who wants it whole."""
    host = Host(device(0))
    host.grant(Request(A, memory=GIB))
    rejection = rejection_of(host.refusal(Request(B), BOB), host.ledger, host.now)
    assert rejection.verdicts[0].reason == Reason.VERDICT_REASON_SHARED


def test_nearest() -> None:
    """The nearest request is told as a request and as a command."""
    host = Host(device(0))
    wanted = Request(A, memory=100 * GIB)
    rejection = rejection_of(host.refusal(wanted), host.ledger, host.now, wanted)
    assert rejection.nearest.memory_bytes == 80 * GIB
    assert rejection.nearest_command == "gpusched run --gpus 1 --memory 80GiB -- CMD"
    assert rejection.verdicts[0].wanted_bytes == 100 * GIB
    assert rejection.verdicts[0].available_bytes == 80 * GIB
    assert rejection.verdicts[0].never
    assert not rejection.waits_for


def test_types_of_this_host() -> None:
    """An unknown type is answered with those there are."""
    host = Host(device(0))
    wanted = Request(A, gpu_types=("k9",))
    rejection = rejection_of(host.refusal(wanted), host.ledger, host.now, wanted)
    assert list(rejection.allowed_values) == ["nvidia-a100-80gb"]


def test_fitting_and_lost_devices() -> None:
    """A device that serves has no reason; one that is gone from the list has no index."""
    host = Host(device(0))
    fits = verdict_of(Verdict(device(0).uuid, None, "free"), host.ledger)
    assert (fits.fits, fits.index) == (True, 0)
    assert fits.reason == Reason.VERDICT_REASON_UNSPECIFIED
    gone = Verdict(DeviceUuid("GPU-gone"), Obstacle.HELD, "held")
    message = verdict_of(gone, host.ledger)
    assert not message.HasField("index")
    assert message.reason == Reason.VERDICT_REASON_HELD


@pytest.mark.parametrize(
    ("request_", "command"),
    [
        (Request(A), "gpusched explain --gpus 1"),
        (Request(A, count=0), "gpusched explain --gpus 0"),
        (
            Request(A, count=1, devices=(DeviceUuid("GPU-1"),)),
            "gpusched explain --device GPU-1",
        ),
        (
            Request(A, gpu_types=("l4", "rtx 4090"), mig_profile="1g.10gb"),
            "gpusched explain --gpus 1 --gpu-type 'l4,rtx 4090' --mig 1g.10gb",
        ),
        (
            Request(A, count=4, min_count=2, max_count=6, memory=GIB, sharing=Sharing.OWN),
            "gpusched explain --gpus 4-6 --min-gpus 2 --memory 1GiB --sharing own",
        ),
        (
            Request(
                A,
                memory_fraction=0.55,
                mig_profile="1g.10gb",
                allow_larger_mig=True,
                topology=Topology.SAME_NUMA_NODE,
                topology_required=True,
                placement=Placement.SPREAD,
                affinity_key="worker 1",
            ),
            (
                "gpusched explain --gpus 1 --memory 55% --mig 1g.10gb --allow-larger-mig"
                " --topology same-numa-node --topology-required --placement spread"
                " --affinity 'worker 1'"
            ),
        ),
        (None, ""),
    ],
)
def test_command(request_: Request | None, command: str) -> None:
    """A command can be pasted into a shell."""
    assert command_of("explain", request_) == command


def test_before_a_decision() -> None:
    """Refusals that need no decision carry their kind as well."""
    field = bad_field(InvalidRequest("count", "is odd"))
    assert (field.code, field.sentence) == (Code.INVALID_ARGUMENT, "count: is odd")
    assert field.rejection is not None
    assert field.rejection.field == "count"
    later = not_yet("soon")
    assert later.rejection is not None
    assert later.rejection.kind == rejection_pb2.REJECTION_KIND_NOT_YET
    assert stopping().code is Code.UNAVAILABLE


def long_rejection(devices: int, words: int) -> rejection_pb2.Rejection:
    verdict = rejection_pb2.DeviceVerdict(uuid="GPU-1", sentence="x" * 100)
    return rejection_pb2.Rejection(
        sentence="s" * words, verdicts=[verdict] * devices, hint_command="gpusched status"
    )


def test_short_trailer() -> None:
    """A rejection that fits into the metadata is sent whole."""
    whole = long_rejection(8, 100)
    assert rejection_pb2.Rejection.FromString(trailer_of(whole)) == whole


def test_long_trailer() -> None:
    """A rejection that does not fit loses devices at its end, not what to do."""
    data = trailer_of(long_rejection(1000, 5000))
    short = rejection_pb2.Rejection.FromString(data)
    assert len(data) <= 4096
    assert 8 <= len(short.verdicts) < 1000
    assert short.hint_command == "gpusched status"
    assert len(short.sentence) == 1000


def test_hopeless_trailer() -> None:
    """A rejection that cannot be made to fit is left to the sentence."""
    huge = replace(Request(A), gpu_types=("x" * 5000,))
    rejection = rejection_pb2.Rejection(
        nearest=request_pb2.AllocateRequest(gpu_types=huge.gpu_types)
    )
    assert trailer_of(rejection) == b""


def test_details() -> None:
    """A sentence is cut where the metadata would not hold it."""
    assert details_of("short") == "short"
    assert details_of("x" * 1001) == "x" * 999 + "…"
