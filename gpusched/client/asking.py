"""Turns what a user says into the JSON of an `AllocateRequest`: the one place that maps words.

The command line sends it as it is, the gRPC clients parse it into the message. Sizes and times
are read by the core, which is loaded only where one is given (cold start).
"""

import os
from collections.abc import Callable, Mapping

from gpusched.client.errors import BadRequest

_MIB = 1 << 20
_SECOND = 1_000_000_000
_MOST = (1 << 32) - 1
"""As many devices as the protocol can say."""


def request_of(wish: Mapping[str, object]) -> dict[str, object]:
    """Give the request for *wish*, whose keys are those of `wish.Wish`; None is not said.

    Raises:
        BadRequest: A value is wrong whatever the host; `field` names it as the API does.
    """
    request: dict[str, object] = {}
    for word, value in wish.items():
        if word not in _WORDS:
            known = ", ".join(_WORDS)
            raise bad(word, f"there is no such wish; there are {known}")
        if value is not None:
            field, turn = _PART if word == "memory" and _is_part(value) else _WORDS[word]
            request[field] = turn(field, value)
    return request


def bad(field: str, why: str) -> BadRequest:
    """Give the refusal of one field, as the daemon would."""
    sentence = f"{field}: {why}"
    rejection: dict[str, object] = {
        "kind": "REJECTION_KIND_BAD_REQUEST",
        "sentence": sentence,
        "field": field,
    }
    return BadRequest(sentence, rejection, "INVALID_ARGUMENT")


def duration(field: str, value: object) -> str:
    """Give a time in proto3's JSON form, such as `90s`; a bare number is seconds.

    Raises:
        BadRequest: It is neither such as `1h30m` nor a number above 0.
    """
    from gpusched.core.durations import LONGEST, parse_duration  # noqa: PLC0415 - cold start
    from gpusched.core.errors import InvalidRequest  # noqa: PLC0415 - as above

    if isinstance(value, int | float) and not isinstance(value, bool):
        # Before it is made whole: there may be no such number.
        if value > LONGEST // _SECOND:
            raise bad(field, f"{value!r} seconds are more than 100 years")
        nanoseconds = round(value * _SECOND) if value > 0 else 0  # not more: also what is none
        if not nanoseconds:
            raise bad(field, f"{value!r} is not more than nothing")
    else:
        try:
            nanoseconds = parse_duration(_text(field, value), field)
        except InvalidRequest as error:
            raise bad(error.field, error.why) from None
    seconds, rest = divmod(nanoseconds, _SECOND)
    return f"{seconds}.{rest:09d}s" if rest else f"{seconds}s"


def grace(value: object) -> str:
    """Give the time between SIGTERM and SIGKILL as `duration` does; 0 and `0s` kill at once.

    Raises:
        BadRequest: As `duration`.
    """
    return duration_or_none("grace", value)


def duration_or_none(field: str, value: object) -> str:
    """Give a time as `duration` does; 0 and `0s` are no time at all.

    Raises:
        BadRequest: As `duration`.
    """
    at_once = value == "0s" or (value == 0 and not isinstance(value, bool))
    return "0s" if at_once else duration(field, value)


def _size(field: str, value: object) -> str:
    from gpusched.core.errors import InvalidRequest  # noqa: PLC0415 - cold start
    from gpusched.core.sizes import LARGEST, parse_size  # noqa: PLC0415 - as above

    if isinstance(value, int) and not isinstance(value, bool):
        if value < _MIB:
            raise bad(field, f'{value} bytes is less than 1 MiB; say a unit, such as "{value}MiB"')
        if value >= LARGEST:
            raise bad(field, "that is not less than 2^63 bytes")
        return str(value)

    try:
        return str(parse_size(_text(field, value), field))
    except InvalidRequest as error:
        raise bad(error.field, error.why) from None


def _is_part(value: object) -> bool:
    return isinstance(value, str) and value.endswith("%")


def _part(field: str, value: object) -> float:
    """Give a part of a device's memory, said as `50%`."""
    number = str(value).removesuffix("%").strip()
    try:
        part = float(number) / 100
    except ValueError:
        part = 0.0
    if not 0 < part <= 1:
        raise bad(field, f"{value!r} is not more than 0% and at most 100%")
    return part


def _count(field: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise bad(field, f"{value!r} is not a number of devices")
    return value


def _text(field: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise bad(field, f"{value!r} is not a word")
    return _sendable(field, value)


def _sendable(field: str, value: str) -> str:
    """Refuse what stands for bytes that are no text, as in a file's name: it cannot be sent."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise bad(field, f"{value!r} is not text") from None
    return value


def _flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise bad(field, f"{value!r} is neither True nor False")
    return value


def _names(field: str, value: object) -> list[str]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple):
        raise bad(field, f"{value!r} is not a list of names")
    return [_text(field, one) for one in listed]


def _devices(field: str, value: object) -> list[str]:
    """Give UUIDs and indices as words; a number is an index."""
    listed = [value] if isinstance(value, str | int) else value
    if not isinstance(listed, list | tuple):
        raise bad(field, f"{value!r} is not a list of devices")
    return _names(field, [str(one) if type(one) is int else one for one in listed])


def _labels(field: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise bad(field, f"{value!r} is not a mapping of words to words")
    return {_text(field, key): _sendable(field, str(one)) for key, one in value.items()}


def _owner(field: str, value: object) -> dict[str, object]:
    return {"reference": _text(field, value)}


def _choice(prefix: str, *allowed: str) -> Callable[[str, object], str]:
    def turn(field: str, value: object) -> str:
        if value not in allowed:
            raise bad(field, f"{value!r} is not one of {', '.join(allowed)}")
        return f"{prefix}_{str(value).upper().replace('-', '_')}"

    return turn


ENFORCE = ("required", "preferred", "advisory")
OVER_USES = ("warn", "terminate")
MASK_FORMATS = ("auto", "index", "relative", "uuid")
SHARING = ("exclusive", "any", "own")
TOPOLOGIES = ("any", "same-numa-node", "nvlink")
PLACEMENTS = ("pack", "spread", "topology")
mask_format = _choice("MASK_FORMAT", *MASK_FORMATS)
_PART = ("memory_fraction", _part)

_WORDS: dict[str, tuple[str, Callable[[str, object], object]]] = {
    "gpus": ("count", _count),
    "min_gpus": ("min_count", _count),
    "max_gpus": ("max_count", _count),
    "devices": ("device_uuids", _devices),
    "memory": ("memory_bytes", _size),
    "gpu_types": ("gpu_types", _names),
    "mig": ("mig_profile", _text),
    "pool": ("pool", _text),
    "allow_larger_mig": ("allow_larger_mig_profile", _flag),
    "sharing": ("sharing", _choice("SHARING", *SHARING)),
    "topology": ("topology", _choice("TOPOLOGY", *TOPOLOGIES)),
    "topology_required": ("topology_required", _flag),
    "placement": ("placement", _choice("PLACEMENT", *PLACEMENTS)),
    "affinity": ("affinity_key", _text),
    "wait": ("wait", duration),
    "wait_without_limit": ("wait_without_limit", _flag),
    "time_limit": ("time_limit", duration),
    "attach_deadline": ("attach_deadline", duration),
    "keepalive": ("keepalive", duration),
    "priority": ("priority", _text),
    "enforce": ("enforce", _choice("ENFORCE", *ENFORCE)),
    "mask_format": ("mask_format", mask_format),
    "over_use": ("over_use", _choice("OVER_USE", *OVER_USES)),
    "labels": ("labels", _labels),
    "owner": ("owner", _owner),
    "request_id": ("request_id", _text),
    "attach_caller": ("attach_caller", _flag),
}


def present_devices(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Give the devices of the present `CUDA_VISIBLE_DEVICES`, for `--device env`.

    Raises:
        BadRequest: It is not set, or names none: then nothing says which are meant.
    """
    value = environment.get("CUDA_VISIBLE_DEVICES", "")
    found = [one.strip() for one in value.split(",") if one.strip()]
    if not found:
        raise bad("device_uuids", "`env` needs CUDA_VISIBLE_DEVICES, which names no device here")
    return found
