# SPDX-License-Identifier: GPL-2.0-or-later
"""SeaBIOS: it finds the board, takes the tables, and says that there is nothing to boot.

Run: make t T=system/seabios
"""
import os
import subprocess

import pytest
from vm import LODGE, Vm, bad_lines, kernel, linux

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
        vm.expect(r"Found [1-9] PCI devices")
        vm.expect(r"PIIX3/PIIX4 init")
        vm.expect(r"Found %d cpu\(s\) max supported %d cpu" % (cpus, cpus))
        vm.expect(r"ACPI: parse DSDT at 0x")
        vm.expect(r"PS2 keyboard initialized")
        vm.expect(r"No bootable device")


def test_seabios_when_nothing_is_named_expect_it_by_default_on_serial():
    with Vm("-boot", "c") as vm:
        vm.expect(r"SeaBIOS \(version 1\.\d+")
        vm.expect(r"Booting from Hard Disk")
        vm.expect(r"No bootable device")


def test_seabios_when_menu_is_on_expect_prompt():
    with Vm("-boot", "menu=on,splash-time=60000") as vm:
        vm.expect(r"Press ESC for boot menu")
        vm.send("\x1b")
        vm.expect(r"Select boot device")


def test_seabios_when_reboot_timeout_expect_reset_that_starts_it_again():
    vm = Vm()
    vm.args = [*LODGE, "-m", "64M", "-nographic", "-boot", "reboot-timeout=100"]
    with vm:
        for _ in range(3):
            vm.expect(r"SeaBIOS \(version 1\.\d+")
            vm.expect(r"No bootable device.  Retrying in")


def cpu_ms(pid):
    """Time that all threads of the process have run so far."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
            total += int(f.read().split()[0])
    return total / 1e6


def test_seabios_when_started_expect_first_message_within_30_ms_of_processor_time():
    # Of the processor's, since the host may be busy; the best of some, since its caches may be cold.
    times = []
    for _ in range(5):
        p = subprocess.Popen([*LODGE, "-display", "none", "-serial", "none", "-debugcon", "stdio"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        text = b""
        while b"SeaBIOS" not in text:
            part = os.read(p.stdout.fileno(), 4096)
            assert part
            text += part
        times.append(cpu_ms(p.pid))
        p.kill()
        p.wait()
    print("first message after %s ms" % ", ".join("%.1f" % t for t in times))
    assert min(times) < 30


@pytest.mark.parametrize("rom, shown", [("", True), (",romfile=", False), (",rombar=0", False)])
def test_card_when_it_has_a_rom_expect_ipxe_unless_there_shall_be_none(rom, shown):
    with Vm("-netdev", "user,id=n", "-device", "e1000,netdev=n" + rom, "-boot", "c") as vm:
        vm.expect(r"No bootable device")
        assert ("iPXE (http://ipxe.org)" in vm.text) == shown


def test_firmware_when_missing_expect_package_named():
    vm = Vm()
    vm.args = [*LODGE, "-bios", "bios-17k.bin"]
    with vm:
        assert vm.wait_exit() == 1
        assert "install the package seabios" in vm.text


def test_seabios_when_it_boots_linux_expect_no_complaint_about_its_tables():
    with linux("cloud-amd64", "panic=-1", args=(
            "-bios", "bios-256k.bin", "-L", os.path.dirname(kernel("linuxboot")), "-smp", "2",
            "-uuid", "7f3c8a52-0d6b-4b1e-9a5f-2b9c4e6d8f10")) as vm:
        vm.expect(r"Booting from ROM")
        vm.expect(r"DMI: Lodge PC \(i440FX\), BIOS 1\.16")
        vm.expect(r"ACPI: PM: \(supports S0 S5\)")
        vm.expect(r"guest# ")
        vm.send("cat /sys/class/dmi/id/product_uuid\r")
        vm.expect(r"7f3c8a52-0d6b-4b1e-9a5f-2b9c4e6d8f10\r+\n")
        vm.expect(r"guest# ")
        vm.send("echo cpus=$(nproc)\r")
        vm.expect(r"cpus=2\r+\n")
        vm.expect(r"guest# ")
        vm.send("poweroff -f\r")
        assert vm.wait_exit() == 0
        assert not bad_lines(vm.text)
