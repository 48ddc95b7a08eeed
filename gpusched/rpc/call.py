"""One call as the services see it: who calls, and how a service refuses.

Nothing of gRPC or HTTP may enter: the same services answer both.
"""

import pwd
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from gpusched.api.v1 import rejection_pb2
from gpusched.core.ids import Caller
from gpusched.core.sight import ALL, Sight
from gpusched.rpc.peer import Peer

_REMEMBERED = 1024


class Code(Enum):
    """Status of a call, by its gRPC name."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    UNAUTHENTICATED = "UNAUTHENTICATED"


@dataclass(frozen=True, slots=True)
class Call:
    """What a service knows of the call beside its message.

    Attributes:
        caller: Who calls, named by the kernel.
    """

    caller: Caller

    def may_see(self, uid: int) -> bool:
        """Say whether the caller may see, and act on, what belongs to *uid*."""
        return self.caller.admin or self.caller.uid == uid

    def sight_of(self, uid: int | None, others: Sight) -> Sight:
        """Say what the caller may see of what belongs to *uid*; None: it is not known whose it is.

        Args:
            uid: Owner of a lease or process.
            others: What the policy lets a user see of others.
        """
        own = self.caller.admin or self.caller.uid == uid
        return ALL if own else others


class Refused(Exception):
    """A service says no.

    Attributes:
        code: The status.
        sentence: One line: what failed, why, what to do next.
        rejection: The same with all that is needed to ask better; None where there is no more.
    """

    def __init__(
        self, code: Code, sentence: str, rejection: rejection_pb2.Rejection | None = None
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.rejection = rejection


class Users:
    """Names of uids, remembered: a name service may be slow."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}

    def name(self, uid: int) -> str:
        """Give the name of *uid*; empty when it has none."""
        found = self._names.get(uid)
        if found is not None:
            return found
        try:
            name = pwd.getpwuid(uid).pw_name
        except (KeyError, OverflowError):  # a uid that pwd takes for -1 has no name either
            return ""
        self._names[uid] = name
        return name

    def group(self, uid: int) -> int:
        """Give the primary group of *uid*; the same number where it has none."""
        try:
            return pwd.getpwuid(uid).pw_gid
        except (KeyError, OverflowError):
            return uid


class Callers:
    """Makes callers of peers, and remembers them.

    As everywhere in Unix, a process keeps the groups it began with: who joins or leaves the
    administrators' group is seen so by connections of processes that began afterwards.

    Args:
        is_admin: Says of (uid, gid) whether it is root or in the administrators' group.
        users: Names of uids.
    """

    def __init__(self, is_admin: Callable[[int, int], bool], users: Users) -> None:
        self._is_admin = is_admin
        self._users = users
        self.call_of: Callable[[Peer], Call] = lru_cache(_REMEMBERED)(self._call_of)
        """Gives the call of the process at the other end of a connection."""

    def _call_of(self, peer: Peer) -> Call:
        return Call(
            Caller(
                uid=peer.uid,
                gid=peer.gid,
                process=peer.process,
                user=self._users.name(peer.uid),
                admin=self._is_admin(peer.uid, peer.gid),
                cgroup=peer.cgroup,
                groups=peer.groups,
            )
        )
