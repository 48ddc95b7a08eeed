"""Who holds the mask of a lease, in one word: the same in tables and in programs.

Nothing is imported: the command line reads it on its quickest path.
"""

_WORDS = {
    "ENFORCEMENT_LEVEL_ADVISORY": "advisory",
    "ENFORCEMENT_LEVEL_LANDLOCK": "landlock",
    "ENFORCEMENT_LEVEL_DEVICE_PROGRAM": "kernel",
    "ENFORCEMENT_LEVEL_GUARD": "guard",
}


def level_word(level: str) -> str:
    """Give the word for a name of the enum `EnforcementLevel`; empty for one that is not known."""
    return _WORDS.get(level, "")
