# SPDX-License-Identifier: GPL-2.0-or-later
"""What must not happen to lodge.ko and lodge-amd.ko, on two processors with AMD-V that QEMU emulates: one boot, with the
modules' debug build; its log is build/system/nested-default-safety.log.

With LODGE_DEBUG_KERNEL=FOLDER, a kernel that tools/debug_kernel.sh has built, its lockdep, KASAN and leak detector watch.
"""
import glob
import os
import re
import socket
import subprocess
import threading

import pytest

import nested
from vm import TOP

DEBUG = os.environ.get("LODGE_DEBUG_KERNEL")
SEED = int(os.environ.get("KMOD_SEED", "1"))
KILLS = int(os.environ.get("KMOD_KILLS", "500"))
ROUNDS = int(os.environ.get("KMOD_ROUNDS", "40"))

SCRIPT = """
echo "@@cpus $(grep -c ^processor /proc/cpuinfo)"
mount -t debugfs d /sys/kernel/debug
dmesg -n 4
counts() { grep . /sys/kernel/debug/lodge/* | sed "s/^/@@count $1 /"; }
look() { dmesg | grep -E 'BUG|WARNING|Oops|RIP:|stall|KASAN|UBSAN|suspected memory|blocked for|INFO:' | sed "s/^/@@dmesg $1 /"; dmesg >/tmp/dmesg-$1; }

echo "@@begin load"
insmod /lodge.ko && insmod /lodge-amd.ko && echo "@@loaded"
dmesg | grep 'lodge: selftest'
[ -e /dev/lodge ] || poweroff -f
echo "@@exit load 0"

echo "@@begin open"
kmod_life spin 6 2 & p=$!
sleep 2
rmmod lodge_amd 2>&1 && echo "@@unloaded an open one"
rmmod lodge 2>&1 && echo "@@unloaded an open one"
wait $p; code=$?
sleep 3 </dev/lodge &
usleep 500000
rmmod lodge_amd 2>&1 && echo "@@unloaded an open one"
wait; echo "@@exit open $code"

echo "@@begin memory"
kmod_life race %(seconds)d && kmod_life dirty %(seconds)d; echo "@@exit memory $?"

echo "@@begin hotplug"
kmod_life spin 25 3 & p=$!
sleep 1
for i in 1 2 3 4 5 6; do
	echo 0 >/sys/devices/system/cpu/cpu1/online && echo "@@off"
	sleep 1
	echo 1 >/sys/devices/system/cpu/cpu1/online && echo "@@on"
	usleep $((i * 200000))
done
wait $p; echo "@@exit hotplug $?"

echo "@@begin suspend"
kmod_life spin 30 2 & p=$!
sleep 1
[ -e /sys/power/pm_test ] && {
	for level in freezer devices platform processors core; do
		echo $level >/sys/power/pm_test && echo mem >/sys/power/state && echo "@@slept $level"
	done
	echo none >/sys/power/pm_test
}
for i in 1 2 3; do
	echo mem >/sys/power/state && echo "@@woke"
	sleep 2
done
wait $p; echo "@@exit suspend $?"

echo "@@begin kill"
kmod_life kill %(kills)d %(seed)d; code=$?
sleep 1
counts kill
echo "@@exit kill $code"

echo "@@begin fuzz"
kmod_fuzz -s %(seed)d -r %(rounds)d -l %(limit)d -n 1500 -t 3; code=$?
sleep 1
counts fuzz
echo "@@exit fuzz $code"

echo "@@begin alone"
kmod_fuzz -s %(seed)d -r %(rounds)d -l %(limit)d -n 1500 -t 1; code=$?
sleep 1
counts alone
echo "@@exit alone $code"

echo "@@begin leaks"
[ -e /sys/kernel/debug/kmemleak ] && {
	echo scan >/sys/kernel/debug/kmemleak; sleep 6; echo scan >/sys/kernel/debug/kmemleak
	grep -A12 unreferenced /sys/kernel/debug/kmemleak | head -60
}
echo "@@exit leaks 0"

look all
rmmod lodge_amd && rmmod lodge && echo "@@unloaded"
"""


def modules():
    """The debug build for that kernel; (image or None for the usual one, folder of the modules)."""
    kdir = DEBUG or glob.glob(os.path.join(TOP, "cache/cloud-amd64-headers/usr/src/linux-headers-*-cloud-amd64"))[0]
    out = subprocess.run([os.path.join(TOP, "tools/kmod_build.sh"), "watched" if DEBUG else "debug", kdir, "DEBUG=1"],
                         stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    return (os.path.join(DEBUG, "arch/x86/boot/bzImage") if DEBUG else None), out


class Alarm:
    """Wakes the machine, again and again: only one that sleeps cares."""

    def __init__(self, path):
        self.path, self.over = path, threading.Event()
        self.thread = threading.Thread(target=self.ring)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def ring(self):
        while not os.path.exists(self.path) and not self.over.wait(0.2):
            pass
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(self.path)
                s.settimeout(0)
                while not self.over.wait(2):
                    s.send(b"system_wakeup\n")
                    try:
                        s.recv(65536)
                    except BlockingIOError:
                        pass
            except OSError:
                pass  # the emulator has ended


@pytest.fixture(scope="module")
def text():
    image, folder = modules()
    files = {m: os.path.join(folder, m) for m in ("lodge.ko", "lodge-amd.ko")}
    for p in ("kmod_life", "kmod_fuzz"):
        files["bin/" + p] = os.path.join(nested.BUILD, "tests/kmod", p)
    script = SCRIPT % {"kills": KILLS, "seed": SEED, "rounds": ROUNDS, "limit": 240 if DEBUG else 120, "seconds": 30}
    monitor = os.path.join(nested.WORK, "safety-%d.mon" % os.getpid())
    with nested.qemu(script, files, tag="-safety", cpus=2, memory=1536 if DEBUG else 1024, module=None, image=image,
                     append=" no_console_suspend", more=("-monitor", "unix:%s,server=on,wait=off" % monitor)) as level, \
            Alarm(monitor):
        return level.finish(2700)


def part(text, name):
    m = re.search(r"@@begin %s\n(.*?)@@exit %s (\d+)" % (name, name), text, re.S)
    assert m, "the first level did not come to the end of '%s'" % name
    return m.group(1), int(m.group(2))


def nothing_left(text, name):
    found = re.findall(r"@@count %s \S*/(\w+):(\d+)" % name, text)
    assert {n for n, _ in found} >= {"vms", "vcpus", "tables", "slots"}
    assert all(n == "0" for _, n in found), found


def test_module_when_loaded_expect_its_own_checks_pass(text):
    out, _ = part(text, "load")
    assert "@@loaded" in out and "@@cpus 2\n" in text
    assert re.search(r"lodge: selftest: [1-9]\d+ checks, 0 wrong", out), out


def test_module_when_a_vm_is_open_expect_it_stays(text):
    out, code = part(text, "open")
    assert code == 0 and "@@unloaded" not in out
    assert out.count("rmmod: ") == 3
    assert "@@unloaded\n" in text


def test_guest_when_its_memory_goes_expect_no_write_astray_or_unseen(text):
    out, code = part(text, "memory")
    assert code == 0 and "slots went with their memory" in out and "no write was missing" in out


def test_vm_when_a_processor_goes_and_comes_expect_it_counts_on(text):
    out, code = part(text, "hotplug")
    assert code == 0 and out.count("@@off") == 6 and out.count("@@on") == 6
    assert "kmod_life: counted" in out


def test_vm_when_the_machine_sleeps_expect_it_counts_on(text):
    out, code = part(text, "suspend")
    assert code == 0 and "kmod_life: counted" in out
    assert out.count("@@woke") == 3
    if DEBUG:  # Debian's kernel has no pm_test
        assert re.findall(r"@@slept (\w+)", out) == ["freezer", "devices", "platform", "processors", "core"]


def test_process_when_killed_expect_nothing_left(text):
    out, code = part(text, "kill")
    assert code == 0 and "%d killed, 0 ended before" % KILLS in out
    nothing_left(out, "kill")


@pytest.mark.parametrize("name", ["fuzz", "alone"])
def test_ioctls_when_random_expect_nothing_left(text, name):
    out, code = part(text, name)
    assert code == 0 and re.search(r"%d rounds of \d+ operations in \d threads, 0 ended badly" % ROUNDS, out)
    nothing_left(out, name)


def test_kernel_when_all_is_over_expect_not_a_word(text):
    assert not re.findall(r"@@dmesg.*", text)
    assert "unreferenced" not in part(text, "leaks")[0]
