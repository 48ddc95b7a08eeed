"""Replaces a file of the simulator directory at one stroke: nobody ever reads half of it."""

import os
from pathlib import Path


def replace_text(file: Path, text: str) -> None:
    """Write *text* beside *file*, and rename it; all may read it.

    Raises:
        OSError: It cannot be written; the file is as it was.
    """
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    # Never through a link: the directory may be one that others write to.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(fresh, flags, 0o644), "w", encoding="utf-8") as out:
            out.write(text)
            os.fchmod(out.fileno(), 0o644)  # whatever the umask is
        fresh.replace(file)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
