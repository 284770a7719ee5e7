#!/usr/bin/env bash
# build/guest/code.img: this checkout as it is now, which the guest mounts in its place. A file at a
# time over 9p would take minutes; so would compiling in there.
#
# It does nothing when the stamp fits what it was made from: machines that were kept have it mounted.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
unset PYTHONDONTWRITEBYTECODE

code=(tokenprov tests hwtests profiles udev pyproject.toml)
out=build/guest
stamp=$out/.code

fingerprint() {
    find "${code[@]}" -name __pycache__ -prune -o -type f -print0 | sort -z |
        xargs -0 sha256sum -- "$out/.built" tests/guest/code.sh | sha256sum | cut -d' ' -f1
}
now=$(fingerprint)
if [[ -f $stamp && $(<"$stamp") == "$now" ]]; then exit 0; fi
rm -f -- "$stamp"

.venv/bin/python -m compileall -q tokenprov tests hwtests >/dev/null
# pytest has a bytecode of its own, which it writes when it collects. Of hwtests it does so, too, before
# it finds that no token is named.
.venv/bin/python -m pytest -q --collect-only -p no:cacheprovider tests/guest/tests hwtests &>/dev/null || true
mksquashfs "${code[@]}" "$out/code.img" -noappend -all-root -noI -noD -noF -noX -no-xattrs -quiet -no-progress
printf '%s\n' "$now" >"$stamp"
