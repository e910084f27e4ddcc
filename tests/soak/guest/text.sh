# SPDX-License-Identifier: GPL-2.0-or-later
# Text tools: sort, awk, sed, cut, tar, and pipes between processes.
cd /tmp || exit 1
awk 'BEGIN { s = 1; for (i = 0; i < 120000; i++) { s = (s * 16807) % 2147483647; print s % 99991, s, "w" s % 777 } }' >t
sha256sum <t
for k in "-n" "-k2,2n" "-k3,3 -k1,1nr" "-r" "-u -k3,3"; do
	# shellcheck disable=SC2086
	/usr/bin/busybox sort $k t | sha256sum
done
awk '{ n[$3] += $1 } END { for (w in n) print w, n[w] }' t | sort | sha256sum
sed 's/\([0-9]*\) \([0-9]*\)/\2-\1/' t | tr 0-9 a-j | cut -c3-20 | uniq -c | sha256sum
tar cf - /soak --exclude '*.ko' 2>/dev/null | gzip -9 | gunzip | wc -c >/dev/null
gzip -c t | gunzip | cmp - t && echo same
bzip2 -c t | bunzip2 | cmp - t && echo same
i=0
while [ $i -lt 300 ]; do
	echo $i | cat | tr 0-9 a-j
	i=$((i + 1))
done | sha256sum
echo "2^3000 % 1000000007; scale=60; 4*a(1); e(1)" | bc -l
rm t
