"""Specification: a notice is a value that a program can read without the API's messages."""

from datetime import UTC, datetime

from gpusched.api.v1 import lease_pb2
from gpusched.client.notices import Notice, NoticeAction, NoticeKind, notice_of


def test_a_notice_says_what_comes_and_when() -> None:
    """Kind, sentence, times and action are those of the message."""
    message = lease_pb2.Notice(
        lease_id="lease-1",
        kind=lease_pb2.NOTICE_KIND_PREEMPTION,
        sentence="it gives way",
        action=lease_pb2.NOTICE_ACTION_TERMINATE,
        device_uuid="GPU-a",
    )
    message.at.FromSeconds(10)
    message.action_at.FromSeconds(40)
    assert notice_of(message) == Notice(
        "lease-1",
        NoticeKind.PREEMPTION,
        "it gives way",
        datetime.fromtimestamp(10, UTC),
        NoticeAction.TERMINATE,
        datetime.fromtimestamp(40, UTC),
        "GPU-a",
    )


def test_a_notice_that_only_informs() -> None:
    """Without an action there is no time of one, and without a device it is of the whole lease."""
    notice = notice_of(lease_pb2.Notice(kind=lease_pb2.NOTICE_KIND_IDLE))
    assert (notice.kind, notice.action) == (NoticeKind.IDLE, NoticeAction.NOTHING)
    assert (notice.action_at, notice.device) == (None, None)


def test_every_word_of_the_protocol_is_known() -> None:
    """Each kind and action that the daemon may send has its word; what comes later is OTHER."""
    kinds = [one for one in lease_pb2.NoticeKind.values() if one]
    told = [notice_of(lease_pb2.Notice(kind=one)).kind for one in kinds]
    assert sorted(told) == sorted(set(NoticeKind) - {NoticeKind.OTHER})
    actions = [notice_of(lease_pb2.Notice(action=one)) for one in lease_pb2.NoticeAction.values()]
    assert {one.action for one in actions} == set(NoticeAction) - {NoticeAction.OTHER}
    newer = lease_pb2.Notice(kind=99, action=99)  # type: ignore[arg-type]  # a newer daemon's
    assert notice_of(newer).kind is NoticeKind.OTHER
    assert notice_of(newer).action is NoticeAction.OTHER
