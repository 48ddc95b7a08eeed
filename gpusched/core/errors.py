"""What the core raises. A rejection is not among them: it is a reply (`core.replies`).

Every error carries its data; texts are made from them in one place, the constructor.
"""


class CoreError(Exception):
    """Base of everything the core raises."""


class InvalidRequest(CoreError):
    """A request that is wrong whatever the host.

    Attributes:
        field: Name of the offending field, as in the public API.
        why: What is wrong with it.
    """

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


class InvalidTransition(CoreError):
    """A signal that the lease's state does not know; nothing has changed.

    Attributes:
        lease: Its id.
        state: The state it is in.
        signal: What was tried.
    """

    def __init__(self, lease: str, state: str, signal: str) -> None:
        super().__init__(f"{lease} is {state}: {signal} is not possible")
        self.lease = lease
        self.state = state
        self.signal = signal


class InvariantBroken(CoreError):
    """The ledger contradicts itself: a defect, never something a user did.

    Attributes:
        faults: Every contradiction found.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults
