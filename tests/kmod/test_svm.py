# SPDX-License-Identifier: GPL-2.0-or-later
"""lodge.ko and lodge-amd.ko on AMD-V, which QEMU emulates. One boot of the first level: Debian's modules first, as
the oracle, then ours with the identical programs; its log is build/system/nested-npt-1-kmod.log.

QEMU 7.2's AMD-V lets XSETBV through: guests go without XSAVE.
"""
import os
import re
import shutil

import pytest

import nested
import programs
from clients import qemu_files, qemu_second_level
from common import JOBS, LOOK, check_guest, instructions, unit_tests, worse
from l2 import DISK, l2_files
from vm import TOP

CPU = "max,-xsave"

# Processors that wait for each other, where all take turns on one: minutes each. The guest with two is enough.
SLOW = ("pm64-smp", "pm64-smp_code", "pm64-smp_lock", "pm64-smp_order", "pm64-code_parts", "pm64-virtio_hostile")

SCRIPT = """
. /g/jobs debian
rmmod kvm_amd; rmmod kvm
insmod /lodge.ko device=kvm && insmod /lodge-amd.ko && echo "@@loaded"
mount -t debugfs d /sys/kernel/debug
. /g/jobs lodge
%(disk)s
echo "@@begin one"; timeout 1500 %(one)s; echo "@@exit one $?"
echo "@@begin two"; timeout 2500 %(two)s; echo "@@exit two $?"
echo "@@begin qemu-one"; timeout 1500 %(qemu_one)s; echo "@@exit qemu-one $?"
grep . /sys/kernel/debug/lodge/* | sed "s/^/@@count /"
umount /sys/kernel/debug
rmmod lodge_amd && rmmod lodge && echo "@@unloaded"
%(look)s"""


def boot():
    files, md5, folder = l2_files()
    ran = programs.chosen("svm")
    ran = [p for p in ran if not p.run_name.endswith("+off") and p.name not in SLOW]
    files.update(programs.files(ran, folder))
    for name, text in (("programs", programs.script(CPU + " -accel kvm,kernel-irqchip=off")), ("jobs", JOBS)):
        path = os.path.join(folder, name)
        with open(path, "w") as f:
            f.write(text)
        files["g/" + name] = path
    for m in ("lodge.ko", "lodge-amd.ko"):
        files[m] = os.path.join(TOP, "kmod", m)
    files.update(qemu_files())
    files["bin/kvm_run"] = os.path.join(nested.BUILD, "tests/unit/engine/kvm_run")
    files["bin/isa"] = os.path.join(nested.BUILD, "tests/isa/isa")
    files["g/bios.bin"] = "/usr/share/seabios/bios-256k.bin"
    engine = "kvm,kernel-irqchip=off"
    script = SCRIPT % {"disk": DISK, "one": nested.second_level(engine, 1, CPU),
                       "two": nested.second_level(engine, 2, CPU), "look": LOOK,
                       "qemu_one": qemu_second_level(engine, 1, CPU)}
    try:
        text = nested.run(script, files, "npt=1", limit=3000, tag="-kmod")
    finally:
        shutil.rmtree(folder)
    return text, md5, ran


@pytest.fixture(scope="module")
def level():
    return boot()


def test_engine_when_on_our_modules_expect_its_unit_tests_pass(level):
    text, _, _ = level
    assert "@@loaded" in text
    assert unit_tests(text, "debian") == unit_tests(text, "lodge") > 10


def test_instructions_when_on_our_modules_expect_what_debians_give(level):
    text, _, _ = level
    assert instructions(text, "lodge") == instructions(text, "debian")
    assert instructions(text, "lodge")[1] > 700


def test_programs_when_on_our_modules_expect_all_that_debians_pass(level):
    text, _, ran = level
    assert worse(text, ran, "svm", "any", "svm+off") == []


@pytest.mark.parametrize("name,cpus", [("one", 1), ("two", 2)])
def test_linux_when_lodge_runs_it_expect_userspace_disk_network(level, name, cpus):
    text, md5, _ = level
    check_guest(text, name, cpus, md5)


def test_linux_when_debians_qemu_runs_it_expect_the_same(level):
    """With two vCPUs and no controllers in the kernel QEMU 7.2 does not come past SeaBIOS, on Debian's modules either."""
    text, md5, _ = level
    check_guest(text, "qemu-one", 1, md5, "")


def test_modules_when_all_is_over_expect_nothing_left(level):
    text, _, _ = level
    assert dict(re.findall(r"@@count \S*/(\w+):(\d+)", text)).items() >= {"vms": "0", "vcpus": "0", "tables": "0", "slots": "0"}.items()
    assert "@@unloaded\n" in text
    assert "@@dmesg" not in text
