"""Which MIG profile is larger than another: by memory, then by compute slices.

Source: NVIDIA MIG user guide, "Device names" and "Supported MIG Profiles":
`[<c>c.]<g>g.<m>gb[attribute]`. `+me` and `+me.all` have engines that no profile without it has
(JPEG, OFA), `+gfx` has graphics, `-me` has no media engines at all.
"""

import re
from typing import NamedTuple

_PROFILE = re.compile(r"(?:(\d+)c\.)?(\d+)g\.(\d+)gb([+-]\S+)?", re.IGNORECASE)


class MigSize(NamedTuple):
    """How large an instance is; the order is that of size.

    Attributes:
        memory: GB of its GPU instance, as its name has it.
        slices: Compute slices that it computes with.
    """

    memory: int
    slices: int


def size_of(profile: str) -> MigSize | None:
    """Give the size of a profile such as `3g.40gb` or `1c.3g.40gb`; None for any other word."""
    found = _PROFILE.fullmatch(profile)
    if found is None:
        return None
    return MigSize(int(found[3]), int(found[1] or found[2]))


def larger(profile: str, wanted: str) -> bool:
    """Say whether an instance of *profile* has all that one of *wanted* has, and more."""
    this, that = size_of(profile), size_of(wanted)
    if this is None or that is None:
        return False
    has, needed = _engines(profile), _engines(wanted)
    enough = this.memory >= that.memory and this.slices >= that.slices and has >= needed
    return enough and (this, has) != (that, needed)


def _engines(profile: str) -> frozenset[str]:
    """Give what the attribute of a profile says it has beside memory and slices."""
    found = _PROFILE.fullmatch(profile)
    attribute = ((found and found[4]) or "").lower()
    return frozenset() if attribute.startswith("-") else frozenset({"", attribute})
