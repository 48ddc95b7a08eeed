#!/usr/bin/env bash
# Makes .cache/frameworks/NAME, an environment of its own, for each tools/frameworks/NAME.txt: the
# servers that the tests run, with every version pinned. Once for each change of that file.
# Where NAME.in begins with `# beside gpusched`, what gpusched needs is installed, too, and it is
# this checkout. `--lock` writes the .txt files again, from the newest versions that .in allows.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=$PWD/.venv/bin/uv
# Nothing is written outside the checkout.
export UV_CACHE_DIR=$PWD/.cache/uv

beside_gpusched() {
    head -n 1 "tools/frameworks/$1.in" | grep --quiet '^# beside gpusched'
}

for wanted in tools/frameworks/*.in; do
    name=$(basename "$wanted" .in)
    pinned=tools/frameworks/$name.txt
    if [[ ${1:-} == --lock ]]; then
        sources=("$wanted")
        if beside_gpusched "$name"; then
            sources+=(pyproject.toml)
        fi
        "$uv" pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header \
            --upgrade "${sources[@]}" -o "$pinned"
        continue
    fi
    target=.cache/frameworks/$name
    if cmp --silent "$pinned" "$target/.made"; then
        continue
    fi
    echo "frameworks: making $target (once)"
    rm -rf "$target"
    "$uv" venv --quiet --python .venv/bin/python "$target"
    "$uv" pip install --quiet --python "$target/bin/python" --no-deps -r "$pinned"
    if beside_gpusched "$name"; then
        pwd >"$("$target/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/gpusched.pth"
    fi
    cp "$pinned" "$target/.made"
done
