"""Keeps the documents by which container engines know leases equal to the leases.

One is written when a grant is told, after it is durable and before the reply names it; it goes
when the lease ends. Nothing here costs a lease: what cannot be written is a warning in the grant.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace

import structlog

from gpusched.core.cdi import Host, document_of, name_of
from gpusched.core.ids import LeaseId
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.daemon.engine import Engine
from gpusched.ports import LeaseDocuments, Named, Stopping


class Containers:
    """The documents of all leases that were told to somebody.

    Args:
        documents: Where they lie; None: no engine is told of leases.
        socket: Where the daemon listens.
        hook: The command by which a container's cgroup is attached.
        told: Whether engines are told; else what an earlier daemon has told them is taken back.
    """

    def __init__(
        self,
        documents: LeaseDocuments | None,
        socket: str = "",
        hook: tuple[str, ...] = (),
        *,
        told: bool = True,
    ) -> None:
        self._documents = documents
        self._told = told
        self._host = Host(socket, hook)
        self._engine: Engine | None = None
        self._written: dict[LeaseId, bool] = {}
        """By lease, whether everybody may read the document."""
        self._one_by_one = asyncio.Lock()
        self._writing: set[asyncio.Task[Named | None]] = set()
        self._following: asyncio.Task[None] | None = None
        self._log = structlog.get_logger()

    async def serve(self, engine: Engine) -> None:
        """Make equal what an earlier daemon has left, and follow the ledger from now on."""
        self._engine = engine
        if self._documents is None:
            return
        found = await asyncio.to_thread(self._documents.leases)
        self._written.update(dict.fromkeys(found, False))
        await self._withdraw_ended()
        if not self._told:
            return
        for lease in [one for one in engine.ledger.live() if _is_told(one)]:
            # Also those that have one: the driver, or this program, may be another by now.
            await self._put_again(self._documents, engine.ledger, lease)
        self._following = asyncio.get_running_loop().create_task(self._follow(engine))

    async def named(self, lease_id: LeaseId) -> Named | None:
        """Give the name of a lease for container engines, once its grant is durable.

        Returns:
            The name, or why there is none. None: engines are not told of this lease.

        Raises:
            Stopping: The daemon ends, or a commit failed.
        """
        if self._documents is None or self._engine is None or not self._told:
            return None
        await self._engine.durable()
        writing = asyncio.get_running_loop().create_task(
            self._named(self._documents, self._engine.ledger, lease_id)
        )
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        # Nobody can call a thread back: a document whose asker has gone is known all the same,
        # or it would not be removed.
        return await asyncio.shield(writing)

    async def _named(
        self, documents: LeaseDocuments, ledger: Ledger, lease_id: LeaseId
    ) -> Named | None:
        async with self._one_by_one:
            lease = ledger.get(lease_id)
            if lease is None or not _is_told(lease):
                return None
            if lease_id not in self._written:
                failure = await self._put(documents, ledger, lease)
                # It may have ended while the document was written.
                await self._withdraw_ended()
                if failure is not None:
                    return Named("", failure)
        return Named(name_of(lease_id))

    async def close(self) -> None:
        """Follow no more; what was written stays, as the leases do. Idempotent."""
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    async def _follow(self, engine: Engine) -> None:
        ledger = engine.ledger
        with suppress(Stopping):
            while True:
                seen = ledger.generation
                await self._withdraw_ended()
                await self._show_as_allowed(ledger)
                # Nobody was there to hear the news of what has happened meanwhile.
                if ledger.generation == seen:
                    await engine.news()

    async def _put(self, documents: LeaseDocuments, ledger: Ledger, lease: Lease) -> str | None:
        """Write a document; say why not."""
        start = f"containers cannot be given {lease.id} by name"
        here = {uuid: one for uuid, one in ledger.devices.items() if uuid not in ledger.lost}
        absent = [one.device for one in lease.shares if one.device not in here]
        if absent:
            return f"{start}: {absent[0]} does not answer"
        control, public = ledger.governed.control, _is_public(ledger)

        def write() -> None:
            host = replace(self._host, driver=documents.driver())
            document = document_of(lease, tuple(here.values()), control, host)
            documents.put(lease.id, document, public=public)

        try:
            # Once to a thread and back: on a busy host that is most of what this costs.
            await asyncio.to_thread(write)
        except OSError as error:
            return f"{start}: {error.strerror}"
        self._written[lease.id] = public
        return None

    async def _put_again(self, documents: LeaseDocuments, ledger: Ledger, lease: Lease) -> None:
        """Write a document that may be there; where that fails, tell, and let it show no more."""
        failure = await self._put(documents, ledger, lease)
        if failure is None:
            return
        self._log.warning("containers are not told", reason=failure)
        if not _is_public(ledger):
            await self._remove(documents, lease.id)
        elif lease.id in self._written:
            self._written[lease.id] = True

    async def _show_as_allowed(self, ledger: Ledger) -> None:
        """Write anew what more, or fewer, may read than others may see of leases by now."""
        # Nothing is being written now that could show what it would not if it began later.
        async with self._one_by_one:
            public = _is_public(ledger)
            for name in [one for one, shown in self._written.items() if shown is not public]:
                lease = ledger.get(name)
                if self._documents is not None and lease is not None and name in self._written:
                    await self._put_again(self._documents, ledger, lease)

    async def _withdraw_ended(self) -> None:
        if self._documents is None or self._engine is None:
            return
        ledger = self._engine.ledger
        ended = [one for one in self._written if not _is_usable(ledger.get(one))]
        for one in ended if self._told else list(self._written):
            await self._remove(self._documents, one)

    async def _remove(self, documents: LeaseDocuments, lease: LeaseId) -> None:
        self._written.pop(lease, None)
        try:
            await asyncio.to_thread(documents.remove, lease)
        except OSError as error:
            self._log.warning("a cdi document stays", lease=lease, reason=error.strerror)


def _is_usable(lease: Lease | None) -> bool:
    return lease is not None and lease.usable


def _is_public(ledger: Ledger) -> bool:
    """Say whether everybody may see what a document tells: which devices, and how much memory."""
    others = ledger.policy.others
    return others.device and others.memory


def _is_told(lease: Lease) -> bool:
    """Say whether containers may be started with it: it has not begun with a process."""
    return lease.usable and not lease.adopted and not lease.request.attach_caller
