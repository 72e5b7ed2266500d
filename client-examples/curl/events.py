"""Reads a multipart/mixed subscription on stdin, prints each event, and ends with 0 once what was waited for has come.

Usage: events.py '3 events' | events.py STATE[|STATE]
A stream that ends or brings an error before that is exit code 1."""

import json
import sys

FINAL = {"COMPLETED", "TERMINATED", "FAILED"}


def events(lines):
    """The payload of each part; heartbeats and boundaries are left out."""
    for line in lines:
        if line.startswith("{"):
            part = json.loads(line)
            if part.get("errors") or (part.get("payload") or {}).get("errors"):
                sys.exit(f"FAILED: the subscription answered {line.strip()[:500]}")
            if part.get("payload"):
                yield part["payload"]["data"]["taskProgress"]


def main(wanted):
    """Ends as soon as the state, or the number of events, is there."""
    count = int(wanted.split()[0]) if wanted.endswith(" events") else None
    for seen, task in enumerate(events(sys.stdin), 1):
        progress = task["progress"]
        print(f"    {task['state']} {progress['done']} of {progress['total']}")
        if seen == count or (count is None and task["state"] in wanted.split("|")):
            return
        if task["state"] in FINAL:
            sys.exit(f"FAILED: the task is {task['state']}: {task['error']}")
    sys.exit("FAILED: the subscription ended too early")


if __name__ == "__main__":
    main(sys.argv[1])
