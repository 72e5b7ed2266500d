#!/usr/bin/env bash
# Measures the build that README.md names, on this machine:
#   scripts/build-times.sh [PROFILE]
# PROFILE: default release. Builds into a new, temporary target folder: everything, then once more after a change of one
# file of src/. Prints wall time and CPU time of both. The sources of the dependencies are fetched before. Needs 2 GB in
# TMPDIR.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${1:-release}
touched=src/kinds/pi/mod.rs
CARGO_TARGET_DIR=$(mktemp -d)
export CARGO_TARGET_DIR
trap 'rm -rf "$CARGO_TARGET_DIR"' EXIT
TIMEFORMAT='%R s, CPU %U s and %S s of the system'

cargo fetch --locked --quiet
printf '%s on %s cores\n' "$(rustc --version)" "$(nproc)"
printf 'everything: '
time cargo build --profile "$profile" --locked --quiet --bin pausa
# A line at the top changes the position of everything below, so the crate is really compiled again.
cp -p "$touched" "$CARGO_TARGET_DIR/original"
trap 'cp -p "$CARGO_TARGET_DIR/original" "$touched"; rm -rf "$CARGO_TARGET_DIR"' EXIT
sed -i '1i //! ' "$touched"
printf 'after a change of %s: ' "$touched"
time cargo build --profile "$profile" --locked --quiet --bin pausa
du -sh "$CARGO_TARGET_DIR" | awk '{ print "target folder: " $1 }'
