"""The lists of names that can be queried, in the form of nvidia-smi's."""

from gpusched.cli.smi.fields import APPS, GPU, Field


def names_of(switch: str) -> str:
    """Give the names that *switch* takes, in the form of nvidia-smi's own list."""
    fields = GPU if switch == "--query-gpu" else APPS
    parts = [f"{_quoted(one)}\n{one.meaning}\n" for one in fields]
    return "\n".join([f'List of valid properties to query for the switch "{switch}":\n', *parts])


def _quoted(field: Field) -> str:
    return " or ".join(f'"{one}"' for one in (field.name, *field.aliases))
