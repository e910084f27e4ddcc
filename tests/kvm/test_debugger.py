# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's gdb, on this machine, debugs second-level guests on KVM, by a serial line of the first level.

QEMU's AMD-V takes a guest's DR7 as a number only, and INT3 for any INT n: no breakpoint stops there, for any user of its
KVM. So steps, registers and memory are tried with it, and all of the rest with Bochs's VT-x.
"""
import os
import re
import shutil
import tempfile
import time

import pytest

import nested
import test_gdb as system_gdb
from test_svm import CPU, l2_files, part
from vm import WORK, bad_lines
from wire import BEGIN, Wire, session

LIMIT = 300

JOB = """#!/bin/busybox sh
echo "@@l2 works"
n=0
while [ $n -lt %d ]; do read x </proc/uptime; n=$((n + 1)); done
echo "@@l2 done"
"""


def linux(cpu, cpus):
    return ("lodge run -accel kvm -cpu %s -smp %d -m 128M -nographic -no-reboot -kernel /l2/vmlinuz -initrd /l2/initrd "
            "-nic none -append 'console=ttyS0 %s lodge.cmd=job'" % (cpu, cpus, nested.QUICK))


def linux_files(folder, rounds):
    job = os.path.join(folder, "job")
    with open(job, "w") as f:
        f.write(JOB % rounds)
    files, _, more = l2_files(job)
    return files, more


@pytest.fixture
def folder():
    os.makedirs(WORK, exist_ok=True)
    path = tempfile.mkdtemp(prefix="gdb-", dir=WORK)
    yield path
    shutil.rmtree(path)


def look_around(g, symbols):
    """Two vCPUs, registers, memory; all is as it was when it returns."""
    assert "PG" in g.do("info registers cr0") and "LMA" in g.do("info registers efer")
    assert "Linux version 6." in g.do("x/s %#x" % symbols["linux_banner"])
    old = g.number("$xmm3.v2_int64[1]")
    g.do("set $xmm3.v2_int64[1] = 0x1122334455667788")
    assert g.number("$xmm3.v2_int64[1]") == 0x1122334455667788
    g.do("set $xmm3.v2_int64[1] = %#x" % old)
    assert g.number("*(unsigned long *)%#x" % symbols["linux_banner"]) == int.from_bytes(b"Linux ve", "little")
    g.do("set *(char *)%#x = 'X'" % symbols["linux_banner"])
    assert "Xinux" in g.do("x/s %#x" % symbols["linux_banner"])
    g.do("set *(char *)%#x = 'L'" % symbols["linux_banner"])
    assert "paused (debug)" in g.do("monitor info status")


def step(g, times):
    """So many single steps: where they came."""
    at = [g.number("$pc")]
    for _ in range(times):
        g.step()
        at.append(g.number("$pc"))
    return at


class BochsGdb(system_gdb.Gdb):
    """When a guest with TF leaves before its next instruction is done (its page was not mapped yet), Bochs notes the
    trap as pending all the same, and delivers it first: a step that goes nowhere is no step."""

    def step(self):
        at = self.number("$pc")
        for _ in range(6):
            super().step()
            if self.number("$pc") != at:
                return


def test_gdb_when_it_debugs_a_debian_kernel_on_svm_expect_steps_and_values(folder):
    symbols = system_gdb.find_symbols()
    files, more = linux_files(folder, 6000)
    wire = Wire(folder)
    try:
        with nested.qemu(BEGIN + session("linux", linux(CPU, 2)), files, "npt=1", tag="-gdb",
                         more=["-serial", "tcp:127.0.0.1:%d" % wire.port]) as level:
            level.wait_for("@@l2 works", 400)
            g = system_gdb.Gdb(wire.path, limit=LIMIT)
            threads = g.do("info threads")
            assert threads.count("CPU#") == 2 and "not started" not in threads
            look_around(g, symbols)
            here = g.number("$_thread")
            for thread in (here, 3 - here):
                g.do("thread %d" % thread)
                g.do("set scheduler-locking on")
                at = step(g, 10)
                assert len(set(at)) > 4
                g.do("set scheduler-locking off")
            # It goes on, is interrupted, and stands still.
            g.child.sendline("continue")
            g.child.expect("Continuing")
            time.sleep(1)
            g.child.sendintr()
            g.child.expect("received signal SIGINT")
            g.child.expect(system_gdb.PROMPT)
            tick = "*(unsigned long *)%#x" % symbols["jiffies"]
            now = g.number(tick)
            time.sleep(1)
            g.do("maint flush register-cache")
            assert g.number(tick) == now
            look_around(g, symbols)
            g.do("detach")
            g.end()
            text = level.finish(400)
            assert "@@l2 done" in text and "reboot: Power down" in text and "@@exit linux 0" in text
            assert bad_lines(part(text, "linux")[0]) == []
    finally:
        wire.close()
        shutil.rmtree(more)


def walk_linux(g, symbols):
    """Breakpoints in debug registers and in memory, watchpoints, to the end."""
    read = symbols["vfs_read"]
    look_around(g, symbols)
    code = g.do("x/16xb %#x" % read)
    for kind in ("hbreak", "break"):
        g.do("%s *%#x" % (kind, read))
        for _ in range(2):
            assert "reakpoint" in g.do("continue")
            assert g.number("$pc") == read
            assert g.do("x/16xb %#x" % read) == code
        at = step(g, 6)
        assert at[0] == read and len(set(at)) > 4
        g.do("delete")
        # Four take the debug registers, so that the next is in memory.
        for i in range(4):
            g.do("hbreak *%#x" % (0x100 + i))
    g.do("delete")
    # Every tick writes jiffies, by one more.
    g.do("watch *(unsigned long *)%#x" % symbols["jiffies"])
    g.do("continue")
    for _ in range(2):
        seen = g.do("continue")
        old = int(re.search(r"Old value = (\d+)", seen).group(1))
        new = int(re.search(r"New value = (\d+)", seen).group(1))
        assert old < new < old + 5000
    g.do("delete")
    g.do("break *%#x" % symbols["machine_power_off"])
    assert "Breakpoint" in g.do("continue")
    assert g.number("$pc") == symbols["machine_power_off"]
    g.do("delete")
    assert "exited normally" in g.do("continue")


def test_gdb_when_on_vmx_expect_stops_in_all_modes_and_in_a_debian_kernel(folder):
    symbols = system_gdb.find_symbols()
    bios, at = system_gdb.make_bios(folder)
    files, more = linux_files(folder, 300)
    files["l2/bios"] = bios
    wire = Wire(folder)
    bare = ("lodge run -accel kvm -cpu max -m 64M -nographic -nic none -bios /l2/bios -S "
            "-device isa-debug-exit,iobase=0xf4")
    try:
        with nested.bochs(BEGIN + session("bare", bare) + session("linux", linux("max", 1)), files, tag="-gdb",
                          more="com2: enabled=1, mode=socket-client, dev=127.0.0.1:%d\n" % wire.port) as level:
            level.wait_for("@@begin bare", 400)
            g = BochsGdb(wire.path, limit=LIMIT)
            system_gdb.walk_modes(g, at)
            g.end()
            level.wait_for("@@exit bare 3", 100)
            level.wait_for("@@l2 works", 600)
            g = BochsGdb(wire.path, limit=LIMIT)
            walk_linux(g, symbols)
            g.end()
            text = level.finish(600)
            assert "@@l2 done" in text and "reboot: Power down" in text and "@@exit linux 0" in text
            assert bad_lines(part(text, "linux")[0]) == []
    finally:
        wire.close()
        shutil.rmtree(more)
