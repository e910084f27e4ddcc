# SPDX-License-Identifier: GPL-2.0-or-later
# A Debian system on a disk image, without mounting anything: mmdebstrap fills a folder, mke2fs -d makes a file
# system of it, sfdisk a GPT, and GRUB is put in for BIOS and UEFI. Run by `lodge new debian` with its
# settings in the environment; fd 3 gets "PERCENT TEXT" lines.
set -eu
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

say() { echo "$1 $2" >&3; }
die() { echo "lodge: new debian: $1" >&2; exit 1; }

need() { # PROGRAM PACKAGE
	command -v "$1" >/dev/null || missing="$missing $2"
}
missing=
need mmdebstrap mmdebstrap
need mke2fs e2fsprogs
need sfdisk fdisk
need mformat mtools
need grub-mkimage grub-common
[ "$NEW_ARCH" = "$(dpkg --print-architecture)" ] || need arch-test arch-test
[ "$(id -u)" = 0 ] || need newuidmap uidmap
[ -e /usr/lib/grub/i386-pc/boot.img ] || missing="$missing grub-pc-bin"
[ -d /usr/lib/grub/x86_64-efi ] || [ "$NEW_ARCH" = i386 ] || missing="$missing grub-efi-amd64-bin"
[ -z "$missing" ] || die "these Debian packages are needed:$missing (apt-get install$missing)"

W=$(mktemp -d "${TMPDIR:-/tmp}/lodge-new.XXXXXX")
chmod 711 "$W" # root of that name space is another user here, and has to get through
# Files of the new system belong to its users; without root's rights those are a name space's.
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else mmdebstrap --unshare-helper "$@"; fi; }
trap 'as_root find "$W/root" -mindepth 1 -delete 2>/dev/null || :; rm -rf "$W" "$NEW_OUT.part"' EXIT
trap 'exit 130' INT TERM

# 1 MiB pieces: BIOS boot at 1, ESP at 2 to 65, the rest is the root.
ROOT_MIB=66
SIZE_MIB=$((NEW_SIZE / 1048576))
[ "$SIZE_MIB" -ge 1024 ] || die "--size $NEW_SIZE is too small; 1G is the least"
UUID=$(cat /proc/sys/kernel/random/uuid)

: >"$W/log"

# What the system is to be like; runs after the packages are in, $1 is the root.
cat >"$W/customize" <<'T'
set -eu
R=$1
echo "$LODGE_HOST" >"$R/etc/hostname"
printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n::1\tlocalhost ip6-localhost ip6-loopback\n' "$LODGE_HOST" >"$R/etc/hosts"
echo "UUID=$LODGE_UUID / ext4 errors=remount-ro 0 1" >"$R/etc/fstab"
mkdir -p "$R/etc/systemd/network" "$R/etc/systemd/system/serial-getty@ttyS0.service.d" "$R/boot/grub"
printf '[Match]\nType=ether\n\n[Network]\nDHCP=yes\n' >"$R/etc/systemd/network/20-wired.network"
chroot "$R" systemctl -q enable systemd-networkd ssh serial-getty@ttyS0 >/dev/null 2>&1
[ ! -e "$R/lib/systemd/system/systemd-resolved.service" ] || chroot "$R" systemctl -q enable systemd-resolved >/dev/null 2>&1
# Keys of its own, made by the package just now; a copy that drops them (to be another machine) makes new ones.
printf '[Unit]\nDescription=Make SSH host keys\nBefore=ssh.service\nConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key\n\n[Service]\nType=oneshot\nExecStart=/usr/bin/ssh-keygen -A\n\n[Install]\nWantedBy=multi-user.target\n' >"$R/etc/systemd/system/ssh-host-keys.service"
chroot "$R" systemctl -q enable ssh-host-keys >/dev/null 2>&1
: >"$R/etc/machine-id"
if [ "$LODGE_USER" = root ]; then
	home=/root
else
	home=/home/$LODGE_USER
	chroot "$R" useradd -m -s /bin/bash -G sudo,adm "$LODGE_USER"
	echo "$LODGE_USER ALL=(ALL) NOPASSWD: ALL" >"$R/etc/sudoers.d/lodge"
	chmod 440 "$R/etc/sudoers.d/lodge"
fi
if [ -n "$LODGE_PASSWORD" ]; then
	echo "$LODGE_USER:$LODGE_PASSWORD" | chroot "$R" chpasswd
else
	# Nobody but who holds the VM's console can log in without a key.
	mkdir -p "$R/etc/systemd/system/serial-getty@ttyS0.service.d"
	printf '[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin %s --keep-baud 115200,57600,38400,9600 - $TERM\n' "$LODGE_USER" >"$R/etc/systemd/system/serial-getty@ttyS0.service.d/autologin.conf"
fi
if [ -n "$LODGE_KEY" ]; then
	mkdir -p "$R$home/.ssh"
	printf '%s\n' "$LODGE_KEY" >"$R$home/.ssh/authorized_keys"
	chmod 700 "$R$home/.ssh"
	chmod 600 "$R$home/.ssh/authorized_keys"
	[ "$LODGE_USER" = root ] || chroot "$R" chown -R "$LODGE_USER:" "$home/.ssh"
fi
cat >"$R/boot/grub/grub.cfg" <<G
serial --unit=0 --speed=115200
terminal_input --append serial
terminal_output --append serial
set timeout=$LODGE_TIMEOUT
search --no-floppy --fs-uuid --set=root $LODGE_UUID
menuentry 'Debian GNU/Linux' {
	linux /vmlinuz root=UUID=$LODGE_UUID ro console=tty0 console=ttyS0,115200 $LODGE_CMDLINE
	initrd /initrd.img
}
menuentry 'Debian GNU/Linux (recovery)' {
	linux /vmlinuz root=UUID=$LODGE_UUID ro single console=tty0 console=ttyS0,115200
	initrd /initrd.img
}
G
T

export LODGE_HOST="$NEW_HOSTNAME" LODGE_UUID="$UUID" LODGE_USER="$NEW_USER" LODGE_PASSWORD="$NEW_PASSWORD" LODGE_KEY="$NEW_KEY" \
	LODGE_TIMEOUT="$NEW_TIMEOUT" LODGE_CMDLINE="$NEW_CMDLINE"
P="linux-image-$NEW_KERNEL,systemd-sysv,systemd-resolved,udev,initramfs-tools,dbus,iproute2,iputils-ping,openssh-server,e2fsprogs"
P="$P,kmod,ca-certificates,sudo,less,nano,netbase,whiptail${NEW_PACKAGES:+,$NEW_PACKAGES}"
say 2 "packages"
mmdebstrap --variant=minbase --format=directory --architectures="$NEW_ARCH" --include="$P" --customize-hook="sh $W/customize \"\$1\"" \
	"$NEW_RELEASE" "$W/root" ${NEW_MIRROR:+"$NEW_MIRROR"} >"$W/log" 2>&1 3>&- &
child=$!
trap 'kill $child 2>/dev/null; exit 130' INT TERM
# Its log tells how far it is.
while kill -0 $child 2>/dev/null; do
	case $(grep -c . "$W/log") in
	0 | 1 | 2 | 3 | 4 | 5) ;;
	6) say 8 "packages: lists" ;;
	7) say 10 "packages: downloading" ;;
	8) say 30 "packages: unpacking" ;;
	9) say 40 "packages: essential ones" ;;
	10) say 55 "packages: the others" ;;
	*) say 80 "settings" ;;
	esac
	sleep 0.5
done
wait $child || { tail -n 20 "$W/log" >&2; die "mmdebstrap failed"; }

say 85 "file system"
# Made beside the files, where only their root can write, and handed out through a pipe without its holes.
{ as_root sh -euc '
	cd "$1"
	chmod 700 .
	mkdir .root
	find . -mindepth 1 -maxdepth 1 ! -name .root -exec mv -t .root {} +
	truncate -s "$2M" disk
	mke2fs -q -t ext4 -L root -U "$3" -d .root -E "offset=$(($4 << 20)),lazy_itable_init=1" \
		disk "$((($2 - $4 - 1) * 1024))k" >&2
	tar -cSf - disk' sh "$W/root" "$SIZE_MIB" "$UUID" "$ROOT_MIB" || : >"$W/failed"; } |
	tar -C "$W" --no-same-owner -xSf -
[ ! -e "$W/failed" ] || die "the file system could not be made"
sfdisk -q --wipe never --wipe-partitions never "$W/disk" >"$W/log" 2>&1 <<T || { cat "$W/log" >&2; die "sfdisk failed"; }
label: gpt
start=1MiB, size=1MiB, type=21686148-6449-6E6F-744E-656564454649, name=bios
start=2MiB, size=64MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=efi
start=${ROOT_MIB}MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root
T

say 90 "GRUB"
echo "search --no-floppy --fs-uuid --set=root $UUID
set prefix=(\$root)/boot/grub" >"$W/early.cfg"
mformat -i "$W/disk@@2M" -T $((64 * 2048)) -F -v EFI ::
if [ "$NEW_ARCH" = amd64 ]; then # firmware of 64 bits is for a kernel of as many
	grub-mkimage -O x86_64-efi -o "$W/bootx64.efi" -p /boot/grub -c "$W/early.cfg" \
		part_gpt ext2 fat normal configfile linux search search_fs_uuid serial terminal echo ls cat test \
		reboot halt efi_gop
	mmd -i "$W/disk@@2M" ::/EFI ::/EFI/BOOT
	mcopy -i "$W/disk@@2M" "$W/bootx64.efi" ::/EFI/BOOT/BOOTX64.EFI
fi
grub-mkimage -O i386-pc -o "$W/core.img" -p '(hd0,gpt3)/boot/grub' -c "$W/early.cfg" \
	biosdisk part_gpt ext2 normal configfile linux search search_fs_uuid serial terminal echo ls cat test \
	reboot halt
[ "$(stat -c %s "$W/core.img")" -le 1048576 ] || die "GRUB's core is larger than its partition"
# The boot sector finds the core at sector 2048 (offset 0x5c of boot.img); its first sector finds the rest behind
# itself (the block list's start, at offset 500).
le64() { printf '\%o\%o\%o\%o\0\0\0\0' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }
put() { dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
dd if=/usr/lib/grub/i386-pc/boot.img of="$W/disk" bs=440 count=1 conv=notrunc status=none
printf "$(le64 2048)" | put "$W/disk" 92
# A drive check for disks above 0x80 is not wanted: two NOPs (offset 0x66).
printf '\220\220' | put "$W/disk" 102
printf "$(le64 2049)" | put "$W/core.img" 500
dd if="$W/core.img" of="$W/disk" bs=512 seek=2048 conv=notrunc status=none

say 95 "$NEW_OUT"
if [ "$NEW_FORMAT" = raw ]; then
	cp --sparse=always "$W/disk" "$NEW_OUT.part"
else
	"$LODGE" img convert -f raw -O "$NEW_FORMAT" "$W/disk" "$NEW_OUT.part"
fi
chmod 644 "$NEW_OUT.part"
mv "$NEW_OUT.part" "$NEW_OUT"
say 100 "$NEW_OUT"
