"""Golden cases of `gpusched nvidia-smi`, read from files: a scenario, commands, what they print.

The format is told in `tests/integration/smi_golden/README.md`.
"""

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

FOLDER = Path(__file__).parent.parent / "integration" / "smi_golden"
OTHERS = "GPUSCHED_GOLDEN_DIR"
"""Names a folder with the cases of somebody else, which are run as well."""

_KEYS = {"about", "scenario", "at", "run", "command", "code", "output", "lines"}
_RUN_KEYS = {"command", "code", "output", "lines"}
_AT = "2026-11-22T15:29:36Z"


@dataclass(frozen=True)
class Case:
    """One command on one host.

    Attributes:
        name: Its file and command.
        scenario: What the simulator is told.
        at: When the survey is made; the screen's date is that of UTC.
        words: The words behind `nvidia-smi`.
        code: The exit code.
        output: All that is printed; None where only lines are compared.
        lines: Lines that are printed, in this order and perhaps with others between them.
    """

    name: str
    scenario: str
    at: str
    words: tuple[str, ...]
    code: int
    output: str | None
    lines: tuple[str, ...]


def cases() -> list[Case]:
    """Give the cases of all folders.

    Raises:
        ValueError: A file is not of the format.
    """
    folders = [FOLDER]
    if os.environ.get(OTHERS):
        folders.append(Path(os.environ[OTHERS]))
    files = [file for folder in folders for file in sorted(folder.glob("*.toml"))]
    return [case for file in files for case in _of(file)]


def _of(file: Path) -> Iterator[Case]:
    table = cast("dict[str, object]", tomllib.loads(file.read_text(encoding="utf-8")))
    runs = cast("list[dict[str, object]]", table.get("run", []))
    unknown = (table.keys() - _KEYS) | {key for run in runs for key in run.keys() - _RUN_KEYS}
    if unknown or "scenario" not in table:
        raise ValueError(f"{file}: wrong keys {sorted(unknown)}, or no scenario")
    if "command" in table or not runs:
        runs = [{key: table[key] for key in _RUN_KEYS & table.keys()}, *runs]
    for run in runs:
        words = str(run.get("command", ""))
        if "output" not in run and "lines" not in run:
            raise ValueError(f"{file}: {words}: neither output nor lines")
        yield Case(
            name=f"{file.stem}: nvidia-smi {words}".rstrip(),
            scenario=str(table["scenario"]),
            at=str(table.get("at", _AT)),
            words=tuple(words.split()),
            code=int(str(run.get("code", 0))),
            output=cast("str | None", run.get("output")),
            lines=tuple(str(run.get("lines", "")).splitlines()),
        )
