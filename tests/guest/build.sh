#!/usr/bin/env bash
# Builds the guest from Debian packages, in build/guest: a kernel, an initramfs, and a folder that
# is laid over the machine's own root. Needs no root of its own, and installs nothing but QEMU.
#
# It does nothing when the stamp fits the files that it was made from.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

out=build/guest
stamp=$out/.built
inputs=(tests/guest/{packages.txt,units.txt,build.sh,init} tests/guest/units/* tests/guest/pam.d/*)
MODULES=(virtio_pci 9pnet_virtio 9p overlay virtio_console virtio_blk ext4)  # what the root needs, and the agent
SHUT_IN='SystemCall|Restrict|Protect|Private|MemoryDeny|LockPersonality|IPAddress|DeviceAllow|ReadWritePaths|WatchdogSec'  # takes seconds to set up

say() { printf 'guest: %s\n' "$*"; }

fingerprint() { { pwd -P; cat -- "${inputs[@]}"; } | sha256sum | cut -d' ' -f1; }
if [[ -f $stamp && $(<"$stamp") == "$(fingerprint)" ]]; then exit 0; fi

say "built from the packages of tests/guest/packages.txt"
rm -rf -- "$out"
mkdir -p "$out/debs/partial" "$out/layer/usr/"{lib,bin,sbin} "$out/layer/lib64" "$out/initramfs"
rmdir "$out/layer/lib64"

# As apt-get resolves them on this machine: what is installed here is not downloaded again.
mapfile -t names < <(sed -E 's/[[:space:]]*#.*//; /^$/d' tests/guest/packages.txt)
apt-get -qq --yes --no-install-recommends --download-only \
    -o Dir::Cache::archives="$PWD/$out/debs" -o Debug::NoLocking=true \
    -o APT::Sandbox::User= install "${names[@]}" >"$out/apt.log" ||
    { say "the packages could not be downloaded; $out/apt.log says why" >&2; exit 1; }

# The machine's root has /lib as a link to /usr/lib: so has what is laid over it.
for name in lib bin sbin; do ln -s "usr/$name" "$out/layer/$name"; done
for deb in "$out"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" |
        tar -x -C "$out/layer" --keep-directory-symlink --no-same-owner --exclude='./usr/share/doc' \
            --exclude='./usr/share/man' --exclude='./usr/share/locale' --exclude='./boot/System.map*'
done
rm -rf -- "$out/debs"

kernel=$(basename "$out"/layer/boot/vmlinuz-*)
version=${kernel#vmlinuz-}
mv "$out/layer/boot/$kernel" "$out/vmlinuz"
kmod=$out/layer/usr/bin/kmod
[[ -x $kmod ]] || kmod=/usr/bin/kmod  # it is installed here
ln -s "$(realpath "$kmod")" "$out/depmod"
ln -s "$(realpath "$kmod")" "$out/modprobe"
"$out/depmod" -b "$out/layer" "$version"

mkdir -p "$out/initramfs/modules" "$out/initramfs/bin"
number=0
while read -r _ path _; do
    file=$(printf '%s/initramfs/modules/%02d-%s' "$out" "$number" "$(basename "$path")")
    if ! compgen -G "$out/initramfs/modules/??-$(basename "$path")" >/dev/null; then
        cp "$path" "$file"
        number=$((number + 1))
    fi
done < <("$out/modprobe" -d "$out/layer" -S "$version" --show-depends -a "${MODULES[@]}")
busybox=$out/layer/usr/bin/busybox
[[ -x $busybox ]] || busybox=$(command -v busybox)
cp "$busybox" "$out/initramfs/bin/busybox"
cp tests/guest/init "$out/initramfs/init"
chmod 755 "$out/initramfs/init"
(cd "$out/initramfs" && find . | bin/busybox cpio -o -H newc) 2>/dev/null | gzip -1 >"$out/initramfs.gz"

units=$out/layer/usr/lib/guest-units
mkdir -p "$units" "$out/layer/etc/pam.d"
while read -r unit; do
    for from in "$out/layer/usr/lib/systemd/system" /usr/lib/systemd/system; do
        if [[ -e $from/$unit ]]; then sed -E "/^($SHUT_IN)[A-Za-z]*=/d" "$from/$unit" >"$units/$unit"; fi
    done
    if [[ ! -e $units/$unit ]]; then say "no package has $unit" >&2; exit 1; fi
done < <(sed -E 's/[[:space:]]*#.*//; /^$/d' tests/guest/units.txt)
cp tests/guest/units/* "$units/"
cp tests/guest/pam.d/* "$out/layer/etc/pam.d/"
fingerprint >"$stamp"
say "done: Linux $version, $(du -sh "$out" | cut -f1)"
