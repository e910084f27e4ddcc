# SPDX-License-Identifier: GPL-2.0-or-later
"""GRUB's rescue media: the CD, the floppy, and the floppy as syslinux's memdisk shows it.

Run: make t T=systems/grub
"""
import os
import re

import pexpect
from vm import Vm, kernel

WAIT = 60


def drawn(text):
    """SeaBIOS sends the cursor's place anew when a tick comes, also in the middle of a word."""
    return r"(?:\r|\x1b\[[0-9;]*[A-Za-z])*".join(re.escape(c) for c in text)


PROMPT = drawn("grub> ")


def to_prompt(vm):
    """GRUB draws its menu anew each second, and takes keys when it is done with its modules."""
    vm.expect(drawn("GNU GRUB"), timeout=WAIT)
    for _ in range(10):
        vm.send("c")
        if vm.child.expect([PROMPT, pexpect.TIMEOUT], timeout=6) == 0:
            vm.send("\x15")  # Ctrl-U: more than one c may have come
            return
    assert False, "no prompt"


def command(vm, text, answer):
    vm.send(text + "\r")
    vm.expect(drawn(answer), timeout=WAIT)
    vm.expect(PROMPT, timeout=WAIT)


def test_grub_when_on_cd_expect_prompt_and_the_cd():
    with Vm("-cdrom", kernel("grub-cd"), memory="128M") as vm:
        to_prompt(vm)
        command(vm, "ls", "(cd")
        command(vm, "lspci", "8086:7010")
        vm.send("halt\r")
        assert vm.wait_exit(timeout=WAIT) == 0


def test_grub_when_on_floppy_expect_prompt_and_the_floppy():
    with Vm("-drive", "if=floppy,format=raw,readonly=on,file=" + kernel("grub-floppy"),
            memory="128M") as vm:
        to_prompt(vm)
        command(vm, "ls", "(fd0)")
        vm.send("halt\r")
        assert vm.wait_exit(timeout=WAIT) == 0


def test_grub_when_in_memdisk_expect_prompt_and_the_floppy():
    with Vm("-bios", "bios-256k.bin", "-L", os.path.dirname(kernel("linuxboot")), "-kernel",
            kernel("memdisk"), "-initrd", kernel("grub-floppy"), memory="128M") as vm:
        vm.expect(r"MEMDISK", timeout=WAIT)
        to_prompt(vm)
        command(vm, "ls", "(fd0)")
        vm.send("reboot\r")
        assert vm.wait_exit(timeout=WAIT) == 0
