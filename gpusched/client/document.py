"""Reads the gateway's JSON: one place that knows how proto3 writes numbers, readings and absence.

On the path of every command, whose cold start is measured: nothing may be imported.
"""


class Document:
    """A message as the gateway wrote it; what is absent reads as its proto3 default.

    Attributes:
        fields: The JSON object itself.
    """

    __slots__ = ("fields",)

    def __init__(self, fields: dict[str, object]) -> None:
        self.fields = fields

    def __contains__(self, name: str) -> bool:
        return self.fields.get(name) is not None

    def text(self, name: str) -> str:
        """Give a string or an enum's name; empty when it is absent."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""

    def flag(self, name: str) -> bool:
        """Give a boolean; False when it is absent."""
        return self.fields.get(name) is True

    def number(self, name: str) -> int:
        """Give a whole number, written as one or as a string; 0 when it is absent."""
        return _whole(self.fields.get(name)) or 0

    def optional(self, name: str) -> int | None:
        """Give a whole number; None when it is absent."""
        return _whole(self.fields.get(name))

    def part(self, name: str) -> "Document":
        """Give a message inside this one; an empty one when it is absent."""
        value = self.fields.get(name)
        return Document(value if isinstance(value, dict) else {})

    def parts(self, name: str) -> list["Document"]:
        """Give a list of messages."""
        value = self.fields.get(name)
        listed = value if isinstance(value, list) else []
        return [Document(one) for one in listed if isinstance(one, dict)]

    def texts(self, name: str) -> list[str]:
        """Give a list of strings."""
        value = self.fields.get(name)
        listed = value if isinstance(value, list) else []
        return [one for one in listed if isinstance(one, str)]

    def numbers(self, name: str) -> list[int]:
        """Give a list of whole numbers."""
        value = self.fields.get(name)
        listed = value if isinstance(value, list) else []
        return [number for one in listed if (number := _whole(one)) is not None]

    def words(self, name: str) -> dict[str, str]:
        """Give a map of strings."""
        return {key: str(value) for key, value in self.part(name).fields.items()}

    def measured(self, name: str) -> int | None:
        """Give a reading's number; None when it could not be read or does not apply."""
        return self.part(name).optional("value")


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value)
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return None
    return None
