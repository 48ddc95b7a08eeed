"""Which gRPC status each kind of refusal has, and the refusals that are made before a decision.

One table; no sentence of a decision is made here.
"""

from gpusched.api.v1 import rejection_pb2
from gpusched.core.errors import InvalidRequest
from gpusched.core.replies import Refusal
from gpusched.rpc.call import Code, Refused

Rejection = rejection_pb2.Rejection

CODES: dict[Refusal, Code] = {
    Refusal.BAD_REQUEST: Code.INVALID_ARGUMENT,
    Refusal.LATER: Code.RESOURCE_EXHAUSTED,
    Refusal.NEVER_HERE: Code.FAILED_PRECONDITION,
    Refusal.NOT_ALLOWED: Code.PERMISSION_DENIED,
    Refusal.NOT_FOUND: Code.NOT_FOUND,
    Refusal.WRONG_STATE: Code.FAILED_PRECONDITION,
}
KINDS: dict[Refusal, rejection_pb2.RejectionKind.ValueType] = {
    Refusal.BAD_REQUEST: rejection_pb2.REJECTION_KIND_BAD_REQUEST,
    Refusal.LATER: rejection_pb2.REJECTION_KIND_LATER,
    Refusal.NEVER_HERE: rejection_pb2.REJECTION_KIND_NEVER_HERE,
    Refusal.NOT_ALLOWED: rejection_pb2.REJECTION_KIND_NOT_ALLOWED,
    Refusal.NOT_FOUND: rejection_pb2.REJECTION_KIND_NOT_FOUND,
    Refusal.WRONG_STATE: rejection_pb2.REJECTION_KIND_WRONG_STATE,
}

_STOPPING = "the daemon is stopping and takes no more requests; try again when it is back"
_TRAILER_BYTES = 4096
_SENTENCE_CHARACTERS = 1000


def refuse(why: Refusal, sentence: str, field: str = "") -> Refused:
    """Make a refusal that needs no decision."""
    return Refused(
        CODES[why], sentence, Rejection(kind=KINDS[why], sentence=sentence, field=field)
    )


def bad_field(error: InvalidRequest) -> Refused:
    """Make the refusal of a request that is wrong in one field."""
    return refuse(Refusal.BAD_REQUEST, str(error), error.field)


def not_yet(sentence: str) -> Refused:
    """Make the refusal of what this version cannot do."""
    rejection = Rejection(kind=rejection_pb2.REJECTION_KIND_NOT_YET, sentence=sentence)
    return Refused(Code.UNIMPLEMENTED, sentence, rejection)


def stopping() -> Refused:
    """Make the refusal of a daemon that ends."""
    return Refused(Code.UNAVAILABLE, _STOPPING)


def trailer_of(rejection: Rejection) -> bytes:
    """Serialize for the trailing metadata.

    Clients refuse metadata of more than 8 KiB by default (`grpc.max_metadata_size`), all of it
    and a third for base64 counted, so a long rejection loses verdicts at the end: `Explain` and
    the JSON gateway have no such bound.
    """
    data = rejection.SerializeToString()
    if len(data) <= _TRAILER_BYTES:
        return data
    short = Rejection()
    short.CopyFrom(rejection)
    short.sentence = details_of(short.sentence)
    while len(data) > _TRAILER_BYTES and (short.verdicts or short.holders):
        longer = short.verdicts or short.holders
        del longer[len(longer) // 2 :]
        data = short.SerializeToString()
    return data if len(data) <= _TRAILER_BYTES else b""


def details_of(sentence: str) -> str:
    """Give *sentence* as far as the metadata has room for it."""
    if len(sentence) <= _SENTENCE_CHARACTERS:
        return sentence
    return sentence[: _SENTENCE_CHARACTERS - 1] + "…"
