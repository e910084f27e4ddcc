# SPDX-License-Identifier: GPL-2.0-or-later
"""lodge.ko's interrupt controllers, on AMD-V that QEMU emulates: one boot of the first level with a CPU, where Debian's
modules say first what is right, and one with two CPUs. Logs: build/system/nested-npt-1-irqchip*.log.
"""
import fnmatch
import os
import shutil

import pytest

import nested
import programs
from clients import qemu_files, qemu_second_level
from common import LOOK, check_guest, check_nothing_left, lost, part, said
from l2 import DISK, l2_files
from vm import TOP

CPU = "max,-xsave"
MODES = ("on", "split")
UNITS = ("kvm_irq", "kvm_chip", "kvm_full")

# What has most to do with controllers, in both modes; all programs without them are test_svm.py's.
PROGRAMS = programs.CHIPS

# On two processors, and on ours alone: Debian with two processors takes its time.
SMP = "pm64-smp"

# A write to CR8 on Debian's modules ends QEMU 7.2's AMD-V (an assertion, tcg_handle_interrupt): the software engine says what is right.
ENDS_QEMU = "pm64-apic"

RUN = "for mode in %s; do rm -f /tmp/oks; . /g/programs-$mode; done" % " ".join(MODES)

JOBS = """
for u in %s; do echo "@@begin $u-$1"; timeout 300 $u 2>&1 | grep -v 'has not'; echo "@@exit $u-$1 0"; done
cp /g/list /g/all
[ $1 = lodge ] || grep -v '^%s ' /g/all >/g/list
%s
cp /g/all /g/list
""" % (" ".join(UNITS), ENDS_QEMU, RUN)

OURS = """
rmmod kvm_amd; rmmod kvm
insmod /lodge.ko device=kvm && insmod /lodge-amd.ko && echo "@@loaded"
mount -t debugfs d /sys/kernel/debug
"""

END = """
sleep 1
echo "@@begin left"; grep . /sys/kernel/debug/lodge/*; echo "@@exit left 0"
umount /sys/kernel/debug
rmmod lodge_amd && rmmod lodge && echo "@@unloaded"
""" + LOOK

KILLS = """
echo "@@begin kills"
for i in $(seq 5); do
	lodge run -accel kvm,kernel-irqchip=%s -cpu max,-xsave -smp 2 -m 128M -display none -monitor none \\
		-kernel /l2/vmlinuz -initrd /l2/initrd -drive file=/tmp/disk.img,if=virtio,format=raw \\
		-nic user,model=virtio-net-pci </dev/null >/dev/null 2>&1 &
	usleep $(( (RANDOM * 37 + i * 7919) %% 3000000 ))
	kill -9 $!; wait $! 2>/dev/null
done
echo "@@exit kills 0"
"""

CLIENTS = {"lodge": nested.second_level, "qemu": qemu_second_level}
SAYS = {"lodge": "lodge: engine: KVM (/dev/kvm), because", "qemu": ""}


def guests(cpus):
    text = DISK
    for client, command in CLIENTS.items():
        for mode in MODES:
            name = "%s-%s%d" % (client, mode, cpus)
            cmd = command("kvm,kernel-irqchip=" + mode, cpus, CPU)
            text += 'echo "@@begin %s"; timeout 600 %s; echo "@@exit %s $?"\n' % (name, cmd, name)
    return text


def write(files, folder, name, text):
    files["g/" + name] = os.path.join(folder, name)
    with open(files["g/" + name], "w") as f:
        f.write(text)


def files_of_all(names):
    """As l2_files, and the programs."""
    files, md5, folder = l2_files()
    for m in ("lodge.ko", "lodge-amd.ko"):
        files[m] = os.path.join(TOP, "kmod", m)
    files.update(qemu_files())
    ran = [p for p in programs.programs() if p.name in names]
    files.update(programs.files(ran, folder))
    for mode in MODES:
        write(files, folder, "programs-" + mode, programs.script("%s -accel kvm,kernel-irqchip=%s" % (CPU, mode)))
    return files, md5, folder, ran


@pytest.fixture(scope="module")
def level():
    files, md5, folder, ran = files_of_all(PROGRAMS)
    write(files, folder, "jobs", JOBS)
    for u in UNITS:
        files["bin/" + u] = os.path.join(nested.BUILD, "tests/unit/engine", u)
    script = ". /g/jobs debian\n" + OURS + ". /g/jobs lodge\n" + guests(1) + KILLS % "on" + KILLS % "split" + END
    try:
        text = nested.run(script, files, "npt=1", limit=1500, tag="-irqchip")
    finally:
        shutil.rmtree(folder)
    return text, md5, ran


@pytest.fixture(scope="module")
def smp():
    files, md5, folder, ran = files_of_all((SMP,))
    try:
        with nested.qemu(OURS + RUN + "\n" + guests(2) + END, files, "npt=1", tag="-irqchip-smp", cpus=2) as first:
            return first.finish(1500), md5, ran
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("unit", UNITS)
def test_interface_when_on_our_modules_expect_what_debians_give(level, unit):
    text, _, _ = level
    for which in ("debian", "lodge"):
        out, _ = part(text, "%s-%s" % (unit, which))
        assert "[  PASSED  ]" in out and "FAILED" not in out, which


def test_programs_when_on_our_modules_expect_all_that_debians_pass(level):
    text, _, ran = level
    each = said(text, 2 * len(MODES))
    both = [p for p in ran if p.name != ENDS_QEMU]
    wrong = {mode: lost(each[i], each[i + len(MODES)], both, "svm", "any", "svm+off") for i, mode in enumerate(MODES)}
    assert wrong == {mode: [] for mode in MODES}


def worse_than_software(each, name, ran):
    right = [programs.on_software(p) for p in ran if p.name == name][0]
    known = [c for prog, c in programs.differs("svm", "any") if fnmatch.fnmatchcase(name, prog)]
    return [c for ours in each for c in sorted(right - ours[name]) if not any(fnmatch.fnmatchcase(c, k) for k in known)]


def test_local_apic_when_on_our_modules_expect_what_the_software_engine_says(level):
    text, _, ran = level
    ours = said(text, 2 * len(MODES))[len(MODES):]
    assert worse_than_software(ours, ENDS_QEMU, ran) == []
    # Where the 8259s are the kernel's; on Debian's the first alone.
    assert {"LINT0 as NMI", "LINT0 as fixed", "its own vector"} <= ours[MODES.index("on")][ENDS_QEMU]


def test_processors_when_on_our_modules_expect_what_the_software_engine_says(smp):
    text, _, ran = smp
    assert worse_than_software(said(text, len(MODES)), SMP, ran) == []


def check_linux(text, md5, client, mode, cpus):
    name = "%s-%s%d" % (client, mode, cpus)
    check_guest(text, name, cpus, md5, SAYS[client])
    assert "@@clock kvm-clock" in part(text, name)[0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("client", CLIENTS)
def test_linux_when_one_cpu_expect_userspace_disk_network(level, client, mode):
    check_linux(*level[:2], client, mode, 1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("client", CLIENTS)
def test_linux_when_two_cpus_on_two_expect_the_same(smp, client, mode):
    check_linux(*smp[:2], client, mode, 2)


def test_process_when_killed_expect_nothing_left(level, smp):
    for text in level[0], smp[0]:
        check_nothing_left(text, "left")
        assert "@@unloaded\n" in text
