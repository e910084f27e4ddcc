#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# In the guest: load the modules that came along, and use the disk that lodge.disk= names.
# lodge.disktest=write  mounts its ext4, checks what the host put there, writes, syncs
# lodge.disktest=cd     mounts the CD, reads it, ejects it
# lodge.disktest=floppy mounts its ext4, checks it, writes
# lodge.disktest=bad    reads a disk with a bad sector
arg() {
	sed -n "s/.*lodge\.$1=\([^ ]*\).*/\1/p" /proc/cmdline
}
for m in $(cat /bin/modules.list); do
	insmod "/bin/$m" || echo "disktest: insmod $m failed"
done
dev=/dev/$(arg disk)
n=0
while [ ! -b "$dev" ] && [ $n -lt 100 ]; do
	n=$((n + 1))
	sleep 0.2
done
[ -b "$dev" ] || echo "disktest: no $dev"
fail() {
	echo "disktest: FAIL $*"
	dmesg | tail -40
	exit 1
}
mkdir -p /mnt
case $(arg disktest) in
write)
	mount -t ext4 "$dev" /mnt || fail mount
	(cd /mnt && md5sum -c sums) || fail sums
	for i in 1 2 3 4 5 6; do
		dd if=/dev/urandom of=/mnt/new$i bs=64k count=40 2>/dev/null || fail write
		dd if=/mnt/big of=/mnt/copy$i bs=37k conv=fsync count=20 2>/dev/null || fail sync
	done
	rm /mnt/new3 /mnt/copy4
	(cd /mnt && md5sum new* copy* >newsums)
	sync
	umount /mnt || fail umount
	echo 3 >/proc/sys/vm/drop_caches
	mount -t ext4 "$dev" /mnt || fail "mount again"
	(cd /mnt && md5sum -c newsums >/dev/null) || fail "sums again"
	(cd /mnt && md5sum -c sums) || fail "old sums again"
	fstrim /mnt && echo "disktest: trimmed"
	umount /mnt || fail "umount again"
	;;
cd)
	mount -t iso9660 -o ro "$dev" /mnt || fail mount
	(cd /mnt && md5sum -c sums) || fail sums
	umount /mnt
	cdctl "$dev" eject || fail eject
	mount -t iso9660 -o ro "$dev" /mnt && fail "the tray is open"
	cdctl "$dev" close || fail "close tray"
	mount -t iso9660 -o ro "$dev" /mnt || fail "mount again"
	(cd /mnt && md5sum -c sums) || fail "sums again"
	;;
floppy)
	mount -t ext4 "$dev" /mnt || fail mount
	(cd /mnt && md5sum -c sums) || fail sums
	dd if=/dev/urandom of=/mnt/new bs=1k count=60 2>/dev/null || fail write
	(cd /mnt && md5sum new >newsums)
	umount /mnt || fail umount
	echo 3 >/proc/sys/vm/drop_caches
	mount -t ext4 "$dev" /mnt || fail "mount again"
	(cd /mnt && md5sum -c newsums && md5sum -c sums) || fail "sums again"
	umount /mnt || fail "umount again"
	;;
bad)
	dd if="$dev" of=/dev/null bs=64k && fail "the bad sector could be read"
	dd if="$dev" of=/dev/null bs=4k count=500 || fail "what is before it could not be read"
	;;
esac
dmesg | grep -iE "exception|timeout|lost interrupt|failed command|reset failed|I/O error" | head -20
echo "disktest: done"
