#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a screen costs, and how long a key takes: Lodge against QEMU's TCG, taking turns.

usage: bench/screen.py [--rounds N] [--only access,scroll,linux,film,keys] [--lodge-only] [--json]

access  400,000 accesses to ports of the VGA, to its memory in 16 colours, and copied by its latches

scroll  bench/guest/screen.c scrolls 80 by 25 characters 2000 times, by REP MOVS and word by word; with and without
        a viewer; then 100 times a second with a viewer
linux   Debian's cloud kernel prints 20,000 lines on its VGA console; with and without a viewer
film    the guest copies 25 pictures a second of 1024 by 768 by 32 bits to the frame buffer; a viewer decodes them
keys    a key is sent by VNC; the time until the first byte that its interrupt's handler sends to the serial port
        has come back, so serial port, pipe and two wake-ups of the host are in it

Both machines run at once, and who waits does nothing. The viewer is bench/viewer.c (libvncclient), not counted; CPU
is user and system time of all of a machine's processes. Medians; less is better, below 1 Lodge uses less.
"""
import argparse
import json
import os
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(TOP, "tests/system"))
from rfb import NEW_SIZE, RAW, Rfb  # noqa: E402
from vm import kernel  # noqa: E402

GUEST = os.path.join(TOP, "build/bench/screen.elf")
VIEWER = os.path.join(TOP, "build/bench/viewer")
LINES = 20000
FILM_SECONDS = 10
JOB = """#!/bin/sh
seq 1 2000 | sed 's/$/: a line of what a guest prints on its console, 70 letters or so/' >/text
echo 0 >/proc/sys/kernel/printk
while read order; do
	for i in 1 2 3 4 5 6 7 8 9 10; do cat /text; done >/dev/tty1
	echo @@done
done
"""
KINDS = {"raw": ("raw", -1), "zrle": ("zrle raw", -1), "tight": ("tight raw", -1),
         "jpeg": ("tight raw", 6)}


def processes(pid):
    out = [pid]
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            for child in f.read().split():
                out += processes(int(child))
    except OSError:
        pass
    return out


def cpu_seconds(pid):
    """CPU of a process and all below it, now."""
    total = 0.0
    for p in processes(pid):
        try:
            for tid in os.listdir("/proc/%d/task" % p):
                with open("/proc/%d/task/%s/schedstat" % (p, tid)) as f:
                    total += int(f.read().split()[0]) / 1e9
        except OSError:
            pass
    return total


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Machine:
    """One whose first serial port is our pipe."""

    def __init__(self, who, args, *more):
        self.port = free_port()
        display = "127.0.0.1:%d" % (self.port - 5900)
        if who == "lodge":
            cmd = [args.lodge, "run", "-vnc", display + ",password=off", "-nic", "none"]
        else:
            cmd = [args.qemu, "-accel", "tcg", "-cpu", "max", "-vnc", display, "-net", "none"]
        cmd += ["-m", "256M", "-vga", "std", "-serial", "stdio", "-monitor", "none", "-no-reboot", *more]
        self.vm = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.said = b""

    def read(self, timeout):
        """What the guest says next."""
        if not select.select([self.vm.stdout], [], [], timeout)[0]:
            raise RuntimeError("the guest says nothing; before that: %r" % self.said[-500:])
        data = os.read(self.vm.stdout.fileno(), 4096)
        if not data:
            raise RuntimeError("the machine ended: %r" % self.said[-500:])
        return data

    def wait(self, what, timeout=120, times=1):
        end = time.monotonic() + timeout
        self.said = b""
        while self.said.count(what) < times:
            self.said += self.read(max(0, end - time.monotonic()))

    def order(self, what, answer=b"d", timeout=120):
        """(seconds, CPU seconds) until it is done."""
        cpu, start = cpu_seconds(self.vm.pid), time.monotonic()
        self.vm.stdin.write(what)
        self.wait(answer, timeout)
        return time.monotonic() - start, cpu_seconds(self.vm.pid) - cpu

    def end(self):
        self.vm.kill()
        self.vm.wait()


class Viewer:
    def __init__(self, machine, kind):
        names, quality = KINDS[kind]
        self.child = subprocess.Popen([VIEWER, str(machine.port), names, str(quality)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.child.stdout.readline() != "ready\n":
            raise RuntimeError("the viewer gets no picture")

    def count(self):
        """(updates, pictures by area) since the last time."""
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        updates, area = self.child.stdout.readline().split()
        return int(updates), float(area)

    def end(self):
        self.child.kill()
        self.child.wait()


def add(found, what, who, value):
    found.setdefault(what, {}).setdefault(who, []).append(value)


def guests(args, who):
    m = Machine(who, args, "-kernel", GUEST)
    m.wait(b"R")
    return m


def with_viewer(m, kind, work):
    v = Viewer(m, kind) if kind else None
    try:
        if v:
            time.sleep(0.5)
            v.count()
        got = work()
        if v:
            time.sleep(0.3)
            got += v.count()
        return got
    finally:
        if v:
            v.end()
            time.sleep(0.3)


def access(args, machines, found):
    for _ in range(args.rounds):
        for order, name in ((b"p", "OUT"), (b"m", "planes"), (b"c", "latches")):
            for who, m in machines.items():
                add(found, "400,000 accesses, " + name, who, m.order(order))


def scroll(args, machines, found):
    for m in machines.values():
        m.order(b"t")
    for _ in range(args.rounds):
        for order, name in ((b"s", "REP MOVS"), (b"w", "words")):
            for kind in (None, "tight"):
                for who, m in machines.items():
                    got = with_viewer(m, kind, lambda: m.order(order))
                    label = "2000 scrolls, %s%s" % (name, ", viewer" if kind else "")
                    add(found, label, who, got)
        for kind in ("raw", "tight"):
            for who, m in machines.items():
                got = with_viewer(m, kind, lambda: m.order(b"S" + bytes([args.seconds])))
                add(found, "100 scrolls a second, %d s, %s" % (args.seconds, kind), who, got)


def linux(args, machines, found):
    for _ in range(args.rounds):
        for kind in (None, "tight"):
            for who, m in machines.items():
                got = with_viewer(m, kind, lambda: m.order(b"\n", b"@@done"))
                add(found, "Linux, %d lines%s" % (LINES, ", viewer" if kind else ""), who, got)


def film(args, machines, found):
    for m in machines.values():
        m.order(b"g")
    for _ in range(args.rounds):
        for kind in args.kinds.split(","):
            for who, m in machines.items():
                got = with_viewer(m, kind,
                                  lambda: m.order(b"f" + bytes([args.seconds])))
                add(found, "film %d s, %s" % (args.seconds, kind), who, got)


def one_key(m, r, down):
    """Milliseconds."""
    start = time.monotonic()
    r.key(ord("a"), down)
    while b"K" not in m.read(10):
        pass
    return (time.monotonic() - start) * 1e3


def keys(args, machines, found):
    for what in ("idle", "busy", "film"):
        for who, m in machines.items():
            if what == "film":
                m.order(b"g")
            v = Viewer(m, "tight") if what == "film" else None
            with Rfb(("127.0.0.1", m.port), encodings=(RAW, NEW_SIZE)) as r:
                time.sleep(0.5)
                if what == "busy":
                    m.vm.stdin.write(b"b")
                if what == "film":
                    m.vm.stdin.write(b"f" + bytes([args.seconds]))
                end = time.monotonic() + args.seconds - 1
                for i in range(args.keys):
                    add(found, "key, guest %s" % what, who, one_key(m, r, 1 - i % 2))
                    time.sleep(0.013)
                    if what == "film" and time.monotonic() > end:
                        break
                if what == "busy":
                    m.vm.stdin.write(b"-")  # ends it, and is an order of its own
                    m.wait(b"d", times=2)
                if what == "film":
                    m.wait(b"d")
            if v:
                v.end()


def linux_machines(args, work, names):
    job, out = os.path.join(work, "screenjob"), os.path.join(work, "initrd")
    with open(job, "w") as f:
        f.write(JOB)
    os.chmod(job, 0o755)
    subprocess.run(["sh", os.path.join(TOP, "tools/mkinitramfs.sh"), out, kernel("busybox-amd64"),
                    os.path.join(TOP, "tools/guest_init.sh"), job], check=True)
    machines = {}
    for who in names:
        more = ["-kernel", kernel("cloud-amd64"), "-initrd", out, "-append",
                "console=tty0 console=ttyS0 quiet cryptomgr.notests lodge.cmd=screenjob"]
        if who == "lodge":
            more += ["-bios", "bios-256k.bin", "-L", os.path.dirname(kernel("linuxboot"))]
        machines[who] = Machine(who, args, *more)
    for m in machines.values():
        m.wait(b"running screenjob")
        m.order(b"\n", b"@@done")
    return machines


def report(found):
    print("%-34s %9s %9s %6s   %8s %8s   %s" % ("", "Lodge", "QEMU", "ratio", "Lodge", "QEMU",
                                                "pictures to the viewer"))
    for what, by in found.items():
        mid = {}
        for who in ("lodge", "qemu"):
            rows = by.get(who)
            if rows and isinstance(rows[0], float):
                rows.sort()
                mid[who] = [rows[len(rows) // 2], rows[int(len(rows) * 0.99)], rows[-1]]
            elif rows:
                mid[who] = [statistics.median(col) for col in zip(*rows)]
            else:
                mid[who] = [float("nan")] * 4
        a, b = mid["lodge"], mid["qemu"]
        if what.startswith("key"):
            print("%-34s p50 %.2f %.2f  p99 %.2f %.2f  max %.2f %.2f ms" % (
                what, a[0], b[0], a[1], b[1], a[2], b[2]))
            continue
        more = "%.0f %.0f" % (a[3], b[3]) if len(a) > 3 and len(b) > 3 else ""
        print("%-34s %7.3f s %7.3f s %6.3f   %6.3f s %6.3f s   %s" % (
            what, a[1], b[1], a[1] / b[1], a[0], b[0], more))
    print("(CPU, ratio, time passed; load %.1f)" % os.getloadavg()[0])


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--seconds", type=int, default=FILM_SECONDS)
    ap.add_argument("--keys", type=int, default=300)
    ap.add_argument("--only", default="access,scroll,linux,film,keys")
    ap.add_argument("--kinds", default="raw,tight,jpeg")
    ap.add_argument("--lodge", default=os.path.join(TOP, "build/lodge"))
    ap.add_argument("--qemu", default="qemu-system-x86_64")
    ap.add_argument("--lodge-only", action="store_true")
    ap.add_argument("--json", action="store_true", help="every round's figures")
    args = ap.parse_args()
    names = ["lodge"] + ([] if args.lodge_only or not shutil.which(args.qemu) else ["qemu"])
    found, only = {}, args.only.split(",")
    with tempfile.TemporaryDirectory() as work:
        for group in ((access, scroll, film, keys), (linux,)):
            if not {f.__name__ for f in group} & set(only):
                continue
            machines = {}
            try:
                if group == (linux,):
                    machines = linux_machines(args, work, names)
                else:
                    machines = {who: guests(args, who) for who in names}
                for f in group:
                    if f.__name__ in only:
                        f(args, machines, found)
            finally:
                for m in machines.values():
                    m.end()
    if args.json:
        print(json.dumps(found))
    report(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
