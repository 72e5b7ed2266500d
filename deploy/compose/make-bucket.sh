#!/bin/sh
# Creates the bucket of docker-compose.yml, and makes the store sync each file to disk before it answers. May run again.
#   make-bucket.sh MASTER    the address of SeaweedFS, such as s3:9333
set -eu

# The program waits forever for a master that does not answer.
shell() { printf '%s\n' "$1" | timeout 60 weed shell -master="$master"; }

master=$1
shell 's3.bucket.list' | grep -q '^ *pausa[[:space:]]' || shell 's3.bucket.create -name pausa'
shell 'fs.configure -locationPrefix=/buckets/pausa/ -fsync=true -apply'
