#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run in the second-level guest: processors, a disk, the network.
for m in /bin/*.ko; do
	insmod "$m" || echo "@@bad $m"
done
echo "@@clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
echo "@@cpus $(grep -c '^processor' /proc/cpuinfo)"
echo "@@disk $(dd if=/dev/vda bs=64k count=4 2>/dev/null | md5sum | cut -d' ' -f1)"
dd if=/dev/urandom of=/tmp/data bs=4k count=32 2>/dev/null
dd if=/tmp/data of=/dev/vda bs=4k seek=128 2>/dev/null
sync
echo 3 >/proc/sys/vm/drop_caches
dd if=/dev/vda of=/tmp/back bs=4k skip=128 count=32 2>/dev/null
# A request a page.
echo 0 >/sys/block/vda/queue/read_ahead_kb
dd if=/dev/vda of=/dev/null bs=4k count=400 2>/dev/null
cmp /tmp/data /tmp/back && echo "@@written"
ip=$(ls /sys/class/net | grep -v '^lo$' | head -1)
ifconfig "$ip" 10.0.2.15 netmask 255.255.255.0
ping -c 1 -W 20 10.0.2.2 >/dev/null && echo "@@net"
(sleep 1; echo "@@slept $1") &
i=0
while [ $i -lt 2000 ]; do i=$((i + 1)); done
wait
echo "@@timer $(awk '/LOC|rtc|timer/ { s += $2 } END { print (s > 10) }' /proc/interrupts)"
