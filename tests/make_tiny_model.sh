#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make_tiny_model.sh MAKE_MODEL STAMP [WRAPPER]: makes the folder beside STAMP anew.  WRAPPER
# is what runs programs of another processor, from the property of a cross file.
set -eu
folder=$(dirname "$2")/tiny_model
rm -rf "$folder"
# shellcheck disable=SC2086
${3-} "$1" --preset tiny --seed 7 "$folder"
touch "$2"
