"""Identities of simulated devices: the same scenario always gives the same ones.

They are derived, never drawn, so that a restarted daemon finds its leases' devices again. Nothing
of a real host may come in.
"""

import hashlib
import re

BUS_ID = re.compile(r"[0-9A-F]{8}:[0-9A-F]{2}:[0-9A-F]{2}\.0")
UUID = re.compile(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_BUSES_PER_DOMAIN = 32
_FIRST_BUS = 0x07
_BUS_STEP = 7
_FIRST_SERIAL = 1650000000001  # the number in the published captures


def gpu_uuid(seed: str, index: int, profile: str) -> str:
    """Give the UUID of the device at *index*."""
    return f"GPU-{_uuid5(f'{seed}/{index}/{profile}')}"


def mig_uuid(parent: str, gpu_instance: int, compute_instance: int) -> str:
    """Give the UUID of a MIG device; version 5, as those of real ones are."""
    return f"MIG-{_uuid5(f'{parent}/{gpu_instance}/{compute_instance}')}"


def _uuid5(name: str) -> str:
    """Make an RFC 4122 version 5 UUID; `uuid.uuid5` would cost each worker its import."""
    digest = bytearray(hashlib.sha1(b"gpusched/" + name.encode(), usedforsecurity=False).digest())
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest[:16].hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def bus_id(index: int) -> str:
    """Give the PCI bus id in NVML's form; ascending with the index, as NVML numbers devices."""
    domain, place = divmod(index, _BUSES_PER_DOMAIN)
    return f"{domain:08X}:{_FIRST_BUS + place * _BUS_STEP:02X}:00.0"


def serial(index: int) -> str:
    """Give the board's serial number."""
    return str(_FIRST_SERIAL + index)


def shuffled_minors(seed: str, count: int) -> tuple[int, ...]:
    """Give a permutation of the first *count* minors; never the identity for two or more."""
    order = sorted(
        range(count), key=lambda minor: hashlib.sha256(f"{seed}/{minor}".encode()).digest()
    )
    if order == list(range(count)):
        order = [*order[1:], *order[:1]]
    return tuple(order)
