# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's QEMU for a first level: files, and the command that boots the second level by it."""
import os
import shutil

import nested

QEMU = "qemu-system-x86_64"
# Where it looks for them, if told by -L.
FIRMWARE = {"/usr/share/seabios": ("bios-256k.bin",), "/usr/share/qemu": ("kvmvapic.bin", "linuxboot_dma.bin")}


def qemu_files():
    path = shutil.which(QEMU)
    assert path, "there is no %s: apt-get install qemu-system-x86" % QEMU
    files = {"bin/" + QEMU: path}
    for folder, names in FIRMWARE.items():
        files.update({"g/" + n: os.path.join(folder, n) for n in names})
    return files


def qemu_second_level(engine, cpus, cpu):
    """As nested.second_level, by QEMU; its threads have names."""
    return ("%s -name debug-threads=on -L /g -M pc -accel %s -cpu %s -smp %d -m 128M -nodefaults -display none -serial stdio -no-reboot "
            "-kernel /l2/vmlinuz -initrd /l2/initrd -drive file=/tmp/disk.img,if=virtio,format=raw "
            "-netdev user,id=n -device virtio-net-pci,netdev=n,romfile= "
            "-append \"console=ttyS0 %s lodge.cmd=l2.sh\" </dev/null" % (QEMU, engine, cpu, cpus, nested.QUICK))
