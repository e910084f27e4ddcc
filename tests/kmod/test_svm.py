# SPDX-License-Identifier: GPL-2.0-or-later
"""lodge.ko and lodge-amd.ko on AMD-V, which QEMU emulates. One boot of the first level: Debian's modules first, as
the oracle, then ours with the identical programs; its log is build/system/nested-npt-1-kmod.log.

QEMU 7.2's AMD-V lets XSETBV through: guests go without XSAVE.
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

# Processors that wait for each other, where all take turns on one: minutes each. The guest with two is enough.
SLOW = ("pm64-smp", "pm64-smp_code", "pm64-smp_lock", "pm64-smp_order", "pm64-code_parts", "pm64-virtio_hostile")

# Both run this; what it says goes to files named by $1.
JOBS = """
echo "@@begin unit-$1"; timeout 300 kvm_run 2>&1 | grep -v 'has not'; echo "@@exit unit-$1 0"
timeout 1500 isa -e kvm -s >/tmp/isa-$1 2>&1
echo "@@begin isa-$1"; grep '^FAIL' /tmp/isa-$1; echo "@@agree $(grep -c '^ok' /tmp/isa-$1)"; echo "@@exit isa-$1 0"
rm -f /tmp/oks; . /g/programs
"""

SCRIPT = """
. /g/jobs debian
rmmod kvm_amd; rmmod kvm
insmod /lodge.ko device=kvm && insmod /lodge-amd.ko && echo "@@loaded"
mount -t debugfs d /sys/kernel/debug
. /g/jobs lodge
%(disk)s
echo "@@begin one"; timeout 1500 %(one)s; echo "@@exit one $?"
echo "@@begin two"; timeout 2500 %(two)s; echo "@@exit two $?"
echo "@@begin open"
lodge run -accel kvm,kernel-irqchip=off -cpu max,-xsave -m 64M -bios /g/bios.bin -boot reboot-timeout=-1 \\
	-display none -monitor none -nic none </dev/null >/dev/null 2>&1 &
sleep 5
rmmod lodge_amd 2>&1 && echo "@@unloaded an open one"
rmmod lodge 2>&1 && echo "@@unloaded an open one"
kill -9 $!; wait
echo "@@exit open 0"
echo "@@begin kills"
for i in $(seq 25); do
	lodge run -accel kvm,kernel-irqchip=off -cpu max,-xsave -smp 2 -m 64M -bios /g/bios.bin \\
		-display none -monitor none -nic none </dev/null >/dev/null 2>&1 &
	usleep $(( (RANDOM * 37 + i * 7919) %% 1500000 ))
	kill -9 $!; wait $! 2>/dev/null
done
sleep 1
grep . /sys/kernel/debug/lodge/*
echo "@@exit kills 0"
umount /sys/kernel/debug
rmmod lodge_amd && rmmod lodge && echo "@@unloaded"
dmesg | grep -E 'BUG|WARNING|Oops|RIP:|stall|lodge: cannot' | sed 's/^/@@dmesg /'
"""


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
    files["bin/kvm_run"] = os.path.join(nested.BUILD, "tests/unit/engine/kvm_run")
    files["bin/isa"] = os.path.join(nested.BUILD, "tests/isa/isa")
    files["g/bios.bin"] = "/usr/share/seabios/bios-256k.bin"
    engine = "kvm,kernel-irqchip=off"
    script = SCRIPT % {"disk": DISK, "one": nested.second_level(engine, 1, CPU),
                       "two": nested.second_level(engine, 2, CPU)}
    try:
        text = nested.run(script, files, "npt=1", limit=3000, tag="-kmod")
    finally:
        shutil.rmtree(folder)
    return text, md5, ran


@pytest.fixture(scope="module")
def level():
    return boot()


def part(text, name):
    m = re.search(r"@@begin %s\n(.*?)@@exit %s (\d+)" % (name, name), text, re.S)
    assert m, "the first level did not come to the end of '%s'" % name
    return m.group(1), int(m.group(2))


def check_guest(text, name, cpus, md5):
    out, code = part(text, name)
    assert code == 0
    assert "lodge: engine: KVM (/dev/kvm), because" in out
    assert "@@cpus %d\n" % cpus in out and "@@disk %s\n" % md5 in out
    assert "@@written" in out and "@@net" in out and "@@timer 1" in out and "@@bad" not in out
    assert "lodge-guest: l2.sh exit 0" in out
    assert not bad_lines(out)


def said(text):
    """[{program: its checks that passed}], Debian's and ours."""
    logs = re.findall(r"@@oklog\n(.*?)@@end of oklog", text, re.S)
    assert len(logs) == 2, "the first level did not come to the end of the programs"
    found = []
    for log in logs:
        log = zlib.decompress(base64.b64decode(log), 31).decode(errors="replace")
        each = re.findall(r"^== (\S+)\n(.*?)(?=^== |\Z)", log, re.M | re.S)
        found.append({name: programs.ok_names(out) for name, out in each})
    return found


def test_engine_when_on_our_modules_expect_its_unit_tests_pass(level):
    text, _, _ = level
    assert "@@loaded" in text
    for which in ("debian", "lodge"):
        out, _ = part(text, "unit-" + which)
        assert re.search(r"\[  PASSED  \] \d+ test", out) and "FAILED" not in out, which


def test_instructions_when_on_our_modules_expect_what_debians_give(level):
    text, _, _ = level
    debian, lodge = (set(part(text, "isa-" + w)[0].split("\n")) for w in ("debian", "lodge"))
    assert lodge == debian


def test_programs_when_on_our_modules_expect_all_that_debians_pass(level):
    text, _, ran = level
    debian, lodge = said(text)
    known = programs.differs("svm", "any", "svm+off")  # where the emulator, or time, decides
    wrong = ["%s: %s" % (p.run_name, check) for p in ran
             for check in sorted(debian[p.run_name] - lodge.get(p.run_name, set()))
             if not any(fnmatch.fnmatchcase(p.name, prog) and fnmatch.fnmatchcase(check, c.replace("[", "[[]"))
                        for prog, c in known)]
    assert wrong == []


def test_linux_when_one_cpu_expect_userspace_disk_network(level):
    text, md5, _ = level
    check_guest(text, "one", 1, md5)


def test_linux_when_two_cpus_expect_the_same(level):
    text, md5, _ = level
    check_guest(text, "two", 2, md5)


def test_module_when_a_vm_is_open_expect_it_stays(level):
    text, _, _ = level
    assert "@@unloaded an open one" not in text
    assert "@@unloaded\n" in text


def test_process_when_killed_expect_nothing_left(level):
    text, _, _ = level
    out, _ = part(text, "kills")
    counts = dict(re.findall(r"lodge/(\w+):(\d+)", out))
    assert set(counts) == {"vms", "vcpus", "tables", "slots", "eventfds"}
    assert set(counts.values()) == {"0"}, counts
    assert "@@dmesg" not in text
