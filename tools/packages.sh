# Installs the Debian packages that a command needs; sourced by demo and check.
# Nothing happens when all of them are there.

packages_build="gcc libc6-dev meson pkg-config
  libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libswresample-dev
  libjansson-dev libutf8proc-dev
  libmicrohttpd-dev libsqlite3-dev libcurl4-gnutls-dev xxd"
packages_test="libcmocka-dev python3-pytest ffmpeg openssl
  python3-selenium chromium chromium-driver"

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

# build_in FOLDER [MESON OPTION...]: configures once, then builds.
build_in() {
    folder=$1
    shift
    [ -f "$folder/build.ninja" ] || meson setup "$folder" "$@" >/dev/null
    ninja -C "$folder" >"$folder/build.log" 2>&1 || {
        cat "$folder/build.log" >&2
        return 1
    }
}
