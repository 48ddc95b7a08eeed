"""The one line a user reads when the ledger cannot be used: what failed, why, what to do next.

Only sentences; whoever catches an error asks here for its words.
"""

import shlex
import sqlite3
from pathlib import Path

from gpusched.adapters.store.fields import UnreadableRow
from gpusched.adapters.store.schema import ForeignDatabase, NewerSchema
from gpusched.ports import StoreError


class CorruptFile(Exception):
    """The file is no sound database. Its text says why, without naming the file."""


def cannot_open(path: Path, error: Exception) -> StoreError:
    """Say that the ledger at *path* could not be opened; the file is as it was."""
    why, advice = _explain(path, error)
    return StoreError(f"cannot open the ledger {path}: {why}; {advice}")


def cannot_commit(path: Path, error: sqlite3.Error) -> StoreError:
    """Say that a change could not be written to the ledger at *path*."""
    why, advice = _explain(path, error)
    return StoreError(f"cannot write to the ledger {path}: {why}; {advice}")


def not_open(path: Path) -> StoreError:
    """Say that a commit came before `load` or after `close`."""
    return StoreError(f"cannot write to the ledger {path}: it is not open; restart gpusched")


def _explain(path: Path, error: Exception) -> tuple[str, str]:
    """Give the reason and the advice."""
    if isinstance(error, NewerSchema):
        advice = "use the newer gpusched that wrote it, or another state directory (--state-dir)"
        return str(error), advice
    if isinstance(error, ForeignDatabase | CorruptFile | UnreadableRow):
        return str(error), _move_away(path)
    if isinstance(error, sqlite3.Error):
        return _explain_sqlite(path, error)
    if isinstance(error, PermissionError):
        return _why(error), _make_accessible(path)
    return _why(error), "repair what is named, or use another state directory (--state-dir)"


def _explain_sqlite(path: Path, error: sqlite3.Error) -> tuple[str, str]:
    # Errors that Python's binding raises itself carry no code.
    name: str = getattr(error, "sqlite_errorname", "")
    why = f"{error} ({name})" if name else str(error)
    folder = shlex.quote(str(path.parent))
    match name.removeprefix("SQLITE_").partition("_")[0]:
        case "FULL":
            return f"the disk is full ({name})", f"make space in {folder} and start gpusched again"
        case "IOERR":
            advice = f"look for a full disk, a quota or disk errors at {folder} (df, dmesg)"
            return why, f"{advice} and start gpusched again"
        case "READONLY" | "CANTOPEN" | "PERM" | "AUTH":
            return why, _make_accessible(path)
        case "BUSY" | "LOCKED":
            advice = f"end the program that uses it (fuser {shlex.quote(str(path))})"
            return why, f"{advice} and start gpusched again"
        case _:
            return why, _move_away(path)


def _move_away(path: Path) -> str:
    # With its -wal: left behind, it would be taken for the log of the next database.
    files, broken = shlex.quote(str(path)), shlex.quote(str(path.parent / "broken"))
    return (
        "the file was left as it was; move it away to start with an empty ledger: "
        f"mkdir {broken} && mv {files}* {broken}/"
    )


def _make_accessible(path: Path) -> str:
    folder = shlex.quote(str(path.parent))
    return (
        f"let the daemon's user read and write {folder} and its files, "
        "or use another state directory (--state-dir)"
    )


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error)
