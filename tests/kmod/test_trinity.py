# SPDX-License-Identifier: GPL-2.0-or-later
"""lodge.ko and lodge-amd.ko on AMD-V with next_rip, which Bochs emulates: a processor called trinity_apu. One boot: Debian's
modules first, then ours; its log is build/system/nested-vmx-trinity.log.

A guest's triple fault resets the whole of Bochs's machine, whoever asked for it; programs that end so are left out, and so are
those that Bochs does not bring to an end on Debian's modules (tests/kvm/programs_differ.txt, vmx and trinity).
"""
import os
import re
import shutil

import pytest

import nested
import programs
from common import JOBS, LOOK, check_guest, instructions, unit_tests, worse
from l2 import DISK, l2_files
from vm import TOP

KNOWN = ("any", "vmx", "vmx+off", "trinity")  # where the emulator, or time, decides

SCRIPT = """
echo "@@nrips $(grep -c nrip_save /proc/cpuinfo)"
. /g/jobs debian
rmmod kvm_amd; rmmod kvm
insmod /lodge.ko device=kvm && insmod /lodge-amd.ko && echo "@@loaded"
. /g/jobs lodge
%(disk)s
echo "@@begin one"; timeout 2000 %(one)s; echo "@@exit one $?"
rmmod lodge_amd && rmmod lodge && echo "@@unloaded"
%(look)s"""


@pytest.fixture(scope="module")
def level():
    files, md5, folder = l2_files()
    ran = [p for p in programs.chosen("vmx") if p.name == p.run_name and (p.name, "-") not in programs.differs("trinity")]
    files.update(programs.files(ran, folder))
    for name, text in (("programs", programs.script("max -accel kvm,kernel-irqchip=off")), ("jobs", JOBS)):
        path = os.path.join(folder, name)
        with open(path, "w") as f:
            f.write(text)
        files["g/" + name] = path
    for m in ("lodge.ko", "lodge-amd.ko"):
        files[m] = os.path.join(TOP, "kmod", m)
    files["bin/kvm_run"] = os.path.join(nested.BUILD, "tests/unit/engine/kvm_run")
    files["bin/isa"] = os.path.join(nested.BUILD, "tests/isa/isa")
    script = SCRIPT % {"disk": DISK, "look": LOOK, "one": nested.second_level("kvm,kernel-irqchip=off", 1, "max")}
    try:
        with nested.bochs(script, files, tag="-trinity", model="trinity_apu", module="kvm_amd") as l1:
            text = l1.finish(3400)
    finally:
        shutil.rmtree(folder)
    return text, md5, ran


def test_processor_when_bochs_makes_it_expect_next_rip(level):
    assert "@@nrips 1\n" in level[0] and "@@loaded" in level[0]


def test_engine_when_on_our_modules_expect_its_unit_tests_pass(level):
    assert unit_tests(level[0], "debian") == unit_tests(level[0], "lodge") > 10


def test_instructions_when_on_our_modules_expect_what_debians_give(level):
    (otherwise, agree), (debian, debian_agree) = instructions(level[0], "lodge"), instructions(level[0], "debian")
    assert otherwise <= debian and agree >= debian_agree > 700


def test_programs_when_on_our_modules_expect_all_that_debians_pass(level):
    text, _, ran = level
    assert len(ran) > 45
    assert worse(text, ran, *KNOWN) == []


def test_linux_when_lodge_runs_it_expect_userspace_disk_network(level):
    text, md5, _ = level
    check_guest(text, "one", 1, md5)
    assert "@@unloaded\n" in text and not re.findall("@@dmesg.*", text)
