# SPDX-License-Identifier: Apache-2.0
# Installing and uninstalling, for the Makefile; sourced after packages.sh.

# The list of what was installed, below the prefix.
manifest=share/phonofilm/installed-files

# whole_path PATH: absolute, with the home folder for a leading ~.
whole_path() {
    case $1 in
    '') ;;
    /*) printf '%s\n' "$1" ;;
    [~]) printf '%s\n' "$HOME" ;;
    [~]/*) printf '%s/%s\n' "$HOME" "${1#??}" ;;
    *) printf '%s/%s\n' "$(pwd)" "$1" ;;
    esac
}

# need_target FOLDER: this user can write it, or make it.
need_target() {
    above=$1
    while [ ! -e "$above" ]; do
        above=$(dirname "$above")
    done
    if [ ! -d "$above" ] || [ ! -w "$above" ]; then
        say "$above cannot be written by $(id -un); be root (sudo make ...), or give a" \
            "folder of your own: PREFIX=\$HOME/.local"
        return 1
    fi
}

# configured FOLDER OPTION: its value in a build folder.
configured() {
    meson introspect --buildoptions "$1" | python3 -c '
import json, sys
print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == sys.argv[1]))' "$2"
}

# install_in BUILD PREFIX DESTDIR
install_in() {
    build=$1
    prefix=$(whole_path "$2")
    stage=$(whole_path "$3")
    need_target "$stage$prefix" || return 1
    if [ "$(configured "$build" prefix)" != "$prefix" ]; then
        or_show "$build/setup.log" meson configure "$build" -Dprefix="$prefix" || return 1
        build_in "$build" || return 1
    fi
    or_show "$build/install.log" meson install -C "$build" --no-rebuild \
        --destdir "$stage" || return 1
    sed -n "s|^$stage$prefix/||p" "$build/meson-logs/install-log.txt" |
        sort >"$build/installed-files"
    install -D -m 0644 "$build/installed-files" "$stage$prefix/$manifest"
    to_the_owner "$build"
    echo "Installed into $stage$prefix (make uninstall takes it away again)."
    [ -z "$stage" ] || return 0
    [ "$(id -u)" -ne 0 ] || PATH=$PATH:/sbin ldconfig || true
    case ":$PATH:" in
    *":$prefix/bin:"*) ;;
    *) echo "For this shell to find it: export PATH=\"$prefix/bin:\$PATH\"" ;;
    esac
}

# keep_folder PREFIX FOLDER: one that was there before, or is everybody's.
keep_folder() {
    case $1 in
    /usr | /usr/local) case $2 in *phonofilm*) return 1 ;; *) return 0 ;; esac ;;
    *) return 1 ;;
    esac
}

# uninstall_from PREFIX DESTDIR
uninstall_from() {
    prefix=$(whole_path "$1")
    root=$(whole_path "$2")$prefix
    if [ ! -f "$root/$manifest" ]; then
        say "make install has put nothing into $root ($manifest is not there)"
        return 1
    fi
    need_target "$root" || return 1
    list=$(cat "$root/$manifest"; echo "$manifest")
    printf '%s\n' "$list" | while read -r name; do
        if [ ! -d "$root/$name" ] || [ -L "$root/$name" ]; then
            rm -f "$root/$name"
        fi
    done
    printf '%s\n' "$list" | while read -r name; do
        while name=$(dirname "$name") && [ "$name" != . ]; do
            keep_folder "$prefix" "$name" || rmdir "$root/$name" 2>/dev/null || true
        done
    done
    [ -n "$2" ] || [ "$(id -u)" -ne 0 ] || PATH=$PATH:/sbin ldconfig || true
    echo "Uninstalled from $root."
}
