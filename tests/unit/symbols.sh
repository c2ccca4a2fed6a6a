#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# symbols.sh STATIC SHARED INCLUDE: every global symbol of the static library begins with
# pf_, and the shared library exports what the public headers declare, nothing else.  Names
# that begin with __ are the compiler's.
set -eu
static=$1 shared=$2 headers=$3

strangers=$(nm -g --defined-only "$static" 2>/dev/null |
    awk 'NF == 3 && $3 !~ /^(pf_|__)/ { print $3 }' | sort -u)
if [ -n "$strangers" ]; then
    echo "global symbols of $static that do not begin with pf_:" $strangers
    exit 1
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
grep -h PF_API "$headers"/*.h |
    grep -v '^#' | grep -o 'PF_API[^;(]*(' | sed 's/.*[ *]\([a-z_0-9]*\)($/\1/' |
    sort -u >"$scratch/declared"
nm -D --defined-only "$shared" | awk 'NF == 3 && $3 !~ /^__/ { print $3 }' |
    sort -u >"$scratch/exported"
[ -s "$scratch/declared" ] || { echo "no PF_API function in $headers"; exit 1; }
diff "$scratch/declared" "$scratch/exported" ||
    { echo "< declared in $headers, > exported by $shared"; exit 1; }
