#!/usr/bin/env bash
# Writes constraints.txt: every version, transitive ones included, of a clean install with the
# newest releases that pyproject.toml allows. Only names and versions: no hosts, no paths.
set -euo pipefail
cd "$(dirname "$0")/.."

clean=$(mktemp -d)
trap 'rm -rf "$clean"' EXIT
"${1:-python3}" -m venv "$clean/venv"
pip=("$clean/venv/bin/python" -m pip --quiet --disable-pip-version-check)
"${pip[@]}" install --upgrade pip setuptools
"${pip[@]}" install -e '.[dev]'
{
    echo "# Every version of a clean install; written by 'make lock'. Constrains, requires nothing."
    "${pip[@]}" freeze --all | grep -E '^[A-Za-z0-9_.-]+==' | grep -v '^gpusched-daemon=='
} >"$clean/constraints.txt"
cp "$clean/constraints.txt" constraints.txt
