"""What quotas allow whoever asks, and how much of it is taken. Pure: messages in, lines out."""

from gpusched.cli.table import Column, lines_of
from gpusched.cli.words import NONE, size_of, span
from gpusched.client.document import Document

_QUOTAS = (
    Column("Quota"),
    Column("Of"),
    Column("Used", right=True),
    Column("Allowed", right=True),
)
_WORDS = {
    "memory_bytes": "memory",
    "waiting": "waiting requests",
    "time_limit_seconds": "time limit",
}


def quota_lines(quotas: list[Document], width: int | None) -> list[str]:
    """Lay out messages `Quota`; nothing where there are none."""
    return lines_of(_QUOTAS, [_quota(one) for one in quotas], width) if quotas else []


def _quota(quota: Document) -> list[str]:
    resource = quota.text("resource")
    limit = resource == "time_limit_seconds"
    return [
        quota.text("subject"),
        _WORDS.get(resource, resource),
        NONE if limit else _amount(resource, quota.number("used")),
        _amount(resource, quota.number("allowed")),
    ]


def _amount(resource: str, many: int) -> str:
    if resource == "memory_bytes":
        return size_of(many)
    return span(many) if resource == "time_limit_seconds" else str(many)
