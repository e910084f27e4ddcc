#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run in the guest by test_smp.py: the same work on each CPU at once, then one CPU off and on.
for c in 0 1 2; do
	(
		on=$(taskset -c $c sh -c 'cut -d" " -f39 /proc/self/stat')
		sum=$(taskset -c $c sh -c 'seq 1 20000 | md5sum | cut -c1-16')
		echo "@@cpu $c ran on $on sum $sum"
	) &
done
wait
echo 0 >/sys/devices/system/cpu/cpu2/online
echo "@@off $(grep -c '^processor' /proc/cpuinfo)"
echo 1 >/sys/devices/system/cpu/cpu2/online
echo "@@on $(grep -c '^processor' /proc/cpuinfo)"
