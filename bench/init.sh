#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The guest's /init for `make bench`. The kernel command line says what to do:
#   bench.run=ARGS   run lodge-bench with ARGS (commas for spaces), power off
#   (nothing)        an idle shell
echo "bench-init: first line"
export PATH=/bin PS1='guest# '
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev 2>/dev/null
/bin/busybox mount -t tmpfs tmp /tmp
read -r cmdline </proc/cmdline
case " $cmdline " in
*" bench.run="*)
	args=${cmdline##* bench.run=}
	args=${args%% *}
	IFS=,
	set -f
	# shellcheck disable=SC2086
	/bin/lodge-bench $args || echo "bench: failed: status $?"
	/bin/busybox poweroff -f
	;;
esac
exec /bin/busybox setsid /bin/busybox cttyhack /bin/sh -i
