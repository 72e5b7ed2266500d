#!/usr/bin/env bash
# The tour with curl: upload, import, watch, pause, resume, export, pi, terminate, clean up.
# Usage: tour.sh [ADDRESS]    default http://127.0.0.1:8080; needs curl, python3 and unzip
# shellcheck disable=SC2016  # the $names in single quotes are GraphQL's
set -euo pipefail

server=${1:-http://127.0.0.1:8080}
server=${server%/}
folder=$(cd "$(dirname "$0")" && pwd)
sample=$folder/../sample.csv
work=$(mktemp -d)
run=$$_$RANDOM
label=tour_$run
dataset=tour_$run
pi_sha256=452304d0e15d9e9fd9b63024212bb571de54b9b9f0aa050481f90530ef0b5c5d
started=()
has_dataset=

step() { printf '%s\n' "- $*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

# body QUERY VARIABLES: the JSON of a request.
body() {
  python3 -c 'import json, sys
print(json.dumps({"query": sys.argv[1], "variables": json.loads(sys.argv[2])}))' "$1" "$2"
}

# graphql QUERY VARIABLES: the complete response, errors included.
graphql() {
  curl -sS --max-time 30 "$server/graphql" -H 'Content-Type: application/json' -H 'Accept: application/json' \
    --data-binary "$(body "$1" "$2")"
}

# pick PATH <ANSWER: one value of it, such as data.task.state; fails with the response if it is missing.
pick() {
  python3 -c 'import json, sys
text = sys.stdin.read()
try:
    value = json.loads(text)
    for part in sys.argv[1].split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    print(value if isinstance(value, str) else json.dumps(value))
except (ValueError, KeyError, IndexError, TypeError):
    sys.exit(f"FAILED: no {sys.argv[1]} in the answer: {text.strip()[:500]}")' "$1"
}

# ask PATH QUERY VARIABLES: one value of the response.
ask() { graphql "$2" "$3" | pick "$1"; }

expect() { [ "$2" = "$3" ] || fail "$1: expected $3, but the server returned $2"; }

# watch ID UNTIL: prints events of the subscription until the state is UNTIL, or, for "3 events", three events arrived.
# A stream that ends early or takes over two minutes is a failure.
watch() {
  local query='subscription ($id: ID!) { taskProgress(id: $id) { state progress { done total } error { code message } } }'
  { curl -sS --fail-with-body -N --max-time 120 "$server/graphql" -H 'Content-Type: application/json' \
      --write-out '%{stderr}(status %{http_code}, %{size_download} bytes in %{time_total} s)' \
      -H 'Accept: multipart/mixed;boundary=graphql;subscriptionSpec=1.0' \
      --data-binary "$(body "$query" "{\"id\":\"$1\"}")" 2>"$work/curl.err" || printf ' curl ended with %d' "$?" >>"$work/curl.err"; } |
    python3 -u "$folder/events.py" "$2" || fail "task $1 did not reach '$2': $(cat "$work/curl.err")"
}

# Deletes what a failed tour left on the server.
tidy() {
  local status=$? id
  if [ "$status" -ne 0 ]; then
    for id in ${started[@]+"${started[@]}"}; do
      graphql 'mutation ($id: ID!) { terminate(id: $id) { state } }' "{\"id\":\"$id\"}" >/dev/null 2>&1 || true
      graphql 'mutation ($id: ID!) { deleteTask(id: $id) }' "{\"id\":\"$id\"}" >/dev/null 2>&1 || true
    done
    [ -z "$has_dataset" ] ||
      graphql 'mutation ($name: String!) { dropDataset(name: $name) }' "{\"name\":\"$dataset\"}" >/dev/null 2>&1 || true
  fi
  rm -rf "$work"
}
trap tidy EXIT

import_with_a_pause() {
  local upload first second
  step "Upload $(basename "$sample")"
  upload=$(curl -sS --max-time 60 -X POST "$server/uploads" -H 'Content-Type: text/csv' --data-binary "@$sample" | pick id)

  step "Import it at 400 rows a second into $dataset"
  import=$(ask data.startImport.id 'mutation ($upload: ID!, $dataset: String!, $label: String!) {
    startImport(input: {source: {uploadId: $upload}, dataset: $dataset, label: $label, maxRowsPerSecond: 400}) { id }
  }' "{\"upload\":\"$upload\",\"dataset\":\"$dataset\",\"label\":\"$label\"}")
  started+=("$import")
  has_dataset=yes

  step "Watch it for 3 events (multipart subscription)"
  watch "$import" '3 events'

  step "Pause it"
  control pause "$import" PAUSED
  first=$(rows_done)
  second=$(rows_done)
  expect 'rows of the paused import, read twice' "$second" "$first"
  [ "$first" -lt 2000 ] || fail "the import ended before it could be paused ($first rows)"
  step "Paused at $first of 2000 rows"

  step "Resume it and watch it to its end"
  control resume "$import" 'QUEUED|RUNNING'
  watch "$import" COMPLETED
  expect 'rows imported' "$(ask data.dataset.rowCount 'query ($name: String!) { dataset(name: $name) { rowCount } }' \
    "{\"name\":\"$dataset\"}")" 2000
}

rows_done() {
  ask data.task.progress.done 'query ($id: ID!) { task(id: $id) { progress { done } } }' "{\"id\":\"$import\"}"
}

# control VERB ID STATES: sends the verb and waits until the state is one of STATES, such as QUEUED|RUNNING. A pause or
# a termination that is under way, PAUSING or TERMINATING, is waited for by the subscription.
control() {
  local query state
  query="mutation (\$id: ID!) { $1(id: \$id, reason: \"The tour\") { state } }"
  state=$(ask "data.$1.state" "$query" "{\"id\":\"$2\"}")
  case $state in
    PAUSING | TERMINATING) watch "$2" "$3" ;;
    *) [[ "|$3|" == *"|$state|"* ]] || fail "$1 of $2: expected $3, but the server returned $state" ;;
  esac
}

export_and_compare() {
  step "Export $dataset"
  export=$(ask data.startExport.id 'mutation ($dataset: String!, $label: String!) {
    startExport(input: {dataset: $dataset, label: $label}) { id } }' "{\"dataset\":\"$dataset\",\"label\":\"$label\"}")
  started+=("$export")
  watch "$export" COMPLETED
  download "$export" "$work/export.csv"
  python3 -c 'import csv, sys
read = lambda path: list(csv.reader(open(path, newline="", encoding="utf-8-sig")))
ours, theirs = map(read, sys.argv[1:])
for number, (left, right) in enumerate(zip(ours, theirs), 1):
    if left != right: sys.exit(f"row {number}: sent {left}, came back {right}")
if len(ours) != len(theirs): sys.exit(f"{len(ours)} rows sent, {len(theirs)} came back")' "$sample" "$work/export.csv" ||
    fail 'the export differs from the sample'
  step "The export has the same cells as the sample"
}

# download ID FILE
download() {
  local code
  code=$(curl -sS --max-time 120 -o "$2" -w '%{http_code}' "$server/download/$1")
  expect "GET /download/$1" "$code" 200
}

compute_pi() {
  step "Compute 10,000 digits of pi and check them"
  pi=$(start_pi 10000)
  started+=("$pi")
  watch "$pi" COMPLETED
  download "$pi" "$work/pi.zip"
  unzip -p "$work/pi.zip" >"$work/pi.txt" || fail 'the zip cannot be opened'
  expect 'SHA-256 of the digits' "$(python3 -c 'import hashlib, sys
print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$work/pi.txt")" "$pi_sha256"

  step "Start 10,000,000 digits and terminate that"
  stopped=$(start_pi 10000000)
  started+=("$stopped")
  control terminate "$stopped" TERMINATED
}

start_pi() {
  ask data.startPiJob.id 'mutation ($digits: Int!, $label: String!) {
    startPiJob(input: {digits: $digits, label: $label}) { id } }' "{\"digits\":$1,\"label\":\"$label\"}"
}

count_in() {
  ask data.tasks.totalCount 'query ($label: String!, $state: TaskState!) {
    tasks(filter: {label: $label, states: [$state]}) { totalCount } }' "{\"label\":\"$label\",\"state\":\"$1\"}"
}

list_and_tidy() {
  local id
  step "List the tasks of this tour by their state"
  expect 'tasks COMPLETED' "$(count_in COMPLETED)" 3
  expect 'tasks TERMINATED' "$(count_in TERMINATED)" 1
  step "Drop the dataset and delete the tasks"
  expect dropDataset "$(ask data.dropDataset 'mutation ($name: String!) { dropDataset(name: $name) }' \
    "{\"name\":\"$dataset\"}")" true
  has_dataset=
  for id in "${started[@]}"; do
    expect deleteTask "$(ask data.deleteTask 'mutation ($id: ID!) { deleteTask(id: $id) }' "{\"id\":\"$id\"}")" "$id"
  done
  expect 'tasks left' "$(ask data.tasks.totalCount 'query ($label: String!) { tasks(filter: {label: $label}) {
    totalCount } }' "{\"label\":\"$label\"}")" 0
}

for tool in curl python3 unzip; do
  command -v "$tool" >/dev/null || fail "$tool is missing; install it first"
done
curl -sSf --max-time 5 "$server/readyz" >/dev/null || fail "no server is ready at $server; start one with: pausa"
import_with_a_pause
export_and_compare
compute_pi
list_and_tidy
step "The tour is done"
