# SPDX-License-Identifier: GPL-2.0-or-later
"""lodge.ko and lodge-intel.ko on VT-x, which Bochs emulates. One boot of the first level: Debian's modules first, as the
oracle, then ours with the identical programs, then ours without A and D bits in EPT entries, big pages, VPIDs and unrestricted
guests. Another boot, with two processors, is for a guest with two. Logs: build/system/nested-vmx-kmod.log, nested-vmx-kmod2.log.
"""
import os
import shutil
import subprocess

import pytest

import nested
import programs
from common import JOBS, check_guest, check_nothing_left, instructions, lost, part, said, unit_tests
from l2 import DISK, l2_files
from vm import TOP

ENGINE = "kvm,device=%s,kernel-irqchip=off"
SAYS = "lodge: engine: KVM (/dev/lodge), because"
KNOWN = ("vmx", "any", "vmx+off")  # where the emulator, or time, decides

# What the parameters have to do with: run again without A, D, VPID and unrestricted guests.
PAGING = ("both32-basics", "both64-basics", "both64-selfmod", "pm32-paging32", "pm32-paging_pae", "pm64-paging", "pm64-tlb", "pm64-kernel_hot",
          "pm64-copies", "pm32-real", "pm32-vm86", "pm32-gates", "pm32-task", "both32-triple_fault")

SCRIPT = """
. /g/jobs debian
rmmod kvm_intel; rmmod kvm
insmod /lodge.ko device=kvm && insmod /lodge-intel.ko big_pages=1 && echo "@@loaded"
mount -t debugfs d /sys/kernel/debug
. /g/jobs lodge
rmmod lodge_intel && rmmod lodge && echo "@@unloaded"
insmod /lodge.ko && insmod /lodge-intel.ko
%(disk)s
echo "@@begin one"; timeout 2000 %(one)s; echo "@@exit one $?"
echo "@@begin open"
lodge run -accel kvm,device=/dev/lodge,kernel-irqchip=off -m 64M -bios /g/bios.bin -boot reboot-timeout=-1 \\
	-display none -monitor none -nic none </dev/null >/dev/null 2>&1 &
sleep 5
rmmod lodge_intel 2>&1 && echo "@@unloaded an open one"
kill -9 $!; wait
echo "@@exit open 0"
echo "@@begin kills"
for i in 1 2 3 4 5; do
	lodge run -accel kvm,device=/dev/lodge,kernel-irqchip=off -m 64M -bios /g/bios.bin \\
		-display none -monitor none -nic none </dev/null >/dev/null 2>&1 &
	usleep $(( (RANDOM * 37 + i * 7919) %% 1500000 ))
	kill -9 $!; wait $! 2>/dev/null
done
sleep 1
grep . /sys/kernel/debug/lodge/*
echo "@@exit kills 0"
rmmod lodge_intel && rmmod lodge && echo "@@unloaded"
insmod /lodge.ko device=kvm && insmod /lodge-intel.ko ept_ad=0 vpid=0 big_pages=0 unrestricted_guest=0
dmesg | grep 'lodge-intel: EPT' | sed 's/^[^]]*/@@says/'
mv /g/paging /g/list
rm -f /tmp/oks; . /g/programs
cp /g/boot.img /tmp/boot.img
echo "@@begin bios"; timeout 300 lodge run -accel kvm -m 64M -bios /g/bios.bin -display none -monitor none -nic none -serial stdio \\
	-device isa-debug-exit,iobase=0xf4,iosize=4 -drive file=/tmp/boot.img,format=raw,if=ide </dev/null; echo "@@exit bios $?"
umount /sys/kernel/debug
rmmod lodge_intel && rmmod lodge && echo "@@unloaded"
dmesg | grep -E 'BUG|WARNING|Oops|RIP:|stall' | sed 's/^/@@dmesg /'
"""

# A vCPU that moves is asked of its old processor by an interrupt, which in Bochs does not leave a guest with IF = 0 there,
# that waits for the one that moves: each keeps its own.
TWO = """
rmmod kvm_intel; rmmod kvm
for i in 1 2 3 4 5 6 7 8; do
	sleep 1
	for t in /proc/[0-9]*/task/*; do
		read n <$t/comm
		case "$n" in vcpu[01]) taskset -p $((1 << ${n#vcpu})) ${t##*/};; esac
	done
done >/dev/null 2>&1 &
insmod /lodge.ko && insmod /lodge-intel.ko
%s
echo "@@begin two"; timeout 3000 %s; echo "@@exit two $?"
dmesg | grep -E 'BUG|WARNING|Oops|RIP:|stall' | sed 's/^/@@dmesg /'
"""


def modules(files):
    for m in ("lodge.ko", "lodge-intel.ko"):
        files[m] = os.path.join(TOP, "kmod", m)
    return files


def boot_disk(folder):
    obj, disk = os.path.join(folder, "boot.o"), os.path.join(folder, "boot.img")
    subprocess.run(["as", "--32", "-o", obj, os.path.join(TOP, "tests/kmod/boot.S")], check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o", disk, obj], check=True)
    return disk


def boot():
    files, md5, folder = l2_files()
    ran = [p for p in programs.chosen("vmx") if not p.run_name.endswith("+off")]
    modules(files).update(programs.files([p for p in ran if p.name in PAGING], folder))
    os.rename(files.pop("g/list"), os.path.join(folder, "paging"))
    files.update(programs.files(ran, folder))
    for name, text in (("programs", programs.script("max -accel kvm,kernel-irqchip=off")), ("jobs", JOBS), ("paging", None)):
        files["g/" + name] = os.path.join(folder, name)
        if text:
            with open(files["g/" + name], "w") as f:
                f.write(text)
    files["bin/kvm_run"] = os.path.join(nested.BUILD, "tests/unit/engine/kvm_run")
    files["bin/isa"] = os.path.join(nested.BUILD, "tests/isa/isa")
    files["g/boot.img"] = boot_disk(folder)
    files["g/bios.bin"] = "/usr/share/seabios/bios-256k.bin"
    one = nested.second_level(ENGINE % "/dev/lodge", 1, "max")
    try:
        with nested.bochs(SCRIPT % {"disk": DISK, "one": one}, files, tag="-kmod") as l1:
            return l1.finish(3400), md5, ran
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def level():
    return boot()


def test_engine_when_on_our_modules_expect_its_unit_tests_pass(level):
    text, _, _ = level
    assert "@@loaded" in text
    for which in ("debian", "lodge"):
        assert unit_tests(text, which) > 10


def test_instructions_when_on_our_modules_expect_what_debians_give(level):
    text, _, _ = level
    assert instructions(text, "lodge") == instructions(text, "debian")


def test_programs_when_on_our_modules_expect_all_that_debians_pass(level):
    text, _, ran = level
    debian, lodge, _ = said(text, 3)
    assert lost(debian, lodge, ran, *KNOWN) == []


def test_programs_when_without_what_older_processors_lack_expect_the_same(level):
    text, _, ran = level
    debian, _, plain = said(text, 3)
    assert "@@says] lodge-intel: EPT with small pages, real mode emulated\n" in text
    assert lost(debian, plain, [p for p in ran if p.name in PAGING], *KNOWN) == []


def test_seabios_when_real_mode_is_emulated_expect_disk_and_ticks(level):
    out, code = part(level[0], "bios")
    assert code == 33 and "@@booted" in out and "@@ticks" in out


def test_linux_when_one_cpu_expect_userspace_disk_network(level):
    text, md5, _ = level
    check_guest(text, "one", 1, md5, SAYS)


def test_linux_when_two_cpus_expect_the_same():
    files, md5, folder = l2_files()
    two = nested.second_level(ENGINE % "/dev/lodge", 2, "max")
    try:
        with nested.bochs(TWO % (DISK, two), modules(files), tag="-kmod2", cpus=2) as l1:
            text = l1.finish(2400)
    finally:
        shutil.rmtree(folder)
    check_guest(text, "two", 2, md5, SAYS)
    assert "@@dmesg" not in text


def test_module_when_a_vm_is_open_expect_it_stays(level):
    text, _, _ = level
    assert "@@unloaded an open one" not in text
    assert text.count("@@unloaded\n") == 3


def test_process_when_killed_expect_nothing_left(level):
    text, _, _ = level
    check_nothing_left(text, "kills")
