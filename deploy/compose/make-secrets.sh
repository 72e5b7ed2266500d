#!/bin/sh
# Makes the passwords and keys of docker-compose.yml, once, in the folder secrets/ beside it. Existing ones stay.
#   deploy/compose/make-secrets.sh
set -eu
cd "$(dirname "$0")/../.."

random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
write() { cat >"secrets/$1"; }

umask 077
mkdir -p secrets
if [ ! -e secrets/database_url ]; then
  password=$(random 24)
  echo "$password" | write postgres_password
  # The connections do not leave the machine.
  echo "postgres://pausa:$password@postgres:5432/pausa?sslmode=disable" | write database_url
fi
if [ ! -e secrets/redis_url ]; then
  password=$(random 24)
  echo "requirepass $password" | write valkey_config
  echo "redis://:$password@valkey:6379/0" | write redis_url
fi
if [ ! -e secrets/s3_secret_key ]; then
  access=$(random 10)
  secret=$(random 24)
  write s3_config <<EOF
{"identities": [{"name": "pausa", "credentials": [{"accessKey": "$access", "secretKey": "$secret"}],
  "actions": ["Read:pausa", "Write:pausa", "List:pausa"]}]}
EOF
  echo "$access" | write s3_access_key
  echo "$secret" | write s3_secret_key
fi
# The containers run as users of their own. The folder itself is closed to others.
chmod 644 secrets/*
echo 'the passwords and keys are in secrets/'
