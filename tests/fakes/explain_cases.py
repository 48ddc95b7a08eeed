"""Golden texts of refusals and explanations, read from files: a situation, commands, output.

The format is told in `tests/unit/golden/explain/README.md`.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tests.fakes.situation import Step

FOLDER = Path(__file__).parent.parent / "unit" / "golden" / "explain"
OTHERS = "GPUSCHED_EXPLAIN_DIR"
"""Names a folder with the cases of somebody else, which are run as well."""

_KEYS = {"about", "host", "config", "start", "before", "run"}
_RUN_KEYS = {"command", "by", "code", "output"}


@dataclass(frozen=True)
class Case:
    """One command in one situation.

    Attributes:
        name: Its file and command.
        host: The devices.
        config: The configuration file.
        start: What the first sample shows.
        before: What has happened since.
        command: What is typed.
        by: Who types it.
        code: The exit code.
        output: All that is printed; complaints last.
    """

    name: str
    host: tuple[str, ...]
    config: str
    start: Mapping[str, object]
    before: tuple[Step, ...]
    command: str
    by: str
    code: int
    output: str


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
    strange = [*(table.keys() - _KEYS), *(key for run in runs for key in run.keys() - _RUN_KEYS)]
    if strange or not runs or "host" not in table:
        raise ValueError(
            f"{file}: wants host and run, and knows no {', '.join(strange) or 'more'}"
        )
    for run in runs:
        command = str(run["command"])
        yield Case(
            name=f"{file.stem}: {command}",
            host=tuple(cast("list[str]", table["host"])),
            config=str(table.get("config", "")),
            start=cast("dict[str, object]", table.get("start", {})),
            before=tuple(cast("list[Step]", table.get("before", []))),
            command=command,
            by=str(run.get("by", "ann")),
            code=int(str(run.get("code", 0))),
            output=str(run["output"]),
        )
