"""The durable form of what is known of a device beside its leases: ghost memory and marks.

WARNING: as in `rows`, a change of a form needs a migration in `schema`.
"""

from gpusched.adapters.store.fields import Fields, parsed
from gpusched.adapters.store.parts import compact, moment_of, moment_row
from gpusched.core.ghost import Ghost
from gpusched.core.ids import LeaseId
from gpusched.core.marks import Cordon, Marks, Taint, TaintEffect


def ghost_row(ghost: Ghost) -> str:
    """Give the value of `ghost.row`."""
    row = {
        "memory": ghost.memory,
        "baseline": ghost.baseline,
        "lease": ghost.lease,
        "since": moment_row(ghost.since),
    }
    return compact(row)


def decode_ghost(text: str) -> Ghost:
    """Read ghost memory back from its row.

    Raises:
        UnreadableRow: As `rows.decode_lease`.
    """
    row = Fields(parsed(text))
    return Ghost(
        memory=row.number("memory"),
        baseline=row.number("baseline"),
        lease=LeaseId(row.text("lease")),
        since=moment_of(row.fields("since")),
    )


def marks_row(marks: Marks) -> str:
    """Give the value of `mark.row`."""
    cordon = marks.cordon
    row = {
        "cordon": None if cordon is None else _cordon_row(cordon),
        "taints": [_taint_row(one) for one in marks.taints],
    }
    return compact(row)


def decode_marks(text: str) -> Marks:
    """Read the marks of a device back from their row.

    Raises:
        UnreadableRow: As `rows.decode_lease`.
    """
    row = Fields(parsed(text))
    return Marks(
        cordon=row.maybe("cordon", lambda key: _cordon(row.fields(key))),
        taints=tuple(_taint(one) for one in row.rows("taints")),
    )


def _cordon_row(cordon: Cordon) -> dict[str, object]:
    return {
        "reason": cordon.reason,
        "uid": cordon.uid,
        "user": cordon.user,
        "at": moment_row(cordon.at),
        "deadline": cordon.deadline,
        "in_place": cordon.in_place,
    }


def _cordon(row: Fields) -> Cordon:
    return Cordon(
        reason=row.text("reason"),
        uid=row.number("uid"),
        user=row.text("user"),
        at=moment_of(row.fields("at")),
        deadline=row.maybe("deadline", row.instant),
        in_place=row.flag("in_place"),
    )


def _taint_row(taint: Taint) -> dict[str, object]:
    return {
        "key": taint.key,
        "effect": taint.effect.value,
        "reason": taint.reason,
        "at": moment_row(taint.at),
        "clears": taint.clears,
        "recovery": taint.recovery,
    }


def _taint(row: Fields) -> Taint:
    return Taint(
        key=row.text("key"),
        effect=row.word("effect", TaintEffect),
        reason=row.text("reason"),
        at=moment_of(row.fields("at")),
        clears=row.maybe("clears", row.instant),
        recovery=row.text("recovery"),
    )
