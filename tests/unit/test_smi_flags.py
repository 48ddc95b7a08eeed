"""The flags of `gpusched nvidia-smi`: NVIDIA's spelling and NVIDIA's refusals."""

import pytest

from gpusched.cli.parser import Help, parse
from gpusched.cli.smi.flags import Flags, Refused


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("", {}),
        ("-L", {"list": ""}),
        ("--list-gpus", {"list": ""}),
        ("-q -x", {"query": "", "xml": ""}),
        ("-q -d MEMORY,ECC", {"query": "", "display": "MEMORY,ECC"}),
        ("-i 0,1", {"id": "0,1"}),
        ("--id=GPU-a", {"id": "GPU-a"}),
        ("-l 2 -f out.txt", {"loop": "2", "file": "out.txt"}),
        ("-l", {"loop": "5"}),
        ("-l -L", {"loop": "5", "list": ""}),
        ("-lms 100", {"loop_ms": "100"}),
        ("--loop=1 --layout=470", {"loop": "1", "layout": "470"}),
        (
            "--query-gpu=index --format=csv,noheader",
            {"query_gpu": "index", "format": "csv,noheader"},
        ),
        ("--query-compute-apps pid --format csv", {"query_apps": "pid", "format": "csv"}),
        ("--help-query-gpu", {"help_names": "--query-gpu"}),
    ],
)
def test_flags(words: str, given: dict[str, str]) -> None:
    """A value stands behind an equals sign or in the next word."""
    assert Flags(words.split()).given == given


@pytest.mark.parametrize(
    "words",
    [
        *("--foo", "topo", "-x", "-d ECC", "-q -x -d ECC", "-q -L", "-L --format=csv", "-i"),
        *("--layout=390", "-l 0", "-l x", "-lms 0.5", "-L=1", "--query-gpu", "-q=1", "--id="),
        "--query-gpu=index --query-compute-apps=pid --format=csv",
    ],
)
def test_what_does_not_fit_together(words: str) -> None:
    """NVIDIA's one sentence for it."""
    with pytest.raises(Refused, match=r"^Invalid combination of input arguments\. Please run"):
        Flags(words.split())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--query-gpu=index", '"--format=" switch is missing'),
        ("--query-gpu=index --format=noheader", '"--format=" needs csv'),
        ("--query-gpu=index --format=csv,tsv", '"tsv" is not a valid format'),
    ],
)
def test_formats(words: str, sentence: str) -> None:
    """A query says its format."""
    with pytest.raises(Refused, match=sentence):
        Flags(words.split())


def test_times() -> None:
    """The time between two outputs is in seconds; without one there is no second output."""
    assert Flags([]).seconds is None
    assert Flags(["-l", "2"]).seconds == 2.0
    assert Flags(["-lms", "250"]).seconds == 0.25


def test_its_flags_are_not_ours() -> None:
    """`-q` behind the command is NVIDIA's; before it, it is `--quiet`."""
    invocation, _ = parse(["--quiet", "nvidia-smi", "-q", "-x", "-i", "0"])
    assert invocation.options.quiet
    assert invocation.options.command == ["-q", "-x", "-i", "0"]
    invocation, _ = parse(["nvidia-smi", "-q"])
    assert not invocation.options.quiet


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help(word: str) -> None:
    """Help names the flags of a query and those of our own."""
    with pytest.raises(Help, match="--query-compute-apps") as caught:
        parse(["nvidia-smi", word])
    assert "--layout" in str(caught.value)
