#!/usr/bin/env bash
# Make the environment in .venv and node_modules that a make target needs: `setup.sh demo|test`.
# "demo" holds the local cloud and nothing for developers; "test" holds everything.
set -euo pipefail
cd "$(dirname "$0")/.."

UV_VERSION=0.13.8
TORCH_VERSION=2.13.0
uv=.cache/uv/bin/uv

say() { printf '• %s\n' "$*"; }
fail() {
    printf 'setup cannot go on: %s\n' "$*" >&2
    exit 1
}

# Install Debian packages as root; without root, say what is missing.
need_debian() {
    local why=$1
    shift
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null \
        || fail "$why; as an administrator: apt-get install $*"
    say "installing $* with apt: $why"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

find_python() {
    command -v python3 >/dev/null || need_debian "there is no python3" python3 python3-venv
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
        || fail "$(python3 --version) is too old; swath needs Python 3.11 or newer"
    python3 -c 'import ensurepip, venv' 2>/dev/null \
        || need_debian "python3 cannot make virtual environments" python3-venv
}

find_node() {
    command -v node >/dev/null && command -v npm >/dev/null \
        || fail "the CDK needs Node.js 20 or newer with npm; see https://nodejs.org/en/download"
    [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] \
        || fail "Node.js $(node --version) is too old; the CDK needs 20 or newer"
}

get_uv() {
    [ -x "$uv" ] && [ "$("$uv" --version | cut -d' ' -f2)" = "$UV_VERSION" ] && return
    say "getting uv $UV_VERSION"
    python3 -m venv .cache/uv
    .cache/uv/bin/pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" \
        || fail "uv could not be installed from PyPI"
}

sync_python() {
    say "installing the Python packages of uv.lock"
    # --inexact: torch, which is not of the lock's making, stays.
    "$uv" sync --quiet --frozen --inexact --compile-bytecode --python "$(command -v python3)" "$@" \
        || fail "uv could not install the packages of uv.lock"
}

# For the tests of TorchScript and .pt2 packages. Outside the lock, which holds the CUDA build that
# the GPU image needs: several gigabytes that no test uses.
install_torch() {
    .venv/bin/python -c 'import torch' 2>/dev/null && return
    say "installing torch $TORCH_VERSION for CPUs"
    local source=(--index https://download.pytorch.org/whl/cpu)
    [ -z "${PIP_FIND_LINKS:-}" ] || source=(--find-links "$PIP_FIND_LINKS")
    "$uv" pip install --quiet --python .venv/bin/python "torch==$TORCH_VERSION" "${source[@]}" \
        || fail "torch $TORCH_VERSION for CPUs could not be installed"
}

install_node_packages() {
    say "installing the Node packages of package-lock.json"
    npm ci --silent --no-audit --no-fund || fail "npm could not install the packages"
}

find_python
find_node
get_uv
case "${1:-}" in
    demo) sync_python --no-default-groups --group infra --group local-cloud ;;
    test)
        sync_python
        install_torch
        ;;
    *) fail "usage: scripts/setup.sh demo|test" ;;
esac
install_node_packages
