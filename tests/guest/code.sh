#!/usr/bin/env bash
# build/guest/code.img: this checkout as it is now, which the guest mounts in its place. A file at a
# time over 9p would take minutes; so would compiling in there.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
unset PYTHONDONTWRITEBYTECODE

code=(tokenprov tests hwtests profiles udev pyproject.toml)

.venv/bin/python -m compileall -q tokenprov tests hwtests >/dev/null
# pytest has a bytecode of its own, which it writes when it collects. Of hwtests it does so, too, before
# it finds that no token is named.
.venv/bin/python -m pytest -q --collect-only -p no:cacheprovider tests/guest/tests hwtests &>/dev/null || true
mksquashfs "${code[@]}" build/guest/code.img -noappend -all-root -noI -noD -noF -noX -no-xattrs -quiet -no-progress
