"""What users import: the stubs say what is there, and the types are what programs rely on."""

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import assert_type

import pytest

import gpusched
from gpusched import testing
from gpusched.api.v1 import lease_pb2
from gpusched.client.notices import NoticeKind
from gpusched.core.notice import NoticeKind as GivenKind

_ROOT = Path(__file__).parent.parent.parent
_LAZY = ("gpusched", "gpusched.client", "gpusched.testing")
"""Packages whose names load on first use, so that only a stub can say where they are."""


def _stub(package: str) -> ast.Module:
    path = _ROOT.joinpath(*package.split("."), "__init__.pyi")
    return ast.parse(path.read_text(encoding="utf-8"))


def _imported(package: str) -> dict[str, str]:
    """The module of each name that a stub gives on."""
    return {
        name.asname: node.module
        for node in _stub(package).body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for name in node.names
        if name.asname == name.name
    }


@pytest.mark.parametrize("package", _LAZY)
def test_a_stub_gives_what_the_package_has(package: str) -> None:
    """Each name of the stub is there at run time and the very same, and there is no other."""
    module, imported = import_module(package), _imported(package)
    (listed,) = (
        ast.literal_eval(node.value)
        for node in _stub(package).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    )
    assert sorted(listed) == sorted(module.__all__)
    assert {one for one in listed if one[0] != "_"} == set(imported)
    for name, place in imported.items():
        assert getattr(module, name) is getattr(import_module(place), name)


def test_every_error_is_imported_from_the_package() -> None:
    """Whatever a client raises can be named without a look for its module."""
    errors = import_module("gpusched.client.errors")
    kinds = {
        name
        for name, one in vars(errors).items()
        if isinstance(one, type) and issubclass(one, gpusched.GpuschedError)
    }
    assert kinds < set(gpusched.__all__)


def types_of_a_program() -> None:
    """Never runs: mypy --strict reads here what a program's types are."""
    with gpusched.lease() as held, gpusched.Client() as client:
        assert_type(held, gpusched.HeldLease)
        assert_type(held.devices, tuple[gpusched.LeasedDevice, ...])
        assert_type(held.devices[0].memory_limit, int | None)
        assert_type(held.devices[0].nodes, tuple[str, ...])
        assert_type(held.env, dict[str, str])
        assert_type(held.memory_limit, int | None)
        assert_type(held.torch_device(0), str)
        assert_type(client.allocate(gpus=2, wait="10m"), lease_pb2.Grant)

        @held.on_notice
        def told(notice: gpusched.Notice) -> None:
            assert_type(notice.kind, gpusched.NoticeKind)

    with testing.daemon("2xL4") as host:
        assert_type(host, testing.SimulatedHost)
        assert_type(host.client, gpusched.Client)
    wish: gpusched.Wish = {"gpus": 2, "memory": "4GiB"}
    with gpusched.lease(**wish):
        pass
    with gpusched.lease(gpu=2):  # type: ignore[call-arg]  # there is no such word
        pass


@pytest.mark.parametrize("page", ["docs/reference/python.md", "protos/gpusched/v1/lease.proto"])
def test_a_notice_that_is_never_given_is_not_promised(page: str) -> None:
    """Of each kind of notice that no daemon of this version gives its description says so."""
    text = (_ROOT / page).read_text()
    for kind in set(NoticeKind) - {NoticeKind.OTHER}:
        said = re.search(
            rf"(?:.*\n)?.*NOTICE_KIND_{kind.name} =|\| `{kind.name}` = `'{kind.value}'` .*", text
        )
        assert said is not None, kind
        given = kind.name in GivenKind.__members__
        assert ("in this version" in said[0]) is not given, kind


def test_the_types_are_published() -> None:
    """The marker by which type checkers use the package's annotations is there."""
    assert (_ROOT / "gpusched" / "py.typed").exists()
    assert callable(types_of_a_program)
