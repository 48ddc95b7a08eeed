"""Refusals on the command line: why, what would do as a command to paste, and the exit code."""

import json
from pathlib import Path

import pytest

from gpusched.cli import main as command_line
from tests.fakes.gateway import gateway, refusal
from tests.fakes.messages import Fields
from tests.integration.test_cli import never, words_for


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("BAD_REQUEST", 64),
        ("LATER", 75),
        ("NEVER_HERE", 78),
        ("NOT_ALLOWED", 77),
        ("NOT_FOUND", 64),
        ("NOT_YET", 64),
        ("WRONG_STATE", 64),
    ],
)
def test_a_refusal_explains_itself(
    socket_folder: Path, capsys: pytest.CaptureFixture[str], kind: str, code: int
) -> None:
    """A refusal is one sentence, the command that would do in the words typed (for the daemon that
    was asked, and with what else was typed of an allocation), an exit code.
    """
    no = refusal(
        "FAILED_PRECONDITION",
        "0 and 1: held by\nbob",
        {
            "kind": f"REJECTION_KIND_{kind}",
            "nearest_command": "gpusched run --gpus 1 -- CMD",
            "hint_command": "gpusched explain --gpus 2",
        },
    )
    with gateway(socket_folder, {"Leases/Allocate": no}) as served:
        flags = "allocate --gpus 2 --attach-deadline 2m"
        assert command_line.main(words_for(served.path, flags), never) == code
        allocate = capsys.readouterr()
        words = words_for(served.path, "run --gpus 2 -- sh -c")
        assert command_line.main([*words, "echo hi"], never) == code
    run = capsys.readouterr()
    assert allocate.out == ""
    assert allocate.err == (
        "gpusched: 0 and 1: held by bob\n"
        f"gpusched: the nearest that would do: gpusched --socket {served.path} allocate --gpus 1"
        " --attach-deadline 2m\n"
    )
    assert run.err.endswith(f"{served.path} run --gpus 1 -- sh -c 'echo hi'\n")


def test_a_refusal_with_a_hint(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing nearer fits, the command that tells more is named; --json has it all."""
    rejection: Fields = {"kind": "REJECTION_KIND_LATER", "hint_command": "gpusched explain"}
    no = refusal("RESOURCE_EXHAUSTED", "all busy", rejection)
    with gateway(socket_folder, {"Leases/Allocate": no}) as served:
        assert command_line.main(words_for(served.path, "allocate --json"), never) == 75
    out, error = capsys.readouterr()
    more = f"gpusched --socket {served.path} explain"
    assert error == f"gpusched: all busy\ngpusched: this tells more: {more}\n"
    details = {"code": "RESOURCE_EXHAUSTED", "message": "all busy", "rejection": rejection}
    assert json.loads(out) == {"error": details}


@pytest.mark.parametrize(
    ("field", "sentence", "told"),
    [
        ("gpu_types", "gpu_types: this host has no 'h1'", "--gpu-type: this host has no 'h1'"),
        ("sharing", "sharing: set `memory_bytes`", "--sharing: set `--memory`"),
        ("", "a share by `memory_bytes`", "a share by `--memory`"),
        ("pool", "name one as `pool` (`--pool`)", "name one as `pool` (`--pool`)"),
    ],
)
def test_a_field_is_named_as_its_flag(
    socket_folder: Path,
    capsys: pytest.CaptureFixture[str],
    field: str,
    sentence: str,
    told: str,
) -> None:
    """What the API calls a field the user types as a flag."""
    rejection: Fields = {"kind": "REJECTION_KIND_BAD_REQUEST", "field": field}
    no = refusal("INVALID_ARGUMENT", sentence, rejection)
    with gateway(socket_folder, {"Leases/Allocate": no}) as served:
        assert command_line.main(words_for(served.path, "allocate"), never) == 64
    assert capsys.readouterr().err == f"gpusched: {told}\n"


def test_a_refusal_has_the_words_that_were_typed(
    socket_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A field that the user typed without a flag is named as the help names it."""
    sentence = "lease_id: 2 leases begin with 'l': lease-a, lease-b"
    no = refusal(
        "INVALID_ARGUMENT",
        sentence,
        {"kind": "REJECTION_KIND_BAD_REQUEST", "field": "lease_id", "sentence": sentence},
    )
    with gateway(socket_folder, {"Leases/Environment": no}) as served:
        assert command_line.main(words_for(served.path, "env l"), never) == 64
    assert capsys.readouterr().err == (
        "gpusched: LEASE: 2 leases begin with 'l': lease-a, lease-b\n"
    )
