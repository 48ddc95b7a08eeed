"""How many calls of each user are under way over gRPC, where one connection carries any number.

Over HTTP/1.1 a connection carries one, so that the bound on connections is one on calls. Nothing
of what is called may enter this file.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gpusched.rpc.call import Code, Refused

_ROOT = 0


class CallsUnderWay:
    """Counts calls by uid; root has no bound.

    Args:
        most: Calls that one user may have under way.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[int] = Counter()

    def __len__(self) -> int:
        return self._held.total()

    @contextmanager
    def one_of(self, uid: int) -> Iterator[None]:
        """Count a call of *uid* until it is over.

        Raises:
            Refused: He has as many as he may.
        """
        held = self._held[uid]
        if uid != _ROOT and held >= self._most:
            raise Refused(
                Code.RESOURCE_EXHAUSTED,
                f"uid {uid} has {held} calls under way, as many as it may: let some end first",
            )
        self._held[uid] += 1
        try:
            yield
        finally:
            self._held[uid] -= 1
            if not self._held[uid]:
                del self._held[uid]
