# SPDX-License-Identifier: GPL-2.0-or-later
"""memtest86+ over the memory of a small machine: one pass without an error.

The EFI version needs a frame buffer, which is not there yet.
Run: make t T=systems/memtest
"""
import os
import re

import pytest
from vm import Vm, kernel

PASS_TIMEOUT = 2400


def firmware(name):
    if name == "none":
        return ()
    return ("-bios", "bios-256k.bin", "-L", os.path.dirname(kernel("linuxboot")))


@pytest.mark.parametrize("how", ["none", "seabios"])
def test_memtest_when_one_pass_is_over_expect_no_error(how):
    with Vm("-kernel", kernel("memtest"), "-append", "console=ttyS0,115200", *firmware(how),
            memory="16M") as vm:
        vm.expect(r"Memtest86\+", timeout=120)
        vm.expect(r"Testing", timeout=120)
        vm.expect(r"Pass: +1", timeout=PASS_TIMEOUT)
        assert re.search(r"Errors: +0 ", vm.text)
        assert not re.search(r"Errors: +[1-9]", vm.text)
