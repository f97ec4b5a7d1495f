#!/usr/bin/env bash
# Builds a layer for the boxes of an image, and signs it: see usage below and ops/image/README.md.
from=$PWD
# shellcheck source=../prepare.sh
. "$(dirname "$0")/../prepare.sh"

usage() {
  cat <<'END'
usage: ops/image/layer.sh FOLDER                    NVIDIA's driver and the run-time compiler of CUDA
       ops/image/layer.sh FOLDER NAME PACKAGE...    another layer
  FOLDER    what ops/image/build.sh made: the image that the layer is for, and the keys
  NAME      small letters, digits and -
  PACKAGE   of Debian 12 and its non-free parts, or a file that ends in .deb. It alone is packed,
            without what it depends on: what is missing is named. PACKAGE/usr/include packs that
            folder of it alone; PACKAGE-dkms is compiled for the image's kernel
Puts NAME_KERNEL.layer and NAME_KERNEL.layer.sig into FOLDER, for /var/lib/prima/layers of a box.
What it fetched stays in FOLDER/fetched for the next time, and may be deleted.
NVIDIA's packages come from Debian's mirror under NVIDIA's licences, which do not let everybody pass
them on: each hospital builds the layer for its own boxes.
END
}

# What a card of NVIDIA needs to compute: its driver, the compilers that run when a model is loaded,
# and the headers that burn's kernels include.
nvidia=(
  nvidia-kernel-dkms firmware-nvidia-gsp nvidia-modprobe nvidia-smi libnvidia-ml1
  libcuda1 libnvidia-ptxjitcompiler1 libnvidia-nvvm4 libnvrtc11.2 libnvrtc-builtins11.8
  nvidia-cuda-dev/usr/include libcu++-dev/usr/include
)

[[ ${1:-} != -h && ${1:-} != --help ]] || { usage; exit 0; }
(($# == 1 || $# >= 3)) || { usage >&2; exit 64; }
out=$(cd "$from" && realpath -m "$1")
name=${2:-nvidia}
if (($# == 1)); then packages=("${nvidia[@]}"); else packages=("${@:3}"); fi
[[ $name =~ ^[a-z][a-z0-9-]{0,30}$ ]] ||
  fail "the name of a layer is $name, expected small letters, digits and -"
for file in root.squashfs prima-ca.pem prima-ca.key; do
  [[ -s $out/$file ]] ||
    fail "$out/$file is not there; FOLDER is where ops/image/build.sh put the image"
done
here=$PWD/ops/image
install_packages squashfs-tools cryptsetup-bin openssl binutils kmod
work=$(mktemp -d "$out/layer.XXXX")
fetched=$out/fetched
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir "$tree"
chmod 755 "$tree"

# What the layer must fit: the image's kernel, its release and its files.
unsquashfs -l -d '' "$out/root.squashfs" > "$work/files"
kernel=$(sed -n 's|^\(/usr\)\?/lib/modules/\([^/]*\)$|\2|p' "$work/files" | sort -u)
[[ $kernel =~ ^[0-9][A-Za-z0-9.+~-]*$ ]] ||
  fail "$out/root.squashfs has the kernels '$kernel', expected one; build the image anew"
layer=$out/${name}_$kernel.layer

# The mirror that this machine has its packages from, with the parts that are not free.
apt() {
  apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$fetched/lists" -o Dir::Cache="$fetched/cache" -o APT::Sandbox::User=root "$@"
}

update_lists() {
  debian_sources "main contrib non-free non-free-firmware" > "$work/sources.list"
  mkdir -p "$fetched/lists/partial" "$fetched/cache/archives/partial"
  apt update
}

# Unpacks a package, or one folder of it, below the tree.
unpack() {
  local package=$1 part='' deb
  if [[ $package == *.deb ]]; then
    deb=$(cd "$from" && realpath "$package")
  else
    [[ $package != */* ]] || part=./${package#*/} package=${package%%/*}
    [[ -s $work/sources.list ]] || update_lists
    say "fetching $package"
    (cd "$fetched" && apt download "$package") ||
      fail "$package cannot be fetched from $(debian_mirror); see what apt says above"
    # The latest, where an earlier run left others.
    deb=$(find "$fetched" -name "${package}_*.deb" -printf "%T@ %p\n" | sort -n | sed -n "\$s/^[^ ]* //p")
  fi
  echo "$(dpkg-deb -f "$deb" Package) $(dpkg-deb -f "$deb" Version)" >> "$work/packed"
  mkdir -p "$work/unpacked"
  if [[ -z $part ]]; then
    dpkg-deb --extract "$deb" "$work/unpacked"
  else
    dpkg-deb --fsys-tarfile "$deb" |
      tar -C "$work/unpacked" -x --wildcards "$part" './usr/share/doc/*/copyright'
  fi
}

# Compiles the kernel modules of a package that dkms unpacked, for the image's kernel, in a Debian of
# its own: neither this machine nor the image gets a compiler by it.
compile() {
  local source
  install_packages mmdebstrap
  for source in "$work"/unpacked/usr/src/*/; do
    [[ -f $source/dkms.conf ]] || continue
    source=$(basename "$source")
    say "compiling $source for $kernel"
    # shellcheck disable=SC2016 # for the other shell
    mmdebstrap --variant=apt --include="dkms,gcc,make,kmod,linux-headers-$kernel" \
      --customize-hook="copy-in '$work/unpacked/usr/src/$source' /usr/src" \
      --customize-hook="chroot \"\$1\" dkms build -m '${source%-*}' -v '${source##*-}' -k '$kernel'" \
      --customize-hook="mkdir -p \"\$1/modules\" && cp \"\$1/var/lib/dkms/${source%-*}/${source##*-}/$kernel\"/*/module/* \"\$1/modules\"" \
      --customize-hook="sync-out /modules '$tree/usr/lib/modules/$kernel/updates'" \
      bookworm /dev/null "$work/sources.list" >"$work/dkms.log" 2>&1 || {
      tail -n 30 "$work/dkms.log" >&2
      fail "$source does not compile for $kernel; where linux-headers-$kernel is no longer on the mirror, build the image anew first"
    }
  done
  rm -rf "$work/unpacked/usr/src"
}

# The image's list of modules with ours in it: the layer's lies over the image's.
index_modules() {
  local modules=$work/modules
  unsquashfs -q -n -d "$modules" "$out/root.squashfs" "usr/lib/modules/$kernel" >/dev/null
  cp -r "$tree/usr/lib/modules/$kernel/updates" "$modules/usr/lib/modules/$kernel/"
  ln -s usr/lib "$modules/lib"
  depmod --basedir "$modules" "$kernel"
  cp "$modules/usr/lib/modules/$kernel"/modules.{alias,dep,softdep,symbols,devname}* \
    "$tree/usr/lib/modules/$kernel/"
}

# Only /usr can be laid over /usr. Manual pages and the like stay away, licences do not.
take() {
  local folder
  mkdir -p "$tree/usr"
  for folder in bin sbin lib lib64; do
    [[ ! -d $work/unpacked/$folder ]] || {
      mkdir -p "$tree/usr/$folder"
      cp -a "$work/unpacked/$folder/." "$tree/usr/$folder/"
    }
  done
  [[ ! -d $work/unpacked/usr ]] || cp -a "$work/unpacked/usr/." "$tree/usr/"
  rm -rf "$work/unpacked" "$tree"/usr/share/{man,lintian,locale,bug}
  find "$tree/usr/share/doc" -type f ! -name copyright -delete 2>/dev/null || true
  chmod -R u-s,g-s,go-w "$tree"
}

# Debian keeps NVIDIA's files beside their places and links them by hand.
shape_nvidia() {
  local lib=$tree/usr/lib/x86_64-linux-gnu file real
  mv "$lib"/nvidia/current/* "$lib/"
  mv "$tree/usr/lib/nvidia/current/nvidia-smi" "$tree/usr/bin/"
  rm -r "$lib/nvidia" "$tree/usr/lib/nvidia"
  # By this name it is looked for.
  install_packages gcc libc6-dev
  real=$(cd "$lib" && printf '%s\n' libnvrtc.so.*.* | head -n 1)
  gcc -shared -fPIC -O2 -Wall -Werror -Wl,--no-as-needed -DDEBIAN="\"$real\"" -o "$lib/libnvrtc.so" \
    "$here/layer/nvrtc.c" "$lib/$real"
  mkdir -p "$tree/usr/local/cuda"
  ln -s ../../include "$tree/usr/local/cuda/include"
  for file in "$tree/usr/lib/modules/$kernel"/updates/nvidia-current*.ko; do
    [[ ! -e $file ]] || mv "$file" "${file/nvidia-current/nvidia}"
  done
  mkdir -p "$tree/usr/lib/modprobe.d" "$tree/usr/lib/prima/layers"
  # 44 is the group video in every Debian, which the daemon is in.
  echo "options nvidia NVreg_DeviceFileUID=0 NVreg_DeviceFileGID=44 NVreg_DeviceFileMode=0660" \
    > "$tree/usr/lib/modprobe.d/prima-nvidia.conf"
  install -m 755 "$here/layer/nvidia" "$tree/usr/lib/prima/layers/nvidia"
}

# Every library that a program of the layer is linked with is in the layer or the image.
check_libraries() {
  local missing
  # It fails for every file that is no program.
  find "$tree" -name '*.ko' -prune -o -type f -print0 |
    { xargs -0 -r readelf -dW 2>/dev/null || true; } | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u > "$work/needed"
  { sed 's|.*/||' "$work/files"; find "$tree" -printf '%f\n'; } | sort -u > "$work/there"
  missing=$(comm -23 "$work/needed" "$work/there" | tr '\n' ' ')
  [[ -z $missing ]] || fail "neither $name nor the image has $missing; name the packages that have them too"
}

# squashfs, then its verity tree; both without a header, so nothing is read that is not signed.
seal() {
  local size hash
  mkdir -p "$tree/usr/lib/extension-release.d"
  unsquashfs -cat "$out/root.squashfs" usr/lib/os-release 2>/dev/null |
    grep -E '^(ID|VERSION_ID)=' > "$tree/usr/lib/extension-release.d/extension-release.$name"
  rm -f "$layer" "$layer.sig"
  mksquashfs "$tree" "$layer" -quiet -no-progress -all-root -no-xattrs -comp zstd >/dev/null
  size=$(( ($(stat -c %s "$layer") + 4095) / 4096 * 4096 ))
  truncate -s "$size" "$layer"
  hash=$(veritysetup format "$layer" "$layer" --no-superblock --format=1 --hash=sha256 \
    --data-block-size=4096 --hash-block-size=4096 --data-blocks=$((size / 4096)) \
    --hash-offset="$size" --salt=- | sed -n 's/^Root hash:[[:space:]]*//p')
  printf 'prima layer 1\nname=%s\nkernel=%s\nblocks=%s\nroothash=%s\n' \
    "$name" "$kernel" $((size / 4096)) "$hash" > "$work/note"
  openssl cms -sign -binary -nodetach -md sha256 -in "$work/note" -outform DER -out "$layer.sig" \
    -signer "$out/prima-ca.pem" -inkey "$out/prima-ca.key"
}

for package in "${packages[@]}"; do unpack "$package"; done
[[ ! -d $work/unpacked/usr/src ]] || compile
take
[[ $name != nvidia || ! -d $tree/usr/lib/x86_64-linux-gnu/nvidia ]] || shape_nvidia
[[ ! -d $tree/usr/lib/modules ]] || index_modules
check_libraries
say "sealing and signing"
seal
sort -u "$work/packed"
# As the box will look at it.
sh "$here/root/usr/lib/prima/layer" check "$layer" "$out/prima-ca.pem" "$kernel"
say "done: $(du -h --apparent-size "$layer" | tr '\t' ' '), and $layer.sig"
