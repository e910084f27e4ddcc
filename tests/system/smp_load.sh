#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run in the guest by test_smp.py: processes, pipes and page faults on all CPUs at once, wherever the
# scheduler puts them. Each worker must get the same result every time.
for c in 0 1 2 3; do
	(
		first=
		i=0
		while [ $i -lt 8 ]; do
			s=$(seq 1 2000 | sort -r | gzip -c | gunzip -c | md5sum | cut -c1-16)
			: "${first:=$s}"
			[ "$s" = "$first" ] || echo "@@wrong $c $s"
			i=$((i + 1))
		done
		echo "@@worker $c sum $first"
	) &
done
wait
echo "@@done"
