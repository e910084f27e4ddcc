# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's amd64 kernel, unmodified, to its userland and off again.

Run: make t T=system/boot_generic
"""
from vm import bad_lines, linux


def test_boot_when_debian_generic_expect_userland_and_power_off():
    with linux("amd64", "lodge.report", arch="amd64", memory="512M") as vm:
        vm.expect(r"Linux version 6\.\d")
        vm.expect(r"Run /init as init process")
        vm.expect(r"lodge-guest: Linux lodge 6\.\S+ .* x86_64 GNU/Linux")
        assert 440 < int(vm.expect(r"lodge-guest: memory (\d+) MiB").group(1)) <= 512
        assert vm.expect(r"lodge-guest: cpus (\d+)\r").group(1) == "1"
        assert float(vm.expect(r"lodge-guest: uptime (\S+) s").group(1)) > 0
        vm.expect(r"reboot: Power down")
        assert vm.wait_exit() == 0
        assert bad_lines(vm.text) == []
