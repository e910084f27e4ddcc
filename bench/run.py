#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure Lodge against the host and against QEMU's translator, and write docs/performance.md.

usage: bench/run.py [OPTION…]   (or: make bench BENCH_ARGS="OPTION…")

The same programs run on the host and in guests with the same kernel and initramfs; rounds are
interleaved, so that a busy machine is busy for all. Checksums must agree everywhere. With --only,
--quick, --also, --report and their like the report goes to build/bench/; --out writes elsewhere.

  bench/run.py --quick --only gzip,x87,kernel           three rows, in a minute
  bench/run.py --runs 1 --no-qemu --only integer        one group, against native alone
  bench/run.py --also tier1='-accel soft,tier=1'        the tiers against each other
  bench/run.py --also old='/elsewhere/lodge'            two builds against each other
  bench/run.py --runs 1 --no-qemu --only perl --wrap 'perf record -g -o build/perf.data'
                                                        where the time goes
"""
import argparse
import datetime
import fnmatch
import os
import shlex
import shutil
import subprocess
import sys

import plot
import report
import stats
import vm

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
PROGRAMS = "build/bench/lodge-bench"
CRYPTO = "build/bench/lodge-crypto"
FIRST = "build/bench/first"
ROOT = "build/bench/root"
INITRD = "build/bench/initrd"
BOOT_INITRD = "build/bench/boot-initrd"
KERNEL = "cache/cloud-amd64/vmlinuz"
BUSYBOX = "cache/busybox-amd64/busybox"
RAW = "build/bench/results.json"
WHOLE = ("boot", "first")  # lines that are no programs


def say(text):
    print("bench: " + text, file=sys.stderr, flush=True)


def newer(path, *sources):
    return os.path.exists(path) and all(
        os.path.getmtime(path) >= os.path.getmtime(s) for s in sources)


def prepare():
    """Programs, kernel and initramfs; Lodge itself is whatever --lodge names."""
    subprocess.run(["make", "-s", "bench-bins"], check=True, stdout=subprocess.DEVNULL)
    if not (os.path.exists(KERNEL) and os.path.exists(BUSYBOX)):
        subprocess.run([sys.executable, "tools/fetch_kernels.py", "cloud-amd64", "busybox-amd64"],
                       check=True)
    guest = ["bench/guest/" + n for n in os.listdir("bench/guest")]
    if not newer(INITRD, PROGRAMS, CRYPTO, "bench/init.sh", "bench/mkroot.py", "bench/gendata.py",
                 *guest):
        subprocess.run([sys.executable, "bench/mkroot.py", ROOT, INITRD, BUSYBOX, PROGRAMS, CRYPTO],
                       check=True)
    subprocess.run(["sh", "tools/mkinitramfs.sh", BOOT_INITRD, BUSYBOX, "bench/init.sh"], check=True)


def choose(patterns, small):
    """{line: group} of the lines asked for, the whole machine's among them."""
    out = subprocess.run([PROGRAMS, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout
    lines = dict(x.split() for x in out.splitlines())
    lines.update({n: "boot" for n in WHOLE})
    if not patterns:
        return {n: g for n, g in lines.items() if small or g != "small"}
    chosen = {n: g for n, g in lines.items()
              if any(fnmatch.fnmatch(n, p) or p == g for p in patterns)}
    unused = [p for p in patterns if not any(fnmatch.fnmatch(n, p) or p == g
                                             for n, g in lines.items())]
    if unused:
        raise vm.BenchError("no line or group is called %s; there are: %s" % (
            ", ".join(unused), ", ".join(lines)))
    return chosen


class Run:
    def __init__(self, opts, lines, machines):
        self.opts, self.machines = opts, machines
        self.res = stats.Results()
        self.programs = [n for n, g in lines.items() if g != "boot"]
        self.smp = [n for n, g in lines.items() if g == "smp"]
        self.whole = any(g == "boot" for g in lines.values())

    def record(self, who, rnd, result):
        rows, skipped, failed = result
        for row in rows:
            self.res.add_row(who, rnd, row)
        self.res.about.setdefault("skipped", {})[who] = skipped
        if failed:
            self.res.error("%s, round %d: %s" % (who, rnd + 1, failed))
            say("%s: ERROR: %s" % (who, failed))
        say("%s: %d lines, %.1f s of work" % (who, len(rows), sum(r.seconds for r in rows)))

    def native(self, rnd, names, cpus=1):
        args = ["--scale", str(self.opts.scale), *names]
        who = "native" if cpus == 1 else "native/2"
        self.record(who, rnd, vm.programs_on_host(ROOT, PROGRAMS, args, cpus))

    def guest(self, who, rnd, names, cpus=1):
        base = self.machines[who] + (["-smp", str(cpus)] if cpus > 1 else [])
        args = ["--scale", str(self.opts.scale), *names]
        self.record(who if cpus == 1 else who + "/2", rnd,
                    vm.programs_in_guest(base, KERNEL, INITRD, args))

    def boots(self, who, rnd):
        """Start-up; the idle guest, which takes ten seconds, is left out of a quick run."""
        base, quick = self.machines[who], self.opts.quick
        first, halted = vm.first_instruction(base, FIRST, 0 if quick else 2.0)
        boot, memory, idle = vm.boot(base, KERNEL, BOOT_INITRD, 0 if quick else 5.0)
        for line, value in (("first", first), ("halted", halted), ("boot", boot),
                            ("memory", memory), ("idle", idle)):
            if value is not None:
                self.res.add(who, line, rnd, value)
        say("%s: first byte %.1f ms, boot %.2f s, %.1f MiB beyond RAM" % (
            who, first * 1e3, boot, memory / 2**20))

    def round(self, rnd):
        for who in self.machines:
            if self.programs:
                self.native(rnd, self.programs)
                self.guest(who, rnd, self.programs)
        if self.smp and len(os.sched_getaffinity(0)) > 1:
            self.native(rnd, self.smp, 2)
            for who in self.machines:
                self.guest(who, rnd, self.smp, 2)
        for who in self.machines if self.whole else ():
            try:
                self.boots(who, rnd)
            except vm.BenchError as e:
                self.res.error("%s, round %d: %s" % (who, rnd + 1, e))
                say("%s: ERROR: %s" % (who, e))

    def all(self):
        load = [os.getloadavg()[0]]
        self.res.about.update(report.about(self.machines, self.opts))
        for rnd in range(self.opts.runs):
            say("round %d of %d" % (rnd + 1, self.opts.runs))
            self.round(rnd)
            load.append(os.getloadavg()[0])
            self.res.about.update(load=[min(load), max(load)], rounds=rnd + 1,
                                  date=datetime.date.today().isoformat())
            self.res.save(RAW)
        return self.res


def machines(opts):
    found = {"lodge": shlex.split(opts.wrap) +
             vm.lodge_command(opts.lodge, shlex.split(opts.lodge_args))}
    for item in opts.also:
        name, _, command = item.partition("=")
        words = shlex.split(command)
        path = opts.lodge if not words or words[0].startswith("-") else words.pop(0)
        found[name] = vm.lodge_command(path, words)
    if not opts.no_qemu and shutil.which("qemu-system-x86_64"):
        found["qemu"] = vm.qemu_command()
    elif not opts.no_qemu:
        say("qemu-system-x86_64 is not installed: no comparison with it")
    return found


def options():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--runs", type=int, help="rounds (5, or the environment's BENCH_RUNS)")
    ap.add_argument("--only", default="", help="lines (patterns) and groups, with commas: integer, "
                    "fp, stream, kernel, smp, boot, small")
    ap.add_argument("--small", action="store_true", help="the small loops, too; they do not count")
    ap.add_argument("--scale", type=int, help="so many per cent of the work (100)")
    ap.add_argument("--quick", action="store_true", help="one round, a fifth of the work, no idle "
                    "guest; translating weighs more than it should")
    ap.add_argument("--no-qemu", action="store_true")
    ap.add_argument("--lodge", default="build/lodge", help="the program to measure")
    ap.add_argument("--lodge-args", default="", help="more arguments of `lodge run`")
    ap.add_argument("--accel", help="the same as --lodge-args '-accel ACCEL'")
    ap.add_argument("--wrap", default="", help="a command that is to run Lodge: perf, strace, taskset")
    ap.add_argument("--also", action="append", default=[], metavar="NAME=[LODGE] [ARGS]",
                    help="one more Lodge to measure")
    ap.add_argument("--out", help="the document; the plot goes beside it, as .svg")
    ap.add_argument("--report", metavar="FILE", help="measure nothing, write the document anew from "
                    "an earlier run's results (%s), say for other notes in bench/notes.md" % RAW)
    a = ap.parse_args()
    a.runs = a.runs or (1 if a.quick else int(os.environ.get("BENCH_RUNS", "5")))
    a.scale = a.scale or (20 if a.quick else 100)
    if a.accel:
        a.lodge_args += " -accel " + shlex.quote(a.accel)
    partial = a.report or a.only or a.quick or a.also or a.no_qemu or a.lodge_args or a.wrap
    a.out = a.out or ("build/bench/performance.md" if partial else "docs/performance.md")
    return a


def write(res, out):
    svg = os.path.splitext(out)[0] + ".svg"
    with open(svg, "w") as f:
        f.write(plot.chart(res))
    text = report.document(res, os.path.basename(svg))
    print(text)
    with open(out, "w") as f:
        f.write(text)
    say("wrote %s and %s" % (out, svg))


def main():
    opts = options()
    os.chdir(TOP)
    try:
        if opts.report:
            res = stats.Results.load(opts.report)
        else:
            prepare()
            lines = choose([x for x in opts.only.split(",") if x], opts.small)
            res = Run(opts, lines, machines(opts)).all()
        if res.errors and opts.out.startswith("docs/"):
            opts.out = "build/bench/performance.md"
        write(res, opts.out)
    except (vm.BenchError, OSError, subprocess.CalledProcessError) as e:
        print("bench: %s" % e, file=sys.stderr)
        return 1
    for e in res.errors:
        print("bench: ERROR: %s" % e, file=sys.stderr)
    return 1 if res.errors else 0


if __name__ == "__main__":
    sys.exit(main())
