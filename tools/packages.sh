# SPDX-License-Identifier: Apache-2.0
# What demo, check and the Makefile share: Debian's packages, a place to build in, building.
# Sourced by sh in the top folder of the checkout.

packages_build="gcc libc6-dev make meson pkg-config
  libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libswresample-dev
  libjpeg-dev zlib1g-dev liblcms2-dev libjansson-dev libutf8proc-dev
  libevent-dev libssl-dev libsqlite3-dev libcurl4-gnutls-dev xxd"
# shellcheck disable=SC2034
packages_test="libcmocka-dev python3-pytest python3-venv ffmpeg openssl nginx zsh fish
  python3-selenium chromium chromium-driver python3-numpy python3-pil"

say() {
    echo "phonofilm: $*" >&2
}

# --- a place to build in --------------------------------------------------------

# need_place FOLDER...: this user can write the folders that are there, and make those
# that are not.
need_place() {
    if [ ! -w . ]; then
        say "$(pwd) cannot be written by $(id -un), and what is built goes there;" \
            "copy the folder to a place of your own and go on there"
        return 1
    fi
    for folder in "$@"; do
        [ -d "$folder" ] || continue
        foreign=$(find "$folder" -maxdepth 2 \( -type f -o -type d \) ! -writable \
            -print -quit)
        [ -z "$foreign" ] || {
            say "$(pwd)/$foreign cannot be written by $(id -un): another user built here" \
                "before; remove $folder/ as that user, or work in a copy of your own"
            return 1
        }
    done
}

# --- packages -------------------------------------------------------------------

# missing_packages NAME...: those of them that are not installed.  Where there is no dpkg
# nothing is known, and nothing said.
missing_packages() {
    command -v dpkg-query >/dev/null 2>&1 || return 0
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' ||
            printf ' %s' "$package"
    done
}

# tell_missing NAME...: one sentence and one command.
tell_missing() {
    say "these packages of Debian are missing; as root:"
    echo "    apt-get update && apt-get install -y --no-install-recommends $*" >&2
}

# Runs a command as root: directly, or through sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# may_be_root: this user is root, or sudo says that it can be; it asks on a terminal alone.
may_be_root() {
    [ "$(id -u)" -ne 0 ] || return 0
    command -v sudo >/dev/null 2>&1 || return 1
    if [ -t 0 ]; then
        sudo true
    else
        sudo -n true 2>/dev/null
    fi
}

# tell_failure LOG NAME...: why apt-get failed, as far as its log says.
tell_failure() {
    log=$1
    shift
    if grep -q -i -e 'resolv' -e 'failed to fetch' -e 'unable to fetch' \
        -e 'could not connect' -e 'unable to locate' "$log"; then
        say "Debian's packages could not be fetched; is there a network?" \
            "$(pwd)/$log has what apt-get said, and these are missing: $*"
    else
        grep '^E: ' "$log" >&2 || tail -n 3 "$log" >&2
        say "apt-get could not install $*; $(pwd)/$log has all that it said"
    fi
    return 1
}

# need_packages LOG NAME...: installs those that are missing; what apt-get says goes to LOG.
need_packages() {
    log=$1
    shift
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086
    if ! command -v apt-get >/dev/null 2>&1 || ! may_be_root; then
        tell_missing $missing
        return 1
    fi
    mkdir -p "$(dirname "$log")"
    echo "Installing$missing ($log has what apt-get says) ..."
    # A mirror that is not reached fails here or below, by what is really needed.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update </dev/null >"$log" 2>&1 ||
        true
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y \
        --no-install-recommends -o DPkg::Lock::Timeout=120 $missing \
        </dev/null >>"$log" 2>&1 || tell_failure "$log" $missing
}

# need_meson: one that understands meson.build.
need_meson() {
    needed=$(sed -n "s/.*meson_version: '>= \([0-9.]*\)'.*/\1/p" meson.build)
    have=$(meson --version 2>/dev/null) || {
        say "meson is missing"
        return 1
    }
    if [ "$(printf '%s\n' "$needed" "$have" | sort -V | head -n 1)" != "$needed" ]; then
        say "$(command -v meson) is meson $have, which is too old: $needed or newer is" \
            "needed, and Debian 12 and 13 have it"
        return 1
    fi
}

# --- building -------------------------------------------------------------------

# or_show LOG COMMAND...: runs a command quietly; what it said is shown if it fails.
or_show() {
    log=$1
    shift
    "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        return 1
    }
}

# library_folder: --libdir for meson where it would not find Debian's: it asks
# dpkg-architecture, which is in dpkg-dev alone, and else takes lib64, where Debian's
# linker and pkg-config do not look.
library_folder() {
    if [ -f /etc/debian_version ] && ! command -v dpkg-architecture >/dev/null 2>&1; then
        triplet=$(${CC:-cc} -print-multiarch 2>/dev/null) || triplet=
        echo "--libdir=lib${triplet:+/$triplet}"
    fi
}

# setup_in FOLDER MESON-ARGUMENT...: runs meson setup; where it fails, the packages that
# are missing are the likely reason.
setup_in() {
    log=$1/setup.log
    shift
    meson setup "$@" >"$log" 2>&1 && return 0
    # shellcheck disable=SC2086
    case " $* " in
    *-Dtests=false*) missing=$(missing_packages $packages_build) ;;
    *) missing=$(missing_packages $packages_build libcmocka-dev) ;;
    esac
    if [ -n "$missing" ]; then
        grep 'ERROR' "$log" >&2 || true
        # shellcheck disable=SC2086
        tell_missing $missing
    else
        cat "$log" >&2
    fi
    return 1
}

# to_the_owner FOLDER...: what root wrote belongs to whom the checkout belongs.
to_the_owner() {
    [ "$(id -u)" -ne 0 ] || chown -hR --reference=. "$@"
}

# build_in FOLDER [MESON OPTION...]: configures a folder that is new, was configured
# elsewhere or has other options (none given: leaves them as they are), then builds.
build_in() {
    folder=$1
    shift
    case $folder in
    /*) place=$folder ;;
    *) place="$(pwd)/$folder" ;;
    esac
    if [ -f "$folder/place" ] && [ "$place" != "$(cat "$folder/place")" ]; then
        rm -rf "$folder"                # the checkout was moved or copied
    fi
    mkdir -p "$folder"
    if [ ! -f "$folder/build.ninja" ]; then
        # shellcheck disable=SC2046
        setup_in "$folder" "$folder" $(library_folder) "$@" || return 1
        echo "$*" >"$folder/options"
        echo "$place" >"$folder/place"
    elif [ $# -gt 0 ] && [ "$*" != "$(cat "$folder/options" 2>/dev/null)" ]; then
        setup_in "$folder" --reconfigure "$folder" "$@" || return 1
        echo "$*" >"$folder/options"
    fi
    or_show "$folder/build.log" ninja -C "$folder" || return 1
    to_the_owner "$folder"
}

# build_first FOLDER: builds it, and configures it if it is new, with the tests where
# their library is installed.
build_first() {
    if [ -f "$1/build.ninja" ]; then
        build_in "$1"
    elif pkg-config --exists cmocka 2>/dev/null; then
        build_in "$1" --buildtype=release -Dtests=true
    else
        build_in "$1" --buildtype=release -Dtests=false
    fi
}

# build_tests FOLDER: builds it with the tests.
build_tests() {
    if [ -f "$1/tests/golden" ]; then
        build_in "$1"
    else
        build_in "$1" --buildtype=release -Dtests=true
    fi
}

# need_parts WHAT...: parts of the tests, "cmocka" or a module of Debian's Python.
need_parts() {
    missing=
    for part in "$@"; do
        case $part in
        cmocka) pkg-config --exists cmocka 2>/dev/null || missing="$missing libcmocka-dev" ;;
        *) /usr/bin/python3 -c "import $part" 2>/dev/null ||
            missing="$missing python3-$part" ;;
        esac
    done
    # shellcheck disable=SC2086
    [ -z "$missing" ] || tell_and_fail $missing
}

# need_program NAME PACKAGE
need_program() {
    command -v "$1" >/dev/null 2>&1 || tell_and_fail "$2"
}

tell_and_fail() {
    tell_missing "$@"
    return 1
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
