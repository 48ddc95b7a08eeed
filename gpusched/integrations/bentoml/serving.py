"""BentoML's own command in its own Python, with two of its functions wrapped.

`ResourceAllocator.get_worker_env` is asked once for each service, in the parent: there its lease
is taken, or the refusal ends `serve`. `create_watcher` makes the command of a service's workers:
there `enter` is put before it. Both names are private to BentoML and were the same from 1.2.0 to
1.4.40; where one is missing nothing is started.
"""

import atexit
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from itertools import pairwise
from types import ModuleType
from typing import Protocol

from gpusched.client.address import socket_path
from gpusched.client.document import Document
from gpusched.client.errors import GpuschedError, NeverHere
from gpusched.client.exit_codes import code_of
from gpusched.client.thin import ThinClient
from gpusched.client.worker_place import identity
from gpusched.integrations.bentoml.showing import INSTEAD, started
from gpusched.integrations.bentoml.telling import tell, tell_refusal
from gpusched.integrations.bentoml.wish import request_of

_WATCHERS = ("bentoml.serving", "bentoml.serve")
"""Where `create_watcher` is, newest first."""

_DISABLED = "BENTOML_DISABLE_GPU_ALLOCATION"
_SERVICE = "--service-name"


class Service(Protocol):
    """A service of a bento, as far as it is looked at."""

    name: str


Environments = Mapping[str, str] | Sequence[Mapping[str, str]]
"""Of a service's workers: one for all, or one for each."""


class WorkerEnv(Protocol):
    """Gives the number of a service's workers, and their environments."""

    def __call__(
        self, allocator: object, service: Service, *rest: object, **named: object
    ) -> tuple[int, Environments]:
        """Ask an allocator about a service."""


class CreateWatcher(Protocol):
    """Makes what starts a service's workers."""

    def __call__(self, name: str, args: Sequence[str], *, cmd: str, **named: object) -> object:
        """Make it, of the command *cmd* with *args*."""


class Leases:
    """The leases of one bento's services.

    Attributes:
        requests: By service, what each of its workers has to ask with.
    """

    def __init__(self, client: ThinClient, parent: str) -> None:
        self._client = client
        self._parent = parent
        self._taken: list[str] = []
        self.requests: dict[str, dict[str, object]] = {}

    def take(self, service: str, resources: Mapping[str, object]) -> None:
        """Take the lease of a service; its workers come into it as they start.

        Raises:
            GpuschedError: It is refused, and says of which service.
        """
        try:
            request = request_of(service, resources, self._parent)
            grant = self._client.call("Leases/Allocate", request)
        except GpuschedError as error:
            error.sentence = f"service {service}: {error.sentence}"
            raise
        self.requests[service] = request
        self._taken.append(grant.part("lease").text("id"))
        tell(_taken(service, grant))
        for sentence in grant.texts("warnings"):
            tell(f"service {service}: {sentence}")

    def give_back(self) -> None:
        """Give back what no worker has come into; the others end with the last of theirs."""
        for lease in self._taken:
            with suppress(GpuschedError):
                self._client.call("Leases/Release", {"lease_id": lease})


def main(words: Sequence[str]) -> int:
    """Run `bentoml` with *words*; give the exit code of what was refused, else BentoML's own."""
    sys.argv[:] = ["bentoml", *words]
    leases = Leases(ThinClient(socket_path(None, os.environ)), identity())
    atexit.register(leases.give_back)
    try:
        wrap(leases)
        (command,) = entry_points(group="console_scripts", name="bentoml")
        run: Callable[[], int | None] = command.load()
        return run() or 0
    except GpuschedError as error:
        tell_refusal(error)
        return code_of(error)


def wrap(leases: Leases) -> None:
    """Have BentoML ask *leases*.

    Raises:
        NeverHere: This BentoML has not what has to be wrapped.
    """
    # BentoML's own allocator hands out indices of its own otherwise, and makes up some.
    os.environ[_DISABLED] = "1"
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    try:
        allocator = import_module("_bentoml_impl.server.allocator").ResourceAllocator
        services = import_module("bentoml._internal.container").BentoMLContainer.config.services
        allocator.get_worker_env = _asking(allocator.get_worker_env, services.get, leases)
        watchers = _watchers()
        watchers.create_watcher = _entering(watchers.create_watcher, leases)  # type: ignore[attr-defined]
    except (ImportError, AttributeError) as error:
        raise NeverHere(
            f"BentoML {_version()} has not what `gpusched bentoml` wraps ({error});"
            f" instead, {INSTEAD}"
        ) from None


def _version() -> str:
    try:
        return version("bentoml")
    except PackageNotFoundError:
        return "of no version"


def _asking(
    original: WorkerEnv, services: Callable[[], Mapping[str, Mapping[str, object]]], leases: Leases
) -> WorkerEnv:
    def get_worker_env(
        allocator: object, service: Service, *rest: object, **named: object
    ) -> tuple[int, Environments]:
        number, environment = original(allocator, service, *rest, **named)
        leases.take(service.name, _mapping(services()[service.name].get("resources")))
        # A mask of BentoML's own would come after the lease's.
        return number, type(environment)()

    return get_worker_env


def _mapping(resources: object) -> Mapping[str, object]:
    return resources if isinstance(resources, Mapping) else {}


def _entering(original: CreateWatcher, leases: Leases) -> CreateWatcher:
    def create_watcher(
        name: str, args: Sequence[str], *, cmd: str = sys.executable, **named: object
    ) -> object:
        request = leases.requests.get(_behind(_SERVICE, args))
        if request is None:
            raise NeverHere(
                f"{name}: its workers are not started service by service, as BentoML does it since"
                f" 1.2; instead, {INSTEAD}"
            )
        words = (str(os.getpid()), json.dumps(request), cmd, *args)
        python, *rest = started(sys.executable, "enter", *words)
        return original(name=name, cmd=python, args=rest, **named)

    return create_watcher


def _watchers() -> ModuleType:
    """Give the module that has `create_watcher`.

    Raises:
        AttributeError: None has.
    """
    for name in _WATCHERS:
        with suppress(ImportError):
            module = import_module(name)
            if hasattr(module, "create_watcher"):
                return module
    raise AttributeError("there is no `create_watcher`")


def _behind(flag: str, words: Sequence[str]) -> str:
    return next((after for one, after in pairwise(words) if one == flag), "")


def _taken(service: str, grant: Document) -> str:
    devices = grant.parts("devices")
    lease = grant.part("lease").text("id")
    if not devices:
        return f"service {service} declares no GPU and gets none ({lease})"
    names = ", ".join(f"{one.number('index')} ({one.text('gpu_type')})" for one in devices)
    return f"service {service} has {lease}: {'device' if len(devices) == 1 else 'devices'} {names}"
