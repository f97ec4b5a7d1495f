#!/usr/bin/env bash
# Fills a folder, such as a USB stick, from which a bare Debian 12 becomes a box without any network:
#     ops/image/usb.sh FOLDER        here
#     sh FOLDER/install              there, as root
from=$PWD
# shellcheck source=../prepare.sh
. "$(dirname "$0")/../prepare.sh"

(($# == 1)) || fail "usage: ops/image/usb.sh FOLDER, such as /media/stick"
out=$(cd "$from" && mkdir -p "$1" && realpath "$1")
install_packages dpkg-dev apt-utils
grep -q '^VERSION_CODENAME=bookworm' /etc/os-release ||
  fail "this gathers the packages of the Debian that it runs on, which must be 12 (bookworm)"

deb=$(ops/image/package.sh "$out" | tail -n 1)
say "gathering what it depends on"
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/partial"
: > "$state/status"
# As if nothing were installed, so that whatever the other machine lacks is there.
apt-get update -qq
apt-get install --yes -qq --download-only --no-install-recommends \
  -o Dir::State::status="$state/status" -o Dir::Cache::archives="$state" -o APT::Sandbox::User=root \
  "$deb" libvulkan1 mesa-vulkan-drivers nut-client nut-server curl >/dev/null
mv "$state"/*.deb "$out/"
(cd "$out" && dpkg-scanpackages --multiversion . 2>/dev/null > Packages)
install -m 755 ops/image/package/install "$out/install"
say "done: $(du -sh "$out" | cut -f 1) in $out; there, as root: sh install"
