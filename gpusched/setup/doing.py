"""Does the steps of setup, each so that doing it again changes nothing.

The only file of setup that changes the host.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from gpusched.setup.steps import (
    Delete,
    DeleteEmpty,
    Execute,
    Link,
    Reason,
    SetupFault,
    Step,
    Write,
)

# A caller's Python path would put another package in place of the installed one.
_NOT_PASSED_ON = frozenset({"PYTHONPATH", "PYTHONHOME"})
_PIECE = 200


def do(steps: Iterable[Step], tell: Callable[[str], None]) -> None:
    """Do *steps* in turn, telling of each that may take a while or changes something.

    Raises:
        SetupFault: One failed; those before it are done, and doing all again is safe.
    """
    for step in steps:
        try:
            if _needed(step):
                tell(step.title)
                _do(step)
        except OSError as error:
            why = f"{error.strerror} ({error.filename})"
            sentence = f"{step.title}: {why}; mend that and run setup again"
            raise SetupFault(Reason.FAILED, sentence) from None


def said(*command: str) -> str:
    """Give what a program prints; empty where it fails or is not there."""
    with contextlib.suppress(OSError):
        return _run(command).stdout
    return ""


def _needed(step: Step) -> bool:
    match step:
        case Execute():
            return True
        case Write(path, text):
            return path.is_symlink() or not path.exists() or path.read_bytes() != text.encode()
        case Link(path, target):
            return not path.is_symlink() or path.readlink() != target
        case Delete(path):
            return os.path.lexists(path)
        case DeleteEmpty(path):
            return path.is_dir() and not any(path.iterdir())


def _do(step: Step) -> None:
    if isinstance(step, Execute):
        _execute(step)
    else:
        _change(step)


def _change(step: Write | Link | Delete | DeleteEmpty) -> None:
    match step:
        case Write(path, text):
            _replace(path, lambda new: _write(new, text))
        case Link(path, target):
            _replace(path, lambda new: new.symlink_to(target))
        case Delete(path):
            if path.is_dir() and not path.is_symlink():
                _refuse_mounts(path)
                shutil.rmtree(path)
            else:
                path.unlink()
        case DeleteEmpty(path):
            path.rmdir()


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o644)


def _replace(path: Path, make: Callable[[Path], object]) -> None:
    """Make a file under another name and rename it: nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    make(new)
    new.rename(path)


def _refuse_mounts(folder: Path) -> None:
    """Keep from emptying a file system that somebody mounted below *folder*.

    Raises:
        SetupFault: There is one.
    """
    # Anybody's mounts (FUSE) are among them, at names that need be no text.
    listing = Path("/proc/self/mountinfo").read_bytes().decode(errors="replace")
    for line in listing.removesuffix("\n").split("\n"):
        place = Path(line.split(" ")[4])
        if place.is_relative_to(folder):
            raise SetupFault(
                Reason.FAILED, f"remove {folder}: {place} is mounted; `umount {place}` first"
            )


def _execute(step: Execute) -> None:
    try:
        done = _run(step.command)
    except FileNotFoundError:
        raise SetupFault(
            Reason.FAILED,
            f"{step.title}: there is no program {step.command[0]}; {step.otherwise}",
        ) from None
    if done.returncode and not step.may_fail:
        cause = _journal(step.journal) if step.journal else ""
        cause = cause or _last(done.stderr) or _last(done.stdout) or f"code {done.returncode}"
        raise SetupFault(Reason.FAILED, f"{step.title}: {cause}; {step.otherwise}")


def _run(command: Iterable[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - words of our own, and a path that root named
        tuple(command),
        cwd="/",
        env={
            **{name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON},
            "LC_ALL": "C.UTF-8",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def _journal(unit: str) -> str:
    """Give the last line that the unit's own processes wrote."""
    return _last(said("journalctl", "-q", "-n1", "-ocat", f"_SYSTEMD_UNIT={unit}"))


def _last(text: str) -> str:
    """Give the line that names the cause: pip's last ERROR, else the last of all."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    line = (errors or lines or [""])[-1].removeprefix("ERROR:").removeprefix("gpusched:")
    return line.strip()[:_PIECE]
