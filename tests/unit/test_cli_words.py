"""The words of the command line: commands, flags, help, mistakes."""

import pytest

from gpusched.cli import main as command_line
from gpusched.cli.completion import script
from gpusched.cli.index import INDEX
from gpusched.cli.parser import Help, load, parse, parser_of

PLANNED = {
    *("serve", "setup", "config", "status", "devices", "types", "leases", "processes"),
    *("events", "explain", "doctor", "run", "allocate", "env", "attach", "adopt", "renew"),
    *("release", "cancel", "revoke", "forget", "cordon", "uncordon", "drain", "guard"),
    *("nvml", "bentoml", "nvidia-smi", "completion"),
}
"""Every command of the design."""

FLAGS = {
    "run": "--gpus --device --memory --gpu-type --mig --wait --time-limit --priority --enforce"
    " --mask-format --label",
    "allocate": "--gpus --device --memory --attach-deadline --format",
    "explain": "--gpus --lease --device",
    "env": "--format",
    "attach": "--pid --cgroup --unit --container",
    "release": "--kill --grace --no-wait",
    "revoke": "--reason --grace --signal-in-place --no-wait",
    "leases": "--mine --ended",
    "status": "--watch",
    "events": "--follow",
    "config": "--config",
    "doctor": "--cuda --state-dir",
    "serve": "--socket --state-dir --config --simulate --advisory --log-level",
}


def never(_options: object) -> int:
    """Stands where the daemon would be started."""
    raise AssertionError


def test_every_planned_command_is_there() -> None:
    """Nobody who read about a command is told that he mistyped it."""
    assert set(INDEX) == PLANNED


@pytest.mark.parametrize("name", list(INDEX))
def test_help_has_an_example(name: str) -> None:
    """The help of a command says what it does and ends with a command to paste."""
    with pytest.raises(Help) as caught:
        parse([name, "--help"])
    text = str(caught.value)
    assert INDEX[name].summary.split()[0] in text
    assert f"example:\n  {INDEX[name].example}" in text
    assert "gpusched" in INDEX[name].example


@pytest.mark.parametrize("name", list(INDEX))
def test_help_fits_the_terminal(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command does and what it takes is wrapped; what is pasted is in one piece."""
    monkeypatch.setenv("COLUMNS", "60")
    text = parser_of(name, load(name)).format_help()
    wide = [line for line in text.splitlines() if len(line) > 60]
    assert [one for one in wide if not one.startswith("usage: ") and "gpusched" not in one] == []


@pytest.mark.parametrize("name", list(FLAGS))
def test_flags(name: str) -> None:
    """Each command has the flags of the design, and those of every command."""
    text = parser_of(name, load(name)).format_help()
    for flag in (*FLAGS[name].split(), "--socket", "--json", "--quiet", "--help"):
        assert flag in text


def test_the_overview_names_everything() -> None:
    """`gpusched --help` lists the commands and has an example for each global flag."""
    with pytest.raises(Help) as caught:
        parse(["--help"])
    text = str(caught.value)
    assert all(f"\n  {name} " in text for name in INDEX)
    assert text.count("example:") >= 6


@pytest.mark.parametrize(
    "words",
    [
        ["--socket", "/x", "--json", "status"],
        ["status", "--json", "--socket", "/x"],
        ["--json", "status", "--socket=/x"],
    ],
)
def test_global_flags_stand_anywhere(words: list[str]) -> None:
    """Global flags are accepted before and behind the command."""
    invocation, _ = parse(words)
    assert (invocation.options.socket, invocation.json) == ("/x", True)


def test_what_is_behind_the_dashes_is_the_commands() -> None:
    """`run` leaves alone what is behind `--`, flags of its own name included."""
    invocation, _ = parse(["run", "--gpus", "2", "--", "sh", "--json", "--", "-c"])
    assert invocation.options.command == ["sh", "--json", "--", "-c"]
    assert (invocation.options.gpus, invocation.json) == ((2, None), False)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "no command"),
        (["statsu"], "perhaps 'status' is meant"),
        (["frobnicate"], "there is no command 'frobnicate'; see"),
        (["--frob", "status"], "there is no global flag --frob"),
        (["status", "--frob"], "unrecognized arguments: --frob; see `gpusched status --help`"),
        (["release"], "required: LEASE"),
        (["run", "python"], "there is no `--`"),
        (["run", "--"], "no command behind `--`"),
        (["run", "--gpus", "two", "--", "true"], "'two' is not a number of devices"),
        (["run", "--gpus", "-1", "--", "true"], "'-1' is not a number of devices"),
        (["run", "--gpus", "1-", "--", "true"], "'1-' is not a number of devices, nor N-M"),
        (["run", "--gpus", "4-2", "--", "true"], "'4-2': M is less than N"),
        (["run", "--memory", "4", "--", "true"], "--memory: '4' is not a size"),
        (["run", "--memory", "0%", "--", "true"], "--memory: '0%' is not more than 0%"),
        (["run", "--time-limit", "4", "--", "true"], "--time-limit: '4' is not a time"),
        (["run", "--wait", "4", "--", "true"], "--wait: '4' is not a time"),
        (["run", "--label", "team", "--", "true"], "'team' is not KEY=VALUE"),
        (["explain", "--lease", "l", "--gpus", "1"], "--lease stands alone"),
        (["attach", "l", "--pid", "0"], "'0' is not a process id"),
        (["adopt", "9999999999"], "'9999999999' is not a process id"),
        (["drain", "0", "--reason", "r", "--deadline", "5"], "--deadline: '5' is not a time"),
        (["attach", "l"], "say what, in one of these ways"),
        (["attach", "l", "--unit", "u", "--pid", "1"], "say what, in one of these ways"),
        (["attach", "l", "--pid", "7", "--cgroup", "/c"], "say what, in one of these ways"),
        (["release", "l", "--grace", "3s"], "go with --kill"),
        (["release", "l", "--no-wait"], "go with --kill"),
        (["release", "l", "--kill", "--grace", "3"], "--grace: '3' is not a time"),
        (["revoke", "l"], "required: --reason"),
        (["forget"], "required: DEVICE"),
        (["bentoml"], "only `serve` takes devices"),
        (["bentoml", "build", "--json"], "only `serve` takes devices"),
        (["config", "frob"], "invalid choice"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be done is one line with the next step and exit code 64, asking no daemon."""
    assert command_line.main(["--socket", "/nowhere", *words], never) == 64
    out, error = capsys.readouterr()
    assert out == ""
    assert part in error
    assert error.startswith("gpusched: ")
    assert error.count("\n") == 1


def test_serve_is_handed_on() -> None:
    """The command line reads the words of `serve` and lets its caller run the daemon."""
    seen: list[object] = []

    def serve(options: object) -> int:
        seen.append(options)
        return 7

    words = ["serve", "--simulate", "4xL4", "--socket", "/s", "--log-level", "debug"]
    assert command_line.main(words, serve) == 7
    assert "simulate='4xL4'" in repr(seen[0])
    assert "state_dir=None" in repr(seen[0])
    assert "advisory=False" in repr(seen[0])


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the version and ends well."""
    assert command_line.main(["--version"], never) == 0
    assert capsys.readouterr().out.startswith("gpusched 0.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command_and_flag(shell: str) -> None:
    """The scripts are made from the parsers: a new flag is completed at once."""
    text = script(shell)
    assert all(name in text for name in INDEX)
    assert "attach-deadline" in text
    assert "signal-in-place" in text
    assert "relative" in text  # a choice of --mask-format
    assert "SUPPRESS" not in text
