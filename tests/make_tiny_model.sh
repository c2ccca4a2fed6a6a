#!/bin/sh
# make_tiny_model.sh MAKE_MODEL STAMP: makes the folder beside STAMP anew.
set -eu
folder=$(dirname "$2")/tiny_model
rm -rf "$folder"
"$1" --preset tiny --seed 7 "$folder"
touch "$2"
