#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tools/debug_kernel.sh FOLDER
# Debian has no kernel with lockdep or KASAN: a small one with both, of Debian's package linux-source-6.1 and
# tests/kmod/debug.config, is built in FOLDER (1.5 GB, ten minutes on two idle processors). For
#   LODGE_DEBUG_KERNEL=FOLDER/build make check-kmod T=kmod/safety
# Wants flex, bison, bc, libelf-dev, xz-utils.
set -eu
[ $# -eq 1 ] || { sed -n 3,7p "$0" >&2; exit 2; }
top=$(cd "$(dirname "$0")/.." && pwd -P)
mkdir -p "$1/build"
folder=$(cd "$1" && pwd -P)
cd "$folder"
if [ ! -d linux-source-6.1 ]; then
	apt-get download linux-source-6.1
	dpkg-deb --fsys-tarfile linux-source-6.1_*.deb | tar -xO ./usr/src/linux-source-6.1.tar.xz | tar -xJ
	rm -f linux-source-6.1_*.deb
fi
cd linux-source-6.1
make -s O="$folder/build" tinyconfig
./scripts/kconfig/merge_config.sh -m -O "$folder/build" "$folder/build/.config" "$top/tests/kmod/debug.config" >/dev/null
make -s O="$folder/build" olddefconfig
for want in KASAN PROVE_LOCKING DEBUG_KMEMLEAK; do
	grep -qx "CONFIG_$want=y" "$folder/build/.config" || { echo "debug_kernel.sh: this source has no $want" >&2; exit 1; }
done
make -s -j"$(nproc)" O="$folder/build" bzImage modules
echo "$folder/build"
