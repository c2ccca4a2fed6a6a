#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# headers.sh INCLUDE COMPILER...: every public header alone.  COMPILER is a command that reads
# source from standard input.  77 (skipped) if there is no such compiler.
set -eu
include=$1
shift
command -v "$1" > /dev/null || exit 77
for header in "$include"/*.h; do
  echo "#include \"${header##*/}\"" |
    "$@" -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$include" -
done
