#!/usr/bin/env bash
# Puts BentoML into .cache/bentoml/VERSION, an environment of its own for each tools/bentoml-VERSION.txt,
# so that tests run it for real under leases. Once for each change of that file.
# Where the .in file begins with `# beside gpusched`, what gpusched needs is installed, too, and
# gpusched is this checkout; elsewhere it is not there at all.
# `--lock` writes the .txt files again, from the newest versions that the .in files allow.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=$PWD/.venv/bin/uv
# Nothing is written outside the checkout.
export UV_CACHE_DIR=$PWD/.cache/uv

beside_gpusched() {
    head -n 1 "tools/bentoml-$1.in" | grep --quiet '^# beside gpusched'
}

for wanted in tools/bentoml-*.in; do
    version=${wanted#tools/bentoml-}
    version=${version%.in}
    pinned=tools/bentoml-$version.txt
    if [[ ${1:-} == --lock ]]; then
        sources=("$wanted")
        if beside_gpusched "$version"; then
            sources+=(pyproject.toml)
        fi
        "$uv" pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header \
            --upgrade "${sources[@]}" -o "$pinned"
        continue
    fi
    target=.cache/bentoml/$version
    # A virtual environment cannot be moved, so one in a folder that was is made anew.
    made=$({ pwd; cat "$pinned"; } | sha256sum)
    if [[ $(cat "$target/.made" 2>/dev/null) == "$made" ]]; then
        continue
    fi
    echo "fetch_bentoml: making $target (once)"
    rm -f "$target/.made"  # first: what is cut off here is not there
    rm -rf "$target"
    "$uv" venv --quiet --python .venv/bin/python "$target"
    "$uv" pip install --quiet --python "$target/bin/python" --no-deps --only-binary :all: \
        --compile-bytecode \
        -r "$pinned"
    if beside_gpusched "$version"; then
        site=$("$target/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        pwd >"$site/gpusched.pth"
    fi
    echo "$made" >"$target/.made"
done
