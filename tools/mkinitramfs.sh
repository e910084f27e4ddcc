#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Build an initramfs: busybox, an init script, and files.
# usage: mkinitramfs.sh OUT BUSYBOX INIT [FILE…]     (files go to /bin of the guest)
set -eu
[ $# -ge 3 ] || { sed -n '3,4s/^# //p' "$0" >&2; exit 2; }
out=$(realpath "$(dirname "$1")")/$(basename "$1")
busybox=$2
init=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work/proc" "$work/sys" "$work/dev" "$work/tmp" "$work/root" "$work/etc"
cp "$busybox" "$work/bin/busybox"
cp "$init" "$work/init"
for f in "$@"; do cp "$f" "$work/bin/"; done
chmod 755 "$work/init" "$work"/bin/*
ln -s busybox "$work/bin/sh"
# Not compressed: unpacking a copy is cheaper for the guest than inflating it.
(cd "$work" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet) >"$out.part"
mv "$out.part" "$out"
