"""What can happen to the ledger: requests of clients, ticks of the poller, the daemon's own start.

An event carries everything its decision needs, identities and times included.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gpusched.core.ids import BootId, Caller, Instant, LeaseId, ProcessId, RequestId
from gpusched.core.policy import Policy
from gpusched.core.request import Request
from gpusched.core.sample import NodeSample


@dataclass(frozen=True, slots=True)
class AllocateRequested:
    """A client wants devices.

    Attributes:
        caller: Who asks.
        request: What for.
        lease_id: Fresh; used if a lease comes of it.
    """

    caller: Caller
    request: Request
    lease_id: LeaseId


@dataclass(frozen=True, slots=True)
class ExplainRequested:
    """A client wants to know what `AllocateRequested` would give; nothing changes."""

    caller: Caller
    request: Request


@dataclass(frozen=True, slots=True)
class AttachRequested:
    """A process is to join a lease.

    Attributes:
        caller: Who asks.
        lease_id: Which lease.
        process: Who joins.
        uids: Real, effective and saved uid of *process*.
    """

    caller: Caller
    lease_id: LeaseId
    process: ProcessId
    uids: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class RenewRequested:
    """The holder says that it still needs the lease."""

    caller: Caller
    lease_id: LeaseId


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """The holder gives a lease back, or all leases of one owner in another system."""

    caller: Caller
    lease_id: LeaseId | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """A client does not want the answer to a request any more."""

    caller: Caller
    request_id: RequestId


@dataclass(frozen=True, slots=True)
class Ticked:
    """A sample was taken: the one timer of the daemon."""

    sample: NodeSample


@dataclass(frozen=True, slots=True)
class Recovered:
    """The daemon has loaded its ledger and looks at the world again.

    Attributes:
        stored_boot: Boot in which the ledger was last written; None for a new ledger.
        boot: The running boot.
        alive_at: Last instant at which the previous daemon is known to have run.
        version: Of gpusched, for the story.
    """

    stored_boot: BootId | None
    boot: BootId
    alive_at: Instant | None
    version: str


@dataclass(frozen=True, slots=True)
class PolicyRead:
    """The operator's settings were read anew."""

    policy: Policy
    changed: Mapping[str, str]


Event: TypeAlias = (
    AllocateRequested
    | ExplainRequested
    | AttachRequested
    | RenewRequested
    | ReleaseRequested
    | CancelRequested
    | Ticked
    | Recovered
    | PolicyRead
)
