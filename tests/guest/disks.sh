#!/usr/bin/env bash
# Two disks with what the guest imports: build/guest/python.img, the libraries, which lasts, and
# build/guest/code.img, this checkout as it is now. A file at a time over 9p would take minutes.
# The guest lays them over the folders that they were made from (init).
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

out=build/guest
code=(tokenprov tests hwtests profiles udev)
unused=(pip mypy 'mypyc*' '*mypyc*' numpy 'numpy.libs' matplotlib fontTools ruff)  # in the guest

# disk FILE FOLDER: a file system that holds the folder.
disk() {
    local megabytes
    megabytes=$(($(du -sm --apparent-size "$2" | cut -f1) * 3 / 2 + 16))
    rm -f -- "$1"
    mkfs.ext4 -q -F -m 0 -O ^has_journal -d "$2" "$1" "${megabytes}M"
    rm -rf -- "$2"
}

python=.venv/bin/python
stdlib=$($python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
site=$($python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
stamp="$(<.venv/.set-up) $stdlib $(sha256sum <tests/guest/disks.sh)"
if [[ ! -f $out/python.img || "$(cat "$out/.python" 2>/dev/null)" != "$stamp" ]]; then
    stage=$out/stage
    rm -rf -- "$stage"
    mkdir -p "$stage/stdlib" "$stage/site"
    tar -C "$stdlib" --exclude=./site-packages --exclude=./dist-packages --exclude=./test \
        --exclude='./config-*' --exclude='./idlelib' -c . | tar -x -C "$stage/stdlib"
    tar -C "$site" "${unused[@]/#/--exclude=./}" -c . | tar -x -C "$stage/site"
    $python -m compileall -q -j 2 "$stage" &>/dev/null || true  # templates are no Python
    disk "$out/python.img" "$stage"
    printf '%s' "$stamp" >"$out/.python"
fi
stage=$out/stage-code
rm -rf -- "$stage"
mkdir -p "$stage"
for folder in "${code[@]}"; do if [[ -d $folder ]]; then cp -a "$folder" "$stage/"; fi; done
$python -m compileall -q "$stage" >/dev/null
disk "$out/code.img" "$stage"
printf 'guest.stdlib=%s guest.site=%s guest.checkout=%s\n' "$stdlib" "$site" "$PWD" >"$out/paths"
