"""Who may use what an operator sets apart: a pool, a priority class. Values; no ledger."""

from dataclasses import dataclass

from gpusched.core.ids import Caller


@dataclass(frozen=True, slots=True)
class Rights:
    """Who may use something.

    Attributes:
        uids: Users who may.
        gids: Groups whose members may.
        words: Who may, in the words of the configuration; empty: everybody may.
    """

    uids: frozenset[int] = frozenset()
    gids: frozenset[int] = frozenset()
    words: str = ""

    def admit(self, caller: Caller) -> bool:
        """Say whether *caller* may use it; administrators may use everything."""
        if caller.admin or not self.words or caller.uid in self.uids:
            return True
        return not self.gids.isdisjoint((caller.gid, *caller.groups))


EVERYBODY = Rights()
ADMINS_ONLY = Rights(words="administrators")
