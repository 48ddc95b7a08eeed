"""What nvidia-smi says to flags that it does not take, and how it ends then.

Some of its sentences have an empty line behind them. Source: NVIDIA's programs 470.256, 535.261
and 550.163; the first knows fewer sentences than the two others, which say the same.
"""

SUCCESS = 0
INVALID = 2
NOT_THERE = 6
FAILED = 255

_HELP = "Please run 'nvidia-smi -h' for help.\n"


class Refused(Exception):
    """What was asked for is refused; the argument is what nvidia-smi says.

    Attributes:
        code: The exit code.
    """

    def __init__(self, words: str, code: int = INVALID) -> None:
        super().__init__(words)
        self.code = code


def invalid() -> Refused:
    """Refuse without saying what is wrong; branch 470 does that to every flag it does not know."""
    return Refused(f"Invalid combination of input arguments. {_HELP}")


def unknown(word: str, *, query: bool) -> Refused:
    """Refuse a word that is no flag, or none of a query.

    Args:
        word: As it was given.
        query: Whether it stands beside `--query-gpu` or its like.
    """
    if query:
        return Refused(f"ERROR: Option {word} is not recognized. {_HELP}")
    return Refused(
        f"ERROR: Option {word} is not recognized. Please run 'nvidia-smi -h'.\n", FAILED
    )


def not_beside(word: str) -> Refused:
    """Refuse a flag beside `-L` or `--version`, which take none."""
    return Refused(f"ERROR: Option {word} is not valid for this command. {_HELP}")


def twice() -> Refused:
    """Refuse `-L -L`."""
    return Refused(f"ERROR: Only one command can be run at a time. {_HELP}")


def without_value(flag: str, *, old: bool) -> Refused:
    """Refuse a flag that needs a value; *old* for branch 470."""
    if old:
        return Refused(f"Missing value for {flag} argument. {_HELP}")
    return Refused(f"ERROR: Option {flag} is missing its value. {_HELP}", FAILED)


def without_query(flags: str, what: str) -> Refused:
    """Refuse `-x` or `-d` without `-q`."""
    return Refused(
        f"Invalid combination of input arguments. Specify -q/--query and {flags} to run {what}"
        f" query.  {_HELP}"
    )


def xml_of_sections() -> Refused:
    """Refuse `-x` beside `-d`."""
    return Refused(
        "Invalid combination of input arguments: --display/-d flags can not be combined with"
        " -x/--xml-format flags."
    )


def no_time(flag: str, text: str) -> Refused:
    """Refuse what is no number; branches after 470 take some number of seconds for it."""
    return Refused(f"Provided [{flag}] value is not a valid or is out of range: {text}. {_HELP}")


def never() -> Refused:
    """Refuse a loop without a pause."""
    return Refused(
        "Provided [-l(ms) | --loop(-ms)=] value is incorrect."
        " Loop frequency must be greater than 0.\n"
    )


def no_file(file: str, *, query: bool) -> Refused:
    """Say that the file for `-f` cannot be written."""
    return Refused(f"Failed to create {'' if query else 'the '}log file {file}\n", FAILED)


TWO_QUERIES = "Only one --query-* switch can be used at a time."
NO_FORMAT = f'"--format=" switch is missing. {_HELP}'
NO_SUCH_FORMAT = "Format modifier is not recognized."
NOT_CSV = "Format modifier --format=csv is mandatory."
NO_SUCH_SECTION = "Failed to parse --display/-d flags"
