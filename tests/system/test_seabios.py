# SPDX-License-Identifier: GPL-2.0-or-later
"""SeaBIOS as -bios: it finds the board and says that there is nothing to boot.

Run: make t T=system/seabios
"""
import pytest
from vm import LODGE, Vm

BIOS = "/usr/share/seabios/bios-256k.bin"


@pytest.mark.parametrize("cpus", [1, 2])
def test_seabios_when_no_disk_expect_it_says_so(cpus):
    vm = Vm()
    vm.args = [*LODGE, "-m", "128M", "-smp", str(cpus), "-display", "none", "-serial", "none",
               "-debugcon", "stdio", "-bios", BIOS]
    with vm:
        vm.expect(r"SeaBIOS \(version 1\.\d+")
        vm.expect(r"Running on QEMU \(i440fx\)")
        vm.expect(r"QEMU fw_cfg DMA interface supported")
        vm.expect(r"Found 3 PCI devices")
        vm.expect(r"PIIX3/PIIX4 init")
        vm.expect(r"Found %d cpu\(s\) max supported %d cpu" % (cpus, cpus))
        vm.expect(r"ACPI DSDT=0x")
        vm.expect(r"PS2 keyboard initialized")
        vm.expect(r"No bootable device")
