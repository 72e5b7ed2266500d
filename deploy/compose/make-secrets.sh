#!/bin/sh
# Makes the passwords of docker-compose.yml, once, in the folder secrets/ beside it. Existing ones stay.
#   deploy/compose/make-secrets.sh
set -eu
cd "$(dirname "$0")/../.."

if [ -e secrets/database_url ]; then
  echo 'secrets/ exists already; nothing was changed'
  exit 0
fi
random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

umask 077
mkdir -p secrets
postgres=$(random 24)
printf '%s\n' "$postgres" >secrets/postgres_password
printf 'postgres://pausa:%s@postgres:5432/pausa\n' "$postgres" >secrets/database_url
# The containers run as users of their own. The folder itself is closed to others.
chmod 644 secrets/*
echo 'wrote the passwords to secrets/'
