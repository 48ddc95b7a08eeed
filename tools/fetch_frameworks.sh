#!/usr/bin/env bash
# Puts model servers and launchers into one virtual environment, .cache/frameworks/, so that tests
# run them for real under leases: gunicorn, uvicorn and LitServe; and PyTorch with torchrun and
# accelerate where its build for CPUs can be had from the indexes that pip is configured for.
# PyPI has none: then `.torch` is missing beside `.servers`, and tests that need it are skipped.
# Usage: tools/fetch_frameworks.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."

target=.cache/frameworks
# A virtual environment cannot be moved, so a folder that was is made anew.
if [[ ! -x $target/bin/python || $(cat "$target/.place" 2>/dev/null) != "$PWD" ]]; then
    rm -rf "$target"
    "${1:-python3}" -m venv "$target"
    echo "$PWD" >"$target/.place"
fi

# Nothing but wheels: what has to be built would take minutes.
fetch() { # a name: of its requirements, stamp and log
    [[ $target/.$1 -nt tools/frameworks-$1.txt ]] && return
    # What is cut off while it is installed is not there.
    rm -f "$target/.$1"
    "$target/bin/python" -m pip install --quiet --disable-pip-version-check \
        --only-binary :all: -r "tools/frameworks-$1.txt" 2>"$target/$1.log" && touch "$target/.$1"
}

if ! fetch servers; then
    cat "$target/servers.log" >&2
    exit 1
fi
if ! fetch torch; then
    echo "fetch_frameworks: no PyTorch for CPUs from here; $target/torch.log says why" >&2
fi
