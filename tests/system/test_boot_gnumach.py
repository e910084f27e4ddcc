# SPDX-License-Identifier: GPL-2.0-or-later
"""GNU Mach by Multiboot, to the line that asks for its servers.

Run: make t T=system/boot_gnumach
"""
import gzip
import os

import pytest

from vm import WORK, Vm, kernel


@pytest.mark.parametrize("smp", ["1", "2"])
def test_boot_when_gnumach_expect_its_known_line(smp):
    os.makedirs(WORK, exist_ok=True)
    image = os.path.join(WORK, "gnumach-%d" % os.getpid())
    with gzip.open(kernel("gnumach")) as f, open(image, "wb") as out:
        out.write(f.read())
    with Vm("-smp", smp, "-kernel", image, "-append", "console=com0") as vm:
        vm.expect(r"GNU Mach 1\.8\S*-486")
        vm.expect(r"biosmem: physical memory map:")
        vm.expect(r"RTC time is 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d")
        # There is no /hurd/ext2fs to start: that is how far the kernel goes by itself.
        vm.expect(r"No bootstrap code loaded with the kernel!")
    os.unlink(image)
