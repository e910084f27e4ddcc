# SPDX-License-Identifier: GPL-2.0-or-later
"""Resets that the guest asks for.

Run: make t T=system/reboot
"""
import pytest
from vm import LODGE, Vm, initrd, kernel, linux


# Each way Linux has to reset a PC: keyboard controller, ACPI reset register, triple fault.
@pytest.mark.parametrize("way", ["kbd", "acpi", "triple"])
def test_reset_when_no_reboot_expect_exit(way):
    with linux("cloud-amd64", "quiet cryptomgr.notests reboot=%s" % way) as vm:
        vm.expect(r"guest# ")
        vm.send("reboot -f\r")
        assert vm.wait_exit() == 0


def test_reset_when_allowed_expect_second_boot():
    vm = Vm("-kernel", kernel("cloud-amd64"), "-initrd", initrd(), "-append",
            "console=ttyS0 cryptomgr.notests")
    vm.args.remove("-no-reboot")
    with vm:
        vm.expect(r"Linux version")
        vm.expect(r"guest# ")
        vm.send("echo first > /tmp/x; reboot -f\r")
        vm.expect(r"Linux version")
        vm.expect(r"guest# ")
        vm.send("ls /tmp/x\r")
        vm.expect(r"No such file")
        vm.send("\x01x")
        assert vm.wait_exit() == 0
    assert LODGE
