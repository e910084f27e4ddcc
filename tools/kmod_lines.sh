#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: tools/kmod_lines.sh
# The kernel component's lines, as docs/kmod.md has them: all of them, and those that are neither empty nor comment.
set -eu
cd "$(dirname "$0")/../kmod"
code() {
	# Comments of C and assembly go, then what is empty.
	sed -e 's://.*::' -e 's:/\*.*\*/::' -e '/\/\*/,/\*\//d' "$@" | grep -c '[^[:space:]]' || true
}
row() {
	name=$1
	shift
	[ $# -gt 0 ] && [ -e "$1" ] || return 0
	printf '| %s | %d | %d | %d |\n' "$name" $# "$(cat "$@" | wc -l)" "$(code "$@")"
}
emulator=$(ls emu*.c emu*.h)
chips=$(ls lapic*.c ioapic.c pic.c pit.c routing.c irqfd.c ioeventfd.c clock.c 2>/dev/null || true)
core=$(ls *.c *.h | grep -vxF -e "$emulator" -e "$chips" -e selftest.c | grep -v '\.mod\.c$')
echo '| part | files | lines | of them code |'
echo '|---|---|---|---|'
row 'core: VMs, vCPUs, memory, registers, events' $core
row 'instruction emulator' $emulator
row 'interrupt controllers, timers, irqfd, ioeventfd, clock' $chips
row 'AMD-V (`svm/`)' $(ls svm/*.[chS])
row 'VT-x (`vmx/`)' $(ls vmx/*.[chS] 2>/dev/null || true)
row 'kernels (`compat/`), shared decoder (`shared/`)' $(ls compat/*.h compat/include/*.h shared/*.c)
row '**all**' $core $emulator $chips $(find svm vmx compat shared -name '*.[chS]' ! -name '*.mod.c' 2>/dev/null)
row 'beside them: checks at load in debug builds' selftest.c
