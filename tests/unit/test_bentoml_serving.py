"""What is wrapped of BentoML, with modules in its place."""

import json
import os
import sys
from types import ModuleType, SimpleNamespace

import pytest

from gpusched.client.document import Document
from gpusched.client.errors import CouldFitLater, GpuschedError, NeverHere
from gpusched.client.thin import ThinClient
from gpusched.integrations.bentoml.serving import Leases, wrap

_CONFIG: dict[str, dict[str, object]] = {
    "Svc": {"resources": {"gpu": 2}, "workers": 3},
    "Plain": {"resources": None},
}


class Daemon(ThinClient):
    """Grants everything, unless it is full."""

    def __init__(self) -> None:
        super().__init__("/nowhere")
        self.asked: list[tuple[str, dict[str, object]]] = []
        self.refusal: GpuschedError | None = None

    def call(self, method: str, message: dict[str, object] | None = None) -> Document:
        self.asked.append((method, message or {}))
        if self.refusal is not None:
            raise self.refusal
        return Document({"lease": {"id": f"lease-{len(self.asked)}"}, "warnings": ["mind it"]})


class Allocator:
    """BentoML's, of a version that sets a mask whatever it finds."""

    def get_worker_env(self, service: SimpleNamespace) -> tuple[int, list[dict[str, str]]]:
        return 3, [{"CUDA_VISIBLE_DEVICES": f"0 of {service.name}"}] * 3


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The modules of BentoML that are looked at; the environment is as before at the end."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    monkeypatch.setenv("BENTOML_DISABLE_GPU_ALLOCATION", "")
    made = {
        name: ModuleType(name)
        for name in (
            *("_bentoml_impl", "_bentoml_impl.server", "_bentoml_impl.server.allocator"),
            *("bentoml", "bentoml._internal", "bentoml._internal.container", "bentoml.serving"),
        )
    }
    allocator = type("ResourceAllocator", (Allocator,), {})
    config = SimpleNamespace(services=SimpleNamespace(get=lambda: _CONFIG))
    vars(made["_bentoml_impl.server.allocator"])["ResourceAllocator"] = allocator
    vars(made["bentoml._internal.container"])["BentoMLContainer"] = SimpleNamespace(config=config)
    vars(made["bentoml.serving"])["create_watcher"] = lambda **words: words
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    return made


def _asked(modules: dict[str, ModuleType], service: str) -> tuple[int, object]:
    found: tuple[int, object] = (
        modules["_bentoml_impl.server.allocator"]
        .ResourceAllocator()
        .get_worker_env(SimpleNamespace(name=service))
    )
    return found


def _watcher(modules: dict[str, ModuleType], *args: str) -> dict[str, object]:
    made: dict[str, object] = modules["bentoml.serving"].create_watcher(
        name="service", cmd="/bin/py", args=list(args), numprocesses=3
    )
    return made


def test_each_service_asks_once(
    modules: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    """BentoML's numbers of workers stay, its masks do not; what is granted is told."""
    daemon = Daemon()
    wrap(Leases(daemon, "41.7"))
    assert _asked(modules, "Svc") == (3, [])
    assert _asked(modules, "Plain") == (3, [])
    assert [message["count"] for _, message in daemon.asked] == [2, 0]
    assert os.environ["BENTOML_DISABLE_GPU_ALLOCATION"] == "1"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    told = capsys.readouterr().err.splitlines()
    assert "gpusched: service Plain declares no GPU and gets none (lease-2)" in told
    assert "gpusched: service Svc: mind it" in told


def test_a_refusal_names_the_service(modules: dict[str, ModuleType]) -> None:
    """What the daemon refuses is raised as it is, with the service before the sentence."""
    daemon = Daemon()
    wrap(Leases(daemon, "41.7"))
    daemon.refusal = CouldFitLater("2 devices wanted, 0 free now")
    with pytest.raises(CouldFitLater) as refused:
        _asked(modules, "Svc")
    assert refused.value.sentence == "service Svc: 2 devices wanted, 0 free now"


def test_workers_are_entered_first(modules: dict[str, ModuleType]) -> None:
    """A worker's command stands behind ours, which has BentoML's pid and its service's request."""
    daemon = Daemon()
    wrap(Leases(daemon, "41.7"))
    _asked(modules, "Svc")
    made = _watcher(modules, "-m", "worker", "--service-name", "Svc", "--fd", "3")
    assert (made["name"], made["numprocesses"], made["cmd"]) == ("service", 3, sys.executable)
    assert isinstance(made["args"], list)
    *_, parent, request, cmd, dash, module, flag, service, fd, number = made["args"]
    assert parent == str(os.getpid())
    assert json.loads(request) == daemon.asked[0][1]
    assert (cmd, dash, module) == ("/bin/py", "-m", "worker")
    assert (flag, service, fd, number) == ("--service-name", "Svc", "--fd", "3")


def test_workers_of_no_service_are_refused(modules: dict[str, ModuleType]) -> None:
    """What BentoML before 1.2 starts belongs to no service: it is refused with what would do."""
    wrap(Leases(Daemon(), "41.7"))
    with pytest.raises(NeverHere, match="gpusched run --gpus N -- bentoml serve"):
        _watcher(modules, "-m", "bentoml_cli.worker.runner")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("_bentoml_impl.server.allocator", "ResourceAllocator"),
        ("bentoml._internal.container", "BentoMLContainer"),
        ("bentoml.serving", "create_watcher"),
    ],
)
def test_a_bentoml_that_has_not_what_is_wrapped(
    modules: dict[str, ModuleType], module: str, name: str
) -> None:
    """Where a name is missing nothing is started, and the sentence says what would do."""
    delattr(modules[module], name)
    with pytest.raises(NeverHere, match="instead, `gpusched run") as refused:
        wrap(Leases(Daemon(), "41.7"))
    assert name in refused.value.sentence


def test_what_nobody_came_into_is_given_back(modules: dict[str, ModuleType]) -> None:
    """At the end leases are released; that one is in use, or no daemon there, is no failure."""
    daemon = Daemon()
    leases = Leases(daemon, "41.7")
    wrap(leases)
    _asked(modules, "Svc")
    _asked(modules, "Plain")
    daemon.refusal = NeverHere("in use")
    leases.give_back()
    released = [message for method, message in daemon.asked if method == "Leases/Release"]
    assert released == [{"lease_id": "lease-1"}, {"lease_id": "lease-2"}]
