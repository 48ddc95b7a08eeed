"""Who is looked at on the event loop when a process is to be attached, and who is not."""

import threading

from gpusched.core.ids import ProcessId
from gpusched.ports import Standing
from gpusched.rpc.standing import standing_of
from tests.fakes.processes import FakeProcessTable

HERE = threading.get_ident


class Watched(FakeProcessTable):
    """Notes in which threads a look went to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []

    def standing(self, process: ProcessId, most: int | None = None) -> Standing | None:
        found = super().standing(process, most)
        self.threads.append(HERE())
        return found


async def test_nobody_waits_while_a_large_family_is_looked_at() -> None:
    """A few processes are looked at at once; of a thousand the look is taken in a thread, or
    whoever has them could keep all other users waiting by asking again and again.
    """
    table = Watched()
    few, many = table.start(uid=7), table.start(uid=7)
    for _ in range(1000):
        table.start(parent=many)
    assert len((await standing_of(table, few)).tree) == 1
    assert table.threads == [HERE()]
    assert len((await standing_of(table, many)).tree) == 1001
    assert table.threads[1:] != [HERE()]
    assert len(table.threads) == 2
