# Installs the Debian packages that a command needs; sourced by demo and check.
# Nothing happens when all of them are there.

packages_build="gcc libc6-dev meson pkg-config
  libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libswresample-dev
  libjpeg-dev zlib1g-dev libjansson-dev libutf8proc-dev
  libmicrohttpd-dev libsqlite3-dev libcurl4-gnutls-dev xxd"
packages_test="libcmocka-dev python3-pytest python3-venv ffmpeg openssl
  python3-selenium chromium chromium-driver python3-numpy python3-pil"

# Runs a command as root: directly, or through sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        echo "phonofilm: as root, please run: $*" >&2
        return 1
    fi
}

is_installed() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q ' installed$'
}

# need_packages NAME...: installs those that are missing.
need_packages() {
    missing=
    for package in "$@"; do
        is_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null 2>&1 || {
        echo "phonofilm: this needs Debian's packages:$missing" >&2
        return 1
    }
    echo "Installing:$missing"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends $missing
}

# or_show LOG COMMAND...: runs a command quietly; what it said is shown if it fails.
or_show() {
    log=$1
    shift
    "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        return 1
    }
}

# build_in FOLDER [MESON OPTION...]: configures a folder that is new or has other
# options (none given: leaves them as they are), then builds.
build_in() {
    folder=$1
    shift
    mkdir -p "$folder"
    if [ ! -f "$folder/build.ninja" ]; then
        or_show "$folder/setup.log" meson setup "$folder" "$@"
        echo "$*" >"$folder/options"
    elif [ $# -gt 0 ] && [ "$*" != "$(cat "$folder/options" 2>/dev/null)" ]; then
        or_show "$folder/setup.log" meson setup --reconfigure "$folder" "$@"
        echo "$*" >"$folder/options"
    fi
    or_show "$folder/build.log" ninja -C "$folder"
}

# python_in FOLDER REQUIREMENTS: a virtual environment that has what a requirements file
# pins; kept until the file changes.  Where the package index is not reached it says so
# and fails within seconds.
python_in() {
    if [ -x "$1/bin/python" ] && cmp -s "$2" "$1/requirements.txt"; then
        return 0
    fi
    rm -rf "$1"
    /usr/bin/python3 -m venv "$1" >"$1.log" 2>&1 &&
        timeout 300 "$1/bin/python" -m pip install --quiet --no-input \
            --disable-pip-version-check --retries 1 --timeout 8 -r "$2" \
            >>"$1.log" 2>&1 &&
        cp "$2" "$1/requirements.txt" && return 0
    rm -rf "$1"
    tail -n 1 "$1.log" >&2
    return 1
}
