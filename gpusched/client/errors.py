"""What a client raises: one class for each thing that a caller would do something else about.

The same classes come out of gRPC and out of the JSON gateway. Nothing of either may be imported:
the command line uses them on its quickest path.
"""

from gpusched.client.document import Document


class GpuschedError(Exception):
    """Base of everything a client raises.

    Attributes:
        sentence: What failed, why, and what to do next, in one line.
        rejection: The message `Rejection` in its JSON form; empty where the daemon sent none.
        code: Name of the gRPC status; empty where the daemon was not reached.
    """

    def __init__(
        self, sentence: str, rejection: dict[str, object] | None = None, code: str = ""
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.rejection = rejection or {}
        self.code = code

    @property
    def field(self) -> str:
        """Path of the field that is wrong; empty where it is none."""
        return Document(self.rejection).text("field")

    @property
    def nearest_command(self) -> str:
        """The nearest request that would be granted, as a command; empty: none."""
        return Document(self.rejection).text("nearest_command")

    @property
    def wait_command(self) -> str:
        """The same request, waiting, as a command; empty: waiting would not help."""
        return Document(self.rejection).text("wait_command")

    @property
    def hint_command(self) -> str:
        """A command that tells more or that would do; empty: none."""
        return Document(self.rejection).text("hint_command")

    @property
    def devices(self) -> dict[str, str]:
        """Why each device does not serve, a sentence by UUID; empty where none was looked at."""
        found = Document(self.rejection).parts("verdicts")
        return {one.text("uuid"): one.text("sentence") for one in found if not one.flag("fits")}


class BadRequest(GpuschedError):
    """The request is wrong, whatever the host; `field` names where."""

    @property
    def allowed_values(self) -> list[str]:
        """What `field` may be; empty where that cannot be listed."""
        return Document(self.rejection).texts("allowed_values")


class CouldFitLater(GpuschedError):
    """It does not fit now and could later; `wait_command` waits for it."""

    @property
    def waits_for(self) -> str:
        """What would have to happen, in one sentence; empty: nobody knows."""
        return Document(self.rejection).text("waits_for")

    @property
    def holders(self) -> list[str]:
        """Ids of the leases in the way that the caller may see."""
        return [one.text("lease_id") for one in Document(self.rejection).parts("holders")]


class NeverHere(GpuschedError):
    """It never fits on this host; `nearest_command` would."""


class NotAllowed(GpuschedError):
    """The caller may not."""


class NotFound(GpuschedError):
    """There is no such lease, request, device or process."""


class NotYet(GpuschedError):
    """This version of the daemon cannot do it."""


class WrongState(GpuschedError):
    """The lease or device is not in a state that allows it."""


class DaemonUnreachable(GpuschedError):
    """No daemon answers, or it starts or stops right now.

    Attributes:
        nobody: Whether nobody listens at all, so that no daemon runs there.
    """

    nobody = False


class DaemonFault(GpuschedError):
    """The daemon has a defect, or what answers is no gpusched daemon."""


class NoSuchDevice(GpuschedError, IndexError):
    """A lease has no such device, or CUDA has no number for it."""


KINDS: dict[str, type[GpuschedError]] = {
    "REJECTION_KIND_BAD_REQUEST": BadRequest,
    "REJECTION_KIND_LATER": CouldFitLater,
    "REJECTION_KIND_NEVER_HERE": NeverHere,
    "REJECTION_KIND_NOT_ALLOWED": NotAllowed,
    "REJECTION_KIND_NOT_FOUND": NotFound,
    "REJECTION_KIND_NOT_YET": NotYet,
    "REJECTION_KIND_WRONG_STATE": WrongState,
}
"""By `Rejection.kind`."""

CODES: dict[str, type[GpuschedError]] = {
    "INVALID_ARGUMENT": BadRequest,
    "RESOURCE_EXHAUSTED": CouldFitLater,
    "FAILED_PRECONDITION": WrongState,
    "PERMISSION_DENIED": NotAllowed,
    "UNAUTHENTICATED": NotAllowed,
    "NOT_FOUND": NotFound,
    "UNIMPLEMENTED": NotYet,
    # A daemon that stops ends its streams so.
    "CANCELLED": DaemonUnreachable,
    "UNAVAILABLE": DaemonUnreachable,
    "DEADLINE_EXCEEDED": DaemonUnreachable,
}
"""By gRPC status, where no rejection came with it; every other status is a DaemonFault."""


def error_of(code: str, sentence: str, rejection: dict[str, object]) -> GpuschedError:
    """Give the error for a refusal.

    Args:
        code: Name of the gRPC status.
        sentence: The status message.
        rejection: The `Rejection` in its JSON form; empty: none came.
    """
    kind = KINDS.get(Document(rejection).text("kind"))
    return (kind or CODES.get(code, DaemonFault))(sentence or code, rejection, code)
