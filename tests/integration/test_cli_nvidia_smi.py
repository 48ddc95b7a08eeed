"""`gpusched nvidia-smi` against a gateway: what it prints, what it refuses, and how it ends."""

import json
import sys
from pathlib import Path
from tempfile import mkdtemp

import pytest

from gpusched import __main__ as program
from gpusched.cli import main as command_line
from tests.fakes.gateway import Script, gateway, reply
from tests.fakes.surveys import MIB, Fields, gpu, lost_gpu, row, survey

HOST = survey(gpu(0, processes=[row(333, "/usr/bin/gnome-shell", 9999 * MIB, "C+G")]), gpu(1))


def never(_options: object) -> int:
    """Stands where the daemon would be started."""
    raise AssertionError


def run(folder: Path, words: str, answer: Fields) -> int:
    script: Script = {"Node/Survey": reply(answer)}
    with gateway(Path(mkdtemp(dir=folder)), script) as served:
        before = ["--socket", str(served.path)]
        return command_line.main([*before, "nvidia-smi", *words.split()], never)


@pytest.mark.parametrize(
    ("words", "output"),
    [
        ("", "| gpusched   570.133.20             Driver Version: 570.133.20     CUDA"),
        ("--layout 470", "| gpusched   570.133.20   Driver Version: 570.133.20   CUDA Version"),
        ("-L", "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-"),
        ("-i 1 --query-gpu=index --format=csv", "index\n1\n"),
        ("--query-compute-apps=pid,name --format=csv,noheader", "333, /usr/bin/gnome-shell\n"),
        ("--version", "DRIVER version      : 570.133.20\n"),
        ("--help-query-gpu", '"name" or "gpu_name"\n'),
    ],
)
def test_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, output: str
) -> None:
    """Each form of the command prints what it is for, and ends well."""
    assert run(tmp_path, words, HOST) == 0
    out, error = capsys.readouterr()
    assert output in out
    assert error == ""


@pytest.mark.parametrize(
    ("words", "code", "output"),
    [
        ("--frobnicate", 255, "ERROR: Option --frobnicate is not recognized."),
        ("--query-gpu=cuda --format=csv", 2, 'Field "cuda" is not a valid field to query.\n\n'),
        ("--query-gpu=index", 2, '"--format=" switch is missing'),
        ("-i 7", 6, "No devices were found\n"),
        ("-f /nowhere/out.txt", 255, "Failed to create the log file /nowhere/out.txt\n\n"),
    ],
)
def test_refusals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, code: int, output: str
) -> None:
    """NVIDIA's words, where nvidia-smi prints them, with its exit code."""
    assert run(tmp_path, words, HOST) == code
    assert capsys.readouterr().out.startswith(output)


@pytest.mark.parametrize(
    ("code", "ends", "first", "last"),
    [
        (9, 9, "NVIDIA-SMI has failed because it couldn't communicate with", "running.\n\n"),
        (
            12,
            12,
            "NVIDIA-SMI couldn't find libnvidia-ml.so",
            "libnvidia-ml.so to your system PATH.\n",
        ),
        (18, 18, "Failed to initialize NVML: Driver/library", "version mismatch\n"),
        (999, 255, "Failed to initialize NVML: Unknown Error\n", "Error\n"),
        (4, 4, "Failed to initialize NVML: Insufficient Permissions\n", "Permissions\n"),
        (7, 7, "Failed to initialize NVML: The driver hangs\n", "hangs\n"),
        (0, 255, "Failed to initialize NVML: The driver hangs\n", "hangs\n"),
    ],
)
def test_a_host_without_a_driver(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    code: int,
    ends: int,
    first: str,
    last: str,
) -> None:
    """nvidia-smi's words and exit code for scripts, the daemon's sentence for people."""
    answer = {**survey(), "unavailable": "The driver hangs", "unavailable_code": code}
    assert run(tmp_path, "", answer) == ends
    out, error = capsys.readouterr()
    assert out.startswith(first)
    assert out.endswith(last)
    assert error == "gpusched: The driver hangs\n"


def test_a_host_without_gpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to show, and that is said as nvidia-smi says it."""
    assert run(tmp_path, "", survey()) == 6
    assert capsys.readouterr().out == "No devices were found\n"
    assert run(tmp_path, "-L", survey()) == 0
    assert capsys.readouterr().out == "No devices found.\n"


def test_a_lost_gpu_is_in_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What could be read is printed, and a script is told that something is wrong."""
    assert run(tmp_path, "", survey(lost_gpu(0), gpu(1))) == 15
    unknown = {**lost_gpu(0), "failure": {"code": 999, "words": "Unknown Error"}}
    assert run(tmp_path, "", survey(unknown, gpu(1))) == 255
    assert run(tmp_path, "-i 1", survey(lost_gpu(0), gpu(1))) == 0
    assert "|   1  NVIDIA A100" in capsys.readouterr().out


def test_json_is_the_survey(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As with every listing command."""
    assert run(tmp_path, "--json", HOST) == 0
    assert json.loads(capsys.readouterr().out) == HOST


def test_a_wide_terminal_shows_longer_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a terminal, and only where no branch was asked for; people are told of a simulation."""
    monkeypatch.setenv("COLUMNS", "140")
    name = "/home/alice/" + "x" * 40
    host = survey(gpu(0, processes=[row(1, name)]))
    assert run(tmp_path, "", host) == 0
    assert name not in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run(tmp_path, "", host) == 0
    out, error = capsys.readouterr()
    assert f"  {name}  " in out
    assert error == "gpusched: SIMULATED: no real GPU is behind these numbers\n"
    assert run(tmp_path, "--layout 570", host) == 0
    assert name not in capsys.readouterr().out


def test_output_goes_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`-f` writes what would be printed."""
    target = tmp_path / "out.csv"
    assert run(tmp_path, f"--query-gpu=index --format=csv -f {target}", HOST) == 0
    assert target.read_text() == "index\n0\n1\n"
    assert capsys.readouterr().out == ""


def test_a_link_named_nvidia_smi_takes_its_flags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program's own name says which command is meant; the environment names the socket."""
    with gateway(tmp_path, {"Node/Survey": reply(HOST)}) as served:
        monkeypatch.setenv("GPUSCHED_SOCKET", str(served.path))
        monkeypatch.setattr(sys, "argv", ["/usr/bin/nvidia-smi", "-L"])
        assert program.main() == 0
    assert capsys.readouterr().out.startswith("GPU 0: ")


def test_a_link_without_a_daemon_is_a_host_without_a_driver(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scripts know that answer; why is on standard error. Under our own name it is ours."""
    monkeypatch.setenv("GPUSCHED_SOCKET", str(tmp_path / "none"))
    monkeypatch.setattr(sys, "argv", ["/usr/bin/nvidia-smi"])
    assert program.main() == 9
    out, error = capsys.readouterr()
    assert out.startswith("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA")
    assert error.startswith("gpusched: ")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/gpusched", "nvidia-smi"])
    assert program.main() == 69
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
