#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tools/kmod_build.sh NAME KDIR [VARIABLE=VALUE…]
# The kernel component in build/kmod/NAME, so that several kernels' are there beside each other. Its sources there are links.
# Result: the folder with the modules is printed.
set -eu
name=$1 kdir=$2
shift 2
top=$(cd "$(dirname "$0")/.." && pwd -P)
out=$top/build/kmod/$name
mkdir -p "$out/kmod"
ln -sfn "$top/src" "$out/src"
find "$out/kmod" -xtype l -delete
(cd "$top/kmod" && find . -type f \( -name '*.[chS]' -o -name Kbuild -o -name Makefile \) ! -name '*.mod.c') | while read -r f; do
	mkdir -p "$out/kmod/$(dirname "$f")"
	ln -sfn "$top/kmod/$f" "$out/kmod/$f"
done
make -C "$out/kmod" KDIR="$kdir" "$@" >"$out/log" 2>&1 || { tail -30 "$out/log" >&2; exit 1; }
echo "$out/kmod"
