# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's cloud kernel with both tiers in lockstep: its first part here, all of it by `make
lockstep` (a few minutes), and that two CPUs are refused.

Run: make t T=system/lockstep
"""
import os
import re
import subprocess

from vm import LODGE, bad_lines, kernel, linux

WHOLE = os.environ.get("LODGE_LOCKSTEP") == "whole"


def test_lockstep_when_debian_boots_expect_no_difference():
    with linux("cloud-amd64", "lodge.report", memory="512M", args=("-accel", "soft,check=on")) as vm:
        vm.expect(r"Linux version 6\.\d", timeout=1200)
        vm.expect(r"NET: Registered PF_NETLINK", timeout=1200)
        if WHOLE:
            vm.expect(r"Run /init as init process", timeout=1200)
            vm.expect(r"lodge-guest: Linux lodge 6\.\S+ .* x86_64 GNU/Linux", timeout=1200)
            vm.expect(r"reboot: Power down", timeout=1200)
            assert vm.wait_exit() == 0
        text = vm.text
    assert "lockstep:" not in text
    assert [l for l in bad_lines(text) if not re.search("unstable", l)] == []


def test_lockstep_when_two_cpus_expect_a_sentence():
    r = subprocess.run([*LODGE, "-smp", "2", "-accel", "soft,check=on", "-display", "none",
                        "-kernel", kernel("cloud-amd64")],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert r.returncode == 1
    assert "use -smp 1" in r.stdout
