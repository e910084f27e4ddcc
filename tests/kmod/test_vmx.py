# SPDX-License-Identifier: GPL-2.0-or-later
"""lodge.ko and lodge-intel.ko on VT-x, which Bochs emulates. One boot of the first level: Debian's modules first, as the
oracle, then ours with the identical programs, then ours without A and D bits in EPT entries, big pages, VPIDs and unrestricted
guests. Another boot, with two processors, is for guests with two. Logs: build/system/nested-vmx-kmod.log, nested-vmx-kmod2.log.
"""
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

import nested
import programs
from clients import qemu_files, qemu_second_level
from common import JOBS, LOOK, check_guest, check_nothing_left, instructions, lost, part, said, unit_tests
from l2 import DISK, l2_files
from vm import TOP

KNOWN = ("vmx", "any", "vmx+off")  # where the emulator, or time, decides

# What the parameters have to do with: run again without A, D, VPID and unrestricted guests.
PAGING = ("both32-basics", "both64-basics", "both64-selfmod", "pm32-paging32", "pm32-paging_pae", "pm64-paging", "pm64-tlb", "pm64-kernel_hot",
          "pm64-copies", "pm32-real", "pm32-vm86", "pm32-gates", "pm32-task", "both32-triple_fault")

# Devices of user space, which ask no more of VT-x than of AMD-V, where they are run.
DEVICES = ("both32-vga", "both64-vga", "pm64-acpi_pm", "pm64-e1000", "pm64-fwcfg", "pm64-hpet", "pm64-i8042", "pm64-ide", "pm64-pit",
           "pm64-rtc", "pm64-x2apic")

# With interrupt controllers in the kernel; their counters are the core's, and slow.
CHIPS = ("pm64-apic", "pm64-interrupts", "pm64-ioapic", "pm64-latency", "pm64-pic")
MODES = ("on", "split")
UNITS = ("kvm_irq", "kvm_chip", "kvm_full")
TIMES = 2 * (1 + len(MODES)) + 1  # programs run: without controllers and with them, Debian's and ours, and without A, D, VPID

# Guests: who runs them, and the controllers.
ONE = (("lodge", "on"), ("qemu", "on"), ("qemu", "off"))
TWO = (("lodge", "off"), ("lodge", "on"), ("lodge", "split"), ("qemu", "on"))

SCRIPT = """
. /g/jobs debian
. /g/with-chips
rmmod kvm_intel; rmmod kvm
insmod /lodge.ko device=kvm && insmod /lodge-intel.ko big_pages=1 && echo "@@loaded"
mount -t debugfs d /sys/kernel/debug
. /g/jobs lodge
. /g/with-chips
for u in %(units)s; do echo "@@begin $u"; timeout 300 $u 2>&1; echo "@@exit $u $?"; done
%(guests)s
rmmod lodge_intel && rmmod lodge && echo "@@unloaded"
insmod /lodge.ko && insmod /lodge-intel.ko
%(small)s
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
""" + LOOK

# A vCPU that moves is asked of its old processor by an interrupt, which in Bochs does not leave a guest with IF = 0 there,
# that waits for the one that moves: each keeps its own. Until it does, firmware that waits so may hold a processor up.
PAIR = """
rmmod kvm_intel; rmmod kvm
echo 1 >/sys/module/rcupdate/parameters/rcu_cpu_stall_suppress
echo 0 >/proc/sys/kernel/watchdog
while sleep 1; do
	for t in $(pidof lodge qemu-system-x86_64 | sed 's,[0-9][0-9]*,/proc/&/task/*,g'); do
		read n <$t/comm
		case "$n" in vcpu?) n=${n#vcpu};; "CPU "?/KVM) n=${n#CPU }; n=${n%%/KVM};; *) continue;; esac
		taskset -p $((1 << n)) ${t##*/}
	done
done >/dev/null 2>&1 &
insmod /lodge.ko device=kvm && insmod /lodge-intel.ko big_pages=1
%s
""" + LOOK


def guests(which, cpus, device="/dev/kvm"):
    """What boots them."""
    text = DISK
    for who, chips in which:
        if who == "qemu":
            cmd = qemu_second_level("kvm,kernel-irqchip=" + chips, cpus, "max")
        else:
            cmd = nested.second_level("kvm,device=%s,kernel-irqchip=%s" % (device, chips), cpus, "max")
        text += 'echo "@@begin %s-%s"; timeout 2000 %s; echo "@@exit %s-%s $?"\n' % (who, chips, cmd, who, chips)
    return text


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
    ran = [p for p in programs.chosen("vmx") if not p.run_name.endswith("+off") and p.name not in DEVICES]
    texts = {"jobs": JOBS}
    for name, some in (("paging", PAGING), ("chips", CHIPS), ("list", None)):
        files.update(programs.files([p for p in ran if not some or p.name in some], folder))
        files["g/" + name] = os.path.join(folder, name)
        if some:
            os.rename(os.path.join(folder, "list"), files["g/" + name])
    texts["programs"] = programs.script("max -accel kvm,kernel-irqchip=off")
    texts["with-chips"] = "".join("rm -f /tmp/oks\n" + programs.script("max -accel kvm,kernel-irqchip=" + mode)
                                  for mode in MODES).replace("/g/list", "/g/chips")
    for name, text in texts.items():
        files["g/" + name] = os.path.join(folder, name)
        with open(files["g/" + name], "w") as f:
            f.write(text)
    modules(files).update(qemu_files())
    files["bin/kvm_run"] = os.path.join(nested.BUILD, "tests/unit/engine/kvm_run")
    files["bin/isa"] = os.path.join(nested.BUILD, "tests/isa/isa")
    files["g/boot.img"] = boot_disk(folder)
    files["g/bios.bin"] = "/usr/share/seabios/bios-256k.bin"
    for u in UNITS:
        files["bin/" + u] = os.path.join(nested.BUILD, "tests/unit/engine", u)
    script = SCRIPT % {"units": " ".join(UNITS), "guests": guests(ONE, 1),
                       "small": guests([("lodge", "off")], 1, "/dev/lodge")}
    try:
        with nested.bochs(script, files, tag="-kmod") as l1:
            return l1.finish(3400), md5, ran
    finally:
        shutil.rmtree(folder)


def boot_pair():
    files, md5, folder = l2_files()
    files.update(qemu_files())
    try:
        with nested.bochs(PAIR % guests(TWO, 2), modules(files), tag="-kmod2", cpus=2) as l1:
            return l1.finish(3400), md5
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def boots():
    """Both at once: an emulated machine is busy on one processor, however many it has."""
    with ThreadPoolExecutor() as pool:
        yield pool.submit(boot), pool.submit(boot_pair)


@pytest.fixture(scope="module")
def level(boots):
    return boots[0].result()


@pytest.fixture(scope="module")
def pair(boots):
    return boots[1].result()


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
    debian, lodge = (said(text, TIMES)[i] for i in (0, 3))
    assert lost(debian, lodge, ran, *KNOWN) == []


@pytest.mark.parametrize("unit", UNITS)
def test_interface_when_of_controllers_expect_its_tests_pass(level, unit):
    out, code = part(level[0], unit)
    assert code == 0 and "[  PASSED  ]" in out and "FAILED" not in out


@pytest.mark.parametrize("mode", MODES)
def test_programs_when_controllers_are_in_the_kernel_expect_the_same(level, mode):
    text, _, ran = level
    at = 1 + MODES.index(mode)
    debian, lodge = (said(text, TIMES)[i] for i in (at, at + 3))
    assert lost(debian, lodge, [p for p in ran if p.name in CHIPS], *KNOWN) == []


def test_programs_when_without_what_older_processors_lack_expect_the_same(level):
    text, _, ran = level
    debian, plain = (said(text, TIMES)[i] for i in (0, 6))
    assert re.search(r"^@@says\] lodge-intel: EPT with small pages(, timer)?, real mode emulated$", text, re.M)
    assert lost(debian, plain, [p for p in ran if p.name in PAGING], *KNOWN) == []


def test_seabios_when_real_mode_is_emulated_expect_disk_and_ticks(level):
    out, code = part(level[0], "bios")
    assert code == 33 and "@@booted" in out and "@@ticks" in out


def says(who, device="/dev/kvm"):
    return "lodge: engine: KVM (%s), because" % device if who == "lodge" else ""


@pytest.mark.parametrize("who,chips", ONE)
def test_linux_when_one_cpu_expect_userspace_disk_network(level, who, chips):
    text, md5, _ = level
    check_guest(text, who + "-" + chips, 1, md5, says(who))


def test_linux_when_no_page_is_big_expect_the_same(level):
    text, md5, _ = level
    check_guest(text, "lodge-off", 1, md5, says("lodge", "/dev/lodge"))


@pytest.mark.parametrize("who,chips", TWO)
def test_linux_when_two_cpus_expect_the_same(pair, who, chips):
    text, md5 = pair
    check_guest(text, who + "-" + chips, 2, md5, says(who))
    assert "@@dmesg" not in text


def test_module_when_a_vm_is_open_expect_it_stays(level):
    text, _, _ = level
    assert "@@unloaded an open one" not in text
    assert text.count("@@unloaded\n") == 3


def test_process_when_killed_expect_nothing_left(level):
    text, _, _ = level
    check_nothing_left(text, "kills")
