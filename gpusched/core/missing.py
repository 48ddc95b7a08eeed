"""Which GPU it is that NVML counts and that gives no name; pure.

A library that was loaded anew has never read the UUID of a GPU that did not answer it yet: after a
call that hung, the very GPU that made it hang. NVML numbers GPUs in the order of the bus, those
without an answer included, so the places of the others tell which it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gpusched.core.device import Device
from gpusched.core.ids import DeviceUuid
from gpusched.core.sample import LostDevice, NodeReading, NodeSample, Unavailable


def recognized(sample: NodeSample, known: Iterable[Device]) -> NodeSample:
    """Give a sample in which the GPUs without a name have theirs, where it is sure which they are.

    Args:
        sample: What was read.
        known: The inventory, absent devices included.
    """
    reading = sample.reading
    if isinstance(reading, Unavailable):
        return sample
    nameless = nameless_gpus(reading)
    if not nameless:
        return sample
    inventory = list(known)
    missing = _missing(reading, inventory)
    if not _fit(nameless, missing, reading):
        return sample
    named = dict(zip((one.index for one in nameless), missing, strict=True))
    lost = [
        found
        for one in reading.lost
        for found in (
            _with_instances(one, named[one.index], inventory) if one in nameless else [one]
        )
    ]
    return replace(sample, reading=replace(reading, lost=tuple(lost)))


def nameless_gpus(reading: NodeReading) -> list[LostDevice]:
    """Give the GPUs without a name.

    A MIG device without one has the index of its GPU, which answers.
    """
    unnamed = [one for one in reading.lost if one.uuid is None]
    answering = _answering(reading) if unnamed else {}
    return [one for one in unnamed if one.index not in answering]


def nameless_instances(reading: NodeReading) -> Mapping[DeviceUuid, str]:
    """Say why MIG devices of a GPU that answers do not, by the GPU: which they are is not told."""
    unnamed = [one for one in reading.lost if one.uuid is None]
    answering = _answering(reading) if unnamed else {}
    return {answering[one.index]: one.reason for one in unnamed if one.index in answering}


def _answering(reading: NodeReading) -> Mapping[int, DeviceUuid]:
    gpus = (one.device for one in reading.devices if one.device.mig is None)
    return {one.index: one.uuid for one in gpus}


def _missing(reading: NodeReading, known: Iterable[Device]) -> list[Device]:
    """Give the known GPUs of which the reading says nothing, in the order of the bus."""
    there = {one.device.uuid for one in reading.devices} | {one.uuid for one in reading.lost}
    gpus = (one for one in known if one.mig is None and one.uuid not in there)
    return sorted(gpus, key=lambda one: one.order)


def _fit(nameless: Sequence[LostDevice], missing: Sequence[Device], reading: NodeReading) -> bool:
    """Say whether as many are missing, each at a place where one has no name."""
    answering = [one.device for one in reading.devices if one.device.mig is None]
    return len(nameless) == len(missing) and all(
        (one.index < each.index) == (gpu.order < each.order)
        for one, gpu in zip(nameless, missing, strict=True)
        for each in answering
    )


def _with_instances(
    lost: LostDevice, gpu: Device, known: Iterable[Device]
) -> Iterable[LostDevice]:
    """Give a GPU with its name, and the MIG devices that went with it."""
    yield replace(lost, uuid=gpu.uuid)
    for one in known:
        if one.mig is not None and one.mig.parent == gpu.uuid:
            yield LostDevice(lost.index, one.uuid, lost.reason)
