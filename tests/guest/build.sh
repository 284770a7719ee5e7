#!/usr/bin/env bash
# Builds the guest in build/guest: a kernel, an initramfs, and root.img, the disk that it starts
# from: Debian packages, Python and what .venv holds, where they are here, and worker.py. Needs no
# root of its own, and installs nothing.
#
# It does nothing when the stamp fits what it was made from.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

out=build/guest
stamp=$out/.built
inputs=(tests/guest/{packages.txt,units.txt,build.sh,init,worker.py,modules.py} tests/guest/units/* tests/guest/pam.d/* .venv/.set-up)
MODULES=(virtio_pci virtio_blk squashfs overlay virtio_console 9pnet_virtio 9p)  # what worker.py needs
DRIVERS=(net gpu/drm/{amd,nouveau,i915,radeon} media scsi infiniband iio staging)  # of hardware it has not
SHUT_IN='SystemCall|Restrict|Protect|Private|MemoryDeny|LockPersonality|IPAddress|DeviceAllow|ReadWritePaths|WatchdogSec'  # takes seconds to set up
# Of /etc what no package holds: what was set up when the packages were installed here
SETTINGS=(alternatives group ld.so.cache ld.so.conf ld.so.conf.d localtime nsswitch.conf pam.d passwd)
UNUSED=(pip mypy 'mypyc*' '*mypyc*' numpy 'numpy.libs' matplotlib fontTools ruff kiwisolver)  # in the guest

say() { printf 'guest: %s\n' "$*"; }

case "$(pwd -P)/" in
/tmp/* | /run/*)
    say "the machine has a /tmp and a /run of its own: check the project out elsewhere" >&2
    exit 1
    ;;
esac

# Of Python and of the packages that are taken from here, too, which may be others since
fingerprint() {
    {
        pwd -P
        cat -- "${inputs[@]}"
        .venv/bin/python -VV
        if [[ -f $out/packages ]]; then xargs dpkg-query -W <"$out/packages"; fi
    } | sha256sum | cut -d' ' -f1
}
if [[ -f $stamp && $(<"$stamp") == "$(fingerprint)" ]]; then exit 0; fi

say "built from the packages of tests/guest/packages.txt and .venv"
layer=$out/layer
rm -rf -- "$layer" "$out"/{debs,initramfs,kept} "$stamp"
mkdir -p "$out/debs/partial" "$layer/usr/"{lib,lib64,bin,sbin}
# /lib is a link to /usr/lib and so on, here as there.
for name in lib lib64 bin sbin; do ln -s "usr/$name" "$layer/$name"; done
unpack() { tar -x -C "$layer" --keep-directory-symlink --no-same-owner "$@"; }
listed() { sed -E 's/[[:space:]]*#.*//; /^$/d' "$1"; }

# As apt-get resolves them on this machine: what is installed here is not downloaded.
mapfile -t names < <(listed tests/guest/packages.txt)
apt-get -qq --yes --no-install-recommends --no-upgrade --download-only \
    -o Dir::Cache::archives="$PWD/$out/debs" -o Debug::NoLocking=true \
    -o APT::Sandbox::User= install "${names[@]}" >"$out/apt.log" ||
    { say "the packages could not be downloaded; $out/apt.log says why" >&2; exit 1; }

# What is installed here of these, of what the downloaded ones want and of what each system has, with
# what that depends on in turn
wanted() {
    printf '%s\n' "${names[@]}"
    for deb in "$out"/debs/*.deb; do dpkg-deb -f "$deb" Depends Pre-Depends; done |
        sed 's/^[A-Z][A-Za-z-]*: //; s/[,|]/\n/g' | sed -nE 's/^ *([a-z0-9.+-]+).*/\1/p'
    dpkg-query -W -f='${Essential} ${Package}\n' | sed -n 's/^yes //p'
}
installed() {
    sort -u | xargs dpkg-query -W -f='${db:Status-Status} ${Package}:${Architecture}\n' 2>/dev/null |
        sed -n 's/^installed //p'
}
closed=(--installed --recurse --no-{recommends,suggests,conflicts,breaks,replaces,enhances})
mapfile -t names < <(wanted | installed)
mapfile -t names < <(apt-cache depends "${closed[@]}" "${names[@]}" | grep '^[a-z]' | installed)
printf '%s\n' "${names[@]}" >"$out/packages"
dpkg-query -L "${names[@]}" | sed -n 's|^/\(.\)|\1|p' | grep -Ev '^usr/share/(doc|man|locale|info)/' |
    sort -u >"$out/files"
tar -C / -c --no-recursion --ignore-failed-read -T "$out/files" 2>"$out/tar.log" | unpack
for name in "${SETTINGS[@]}"; do
    if [[ -e /etc/$name ]]; then tar -C / -c "etc/$name" | unpack; fi
done
for deb in "$out"/debs/*.deb; do  # they may be newer than what is here
    dpkg-deb --fsys-tarfile "$deb" | unpack --exclude=./usr/share/{doc,man,locale,info} \
        --exclude='./boot/System.map*' "${DRIVERS[@]/#/--exclude=*/kernel/drivers/}"
done
sed 's/:.*/:*:19000:0:99999:7:::/' /etc/passwd >"$layer/etc/shadow"  # nobody logs in by a password
mkdir -p "$layer"/{proc,sys,dev,run,tmp,root,var/tmp,var/log,home,{etc,usr/share}/polkit-1/rules.d}
chmod 755 "$layer"/{etc,usr/share}/polkit-1/rules.d  # all is owned by root there, and polkitd is not root

# Python, where it is here, with the libraries of Debian that its modules want
read -r base stdlib < <(.venv/bin/python -c 'import sys, sysconfig; print(sys.base_prefix, sysconfig.get_path("stdlib"))')
(cd / && tar -c "${base#/}"/bin/python3* "${base#/}"/lib/libpython3* 2>/dev/null || true) | unpack
tar -C / -c --exclude="${stdlib#/}"/{site-packages,dist-packages,test,idlelib,'config-*'} "${stdlib#/}" | unpack
tar -C / -c "${UNUSED[@]/#/--exclude=*/site-packages/}" "${PWD#/}/.venv" | unpack
find "$layer$stdlib" "$layer$PWD/.venv" -name '*.so*' -type f -print0 | xargs -0 ldd .venv/bin/python 2>/dev/null |
    sed -nE "\\|=> $PWD/|d; s|.* => /(.*) \\(.*|\\1|p" | sort -u >"$out/libraries"
tar -C / -c -h --hard-dereference -T "$out/libraries" | unpack --skip-old-files
.venv/bin/python -m compileall -q -j 2 "$layer$stdlib" -s "$layer" &>/dev/null || true  # templates are no Python

# The certificates of a smart card that QEMU has (tests/guest/tests/test_strangers.py)
card=$out/card
rm -rf -- "$card"
mkdir "$card"
certutil -N -d "sql:$card" --empty-password
for name in id sign encrypt; do
    certutil -S -d "sql:$card" -s "CN=$name" -n "$name" -x -t ,, -z "$out/files" >/dev/null 2>&1
done

kernel=$(basename "$layer"/boot/vmlinuz-*)
version=${kernel#vmlinuz-}
mv "$layer/boot/$kernel" "$out/vmlinuz"
for name in depmod modprobe; do ln -sf "$PWD/$layer/usr/bin/kmod" "$out/$name"; done
"$out/depmod" -b "$layer" "$version"

mkdir -p "$out/initramfs/modules" "$out/initramfs/bin"
number=0
while read -r _ path _; do
    file=$(printf '%s/initramfs/modules/%02d-%s' "$out" "$number" "$(basename "$path")")
    if ! compgen -G "$out/initramfs/modules/??-$(basename "$path")" >/dev/null; then
        cp "$path" "$file"
        number=$((number + 1))
    fi
done < <("$out/modprobe" -d "$layer" -S "$version" --show-depends -a "${MODULES[@]}" | grep -v ^builtin)
cp "$layer/usr/bin/busybox" "$out/initramfs/bin/busybox"
cp tests/guest/init "$out/initramfs/init"
chmod 755 "$out/initramfs/init"
(cd "$out/initramfs" && find . | bin/busybox cpio -o -H newc) 2>/dev/null | gzip -1 >"$out/initramfs.gz"

units=$layer/usr/lib/guest-units
mkdir -p "$units" "$layer/usr/lib/guest"
while read -r unit; do
    from=$layer/usr/lib/systemd/system/$unit
    if [[ ! -e $from ]]; then say "no package has $unit" >&2; exit 1; fi
    sed -E "/^($SHUT_IN)[A-Za-z]*=/d" "$from" >"$units/$unit"
done < <(listed tests/guest/units.txt)
sed "s|@CHECKOUT@|$PWD|" tests/guest/units/guest.service >"$units/guest.service"
cp tests/guest/units/{guest.target,seat.service,systemd-udev-trigger.service,users.service} "$units/"
cp tests/guest/pam.d/* "$layer/etc/pam.d/"
cp tests/guest/worker.py "$layer/usr/lib/guest/"
# What of other people's the worker loads before it is told what to do
.venv/bin/python -m tests.guest.modules >"$layer/usr/lib/guest/modules"
mksquashfs "$layer" "$out/root.img" -noappend -all-root -noI -noD -noF -noX -no-xattrs -quiet -no-progress
rm -rf -- "$layer" "$out/debs"
fingerprint >"$stamp"
say "done: Linux $version, $(du -sh "$out" | cut -f1)"
