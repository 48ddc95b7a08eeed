#!/usr/bin/env bash
# Puts Debian's own libnvidia-ml.so.1 (package libnvidia-ml1, section non-free) into .cache/nvml/,
# so that the NVML binding is tested against the real library on a machine without a driver.
# The host's apt sources, package lists and installed packages stay as they are.
set -euo pipefail
cd "$(dirname "$0")/.."

target=.cache/nvml
if [[ -e $target/libnvidia-ml.so.1 ]]; then
    exit 0
fi
# shellcheck source=/dev/null
release=$(. /etc/os-release && [[ ${ID:-} == debian ]] && echo "${VERSION_CODENAME:-}") || {
    echo "fetch_libnvidia_ml: only Debian's package is known; this is another system" >&2
    exit 1
}

apt=$(mktemp -d)
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/files" "$target"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
http://deb.debian.org/debian $release non-free" >"$apt/sources.list"
options=(
    -q=2
    -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache"
    -o "APT::Sandbox::User=$(id -un)"
)
apt-get "${options[@]}" update
(cd "$apt" && apt-get "${options[@]}" download libnvidia-ml1)
dpkg-deb -x "$apt"/libnvidia-ml1_*.deb "$apt/files"

library=$(find "$apt/files" -type f -name 'libnvidia-ml.so.*' -print -quit)
cp "$library" "$target/"
ln -sf "$(basename "$library")" "$target/libnvidia-ml.so.1"
echo "fetch_libnvidia_ml: $target/$(basename "$library")"
