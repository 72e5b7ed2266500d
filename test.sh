#!/usr/bin/env bash
# Runs all tests, then the client examples against a running server. Ends with 0 only if every part passed.
# Installs what it needs if it has the permission (scripts/needs.sh).
set -euo pipefail
cd "$(dirname "$0")"

work=$(mktemp -d)
server=
tests=0
examples=0
complete=
trap finish EXIT

finish() {
  local status=$?
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$work"
  if [ -n "$complete" ]; then
    echo "test.sh: every part passed, in $SECONDS seconds"
    echo "$((tests + examples)) passed, 0 failed"
  else
    echo "test.sh: FAILED (exit code $status), after $SECONDS seconds" >&2
    exit "$((status == 0 ? 1 : status))"
  fi
}

part() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }

# Starts the server on a free port. Sets $server to its process ID and $address to its URL.
start_server() {
  local binary
  binary=$(cargo build --locked --bin pausa --message-format=json 2>"$work/build" |
    python3 -c 'import json, sys
print(*[m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")])') ||
    { cat "$work/build" >&2; return 1; }
  mkfifo "$work/said"
  PAUSA_EPHEMERAL=true PAUSA_LISTEN=127.0.0.1:0 "$binary" >"$work/said" 2>"$work/log" &
  server=$!
  exec 3<"$work/said"
  address=
  while IFS= read -r -t 60 line <&3; do
    case $line in *API*http://*) address=http://${line#*http://} && address=${address%/graphql} && break ;; esac
  done
  [ -n "$address" ] || { echo 'the server did not print its address:' >&2; cat "$work/log" >&2; return 1; }
}

# Stops the server with SIGTERM, as an operator does. It must end with exit code 0.
stop_server() {
  local pid=$server status=0
  server=
  kill "$pid"
  wait "$pid" || status=$?
  [ "$status" -eq 0 ] || { echo "the server ended with $status:" >&2; cat "$work/log" >&2; return 1; }
}

example() {
  part "Client example: $1"
  shift
  "$@" || { echo 'the log of the server:' >&2; tail -n 50 "$work/log" >&2; return 1; }
  examples=$((examples + 1))
}

# Runs cargo test with these arguments and counts the tests that passed. A test that hangs ends the run: the last lines of
# its output name it.
cargo_test() {
  timeout --kill-after=10 1500 cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$work/tests"
  tests=$((tests + $(awk '/^test result: ok/ { passed += $4 } END { print passed + 0 }' "$work/tests")))
}

part 'Requirements of the tests'
scripts/needs.sh
export PATH="$PWD/target/node/node_modules/.bin:$PATH"

part 'Licenses and sources of the crates (cargo deny)'
PATH="$PWD/target/cargo-deny:$PATH" cargo deny --locked --log-level error check --hide-inclusion-graph licenses bans sources

# All stories run in one process, so they share one PostgreSQL.
# They wait more than they compute, so more of them than cores run at once.
export RUST_TEST_THREADS=$(($(nproc) * 3 / 2))
part 'Tests (cargo test)'
cargo test --locked --workspace --no-run --lib --bins --tests --examples
cargo_test --workspace --lib --bins --tests --examples
part 'Examples in the documentation (cargo test --doc)'
cargo_test --workspace --doc

part 'The server'
start_server
echo "process $server at $address"
example 'curl' client-examples/curl/tour.sh "$address"
example 'curl, again on the same server' client-examples/curl/tour.sh "$address"
part 'npm ci'
for client in apollo tus sse kit; do npm ci --prefix "client-examples/$client" --no-audit --no-fund; done
for subscriptions in websocket multipart; do
  example "Apollo Client, $subscriptions" node client-examples/apollo/tour.js "$address" "$subscriptions"
done
example 'tus-js-client' node client-examples/tus/resume.js "$address"
example 'graphql-sse' node client-examples/sse/watch.js "$address"
example 'Kit: generated code and types' npm run check --prefix client-examples/kit
example 'Kit: React in Chromium' node client-examples/kit/test.js "$address"
part 'The server ends'
stop_server
complete=yes
