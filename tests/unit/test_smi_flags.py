"""The flags of `gpusched nvidia-smi`: NVIDIA's spelling and NVIDIA's refusals."""

import pytest

from gpusched.cli.parser import Help, parse
from gpusched.cli.smi.flags import Flags
from gpusched.cli.smi.refusals import Refused


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
        ("-l -q", {"loop": "5", "query": ""}),
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
    ("words", "sentence", "code"),
    [
        ("--foo", "ERROR: Option --foo is not recognized.", 255),
        ("topo -m", "ERROR: Option topo is not recognized.", 255),
        ("-q=1", "ERROR: Option 1 is not recognized.", 255),
        ("--format=csv", "ERROR: Option --format=csv is not recognized.", 255),
        ("--query-gpu=index --format=csv -q", "ERROR: Option -q is not recognized.", 2),
        ("-q -L", "ERROR: Option -q is not valid for this command.", 2),
        ("-i 0 -L", "ERROR: Option -i is not valid for this command.", 2),
        ("-L -L", "ERROR: Only one command can be run at a time.", 2),
        ("-i", "ERROR: Option -i is missing its value.", 255),
        ("--query-gpu", "ERROR: Option --query-gpu is missing its value.", 255),
        ("--id=", "ERROR: Option --id is missing its value.", 255),
        ("-x", "Invalid combination of input arguments. Specify -q/--query and -x/", 2),
        ("-d ECC", "Invalid combination of input arguments. Specify -q/--query and -d/", 2),
        ("-q -x -d ECC", "Invalid combination of input arguments: --display/-d flags", 2),
        ("--query-gpu=a --query-compute-apps=b --format=csv", "Only one --query-* switch", 2),
        ("--query-gpu=index", '"--format=" switch is missing. Please run', 2),
        ("-l 0", "Provided [-l(ms) | --loop(-ms)=] value is incorrect.", 2),
        ("-l nan", "Provided [-l(ms) | --loop(-ms)=] value is incorrect.", 2),
        ("-l x", "Provided [-l | --loop=] value is not a valid or is out of range: x.", 2),
        ("-l 1e11", "Provided [-l | --loop=] value is not a valid or is out of range: 1e11.", 2),
        (f"-lms {'9' * 400}", "Provided [-lms | --loop-ms=] value is not a valid or is out", 2),
        ("-l inf", "Provided [-l(ms) | --loop(-ms)=] value is incorrect.", 2),
        ("-lms 0.5", "Provided [-lms | --loop-ms=] value is not a valid or is out", 2),
        ("--layout 390", "Invalid combination of input arguments. Please run", 2),
        ("--layout 470 --foo", "Invalid combination of input arguments. Please run", 2),
        ("--layout 470 -q -L", "Invalid combination of input arguments. Please run", 2),
        ("--layout 470 -i", "Missing value for -i argument. Please run", 2),
    ],
)
def test_refusals(words: str, sentence: str, code: int) -> None:
    """Each in the words of NVIDIA's programs; those of branch 470 had fewer."""
    with pytest.raises(Refused) as refused:
        Flags(words.split())
    assert str(refused.value).startswith(sentence)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--format=noheader", r"^Format modifier --format=csv is mandatory\.$"),
        ("--format=", r"^Format modifier --format=csv is mandatory\.$"),
        ("--format=csv,tsv", r"^Format modifier is not recognized\.$"),
    ],
)
def test_formats(words: str, sentence: str) -> None:
    """Only CSV; an empty part of it is none."""
    with pytest.raises(Refused, match=sentence):
        Flags(["--query-gpu=index", words]).check_formats()
    Flags(["--query-gpu=index", "--format=nounits,csv,"]).check_formats()


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
