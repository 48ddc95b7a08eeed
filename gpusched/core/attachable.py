"""What a caller may attach: processes of his own, and a cgroup that nobody else comes into."""

from gpusched.core.cgroup_kind import encloses, is_ones_own
from gpusched.core.enforcing import usable_in
from gpusched.core.ids import Caller
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Refusal, Rejected
from gpusched.core.standing import Standing


def foreign(caller: Caller, standing: Standing) -> Rejected | None:
    """Refuse to attach another user's process, unless an administrator asks."""
    if caller.admin:
        return None
    if not standing.tree:
        sentence = f"no process is in {standing.cgroup}; start one there first"
        return Rejected(Refusal.WRONG_STATE, sentence)
    for member in standing.tree:
        if set(member.uids) != {caller.uid}:
            sentence = (
                f"process {member.process.pid} has uids {', '.join(map(str, member.uids))};"
                f" uid {caller.uid} may attach only its own processes"
            )
            return Rejected(Refusal.NOT_ALLOWED, sentence)
    return None


def shared(ledger: Ledger, path: str, caller: Caller) -> Rejected | None:
    """Refuse a cgroup that others may come into, unless an administrator asks.

    The mask would hold for them, too.
    """
    # Into one that was made for a lease comes nobody who did not ask.
    made = any(one.cgroup is not None and one.cgroup.made for one in ledger.in_cgroup(path))
    if caller.admin or made or is_ones_own(path, caller.uid):
        return None
    sentence = (
        f"{path} is no service, scope or container, and not in the slice of uid {caller.uid}:"
        " others who come there would have its mask; attach a process by its pid, or let an"
        " administrator attach the cgroup"
    )
    return Rejected(Refusal.NOT_ALLOWED, sentence)


def unfit(ledger: Ledger, here: str) -> Rejected | None:
    """Refuse a cgroup in or around one that is masked for another lease, and one that is killed.

    The masks of both would hold for whoever is in the inner one.
    """
    if any(one.clocks.kill is not None for one in ledger.in_cgroup(here)):
        return Rejected(Refusal.WRONG_STATE, f"the processes in {here} are being ended")
    for path in ledger.cgroups():
        within = encloses(path, here)
        if (within or encloses(here, path)) and (others := usable_in(ledger, path)):
            where = f"{here} lies in {path}" if within else f"in {here} lies {path}"
            first = others[0].id
            sentence = (
                f"{where}, which has the mask of {first};"
                f" `gpusched release {first}` first, or attach that cgroup"
            )
            return Rejected(Refusal.WRONG_STATE, sentence)
    return None
