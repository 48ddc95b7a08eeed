"""Says what is different between two configurations, in the words of the file."""

from collections.abc import Mapping

from gpusched.config.options import AFTER_RESTART
from gpusched.config.read import Config


def changed(before: Config, found: Config) -> dict[str, str]:
    """Give each option that is different, by its key, as it is now and from when on."""
    return {
        key: _words(value) + (" (after a restart)" if key in AFTER_RESTART else "")
        for key, value in found.written.items()
        if _words(before.written[key]) != _words(value)
    }


def _words(value: object) -> str:
    """Give a value as a person would say it; one that is not said is unset."""
    if value is None:
        return "unset"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {one}" for key, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
