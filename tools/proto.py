"""Generates `gpusched/api/` from `protos/`, or checks that it is what `protos/` says.

Three things are done to what protoc writes, because it cannot be told to:

- The proto package is `gpusched.v1`, the Python package `gpusched.api.v1` (generated code has a
  layer of its own), so imports are moved. File names in the descriptors stay `gpusched/v1/…`.
- The generators demand a runtime as new as themselves. The code works on the oldest versions that
  `pyproject.toml` allows, so that is what it demands.
- gRPC modules of files without a service are dropped: they would import grpc for nothing.

Nothing that the daemon needs at run time may enter this file.
"""

import argparse
import re
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

from grpc_tools import protoc

_ROOT = Path(__file__).resolve().parent.parent
_PROTOS = _ROOT / "protos"
_API = _ROOT / "gpusched" / "api"
_WELL_KNOWN = Path(protoc.__file__).parent / "_proto"
_IMPORT = re.compile(r"^from gpusched\.(v\d+) import ", re.MULTILINE)
_MODULE_NAME = re.compile(r"'gpusched\.(v\d+)\.(\w+_pb2)'")
_PROTOBUF_DEMAND = re.compile(r"(Domain\.PUBLIC,\s+)\d+(,\s+)\d+(,\s+)\d+,")
_PROTOBUF_COMMENT = re.compile(r"^# Protobuf Python Version: .*\n", re.MULTILINE)
_GRPC_DEMAND = re.compile(r"^GRPC_GENERATED_VERSION = '.*'$", re.MULTILINE)
_INIT = '"""Generated from `protos/` by `make proto`; never edited."""\n'


def _oldest(distribution: str) -> tuple[int, int, int]:
    """Says which version of a dependency is the oldest that `pyproject.toml` allows."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    for dependency in project["dependencies"]:
        found = re.fullmatch(rf"{distribution}\s*>=\s*(\d+)\.(\d+)(?:\.(\d+))?.*", dependency)
        if found:
            return int(found[1]), int(found[2]), int(found[3] or 0)
    sys.exit(f"proto: pyproject.toml gives {distribution} no lower bound `>=X.Y`; add one")


def _generate(out: Path) -> None:
    sources = sorted(str(path) for path in _PROTOS.rglob("*.proto"))
    if not sources:
        sys.exit(f"proto: no .proto file under {_PROTOS.name}/; nothing to generate")
    # The names of the plug-ins are looked up on PATH, and ours lie beside this interpreter.
    plugins = Path(sys.executable).parent
    code = protoc.main(
        [
            "protoc",
            f"--proto_path={_PROTOS}",
            f"--proto_path={_WELL_KNOWN}",
            f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            f"--mypy_out=quiet:{out}",
            f"--mypy_grpc_out=quiet:{out}",
            *sources,
        ]
    )
    if code != 0:
        sys.exit("proto: protoc refused the files above; correct them and run `make proto` again")


def _moved(text: str) -> str:
    """Points imports, and the `__module__` of messages, at `gpusched.api`."""
    text = _IMPORT.sub(r"from gpusched.api.\1 import ", text)
    return _MODULE_NAME.sub(r"'gpusched.api.\1.\2'", text)


def _undemanding(text: str) -> str:
    """Lowers the runtime versions that the code demands to the oldest that the project allows."""
    major, minor, patch = _oldest("protobuf")
    text = _PROTOBUF_COMMENT.sub("", text)
    text = _PROTOBUF_DEMAND.sub(rf"\g<1>{major}\g<2>{minor}\g<3>{patch},", text)
    grpc = ".".join(str(part) for part in _oldest("grpcio"))
    return _GRPC_DEMAND.sub(f"GRPC_GENERATED_VERSION = '{grpc}'", text)


def _without_service(out: Path) -> frozenset[Path]:
    """Names the gRPC modules (and their stubs) that hold no service."""
    empty = {
        path for path in out.rglob("*_pb2_grpc.py") if "channel.unary_" not in path.read_text()
    }
    return frozenset(empty | {path.with_suffix(".pyi") for path in empty})


def _render() -> Mapping[Path, str]:
    """Every generated file by its path below `gpusched/api/`."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        _generate(out)
        dropped = _without_service(out)
        files: dict[Path, str] = {}
        for path in sorted((out / "gpusched").rglob("*.py*")):
            if path not in dropped:
                text = _undemanding(_moved(path.read_text()))
                files[path.relative_to(out / "gpusched")] = text
    packages = {parent for path in files for parent in path.parents}
    return files | {package / "__init__.py": _INIT for package in packages}


def _present() -> Mapping[Path, str]:
    found = (path for path in _API.rglob("*.py*") if "__pycache__" not in path.parts)
    return {path.relative_to(_API): path.read_text() for path in found}


def _drifted(files: Mapping[Path, str]) -> list[Path]:
    present = _present()
    return sorted(p for p in files.keys() | present.keys() if files.get(p) != present.get(p))


def _write(files: Mapping[Path, str]) -> None:
    drifted = _drifted(files)
    for path in drifted:
        target = _API / path
        if path in files:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(files[path])
        else:
            target.unlink()
    print(f"proto: {len(files)} files under gpusched/api/, {len(drifted)} of them changed")


def _check(files: Mapping[Path, str]) -> None:
    drifted = _drifted(files)
    if drifted:
        names = ", ".join(str(path) for path in drifted[:3]) + (", …" if drifted[3:] else "")
        sys.exit(
            f"proto: gpusched/api/ is not what protos/ says ({names}); run `make proto`, commit it"
        )


def main() -> None:
    """Writes the generated code, or with `--check` compares it and changes nothing."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on a drift")
    if parser.parse_args().check:
        _check(_render())
    else:
        _write(_render())


if __name__ == "__main__":
    main()
