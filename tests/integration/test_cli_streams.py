"""Standard streams that a caller has closed, or that nothing can be written to any more."""

import subprocess
from pathlib import Path

import pytest

from tests.fakes.gateway import gateway
from tests.integration.test_cli_run import ANSWERS, GPUSCHED


def ended(socket: Path, script: str) -> tuple[int, str, str]:
    """How a shell ends that runs gpusched as `$@` in *script*, and what it prints."""
    shell = subprocess.run(  # noqa: S603 - our own command, in a shell for its redirections
        ["/bin/sh", "-c", script, "sh", *GPUSCHED],
        env={"PATH": "/usr/bin:/bin", "GPUSCHED_SOCKET": str(socket)},
        capture_output=True,
        text=True,
        check=False,
    )
    return shell.returncode, shell.stdout, shell.stderr


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ('"$@" status >&-', 0),
        ('"$@" status >&- 2>&- <&-', 0),
        ('"$@" run -- sh -c "exit 7" >&-', 7),
        ('"$@" --help >&-', 0),
    ],
)
def test_a_closed_output_is_nobody_who_listens(
    socket_folder: Path, script: str, code: int
) -> None:
    """A command whose output its caller has closed does its work, and says nothing of that."""
    with gateway(socket_folder, ANSWERS) as served:
        assert ended(served.path, script) == (code, "", "")


def test_nothing_is_said_to_a_closed_standard_error(socket_folder: Path) -> None:
    """What is for standard error is never printed on standard output, which a shell may run."""
    with gateway(socket_folder, ANSWERS) as served:
        assert ended(served.path, '"$@" no-such-command 2>&-') == (64, "", "")


@pytest.mark.parametrize("words", ["status", "--help", "status --json", "completion bash"])
def test_an_output_that_cannot_be_written_is_no_defect(socket_folder: Path, words: str) -> None:
    """Output that finds no room is told in one line with the reason, exit code 69."""
    with gateway(socket_folder, ANSWERS) as served:
        code, _, said = ended(served.path, f'"$@" {words} >/dev/full')
    assert code == 69
    assert said == (
        "gpusched: the output cannot be written: No space left on device; make room, or send it"
        " elsewhere\n"
    )
