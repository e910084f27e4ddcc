#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The guest's /init, for `make demo` and the system tests. The kernel command line says what to do:
#   lodge.report   print what the machine is, power off
#   lodge.cmd=NAME run /bin/NAME (a script or program put there by mkinitramfs.sh), power off
#   (neither)      a shell on the console; power off when it ends
/bin/busybox --install -s /bin 2>/dev/null
export PATH=/bin HOME=/root TERM="${TERM:-vt100}" PS1='guest# '
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
hostname lodge
cmdline=" $(cat /proc/cmdline) "

report() {
	echo "lodge-guest: $(uname -a)"
	awk '/^MemTotal/ { printf "lodge-guest: memory %d MiB\n", $2 / 1024 }' /proc/meminfo
	echo "lodge-guest: cpus $(grep -c '^processor' /proc/cpuinfo)"
	awk '{ printf "lodge-guest: uptime %s s\n", $1 }' /proc/uptime
}

case $cmdline in
*" lodge.report "*)
	report
	;;
*" lodge.cmd="*)
	cmd=${cmdline##* lodge.cmd=}
	cmd=${cmd%% *}
	echo "lodge-guest: running $cmd"
	"/bin/$cmd"
	echo "lodge-guest: $cmd exit $?"
	;;
*)
	report
	echo "lodge-guest: a shell. 'poweroff -f' or Ctrl-D ends the guest; Ctrl-A x ends it at once."
	setsid cttyhack sh -i
	;;
esac
sync
poweroff -f
sleep 60
