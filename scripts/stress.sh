#!/usr/bin/env bash
# Runs the stories and the tests of all crates repeatedly at low priority, beside two processes that use both cores:
#   scripts/stress.sh [ROUNDS] [FILTER...]
# ROUNDS: default 10. FILTER: as for cargo test, default all. Prints each test that failed and in which rounds. Ends with
# 1 if any test failed, or a round ended early.
#
# All stories of a round run in one process, which shares one PostgreSQL among them.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=10
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
  rounds=$1
  shift
fi

scripts/needs.sh
export PATH="$PWD/target/node/node_modules/.bin:$PATH"
mapfile -t binaries < <(cargo test --locked --workspace --lib --tests --no-run --message-format=json |
  python3 -c 'import json, sys
print(*[m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable") and m["profile"]["test"]], sep="\n")')

work=$(mktemp -d)
burners=()
finish() {
  kill "${burners[@]}" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

# Each in a session of its own: Linux groups processes by session (autogroup), and `nice` acts only within a group.
for _ in 1 2; do
  setsid bash -c 'while :; do :; done' &
  burners+=($!)
done

# Runs the tests of one binary. Adds those that failed to $work/failures.
run() {
  local round=$1 binary=$2 begin=$SECONDS end='passed'
  shift 2
  nice -n 19 "$binary" "$@" >"$work/output" 2>&1 || end='FAILED'
  printf 'round %d of %d, %s: %s after %d s: %s\n' "$round" "$rounds" "$(basename "${binary%-*}")" "$end" $((SECONDS - begin)) \
    "$(grep '^test result' "$work/output" || echo 'the round ended early')"
  if [ "$end" = FAILED ]; then
    failed=1
    { grep -E '^test .* \.\.\. FAILED$' "$work/output" || true; } | awk -v round="$round" '{ print $2, round }' >>"$work/failures"
    # The part that says why.
    sed -n '/^failures:$/,$p' "$work/output" | head -n 200
  fi
}

failed=0
for round in $(seq "$rounds"); do
  for binary in "${binaries[@]}"; do
    run "$round" "$binary" "$@"
  done
done

if [ -s "$work/failures" ]; then
  echo 'failed, with the rounds:'
  awk '{ rounds[$1] = rounds[$1] " " $2 } END { for (test in rounds) print "  " test ":" rounds[test] }' "$work/failures" | sort
fi
exit "$failed"
