#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# `make demo`: boot Debian's cloud kernel with busybox. On a terminal the guest's shell; without
# one, the guest says what it is and powers off. LODGE overrides the command that runs the VM.
set -eu
cd "$(dirname "$0")/.."
STEP_LOG=build/demo.log
. tools/step.sh
LODGE=${LODGE:-build/lodge run}
PYTHON=${PYTHON:-/usr/bin/python3}
mkdir -p cache build

kernel=cache/cloud-amd64/vmlinuz
busybox=cache/busybox-amd64/busybox
if [ ! -f "$kernel" ] || [ ! -f "$busybox" ]; then
	step "Fetching Debian's cloud kernel and busybox (about 40 MB, kept in cache/)" \
		"$PYTHON" tools/fetch_kernels.py cloud-amd64 busybox-amd64
fi
initrd=build/demo-initrd
sh tools/mkinitramfs.sh "$initrd" "$busybox" tools/guest_init.sh

append="console=ttyS0"
if [ -t 0 ] && [ -t 1 ]; then
	echo "Booting $(cut -d_ -f1 cache/cloud-amd64/package). Ctrl-A x ends it, Ctrl-A h lists the keys."
	# shellcheck disable=SC2086
	exec $LODGE -m 512M -nographic -no-reboot -kernel "$kernel" -initrd "$initrd" -append "$append"
fi

log=build/demo-console.log
rc=0
echo "Booting $(cut -d_ -f1 cache/cloud-amd64/package) without a terminal; its console goes to $log ..."
# shellcheck disable=SC2086
timeout 600 $LODGE -m 512M -nographic -no-reboot -kernel "$kernel" -initrd "$initrd" \
	-append "$append lodge.report" </dev/null >"$log" 2>&1 || rc=$?
tr -d '\r' <"$log" | sed -n 's/^lodge-guest: //p'
if [ "$rc" -ne 0 ]; then
	echo "demo: the VM ended with status $rc; the end of its console:" >&2
	tail -n 40 "$log" >&2
	exit 1
fi
if ! grep -q '^lodge-guest: uptime' "$log"; then
	echo "demo: the guest ended before it said what it is; the end of its console:" >&2
	tail -n 40 "$log" >&2
	exit 1
fi
echo "The guest powered off."
