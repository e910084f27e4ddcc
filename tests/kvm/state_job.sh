#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run in a second-level guest that is saved and restored meanwhile: a disk, the network, the clock, step by step.
for m in /bin/*.ko; do
	insmod "$m" || echo "@@bad $m"
done
ifconfig "$(ls /sys/class/net | grep -v '^lo$' | head -1)" 10.0.2.15 netmask 255.255.255.0
last=0
i=0
while [ $i -lt 40 ]; do
	i=$((i + 1))
	dd if=/dev/urandom of=/tmp/data bs=4k count=8 2>/dev/null
	dd if=/tmp/data of=/dev/vda bs=4k seek=$((i * 8)) conv=fsync 2>/dev/null
	echo 3 >/proc/sys/vm/drop_caches
	dd if=/dev/vda of=/tmp/back bs=4k skip=$((i * 8)) count=8 2>/dev/null
	cmp /tmp/data /tmp/back || echo "@@bad disk in step $i"
	read up rest </proc/uptime
	now=${up%.*}${up#*.}
	[ "$now" -ge "$last" ] || echo "@@bad clock: from $last to $now"
	[ $last = 0 ] || [ $((now - last)) -lt 6000 ] || echo "@@bad clock: jumped from $last to $now"
	last=$now
	# A frame may be lost, as the network's other side is a new one after a restore.
	[ $((i % 5)) != 0 ] || ping -c 4 -W 4 10.0.2.2 >/dev/null || echo "@@bad ping in step $i"
	sleep 0.05
	echo "@@step $i $(taskset -p $$ | sed 's/.* //')"
done
echo "@@cpus $(grep -c '^processor' /proc/cpuinfo)"
