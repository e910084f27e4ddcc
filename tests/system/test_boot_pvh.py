# SPDX-License-Identifier: GPL-2.0-or-later
"""The same cloud kernel as an ELF image, by its PVH entry.

Run: make t T=system/boot_pvh
"""
import os
import struct
import subprocess

from vm import WORK, Vm, initrd, kernel


def vmlinux(bzimage):
    """Unpack the ELF inside (Linux boot protocol: payload_offset, payload_length)."""
    with open(bzimage, "rb") as f:
        data = f.read()
    setup = (data[0x1f1] or 4) * 512 + 512
    offset, length = struct.unpack_from("<II", data, 0x248)
    payload = data[setup + offset:setup + offset + length]
    assert payload[:4] == b"\x02\x21\x4c\x18", "this kernel is compressed with lz4"
    # The last four bytes are the size, for the kernel's own unpacker.
    return subprocess.run(["lz4", "-d", "-c"], input=payload[:-4], stdout=subprocess.PIPE,
                          check=True).stdout


def test_boot_when_vmlinux_expect_userland_by_pvh():
    os.makedirs(WORK, exist_ok=True)
    image = os.path.join(WORK, "vmlinux-%d" % os.getpid())
    with open(image, "wb") as f:
        f.write(vmlinux(kernel("cloud-amd64")))
    with Vm("-kernel", image, "-initrd", initrd(), "-append",
            "console=ttyS0 cryptomgr.notests lodge.report") as vm:
        vm.expect(r"Booting paravirtualized kernel|Hypervisor detected|Linux version")
        vm.expect(r"lodge-guest: Linux lodge")
        assert vm.wait_exit() == 0
    os.unlink(image)
