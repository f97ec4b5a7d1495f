# shellcheck shell=bash
# Sourced by ops/test, ops/demo and ops/bench: goes to the repository's root, and offers the steps
# they share. Debian 12 with a Rust toolchain is enough to start from.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n== %s\n' "$*"; }
fail() { printf '\nerror: %s\n' "$*" >&2; exit 1; }

# Installs the Debian packages named that are missing, as root or with sudo.
install_packages() {
  local package missing=()
  command -v dpkg-query >/dev/null || {
    say "not a Debian system: making do with what is installed (wanted: $*)"
    return 0
  }
  for package; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
      missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  local root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || fail "as root, run: apt-get install ${missing[*]}"
    root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# The mirrors that this machine has its packages from, and of them the first, which has Debian itself.
debian_mirrors() {
  {
    sed -n 's/^URIs: \(.*\)/\1/p' /etc/apt/sources.list.d/*.sources 2>/dev/null || true
    sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' /etc/apt/sources.list 2>/dev/null || true
  }
}

debian_mirror() {
  local all
  all=$(debian_mirrors)
  echo "${all%%$'\n'*}"
}

# debian_sources COMPONENTS: lines for apt, with the security updates where this machine has them
debian_sources() {
  local signed='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]' security
  security=$(debian_mirrors | grep -- '-security/*$' | head -n 1 || true)
  echo "deb $signed $(debian_mirror) bookworm $1"
  echo "deb $signed $(debian_mirror) bookworm-updates $1"
  [[ -z $security ]] || echo "deb $signed $security bookworm-security $1"
}

# A linker and C compiler for Rust, and cmake with a C++ compiler for the JPEG-LS codec.
install_build_tools() {
  command -v cargo >/dev/null ||
    fail "cargo is missing: install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer from https://rustup.rs"
  install_packages ca-certificates cmake g++ gcc libc6-dev make pkg-config
}

# Compiling the dependencies once takes a quarter of an hour, so clones share one build folder.
# A folder named by CARGO_TARGET_DIR and a build that stands in the clone come first; without a
# place for the shared folder the build goes into the clone.
use_build_cache() {
  local cache="${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/prima-build"
  if [[ -z ${CARGO_TARGET_DIR:-} && ! -d target/debug ]] &&
    mkdir -p "$cache/target" 2>/dev/null && [[ -w $cache/target ]]; then
    CARGO_TARGET_DIR=$cache/target
  fi
  export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
}

# The one build of this repository. Another choice of packages or targets changes the features
# of shared dependencies, and with them recompiles burn; the feature `trainer/mpi`, which the tests
# add, concerns the trainer alone.
build() {
  say "building into $CARGO_TARGET_DIR (the first time about a quarter of an hour)"
  cargo build --workspace --all-targets --locked "$@"
}

# Points Vulkan at Mesa's software driver, unless the caller has chosen a driver.
use_software_vulkan() {
  [[ -z ${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-} ]] || return 0
  local driver
  for driver in /usr/share/vulkan/icd.d/lvp_icd*.json; do
    [[ -f $driver ]] || continue
    # The first name is today's, the second the one that Debian 12's loader knows.
    export VK_DRIVER_FILES=$driver VK_ICD_FILENAMES=$driver
  done
}

# A PostgreSQL of its own, with fsync on, for the hub's suite and bench; it ends with this script.
prepare_postgres() {
  local bin as=() port
  bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | tail -n 1)
  [[ -x $bin/initdb ]] || fail "PostgreSQL's initdb is not in $bin"
  postgres=$(mktemp -d)
  if ((EUID == 0)); then
    # It refuses to run as root.
    as=(runuser -u postgres --)
    chown postgres: "$postgres"
  fi
  port=$((20000 + $$ % 10000))
  "${as[@]}" "$bin/initdb" -D "$postgres/data" --auth=trust --username=prima --no-instructions \
    >/dev/null
  "${as[@]}" "$bin/pg_ctl" -D "$postgres/data" -l "$postgres/log" -w start \
    -o "-k '' -c listen_addresses=127.0.0.1 -p $port" >/dev/null ||
    fail "PostgreSQL does not start: $(tail -n 3 "$postgres/log")"
  # shellcheck disable=SC2064 # as it is now
  trap "${as[*]} '$bin/pg_ctl' -D '$postgres/data' -m immediate stop >/dev/null; rm -rf '$postgres'" EXIT
  export PRIMA_POSTGRES=postgresql://prima@127.0.0.1:$port/postgres
}
