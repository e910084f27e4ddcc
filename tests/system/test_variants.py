# SPDX-License-Identifier: GPL-2.0-or-later
"""The same kernel on other machines: CPU models, much memory, little memory.

Run: make t T=system/variants
"""
import os

import pytest
from vm import TOP, linux

QUIET = "quiet cryptomgr.notests "


@pytest.mark.parametrize("model, there, missing", [
    ("qemu64", {"sse2", "lm", "nx"}, {"ssse3", "sse4_2", "avx", "bmi2"}),
    ("x86-64-v2", {"sse4_2", "popcnt", "cx16"}, {"avx", "fma", "bmi2", "movbe"}),
    ("x86-64-v3", {"avx2", "bmi2", "fma", "movbe", "f16c"}, set()),
    ("max,-avx2,-aes", {"avx", "sse4_2"}, {"avx2", "aes"}),
])
def test_cpu_when_model_named_expect_its_features(model, there, missing):
    script = os.path.join(TOP, "tests/system/flags.sh")
    with linux("cloud-amd64", QUIET + "lodge.cmd=flags.sh", script, args=("-cpu", model)) as vm:
        flags = set(vm.expect(r"@@flags:([^\r\n]*)\r").group(1).split())
        assert there - flags == set()
        assert missing & flags == set()
        vm.expect(r"@@works 499500")
        assert vm.wait_exit() == 0


@pytest.mark.parametrize("size, low, high", [("5G", 4800, 5120), ("3200M", 3000, 3200),
                                             ("128M", 80, 128)])
def test_memory_when_of_other_size_expect_linux_finds_it(size, low, high):
    with linux("cloud-amd64", QUIET + "lodge.report", memory=size) as vm:
        assert low < int(vm.expect(r"lodge-guest: memory (\d+) MiB").group(1)) <= high
        assert vm.wait_exit() == 0
