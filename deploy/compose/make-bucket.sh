#!/bin/sh
# Creates the bucket of docker-compose.yml, and makes the store sync each file to disk before it answers. May run again.
#   make-bucket.sh MASTER    the address of SeaweedFS, such as s3:9333
set -eu

shell() { printf '%s\n' "$1" | weed shell -master="$master"; }

master=$1
shell 's3.bucket.list' | grep -qw pausa || shell 's3.bucket.create -name pausa'
shell 'fs.configure -locationPrefix=/buckets/pausa/ -fsync=true -apply'
