#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The guest's /init for `make soak`. The kernel command line says what to do (commas for spaces):
#   soak.run=ARGS   /soak/ARGS by sh, power off
#   (nothing)       a shell on the console; power off when it ends
export PATH=/usr/bin:/usr/sbin HOME=/root
/bin/busybox mkdir -p /dev/shm
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev 2>/dev/null
/bin/busybox mkdir -p /dev/pts /dev/shm
/bin/busybox mount -t devpts devpts /dev/pts
/bin/busybox mount -t tmpfs tmp /dev/shm
/bin/busybox mount -t tmpfs -o size=70% tmp /tmp
/bin/busybox --install -s /usr/sbin 2>/dev/null
ip link set lo up 2>/dev/null
read -r cmdline </proc/cmdline
case " $cmdline " in
*" soak.run="*)
	args=${cmdline##* soak.run=}
	args=${args%% *}
	IFS=,
	set -f
	# shellcheck disable=SC2086
	set -- $args
	unset IFS
	set +f
	name=$1
	shift
	sh "/soak/$name" "$@"
	echo "@@over $?"
	;;
*)
	setsid cttyhack sh -i
	;;
esac
poweroff -f
sleep 60
