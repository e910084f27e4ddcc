# SPDX-License-Identifier: GPL-2.0-or-later
"""lodge.ko's interrupt controllers, on AMD-V that QEMU emulates: one boot of the first level with a CPU, where Debian's
modules say first what is right, and one with two CPUs. Logs: build/system/nested-npt-1-irqchip*.log.
"""
import base64
import fnmatch
import os
import re
import shutil
import zlib

import pytest

import nested
import programs
from l2 import DISK, l2_files
from vm import TOP, bad_lines

CPU = "max,-xsave"
MODES = ("on", "split")
UNITS = ("kvm_irq", "kvm_chip", "kvm_full")

# What has most to do with controllers, in both modes; all programs in split mode are test_svm.py's.
PROGRAMS = programs.CHIPS + ("pm64-hpet", "pm64-latency", "pm64-smp")

JOBS = """
for u in %s; do echo "@@begin $u-$1"; timeout 300 $u 2>&1 | grep -v 'has not'; echo "@@exit $u-$1 0"; done
for mode in %s; do rm -f /tmp/oks; . /g/programs-$mode; done
"""

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
dmesg | grep -E 'BUG|WARNING|Oops|RIP:|stall|lodge: cannot' | sed 's/^/@@dmesg /'
"""

KILLS = """
echo "@@begin kills"
for i in $(seq 20); do
	lodge run -accel kvm,kernel-irqchip=%s -cpu max,-xsave -smp 2 -m 128M -display none -monitor none \\
		-kernel /l2/vmlinuz -initrd /l2/initrd -drive file=/tmp/disk.img,if=virtio,format=raw \\
		-nic user,model=virtio-net-pci </dev/null >/dev/null 2>&1 &
	usleep $(( (RANDOM * 37 + i * 7919) %% 3000000 ))
	kill -9 $!; wait $! 2>/dev/null
done
echo "@@exit kills 0"
"""


def guests(cpus):
    text = DISK
    for mode in MODES:
        cmd = nested.second_level("kvm,kernel-irqchip=" + mode, cpus, CPU)
        text += 'echo "@@begin %s%d"; timeout 2500 %s; echo "@@exit %s%d $?"\n' % (mode, cpus, cmd, mode, cpus)
    return text


def common():
    files, md5, folder = l2_files()
    for m in ("lodge.ko", "lodge-amd.ko"):
        files[m] = os.path.join(TOP, "kmod", m)
    return files, md5, folder


@pytest.fixture(scope="module")
def level():
    files, md5, folder = common()
    ran = [p for p in programs.programs() if p.name in PROGRAMS]
    files.update(programs.files(ran, folder))
    texts = {"jobs": JOBS % (" ".join(UNITS), " ".join(MODES))}
    for mode in MODES:
        texts["programs-" + mode] = programs.script("%s -accel kvm,kernel-irqchip=%s" % (CPU, mode))
    for name, text in texts.items():
        with open(os.path.join(folder, name), "w") as f:
            f.write(text)
        files["g/" + name] = os.path.join(folder, name)
    for u in UNITS:
        files["bin/" + u] = os.path.join(nested.BUILD, "tests/unit/engine", u)
    script = ". /g/jobs debian\n" + OURS + ". /g/jobs lodge\n" + guests(1) + KILLS % "on" + KILLS % "split" + END
    try:
        text = nested.run(script, files, "npt=1", limit=3000, tag="-irqchip")
    finally:
        shutil.rmtree(folder)
    return text, md5, ran


@pytest.fixture(scope="module")
def smp():
    files, md5, folder = common()
    try:
        with nested.qemu(OURS + guests(2) + END, files, "npt=1", tag="-irqchip-smp", cpus=2) as first:
            return first.finish(3000), md5
    finally:
        shutil.rmtree(folder)


def part(text, name):
    m = re.search(r"@@begin %s\n(.*?)@@exit %s (\d+)" % (name, name), text, re.S)
    assert m, "the first level did not come to the end of '%s'" % name
    return m.group(1), int(m.group(2))


def check_guest(text, name, cpus, md5):
    out, code = part(text, name)
    assert code == 0
    assert "@@clock kvm-clock" in out
    assert "@@cpus %d\n" % cpus in out and "@@disk %s\n" % md5 in out
    assert "@@written" in out and "@@net" in out and "@@timer 1" in out and "@@bad" not in out
    assert "lodge-guest: l2.sh exit 0" in out
    assert not bad_lines(out)


def check_nothing_left(text):
    counts = dict(re.findall(r"lodge/(\w+):(\d+)", part(text, "left")[0]))
    assert set(counts) == {"vms", "vcpus", "tables", "slots", "eventfds"}
    assert set(counts.values()) == {"0"}, counts
    assert "@@unloaded\n" in text and "@@dmesg" not in text


@pytest.mark.parametrize("unit", UNITS)
def test_interface_when_on_our_modules_expect_what_debians_give(level, unit):
    text, _, _ = level
    for which in ("debian", "lodge"):
        out, _ = part(text, "%s-%s" % (unit, which))
        assert re.search(r"\[  PASSED  \] \d+ test", out) and "FAILED" not in out, which


def test_programs_when_on_our_modules_expect_all_that_debians_pass(level):
    text, _, ran = level
    logs = re.findall(r"@@oklog\n(.*?)@@end of oklog", text, re.S)
    assert len(logs) == 2 * len(MODES), "the first level did not come to the end of the programs"
    said = []
    for log in logs:
        log = zlib.decompress(base64.b64decode(log), 31).decode(errors="replace")
        said.append(dict(re.findall(r"^== (\S+)\n(.*?)(?=^== |\Z)", log, re.M | re.S)))
    known = programs.differs("svm", "any", "svm+off")
    wrong = []
    for i, mode in enumerate(MODES):
        for p in ran:
            debian = programs.ok_names(said[i].get(p.run_name, ""))
            lodge = programs.ok_names(said[i + len(MODES)].get(p.run_name, ""))
            wrong += ["%s, %s: %s" % (mode, p.run_name, check) for check in sorted(debian - lodge)
                      if not any(fnmatch.fnmatchcase(p.name, prog) and
                                 fnmatch.fnmatchcase(check, c.replace("[", "[[]")) for prog, c in known)]
    assert wrong == []


@pytest.mark.parametrize("mode", MODES)
def test_linux_when_one_cpu_expect_userspace_disk_network(level, mode):
    text, md5, _ = level
    check_guest(text, mode + "1", 1, md5)


@pytest.mark.parametrize("mode", MODES)
def test_linux_when_two_cpus_on_two_expect_the_same(smp, mode):
    text, md5 = smp
    check_guest(text, mode + "2", 2, md5)


def test_process_when_killed_expect_nothing_left(level, smp):
    check_nothing_left(level[0])
    check_nothing_left(smp[0])
