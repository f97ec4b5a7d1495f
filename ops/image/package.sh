#!/usr/bin/env bash
# Packs the box's programs into a Debian package: ops/image/package.sh FOLDER puts
# prima_VERSION_amd64.deb there, and prints its name. The programs must be built.
from=$PWD
# shellcheck source=../prepare.sh
. "$(dirname "$0")/../prepare.sh"

(($# == 1)) || fail "usage: ops/image/package.sh FOLDER, which gets the package"
out=$(cd "$from" && mkdir -p "$1" && realpath "$1")
install_packages dpkg-dev
use_build_cache
programs=$CARGO_TARGET_DIR/debug
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
model=$(printf '%s\n' models/bundles/*/ | tail -n 1)

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
for program in appliance firmware-config; do
  [[ -x $programs/$program ]] || fail "$programs/$program is not built; run cargo build first"
  install -D -m 755 "$programs/$program" "$tree/usr/bin/$program"
  strip "$tree/usr/bin/$program"
done
install -D -m 644 ops/image/package/prima-settings.service \
  "$tree/lib/systemd/system/prima-settings.service"
install -D -m 644 ops/image/package/prima.sysusers "$tree/usr/lib/sysusers.d/prima.conf"
install -D -m 755 ops/image/package/switch-ups-off "$tree/lib/systemd/system-shutdown/prima-ups"
install -D -m 644 ops/image/package/settings.toml "$tree/usr/share/prima/settings.toml"
for table in labels referral series-selection; do
  install -D -m 644 "firmware-config/$table.toml" "$tree/usr/share/prima/$table.toml"
done
install -D -m 644 LICENSE "$tree/usr/share/doc/prima/copyright"
mkdir -p "$tree/usr/share/prima/models"
cp -r "$model" "$tree/usr/share/prima/models/"
cp -r ops/runbooks "$tree/usr/share/doc/prima/"

mkdir "$tree/DEBIAN"
install -m 755 ops/image/package/postinst ops/image/package/prerm "$tree/DEBIAN/"
cat > "$tree/DEBIAN/control" <<CONTROL
Package: prima
Version: $version
Architecture: amd64
Maintainer: The Prima engineers <prima@example.org>
Section: science
Priority: optional
Depends: libc6 (>= 2.36), libgcc-s1, libstdc++6, systemd (>= 252), nftables, chrony
Recommends: libvulkan1, mesa-vulkan-drivers, nut-client, nut-server
Installed-Size: $(du -sk "$tree/usr" | cut -f 1)
Description: triage of brain MRI studies beside the scanner
 Receives studies by DICOM, analyses them without internet and shows a worklist
 with the worst first. Research use; not a medical device.
CONTROL
dpkg-deb --root-owner-group -Zxz -z1 --build "$tree" "$out" >/dev/null
echo "$out/prima_${version}_amd64.deb"
