# SPDX-License-Identifier: GPL-2.0-or-later
"""OVMF from a ROM image and from flash: to its shell; variables that stay.

Run: make t T=system/ovmf
"""
import os
import shutil

import pytest
from vm import Vm, bad_lines, linux

CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
TIMEOUT = 120


def flash(folder):
    """Options for flash with variables of its own."""
    path = os.path.join(str(folder), "vars.fd")
    shutil.copyfile(VARS, path)
    return path, ("-drive", "if=pflash,format=raw,readonly=on,file=" + CODE,
                  "-drive", "if=pflash,format=raw,unit=1,file=" + path)


def to_shell(vm):
    vm.expect(r"UEFI Interactive Shell", timeout=TIMEOUT)
    vm.expect(r"startup.nsh", timeout=TIMEOUT)
    vm.send("\x1b")
    vm.expect(r"Shell> ", timeout=TIMEOUT)


def command(vm, text, answer):
    vm.send(text + "\r")
    vm.expect(answer, timeout=TIMEOUT)
    vm.expect(r"Shell> ", timeout=TIMEOUT)


def test_ovmf_when_given_as_bios_expect_shell():
    with Vm("-bios", "OVMF.fd", "-nic", "none") as vm:
        to_shell(vm)


@pytest.mark.parametrize("cpus", ["1", "2"])
def test_ovmf_when_in_flash_expect_variable_kept_over_reset_and_restart(tmp_path, cpus):
    path, args = flash(tmp_path)
    before = os.path.getsize(path)
    vm = Vm(*args, "-smp", cpus, "-nic", "none")
    vm.args.remove("-no-reboot")
    with vm:
        to_shell(vm)
        command(vm, "set lodge kept-%s" % cpus, r"")
        vm.send("reset\r")
        to_shell(vm)
        command(vm, "set", r"lodge .{0,20}= .{0,20}kept-" + cpus)
        vm.send("reset -s\r")
        assert vm.wait_exit(timeout=60) == 0
    assert os.path.getsize(path) == before
    with Vm(*args, "-smp", cpus, "-nic", "none") as vm:
        to_shell(vm)
        command(vm, "set", r"lodge .{0,20}= .{0,20}kept-" + cpus)
        command(vm, "set -d lodge", r"")
        command(vm, "smbiosview -t 1", r"PC \(i440FX\)")
        vm.send("reset -s\r")
        assert vm.wait_exit(timeout=60) == 0


def test_ovmf_when_it_boots_linux_expect_no_complaint_about_its_tables(tmp_path):
    _, args = flash(tmp_path)
    with linux("cloud-amd64", "panic=-1", args=(*args, "-smp", "2"), memory="512M") as vm:
        vm.expect(r"efi: EFI v2\.70 by", timeout=TIMEOUT)
        vm.expect(r"ACPI: PM-Timer IO Port: 0xb008", timeout=TIMEOUT)
        vm.expect(r"ACPI: PM: \(supports S0 S5\)", timeout=TIMEOUT)
        vm.expect(r"guest# ", timeout=TIMEOUT)
        vm.send("poweroff -f\r")
        assert vm.wait_exit(timeout=60) == 0
        assert not bad_lines(vm.text)


def test_flash_when_options_are_wrong_expect_sentence(tmp_path):
    path, args = flash(tmp_path)
    for odd, word in [(("-drive", "if=pflash,unit=1,format=raw,file=" + path), "unit 0"),
                      ((*args, "-bios", "OVMF.fd"), "leave one out"),
                      ((*args, "-drive", "if=pflash,unit=2,format=raw,file=" + path), "")]:
        with Vm(*odd) as vm:
            assert vm.wait_exit(timeout=20) == 1
            assert word in vm.text
