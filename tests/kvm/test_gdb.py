# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's gdb, on this machine, debugs second-level guests on KVM, by a serial line of the first level.

QEMU's AMD-V takes the guest's DR7 as a number only: debug registers of a guest stop nothing there. So breakpoints in
memory and steps are tried with it, on a Debian kernel; all of the rest with Bochs's VT-x.
"""
import os
import shutil
import tempfile

import pytest

import nested
from test_svm import CPU, l2_files
from vm import WORK
from wire import SCRIPT, Wire

import importlib.util

# Of the same name as this file.
spec = importlib.util.spec_from_file_location("system_gdb", os.path.join(os.path.dirname(__file__),
                                                                          "../system/test_gdb.py"))
system_gdb = importlib.util.module_from_spec(spec)
spec.loader.exec_module(system_gdb)

LIMIT = 300

# The guest works on in its own time until it is told by a file.
JOB = """#!/bin/busybox sh
echo "@@l2 works"
n=0
while [ $n -lt 100000 ]; do read x </proc/uptime; n=$((n + 1)); done
echo "@@l2 done"
"""


@pytest.fixture
def folder():
    os.makedirs(WORK, exist_ok=True)
    path = tempfile.mkdtemp(prefix="gdb-", dir=WORK)
    yield path
    shutil.rmtree(path)


def test_gdb_when_it_debugs_a_debian_kernel_on_svm_expect_stops_values_and_a_clean_end(folder):
    symbols = system_gdb.find_symbols()
    job = os.path.join(folder, "job")
    with open(job, "w") as f:
        f.write(JOB)
    files, _, more = l2_files(job)
    wire = Wire(folder)
    command = ("lodge run -accel kvm -cpu %s -smp 2 -m 128M -nographic -no-reboot -kernel /l2/vmlinuz -initrd "
               "/l2/initrd -nic none -gdb tcp:127.0.0.1:1234 -append 'console=ttyS0 %s lodge.cmd=job' </dev/null"
               % (CPU, nested.QUICK))
    try:
        with nested.qemu(SCRIPT % command, files, "npt=1", tag="-gdb",
                         more=["-serial", "tcp:127.0.0.1:%d" % wire.port]) as level:
            level.wait_for("@@l2 works", 400)
            g = system_gdb.Gdb(wire.path, limit=LIMIT)
            walk_linux(g, symbols)
            g.end()
            level.finish(400)
            assert "reboot: Power down" in level.text and "@@exit gdb 0" in level.text
    finally:
        wire.close()
        shutil.rmtree(more)


def walk_linux(g, symbols):
    assert g.do("info threads").count("CPU#") == 2
    assert "PG" in g.do("info registers cr0") and "LMA" in g.do("info registers efer")
    assert "Linux version 6." in g.do("x/s %#x" % symbols["linux_banner"])
    read = symbols["vfs_read"]
    code = g.do("x/16xb %#x" % read)
    # Four take the debug registers, so that the next is in memory.
    for i in range(4):
        g.do("hbreak *%#x" % (0x100 + i))
    g.do("break *%#x" % read)
    for _ in range(3):
        assert "hit Breakpoint 5" in g.do("continue")
        assert g.number("$pc") == read
        assert g.do("x/16xb %#x" % read) == code
    # One instruction at a time, over the breakpoint and on.
    at = [g.number("$pc")]
    for _ in range(6):
        g.do("stepi")
        at.append(g.number("$pc"))
    assert len(set(at)) > 4 and at[1] != at[0]
    # Both vCPUs are there, each with registers of its own.
    here = g.number("$_thread")
    g.do("thread %d" % (3 - here))
    assert g.number("$pc") != 0 and g.number("$rsp") > 0
    g.do("thread %d" % here)
    assert g.number("$pc") == at[-1]
    # Registers and memory are written.
    old = g.number("$xmm3.v2_int64[1]")
    g.do("set $xmm3.v2_int64[1] = 0x1122334455667788")
    assert g.number("$xmm3.v2_int64[1]") == 0x1122334455667788
    g.do("set $xmm3.v2_int64[1] = %#x" % old)
    word = g.number("*(unsigned long *)%#x" % symbols["linux_banner"])
    assert word == int.from_bytes(b"Linux ve", "little")
    assert "paused (debug)" in g.do("monitor info status")
    # Many breakpoints at once: each function that is met says its own.
    g.do("delete 5")
    g.do("break *%#x" % symbols["machine_power_off"])
    assert "Breakpoint 6" in g.do("continue")
    assert g.number("$pc") == symbols["machine_power_off"]
    g.do("delete")
    assert "exited normally" in g.do("continue")


def test_gdb_when_code_goes_from_real_to_long_mode_on_vmx_expect_stops_in_each(folder):
    bios, at = system_gdb.make_bios(folder)
    wire = Wire(folder)
    command = ("lodge run -accel kvm -cpu max -m 64M -nographic -nic none -bios /l2/bios -gdb tcp:127.0.0.1:1234 -S "
               "-device isa-debug-exit,iobase=0xf4 </dev/null")
    try:
        with nested.bochs(SCRIPT % command, {"l2/bios": bios}, tag="-gdb",
                          more="com2: enabled=1, mode=socket-client, dev=127.0.0.1:%d\n" % wire.port) as level:
            level.wait_for("@@begin gdb", 400)
            g = system_gdb.Gdb(wire.path, limit=LIMIT)
            system_gdb.walk_modes(g, at)
            g.end()
            level.finish(400)
            assert "@@exit gdb 3" in level.text
    finally:
        wire.close()
