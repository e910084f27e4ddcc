# SPDX-License-Identifier: GPL-2.0-or-later
"""memtest86+ over the memory of a small machine: one pass without an error, by BIOS and by EFI.

The EFI version draws in a frame buffer and does not start without one.
Run: make t T=systems/memtest
"""
import os
import re

import pytest
from vm import Vm, kernel

PASS_TIMEOUT = 2400
SEABIOS = ("-bios", "bios-256k.bin", "-L", os.path.dirname(kernel("linuxboot")))
OVMF = ("-bios", "OVMF.fd", "-nic", "none", "-device")
HOW = {
    "none": ("memtest", "16M", ()),
    "seabios": ("memtest", "16M", SEABIOS),
    "ovmf-bochs-display": ("memtest-efi", "32M", (*OVMF, "bochs-display")),
}


@pytest.mark.parametrize("how", sorted(HOW))
def test_memtest_when_one_pass_is_over_expect_no_error(how):
    name, memory, args = HOW[how]
    with Vm("-kernel", kernel(name), "-append", "console=ttyS0,115200", *args,
            memory=memory) as vm:
        vm.expect(r"Memtest86\+", timeout=120)
        vm.expect(r"Testing", timeout=120)
        vm.expect(r"Pass: +1", timeout=PASS_TIMEOUT)
        assert re.search(r"Errors: +0 ", vm.text)
        assert not re.search(r"Errors: +[1-9]", vm.text)
