#!/usr/bin/env bash
# Builds the box's image and its update, as root or not, without loop devices:
#     ops/image/build.sh FOLDER
# puts there
#     prima.img       disk: boot loader, two copies of the system, room for the data
#     prima.raucb     signed update with the same system
#     prima.cdx.json, licences.txt    what it is made of (CycloneDX), and under which licences
#     prima-ca.pem, prima-ca.key    who signs updates; made where FOLDER has none
#     boot.gpg, gnupg               who signs what the boot loader starts; made likewise
# The parts and why they are as they are: ops/image/README.md.
from=$PWD
# shellcheck source=../prepare.sh
. "$(dirname "$0")/../prepare.sh"

(($# == 1)) || fail "usage: ops/image/build.sh FOLDER, which gets the image and keeps its keys"
out=$(cd "$from" && mkdir -p "$1" && realpath "$1")
here=$PWD/ops/image
install_packages mmdebstrap squashfs-tools-ng squashfs-tools cryptsetup-bin e2fsprogs dosfstools mtools \
  grub-efi-amd64-bin grub-common gdisk gpg rauc openssl dpkg-dev

# What the box has beside its own package.
packages=(
  systemd systemd-sysv systemd-resolved dbus udev kmod tzdata
  linux-image-amd64 initramfs-tools zstd grub-common cryptsetup-bin cryptsetup dosfstools e2fsprogs
  libtss2-esys-3.0.2-0 libtss2-mu0 libtss2-rc0 libtss2-tcti-device0 tpm2-tools
  nftables iproute2 chrony gdisk nano openssl usbutils nut-server nut-client rauc rauc-service
  libvulkan1 mesa-vulkan-drivers
)

# The root, its verity tree behind it, and the kernel with the root's hash: FOLDER/system-*.
build_system() {
  say "packing the programs"
  local deb
  deb=$("$here/package.sh" "$out" | tail -n 1)
  say "making the root"
  rm -f "$out/root.tar"
  mmdebstrap --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook="copy-in $deb /var/cache" \
    --customize-hook="chroot \"\$1\" sh -c 'dpkg --install /var/cache/*.deb && rm /var/cache/*.deb'" \
    --customize-hook="tar -C '$here/root' -c --owner=0 --group=0 --mode=u=rwX,go=rX . | tar -C \"\$1\" -x --no-same-owner" \
    --customize-hook="install -D -m 644 '$out/prima-ca.pem' \"\$1/etc/prima/update-keyring.pem\"" \
    --customize-hook="chroot \"\$1\" sh /usr/lib/prima/finish-image" \
    --customize-hook="copy-out /boot/vmlinuz /boot/initrd.img '$out'" \
    --customize-hook="cd \"\$1\" && rm -rf boot usr/lib/prima/finish-image && mkdir -p boot/efi" \
    bookworm "$out/root.tar" - < <(debian_sources main)
  say "sealing it"
  rm -f "$out/root.squashfs"
  tar2sqfs --quiet --compressor zstd --no-xattr "$out/root.squashfs" < "$out/root.tar"
  tar -xOf "$out/root.tar" ./var/lib/dpkg/status > "$out/dpkg-status"
  "$here/sbom.py" "$out" "$out/dpkg-status"
  rm "$out/root.tar" "$out/dpkg-status"
}

# Appends the verity tree to root.squashfs; the hash goes into the command line of the kernel.
seal_system() {
  local size hash
  cp "$out/root.squashfs" "$out/system-root.img"
  size=$(( ($(stat -c %s "$out/system-root.img") + 4095) / 4096 * 4096 ))
  truncate -s "$size" "$out/system-root.img"
  hash=$(veritysetup format "$out/system-root.img" "$out/system-root.img" --hash-offset="$size" \
    --salt=- | sed -n 's/^Root hash:[[:space:]]*//p')
  echo "prima.roothash=$hash prima.hashoffset=$size" > "$out/cmdline"
  rm -f "$out/system-kernel.img"
  mkfs.vfat -C -n PRIMAKERNEL "$out/system-kernel.img" 65536 >/dev/null
  printf 'set prima_cmdline="%s"\n' "$(cat "$out/cmdline")" > "$out/cmdline.cfg"
  local file
  for file in vmlinuz initrd.img cmdline.cfg; do
    gpg --homedir "$out/gnupg" --batch --yes --quiet --detach-sign --output "$out/$file.sig" \
      "$out/$file"
    mcopy -i "$out/system-kernel.img" "$out/$file" "$out/$file.sig" ::
  done
}

# Two keys: with one updates are signed, with the other what the boot loader starts. A fleet has them
# in FOLDER from its first image on, and keeps the folder in a safe.
make_keys() {
  if [[ ! -s $out/boot.gpg ]]; then
    mkdir -p -m 700 "$out/gnupg"
    gpg --homedir "$out/gnupg" --batch --quiet --passphrase '' \
      --quick-generate-key "Prima boot" rsa3072 sign never
    gpg --homedir "$out/gnupg" --quiet --export > "$out/boot.gpg"
  fi
  [[ -s $out/prima-ca.pem ]] && return
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 \
    -subj "/CN=Prima updates" -keyout "$out/prima-ca.key" -out "$out/prima-ca.pem" \
    -addext "keyUsage=critical,digitalSignature,keyCertSign" \
    -addext "extendedKeyUsage=codeSigning" 2>/dev/null
}

build_update() {
  say "signing the update"
  local tree version
  version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
  tree=$(mktemp -d "$out/update.XXXX")
  ln "$out/system-root.img" "$tree/root.img"
  ln "$out/system-kernel.img" "$tree/kernel.img"
  cat > "$tree/manifest.raucm" <<MANIFEST
[update]
compatible=prima-box-x86-64
version=$version

[bundle]
format=verity

[image.rootfs]
filename=root.img

[image.kernel]
filename=kernel.img
MANIFEST
  rm -f "$out/prima.raucb"
  rauc bundle --cert="$out/prima-ca.pem" --key="$out/prima-ca.key" "$tree" "$out/prima.raucb" \
    >/dev/null
  rm -rf "$tree"
}

# GPT: boot loader, kernel and root twice, data, which grows with the drive at the first start. The
# slots have room for later systems.
build_disk() {
  say "putting the disk together"
  local disk=$out/prima.img esp=$out/esp.img root_mib first
  root_mib=$(( $(stat -c %s "$out/system-root.img") / 1048576 * 5 / 4 + 64 ))
  rm -f "$disk" "$esp"
  truncate -s "$(( 64 + 2 * 65 + 2 * root_mib + 1024 + 8 ))M" "$disk"
  sgdisk --clear \
    --new=1:1M:+64M --typecode=1:ef00 --change-name=1:prima-boot \
    --new=2:0:+64M --typecode=2:8300 --change-name=2:prima-kernel-a \
    --new=3:0:+"${root_mib}"M --typecode=3:8304 --change-name=3:prima-root-a \
    --new=4:0:+64M --typecode=4:8300 --change-name=4:prima-kernel-b \
    --new=5:0:+"${root_mib}"M --typecode=5:8304 --change-name=5:prima-root-b \
    --new=6:0:0 --typecode=6:8300 --change-name=6:prima-data "$disk" >/dev/null
  mkfs.vfat -C -n PRIMABOOT "$esp" 65536 >/dev/null
  # Later ones have the firmware start the kernel, which measures it: each update would lock the data.
  grub-mkstandalone --version | grep -q ' 2\.06' || fail "this needs GRUB 2.06, as Debian 12 has it"
  grub-mkstandalone --format=x86_64-efi --output="$out/bootx64.efi" --locales= --fonts= --themes= \
    --pubkey="$out/boot.gpg" \
    --modules="part_gpt fat loadenv linux search search_label regexp test echo sleep reboot tpm pgp \
      gcry_sha256 gcry_sha512 gcry_rsa" \
    "boot/grub/grub.cfg=$here/grub.cfg"
  grub-editenv "$out/grubenv" create
  grub-editenv "$out/grubenv" set "ORDER=A B" A_OK=1 A_TRY=0 B_OK=0 B_TRY=0
  mmd -i "$esp" ::EFI ::EFI/BOOT ::grub
  mcopy -i "$esp" "$out/bootx64.efi" ::EFI/BOOT/BOOTX64.EFI
  mcopy -i "$esp" "$out/grubenv" ::grub/grubenv
  place() { # image, partition
    first=$(sgdisk --info="$2" "$disk" | sed -n 's/^First sector: \([0-9]*\).*/\1/p')
    dd if="$1" of="$disk" bs=1M seek=$((first * 512)) oflag=seek_bytes conv=notrunc,sparse \
      status=none
  }
  place "$esp" 1
  place "$out/system-kernel.img" 2
  place "$out/system-root.img" 3
}

make_keys
build_system
seal_system
build_update
build_disk
say "done: $(du -h --apparent-size "$out/prima.img" "$out/prima.raucb" | tr '\n\t' '; ')"
