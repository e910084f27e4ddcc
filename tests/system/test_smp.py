# SPDX-License-Identifier: GPL-2.0-or-later
"""Several processors in one guest.

Run: make t T=system/smp
"""
import os
import re

import pytest
from vm import TOP, bad_lines, linux


@pytest.mark.parametrize("cpus", [2, 4])
def test_smp_when_several_vcpus_expect_all_online(cpus):
    with linux("cloud-amd64", "cryptomgr.notests lodge.report", args=("-smp", str(cpus))) as vm:
        vm.expect(r"smpboot: Total of %d processors activated" % cpus)
        assert vm.expect(r"lodge-guest: cpus (\d+)\r").group(1) == str(cpus)
        vm.expect(r"reboot: Power down")
        assert vm.wait_exit() == 0
        assert bad_lines(vm.text) == []


@pytest.mark.parametrize("kernel,arch", [("amd64", "amd64"), ("686", "i386"), ("686-pae", "i386")])
def test_smp_when_other_debian_kernels_expect_both_online(kernel, arch):
    with linux(kernel, "cryptomgr.notests lodge.report", arch=arch, memory="512M",
               args=("-smp", "2")) as vm:
        assert vm.expect(r"lodge-guest: cpus (\d+)\r").group(1) == "2"
        vm.expect(r"reboot: Power down")
        assert vm.wait_exit() == 0
        assert bad_lines(vm.text) == []


def test_smp_when_work_on_each_cpu_expect_right_sums():
    script = os.path.join(TOP, "tests/system/smp.sh")
    with linux("cloud-amd64", "quiet cryptomgr.notests lodge.cmd=smp.sh", script,
               args=("-smp", "3")) as vm:
        sums = set()
        for cpu in range(3):
            sums.add(vm.expect(r"@@cpu \d ran on (\d) sum (\w+)\r").group(2))
        assert len(sums) == 1
        vm.expect(r"@@off 2")
        vm.expect(r"@@on 3")
        assert vm.wait_exit() == 0


def test_smp_when_processes_on_all_cpus_expect_one_result():
    script = os.path.join(TOP, "tests/system/smp_load.sh")
    with linux("cloud-amd64", "quiet cryptomgr.notests lodge.cmd=smp_load.sh", script,
               args=("-smp", "4")) as vm:
        vm.expect(r"@@done")
        assert vm.wait_exit() == 0
        assert "@@wrong" not in vm.text
        assert len(set(re.findall(r"@@worker \d sum (\w{16})", vm.text))) == 1
        assert bad_lines(vm.text) == []


def test_smp_when_code_cache_is_small_expect_parts_dropped_and_right_sums(tmp_path):
    script = os.path.join(TOP, "tests/system/smp_load.sh")
    trace = str(tmp_path / "stats")
    with linux("cloud-amd64", "quiet cryptomgr.notests lodge.cmd=smp_load.sh", script,
               args=("-smp", "2", "-accel", "soft,tb-size=4", "-d", "stats", "-D", trace)) as vm:
        vm.expect(r"@@done")
        assert vm.wait_exit() == 0
        assert "@@wrong" not in vm.text
        assert len(set(re.findall(r"@@worker \d sum (\w{16})", vm.text))) == 1
        assert bad_lines(vm.text) == []
    with open(trace) as f:
        assert int(re.search(r"parts of the code cache dropped +(\d+)", f.read()).group(1)) > 8
