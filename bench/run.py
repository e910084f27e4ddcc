#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure Lodge against the host and against QEMU's translator, and write docs/performance.md.

usage: bench/run.py [--runs N] [--no-qemu] [--only NAME,NAME] [--out FILE]   (or: make bench)

The same static binary runs on the host and in guests with the same kernel and initramfs; rounds are
interleaved, so that a busy machine is busy for all. Checksums must agree everywhere.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys

import report
import vm

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
PROGRAMS = "build/bench/lodge-bench"
FIRST = "build/bench/first"
INITRD = "build/bench/initrd"
KERNEL = "cache/cloud-amd64/vmlinuz"
BUSYBOX = "cache/busybox-amd64/busybox"


class Results:
    """Samples by machine ("host", "lodge", "qemu") and line."""

    def __init__(self):
        self.samples = {}
        self.groups = {}
        self.sums = {}
        self.clock_off = []

    def add(self, who, line, value):
        self.samples.setdefault((who, line), []).append(value)

    def add_programs(self, who, rows):
        for name, group, ns, checksum in rows:
            self.groups[name] = group
            self.add(who, name, ns * 1e-9)
            first = self.sums.setdefault(name, (checksum, who))
            if first[0] != checksum:
                raise vm.BenchError("%s: checksum %s under %s, but %s under %s: one of them is "
                                    "wrong" % (name, checksum, who, first[0], first[1]))

    def get(self, who, line):
        return self.samples.get((who, line), [])

    def median(self, who, line):
        s = self.get(who, line)
        return statistics.median(s) if s else None


def say(text):
    print("bench: " + text, file=sys.stderr, flush=True)


def prepare():
    if not (os.path.exists(KERNEL) and os.path.exists(BUSYBOX)):
        subprocess.run([sys.executable, "tools/fetch_kernels.py", "cloud-amd64", "busybox-amd64"],
                       check=True)
    subprocess.run(["sh", "tools/mkinitramfs.sh", INITRD, BUSYBOX, "bench/init.sh", PROGRAMS],
                   check=True)


def one_round(res, guests, only):
    # The host's turns are short: three a round, around the guests'.
    args = ",".join(["1"] + only)
    res.add_programs("host", vm.programs_on_host(PROGRAMS, args))
    for who, base in guests.items():
        rows, wall = vm.programs_in_guest(base, KERNEL, INITRD, args)
        if not rows:
            raise vm.BenchError("%s: no program ran" % who)
        res.add_programs(who, rows)
        res.add(who, "wall", wall)
        say("%s: %d programs in %.1f s" % (who, len(rows), wall))
        res.add_programs("host", vm.programs_on_host(PROGRAMS, args))
    for who, base in guests.items():
        first, halted = vm.first_instruction(base, FIRST)
        res.add(who, "first", first)
        res.add(who, "halted", halted)
        boot, memory, cpu = vm.boot_and_idle(base, KERNEL, INITRD)
        res.add(who, "boot", boot)
        res.add(who, "memory", memory)
        res.add(who, "idle", cpu)
        say("%s: first byte %.1f ms, halted %.2f %%, boot %.2f s, %.1f MiB, idle %.2f %%" % (
            who, first * 1e3, halted * 100, boot, memory / 2**20, cpu * 100))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--runs", type=int, default=int(os.environ.get("BENCH_RUNS", "5")))
    ap.add_argument("--no-qemu", action="store_true")
    ap.add_argument("--only", default="", help="programs, with commas; prints, writes nothing")
    ap.add_argument("--lodge", default="build/lodge")
    ap.add_argument("--out", default="docs/performance.md")
    a = ap.parse_args()
    os.chdir(TOP)
    guests = {"lodge": vm.lodge_command(a.lodge)}
    if not a.no_qemu and shutil.which("qemu-system-x86_64"):
        guests["qemu"] = vm.qemu_command()
    elif not a.no_qemu:
        say("qemu-system-x86_64 is not installed: no comparison with it")
    res = Results()
    load = [os.getloadavg()[0]]
    try:
        prepare()
        for n in range(a.runs):
            say("round %d of %d" % (n + 1, a.runs))
            one_round(res, guests, [x for x in a.only.split(",") if x])
            load.append(os.getloadavg()[0])
    except (vm.BenchError, OSError, subprocess.CalledProcessError) as e:
        print("bench: %s" % e, file=sys.stderr)
        return 1
    text = report.document(res, a.runs, load)
    print(text)
    if not a.only:
        with open(a.out, "w") as f:
            f.write(text)
        say("wrote " + a.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
