#!/usr/bin/env bash
# Builds the images of the operator and of the examples and hands them to the running cluster.
# Prints one line per image, NAME and reference by digest; tests and demo read these lines. It
# must not deploy anything.
#
#   images.sh [PACKAGE]...    default: rollpin-controller replay-agent loadgen
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$CHECKOUT"

target=x86_64-unknown-linux-musl
folder=${CARGO_TARGET_DIR:-target}/$target/release
packages=("$@")
((${#packages[@]})) || packages=(rollpin-controller replay-agent loadgen)

say "building static programs: ${packages[*]} (about 5 min the first time, seconds later)"
cargo build --release --target "$target" "${packages[@]/#/--package=}" >&2
for package in "${packages[@]}"; do
  reference=$("$CLUSTER_DIR/image.sh" "$package" "$folder/$package")
  echo "$package $reference"
done
