"""What every store promises: the same sentences for the fake and for SQLite."""

from dataclasses import replace

import pytest

from gpusched.core.changes import (
    DriverReleased,
    GhostChanged,
    LeaseChanged,
    LeaseForgotten,
    MarksChanged,
    StoryKind,
    StoryLine,
    StoryTold,
)
from gpusched.core.ghost import Ghost
from gpusched.core.ids import BootId, DeviceUuid, Instant, LeaseId, Moment, RequestId
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.marks import UNMARKED, Cordon, Marks, Taint, TaintEffect
from gpusched.core.request import Request
from gpusched.core.share import Share
from gpusched.ports import Stored, StoreError
from tests.ports.store_worlds import FIRST_BOOT, Start, batch

SECOND_BOOT = BootId("22222222-2222-2222-2222-222222222222")


def lease(number: int, state: LeaseState = LeaseState.ACTIVE) -> Lease:
    return Lease(
        id=LeaseId(f"lease-{number:010}"),
        state=state,
        request=Request(request_id=RequestId(f"request-{number}")),
        uid=1000,
        gid=1000,
        user="ann",
        shares=(Share(DeviceUuid("GPU-1"), "GPU-1", None),),
        created=Moment(Instant(number), number),
    )


def told(number: int) -> StoryTold:
    return StoryTold(
        StoryLine(number, StoryKind.GRANTED, f"lease-{number}", "granted", sequence=number)
    )


def kept(stored: Stored) -> dict[LeaseId, Lease]:
    return {lease.id: lease for lease in stored.leases}


def test_new_store_is_empty(start: Start) -> None:
    """A new store has no leases, no history, no boot and generation 0."""
    assert start().load(FIRST_BOOT) == Stored()


def test_new_store_is_of_its_first_boot(start: Start) -> None:
    """A store that was never written belongs to the boot that made it."""
    start().load(FIRST_BOOT)
    assert start().load(SECOND_BOOT) == Stored(boot_id=FIRST_BOOT)


def test_commit_is_kept(start: Start) -> None:
    """What was committed is there after a restart, together with generation, instant and boot."""
    store = start()
    store.load(FIRST_BOOT)
    store.commit(batch(LeaseChanged(lease(1)), told(1), generation=7))
    assert start().load(SECOND_BOOT) == Stored(
        leases=(lease(1),),
        stories=(told(1).line,),
        boot_id=FIRST_BOOT,
        alive_at=Instant(70),
        generation=7,
    )


def test_power_safe_commit_is_kept(start: Start) -> None:
    """Batches that must survive a loss of power and others may alternate."""
    store = start()
    store.load(FIRST_BOOT)
    for number in range(1, 5):
        changed = LeaseChanged(lease(number))
        store.commit(batch(changed, generation=number, power_safe=number % 2 == 0))
    assert len(start().load(FIRST_BOOT).leases) == 4


def test_boot_goes_on_record_with_commit(start: Start) -> None:
    """A daemon that dies before it has ended the leases of the former boot leaves that boot on
    record, so that the next one ends them.
    """
    store = start()
    store.load(FIRST_BOOT)
    store.commit(batch(LeaseChanged(lease(1))))
    start().load(SECOND_BOOT)
    store = start()
    assert store.load(SECOND_BOOT).boot_id == FIRST_BOOT
    store.commit(batch(generation=2))
    assert start().load(SECOND_BOOT).boot_id == SECOND_BOOT


def test_last_version_of_lease_wins(start: Start) -> None:
    """Of several versions of a lease, in one batch or in two, the last decided is kept."""
    first, second = lease(1, LeaseState.RESERVED), lease(1, LeaseState.ACTIVE)
    third = replace(
        second,
        state=LeaseState.ENDED,
        ended=Moment(Instant(9), 9),
        reason=EndReason.RELEASED,
    )
    store = start()
    store.load(FIRST_BOOT)
    store.commit(batch(LeaseChanged(first), LeaseChanged(second)))
    assert kept(start().load(FIRST_BOOT)) == {second.id: second}
    store = start()
    store.load(FIRST_BOOT)
    store.commit(batch(LeaseChanged(third), generation=2))
    assert kept(start().load(FIRST_BOOT)) == {third.id: third}


def test_forgotten_lease_is_gone(start: Start) -> None:
    """A forgotten lease is gone, also when it changed in the same batch; the others stay."""
    store = start()
    store.load(FIRST_BOOT)
    store.commit(batch(LeaseChanged(lease(1)), LeaseChanged(lease(2)), LeaseChanged(lease(3))))
    store.commit(
        batch(
            LeaseForgotten(lease(1).id),
            LeaseChanged(lease(2, LeaseState.ENDED)),
            LeaseForgotten(lease(2).id),
            generation=2,
        )
    )
    assert kept(start().load(FIRST_BOOT)) == {lease(3).id: lease(3)}


def test_forgetting_the_unknown_succeeds(start: Start) -> None:
    """Forgetting a lease that was never kept changes nothing."""
    store = start()
    store.load(FIRST_BOOT)
    store.commit(batch(LeaseForgotten(LeaseId("lease-none"))))
    assert start().load(FIRST_BOOT).leases == ()


def test_lease_may_come_back_in_one_batch(start: Start) -> None:
    """Changes take effect in their order: a lease forgotten and changed again is kept."""
    store = start()
    store.load(FIRST_BOOT)
    store.commit(
        batch(LeaseChanged(lease(1)), LeaseForgotten(lease(1).id), LeaseChanged(lease(1)))
    )
    assert kept(start().load(FIRST_BOOT)) == {lease(1).id: lease(1)}


def ghost(number: int) -> Ghost:
    return Ghost(number, number + 1, lease(number).id, Moment(Instant(number), number))


def test_ghost_memory_is_kept_until_it_is_gone(start: Start) -> None:
    """Ghost memory is kept by device with its figures, the last decided, until it is gone."""
    one, two = DeviceUuid("GPU-1"), DeviceUuid("GPU-2")
    store = start()
    store.load(FIRST_BOOT)
    store.commit(batch(GhostChanged(one, ghost(1)), GhostChanged(two, ghost(2))))
    assert start().load(FIRST_BOOT).ghosts == {one: ghost(1), two: ghost(2)}
    store = start()
    store.load(FIRST_BOOT)
    store.commit(batch(GhostChanged(one, None), GhostChanged(two, ghost(3)), generation=2))
    assert start().load(FIRST_BOOT).ghosts == {two: ghost(3)}


def test_marks_are_kept_until_they_are_taken_off(start: Start) -> None:
    """The marks of a device are what was last written of them, and nothing once they are off."""
    store = start()
    store.load(FIRST_BOOT)
    one, two = DeviceUuid("GPU-1"), DeviceUuid("GPU-2")
    now = Moment(Instant(1), 2)
    cordoned = Marks(Cordon("fan", 0, "root", now))
    tainted = Marks(taints=(Taint("xid-79", TaintEffect.NO_SCHEDULE, "lost", now),))
    store.commit(batch(MarksChanged(one, cordoned), MarksChanged(two, cordoned)))
    assert start().load(FIRST_BOOT).marks == {one: cordoned, two: cordoned}
    store = start()
    store.load(FIRST_BOOT)
    store.commit(batch(MarksChanged(one, UNMARKED), MarksChanged(two, tainted), generation=2))
    assert start().load(FIRST_BOOT).marks == {two: tainted}


@pytest.mark.parametrize("why", ["", "driver 580"])
def test_that_the_driver_is_let_go_is_kept(start: Start, why: str) -> None:
    """A daemon that starts while the driver is let go knows it, with the operator's reason."""
    store = start()
    assert store.load(FIRST_BOOT).released is None
    store.commit(batch(DriverReleased(None), DriverReleased(why)))
    assert start().load(FIRST_BOOT).released == why
    store = start()
    store.load(FIRST_BOOT)
    store.commit(batch(DriverReleased(None), generation=2))
    assert start().load(FIRST_BOOT).released is None


def test_ghost_memory_that_comes_and_goes_in_one_batch_is_gone(start: Start) -> None:
    """Of several changes of a device's ghost memory in one batch the last is kept, also where
    there was none to begin with.
    """
    gone, back = DeviceUuid("GPU-1"), DeviceUuid("GPU-2")
    store = start()
    store.load(FIRST_BOOT)
    store.commit(
        batch(
            GhostChanged(gone, ghost(1)),
            GhostChanged(gone, None),
            GhostChanged(back, None),
            GhostChanged(back, ghost(2)),
        )
    )
    assert start().load(FIRST_BOOT).ghosts == {back: ghost(2)}


def test_newest_thousand_lines_oldest_first(start: Start) -> None:
    """A start gets the newest 1000 story lines, oldest first, whatever order they came in."""
    store = start()
    store.load(FIRST_BOOT)
    store.commit(batch(*(told(number) for number in range(1500, 0, -1))))
    stories = start().load(FIRST_BOOT).stories
    assert [line.sequence for line in stories] == list(range(501, 1501))


def test_history_is_never_rewritten(start: Start) -> None:
    """A batch with a story line that is there already is refused whole."""
    store = start()
    store.load(FIRST_BOOT)
    store.commit(batch(told(1)))
    haunted = GhostChanged(DeviceUuid("GPU-1"), ghost(1))
    with pytest.raises(StoreError):
        store.commit(batch(LeaseChanged(lease(1)), haunted, told(1), generation=2))
    stored = start().load(FIRST_BOOT)
    assert (stored.leases, stored.ghosts, stored.generation) == ((), {}, 1)


def test_store_goes_on_after_refused_batch(start: Start) -> None:
    """A refused batch leaves a store that takes the next one."""
    store = start()
    store.load(FIRST_BOOT)
    store.commit(batch(told(1)))
    with pytest.raises(StoreError):
        store.commit(batch(told(1), generation=2))
    store.commit(batch(told(2), generation=3))
    assert start().load(FIRST_BOOT).generation == 3


def test_commit_needs_open_store(start: Start) -> None:
    """Before it is loaded and after it is closed a store takes nothing, in a sentence."""
    store = start()
    with pytest.raises(StoreError, match="is not open"):
        store.commit(batch(told(1)))
    store.load(FIRST_BOOT)
    store.close()
    with pytest.raises(StoreError, match="is not open"):
        store.commit(batch(told(1)))


def test_close_is_idempotent(start: Start) -> None:
    """Closing twice, or what was never opened, is fine."""
    store = start()
    store.close()
    store.load(FIRST_BOOT)
    store.close()
    store.close()
