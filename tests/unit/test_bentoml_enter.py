"""How a worker comes into the lease of its service, whoever else comes and goes meanwhile."""

from collections.abc import Iterator

import pytest

from gpusched.client.document import Document
from gpusched.client.errors import GpuschedError, NotAllowed, NotFound, WrongState
from gpusched.client.thin import ThinClient
from gpusched.integrations.bentoml.enter import entered

_REQUEST: dict[str, object] = {"request_id": "bento:1.2/Svc", "count": 1}


class Daemon(ThinClient):
    """Grants lease after lease, of which some end before they can be entered."""

    def __init__(self, *refusals: GpuschedError) -> None:
        super().__init__("/nowhere")
        self._refusals = list(refusals)
        self._granted = 0

    def call(self, method: str, message: dict[str, object] | None = None) -> Document:
        if method == "Leases/Attach" and self._refusals:
            raise self._refusals.pop(0)
        return Document({"of": (message or {}).get("lease_id")})

    def stream(self, method: str, message: dict[str, object] | None = None) -> Iterator[Document]:
        assert (method, message) == (
            "Leases/AllocateStream",
            {**_REQUEST, "wait_without_limit": True},
        )
        self._granted += 1
        waiting = {"request": _REQUEST, "position": self._granted, "waits_for": "the end of x"}
        yield Document({"waiting": waiting})
        yield Document({"grant": {"lease": {"id": f"lease-{self._granted}"}}})


def test_it_waits_for_its_turn_and_tells() -> None:
    """A worker whose devices are another's meanwhile waits, and says for what."""
    told: list[str] = []
    assert entered(Daemon(), _REQUEST, told.append).text("of") == "lease-1"
    assert told == ["bento:1.2/Svc waits, place 1: the end of x"]


def test_a_lease_that_ends_before_it_is_entered() -> None:
    """Where the last worker has just ended, the next lease is asked for."""
    daemon = Daemon(WrongState("it ends"), NotFound("it is over"))
    assert entered(daemon, _REQUEST, lambda _: None).text("of") == "lease-3"


def test_it_does_not_try_for_ever() -> None:
    """A lease that ends again and again is a refusal in the end; so is any other one at once."""
    with pytest.raises(WrongState):
        entered(Daemon(*[WrongState("it ends")] * 9), _REQUEST, lambda _: None)
    with pytest.raises(NotAllowed):
        entered(Daemon(NotAllowed("not yours")), _REQUEST, lambda _: None)
