"""Of each user one call begins in a round of the event loop."""

import asyncio

from gpusched.rpc.turns import Turns

EVE, ADA, ROOT = 7, 8, 0


async def test_many_calls_of_one_user_leave_room_for_others() -> None:
    """Whoever calls while somebody else's thousand calls are answered waits for a few of them."""
    turns, begun = Turns(), list[int]()

    async def call(uid: int) -> None:
        await turns.of(uid)
        begun.append(uid)

    many = [asyncio.ensure_future(call(EVE)) for _ in range(1000)]
    await asyncio.sleep(0)
    assert begun == [EVE]
    await call(ADA)
    assert len(begun) < 5
    await asyncio.gather(*many)
    assert begun.count(EVE) == len(many)


async def test_a_call_alone_begins_at_once() -> None:
    """Who has no other call under way waits for nothing, and root never does."""
    turns = Turns()
    for uid in (EVE, ADA, ROOT, ROOT):
        begin = turns.of(uid)
        try:
            begin.send(None)
        except StopIteration:
            continue
        raise AssertionError(uid)


async def test_who_goes_loses_his_turn_to_the_next() -> None:
    """A call that is given up while it waits keeps nobody behind it from beginning; when all
    have begun, nothing is remembered of them.
    """
    turns = Turns()
    _, second, third = (asyncio.ensure_future(turns.of(EVE)) for _ in range(3))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait_for(third, 10)
    assert second.cancelled()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not turns._lines
