# SPDX-License-Identifier: GPL-2.0-or-later
"""GRUB's rescue media: the CD, and the floppy as syslinux's memdisk shows it.

Run: make t T=systems/grub
"""
import os
import time

from vm import Vm, kernel

WAIT = 60


def to_prompt(vm):
    vm.expect(r"GNU GRUB", timeout=WAIT)
    time.sleep(3)  # the menu is drawn, and redrawn each second
    vm.send("c")
    vm.expect(r"grub> ", timeout=WAIT)


def command(vm, text, answer):
    vm.send(text + "\r")
    vm.expect(answer, timeout=WAIT)
    vm.expect(r"grub> ", timeout=WAIT)


def test_grub_when_on_cd_expect_prompt_and_the_cd():
    with Vm("-cdrom", kernel("grub-cd"), memory="128M") as vm:
        to_prompt(vm)
        command(vm, "ls", r"\(cd")
        command(vm, "lspci", r"8086:7010")
        vm.send("halt\r")
        assert vm.wait_exit(timeout=WAIT) == 0


def test_grub_when_in_memdisk_expect_prompt_and_the_floppy():
    with Vm("-bios", "bios-256k.bin", "-L", os.path.dirname(kernel("linuxboot")), "-kernel",
            kernel("memdisk"), "-initrd", kernel("grub-floppy"), memory="128M") as vm:
        vm.expect(r"MEMDISK", timeout=WAIT)
        to_prompt(vm)
        command(vm, "ls", r"\(fd0\)")
        vm.send("reboot\r")
        assert vm.wait_exit(timeout=WAIT) == 0
