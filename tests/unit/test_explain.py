"""Refusals: which kind, who is in the way, and the nearest request that would be granted."""

from dataclasses import replace

import pytest

from gpusched.core.events import ExplainRequested
from gpusched.core.explain import describe, types_here
from gpusched.core.ids import DeviceUuid
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Explained, Holder, Refusal
from gpusched.core.request import Request
from gpusched.core.sample import NodeSample, Unavailable
from gpusched.core.sizes import GIB
from tests.fakes.builders import (
    ADA,
    BOB,
    L4,
    UNREADABLE,
    A,
    B,
    C,
    context,
    device,
    mig,
    reading,
    sample,
)
from tests.fakes.host import Host

GPU, OTHER = device(0), device(1)
SMALL = device(2, L4, 24 * GIB)
PARENT = replace(device(0), mig_enabled=True)
NOWHERE = DeviceUuid("GPU-nowhere")


def test_an_unknown_type_is_answered_with_the_types_of_the_host() -> None:
    """A type that this host does not have is a bad request that lists what it has."""
    no = Host(GPU, OTHER, SMALL).refusal(Request(A, gpu_types=("h100",)))
    assert (no.why, no.field) == (Refusal.BAD_REQUEST, "gpu_types")
    assert no.sentence == "gpu_types: this host has no 'h100'; it has nvidia-a100-80gb, nvidia-l4"
    several = Host(SMALL).refusal(Request(A, gpu_types=("h100", "t4")))
    assert several.sentence == "gpu_types: this host has no 'h100' or 't4'; it has nvidia-l4"


def test_a_type_of_several_may_be_one_that_the_host_does_not_have() -> None:
    """Whoever accepts a type that is here and busy waits, whatever else would have done."""
    host = Host(SMALL)
    host.grant(Request(A))
    assert host.refusal(Request(B, gpu_types=("h100", "l4"))).why is Refusal.LATER


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (Request(A, devices=(NOWHERE,)), "device_uuids"),
        (Request(A, must_include=(NOWHERE,)), "must_include_uuids"),
        (Request(A, available=(NOWHERE,)), "available_uuids"),
    ],
)
def test_an_unknown_device_is_never_here(request_: Request, field: str) -> None:
    """A device that this host does not have is named, with the field that named it."""
    no = Host(GPU).refusal(request_)
    assert (no.why, no.field) == (Refusal.NEVER_HERE, field)
    assert no.sentence == (f"{field}: this host has no device GPU-nowhere; see `gpusched devices`")


def test_more_devices_than_exist_is_never_with_the_number_that_exists() -> None:
    """Whoever asks for more devices than the host has is offered all that it has."""
    asked = Request(A, count=3)
    no = Host(GPU, OTHER).refusal(asked)
    assert no.why is Refusal.NEVER_HERE
    assert no.sentence == "3 devices wanted, this host has 2"
    assert no.nearest == replace(asked, count=2)
    assert [one.device for one in no.verdicts] == [GPU.uuid, OTHER.uuid]


def test_never_says_why_each_device_can_not_serve() -> None:
    """Devices that can not serve stand with their reasons, those with one reason together."""
    host = Host(PARENT, mig(PARENT), OTHER, SMALL, device(3, L4, 24 * GIB))
    no = host.refusal(Request(A, count=2, gpu_types=("a100",)))
    assert no.sentence == (
        "2 devices wanted, 1 can ever serve:"
        " 0: partitioned by MIG: only its instances are handed out;"
        " MIG-00000000-1-0: is a MIG instance 4g.40gb; 2, 3: is of type nvidia-l4"
    )


def test_too_much_memory_is_answered_with_the_memory_there_is() -> None:
    """Whoever asks for more memory than a device has is offered what the device has."""
    asked = Request(A, memory=100 * GIB)
    no = Host(GPU, SMALL).refusal(asked)
    assert no.why is Refusal.NEVER_HERE
    assert no.nearest == replace(asked, memory=80 * GIB)


def test_memory_is_reduced_only_as_far_as_the_missing_devices_need() -> None:
    """For two devices of which one is large enough, the larger of the others sets the memory."""
    asked = Request(A, count=2, memory=100 * GIB)
    large = device(3, "NVIDIA H200", 141 * GIB)
    no = Host(large, GPU, SMALL).refusal(asked)
    assert no.nearest == replace(asked, memory=80 * GIB)
    assert len(Host(large, GPU, SMALL).grant(replace(asked, memory=80 * GIB)).shares) == 2
    three = replace(asked, count=3)
    assert Host(large, GPU, SMALL).refusal(three).nearest == replace(three, memory=24 * GIB)


def test_a_device_without_memory_is_no_offer() -> None:
    """What cannot hold a byte is not offered with no bytes."""
    none = device(2, L4, 0)
    asked = Request(A, count=2, memory=GIB)
    assert Host(GPU, none).refusal(asked).nearest == replace(asked, count=1)
    assert Host(none).refusal(replace(asked, count=1)).nearest is None


def test_compute_instances_are_offered_what_fits_into_their_memory_together() -> None:
    """The memory that is offered fits for every compute instance of the request."""
    instances = [mig(PARENT, 1, n) for n in range(3)]
    asked = Request(A, count=3, memory=30 * GIB, mig_profile="4g.40gb")
    no = Host(PARENT, *instances).refusal(asked)
    assert no.why is Refusal.NEVER_HERE
    assert no.nearest is not None
    assert len(Host(PARENT, *instances).grant(no.nearest).shares) == 3


def test_nothing_is_offered_where_nothing_fits() -> None:
    """Where no device could ever serve, there is no nearest request."""
    no = Host(GPU).refusal(Request(A, available=(GPU.uuid,), devices=(OTHER.uuid,)))
    assert (no.why, no.nearest) == (Refusal.NEVER_HERE, None)


def test_a_profile_that_no_device_has_is_answered_with_those_there_are() -> None:
    """A MIG profile that this host does not have is never here, whatever is free."""
    no = Host(GPU).refusal(Request(A, mig_profile="1g.10gb"))
    assert (no.why, no.field, no.nearest) == (Refusal.NEVER_HERE, "mig_profile", None)
    assert no.sentence == (
        "mig_profile: no device of this host has '1g.10gb'; it has no MIG instances"
    )
    host = Host(PARENT, mig(PARENT), mig(PARENT, 2), mig(PARENT, 3, memory=10 * GIB))
    no = host.refusal(Request(A, mig_profile="2g.20gb"))
    assert no.sentence.endswith("its instances are 4g.40gb, 1g.10gb")
    larger = Request(A, mig_profile="7g.80gb", allow_larger_mig=True)
    assert host.refusal(larger).field == "mig_profile"


def test_a_device_that_must_be_included_and_never_can_is_never() -> None:
    """No waiting helps who insists on a device that does not serve; the rest is offered."""
    host = Host(GPU, OTHER, SMALL)
    asked = Request(A, count=2, gpu_types=("a100",), must_include=(SMALL.uuid,))
    no = host.refusal(asked)
    assert no.why is Refusal.NEVER_HERE
    assert no.nearest == replace(asked, must_include=())
    single = replace(asked, count=1)
    assert host.refusal(single).nearest == replace(single, must_include=())


def test_an_offer_of_memory_fits_the_device_that_must_be_included() -> None:
    """The memory that is offered is what the smallest device that must be included has."""
    host = Host(GPU, OTHER, SMALL)
    asked = Request(A, count=2, memory=100 * GIB, must_include=(SMALL.uuid,))
    assert host.refusal(asked).nearest == replace(asked, memory=24 * GIB)
    fits = replace(asked, must_include=(OTHER.uuid,))
    assert host.refusal(fits).nearest == replace(fits, memory=80 * GIB)


def test_no_memory_is_offered_where_less_would_not_help() -> None:
    """Less memory does not make a partitioned GPU serve, so it is not offered."""
    asked = Request(A, count=2, memory=100 * GIB, must_include=(PARENT.uuid,))
    assert Host(PARENT, OTHER, SMALL).refusal(asked).nearest is None


def test_naming_devices_and_including_others_contradicts_itself() -> None:
    """A device that must be included and is not among the named ones is never granted."""
    asked = Request(A, devices=(GPU.uuid,), must_include=(OTHER.uuid,))
    no = Host(GPU, OTHER).refusal(asked)
    assert (no.why, no.nearest) == (
        Refusal.NEVER_HERE,
        replace(asked, must_include=()),
    )
    assert no.sentence == ("1 device wanted, 1 can ever serve: 1: not among the devices asked for")


def test_busy_devices_are_later_with_their_holders() -> None:
    """When all are busy, the refusal says who has them since when, each holder once."""
    host = Host(GPU, OTHER)
    one = host.grant(Request(A, count=2), BOB)
    no = host.refusal(Request(A))
    assert no.why is Refusal.LATER
    assert no.sentence == f"1 device wanted, 0 free now: 0, 1: held by {one.id} of user1001"
    assert no.holders == (Holder(one.id, BOB.uid, "user1001", one.created),)
    assert no.nearest is None
    assert len(no.verdicts) == 2


def test_several_holders_are_listed_in_the_order_of_the_bus() -> None:
    """Every holder of a device in the way is listed."""
    host = Host(GPU, OTHER)
    one, two = host.grant(Request(A), BOB), host.grant(Request(B), ADA)
    assert [each.lease for each in host.refusal(Request(C)).holders] == [one.id, two.id]


def test_what_is_free_now_is_offered() -> None:
    """Whoever wants two devices of which one is free is offered the one."""
    host = Host(GPU, OTHER)
    host.tick(reading(OTHER, context(9)))
    asked = Request(A, count=2)
    no = host.refusal(asked)
    assert no.why is Refusal.LATER
    assert (
        no.sentence
        == "2 devices wanted, 1 free now: 1: used without a lease by pid 9 (not identified, 1 GiB)"
    )
    assert no.nearest == replace(asked, count=1)
    assert no.holders == ()


def test_a_busy_device_that_must_be_included_offers_the_others() -> None:
    """The offer is never for more devices than were asked for."""
    host = Host(GPU, OTHER, device(4))
    host.grant(Request(A, devices=(GPU.uuid,)))
    asked = Request(B, must_include=(GPU.uuid,))
    no = host.refusal(asked)
    assert (no.why, no.nearest) == (Refusal.LATER, replace(asked, must_include=()))


def test_whoever_named_devices_is_offered_those_of_them_that_are_free() -> None:
    """An offer to somebody who named devices names the free ones, in the same order."""
    host = Host(GPU, OTHER)
    host.grant(Request(A, devices=(GPU.uuid,)))
    no = host.refusal(Request(B, count=2, devices=(GPU.uuid, OTHER.uuid)))
    assert no.why is Refusal.LATER
    assert no.nearest == Request(B, count=1, devices=(OTHER.uuid,))


def test_a_host_without_devices_says_what_is_missing() -> None:
    """Without devices the refusal is what NVML said, and no type is unknown."""
    asked = Request(A, gpu_types=("a100",))
    host = Host()
    begin = "this host has no devices: "
    assert host.refusal(asked).sentence == begin + "nothing has been read yet"
    host.ledger.sample = NodeSample(host.now.instant, Unavailable("no driver"))
    assert host.refusal(asked).sentence == begin + "no driver"
    host.ledger.sample = sample()
    assert host.refusal(asked).sentence == begin + "NVML counts none"
    assert host.refusal(asked).why is Refusal.NEVER_HERE


def test_types_are_listed_once_in_the_order_of_the_bus() -> None:
    """Each type of the host is listed once."""
    host = Host(SMALL, OTHER, GPU)
    assert types_here(host.ledger) == ("nvidia-a100-80gb", "nvidia-l4")
    assert types_here(Ledger(host.ledger.policy)) == ()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(A), "1 device"),
        (Request(A, memory=8 * GIB), "1 device with 8 GiB"),
        (
            Request(A, count=2, memory=8 * GIB, gpu_types=("l4", "t4")),
            "2 devices of l4 or t4 with 8 GiB each",
        ),
    ],
)
def test_a_request_is_told_in_a_few_words(request_: Request, words: str) -> None:
    """A request in words says how many devices, of what and with how much."""
    assert describe(request_) == words


def test_explaining_answers_what_allocating_would() -> None:
    """An explanation gives the choice or the refusal, with verdicts, and changes nothing."""
    host = Host(GPU, OTHER)
    yes = host.do(ExplainRequested(ADA, Request(A, count=2)))
    assert isinstance(yes.reply, Explained)
    assert (yes.changes, yes.reply.rejection) == ((), None)
    assert yes.reply.devices == (GPU.uuid, OTHER.uuid)
    host.tick(replace(reading(GPU), contexts=UNREADABLE))
    no = host.do(ExplainRequested(ADA, Request(A, count=2)))
    assert isinstance(no.reply, Explained)
    assert (no.changes, no.reply.devices) == ((), None)
    assert no.reply.rejection == host.refusal(Request(A, count=2))
    assert no.reply.rejection.verdicts == no.reply.verdicts
