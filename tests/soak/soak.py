#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`make soak`: a Debian guest works for as long as one likes, and must do what the host does.

usage: tests/soak/soak.py [options] [programs] [kernel] [clocks] [stress]     (all, if none is named)

  programs  node, Java, Python, Perl, gcc, OpenSSL, sqlite: output and exit status as on the host
  kernel    the guest's kernel patches its own code under load: ftrace, kprobes, static keys, modules
  clocks    a sleep on each clock source; every clock agrees with the host's
  stress    stress-ng --verify, each stressor alone, then six at a time, by lot

Runs as root (the native runs are in a chroot). Exit status 0 when everything was right.
"""
import argparse
import os
import re
import subprocess
import sys
import time

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
sys.path.insert(0, os.path.join(TOP, "tests/system"))
sys.path.insert(0, os.path.join(TOP, "tests/soak"))
import mkroot  # noqa: E402
from vm import bad_lines  # noqa: E402  (what a kernel says of a bad machine)

WORK = os.path.join(TOP, "build/soak")
PROGRAMS = ("jit.js text.js workers.js objects.py text.pl compile.sh digests.sh text.sh "
            "queries.sql Mix.java").split()
KERNEL = os.path.join(TOP, "cache/cloud-amd64/vmlinuz")
CLOCKS = ("REALTIME", "MONOTONIC", "BOOTTIME", "RAW")
# The graph tracer traces its own start, in one go: under load that takes longer than Linux likes.
SLOW = "rcupdate.rcu_cpu_stall_timeout=250 watchdog_thresh=60"
# stress-ng's own: a stressor that the machine cannot run.
NOT_HERE = (3, 4)
# The kernel says these of what stress-ng does, on any machine.
HARMLESS = re.compile(r"stress-ng|traps:|uprobe|segfault at|split lock|perf: interrupt took|"
                      r"[Cc]ommand line: |stall warnings timeout set|"
                      r"\[drm|process .* launched|mmap: .* uses deprecated")

NATIVE = """R=$1; shift
mount -t proc proc $R/proc && mount --rbind /dev $R/dev && mount -t tmpfs tmp $R/tmp || exit 1
c=$(command -v chroot)
exec env -i PATH=/usr/bin:/usr/sbin $c $R /usr/bin/busybox sh "$@"
"""


class SoakError(Exception):
    pass


class Results:
    def __init__(self):
        self.failures = 0

    def say(self, good, name, text=""):
        self.failures += not good
        print("%s %s%s" % ("ok  " if good else "FAIL", name, ": " + text if text else ""), flush=True)


class Guest:
    """A guest whose console comes line by line, with the host's time of each; kept in a log."""

    def __init__(self, args, name, run, extra=""):
        self.log = open(os.path.join(WORK, name + ".log"), "w", errors="replace")
        append = "console=ttyS0 panic=-1 cryptomgr.notests %s soak.run=%s" % (extra, ",".join(run))
        cmd = [*args.lodge.split(), "run", "-m", args.memory, "-smp", str(args.smp), "-display", "none",
               "-no-reboot", "-kernel", KERNEL, "-initrd", os.path.join(WORK, "initrd"),
               "-serial", "stdio", "-append", append.replace("  ", " "), *args.option]
        self.log.write("$ " + " ".join(cmd) + "\n")
        self.proc = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, bufsize=0)
        self.name = name
        self.text = []

    def lines(self, limit):
        """(host's monotonic time, line) until the guest has gone; SoakError when it is silent for
        `limit` seconds."""
        import select
        rest = b""
        fd = self.proc.stdout.fileno()
        while True:
            if not select.select([fd], [], [], limit)[0]:
                raise SoakError("%s: the guest has said nothing for %d s" % (self.name, limit))
            data = os.read(fd, 65536)
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            if not data:
                break
            *whole, rest = (rest + data).split(b"\n")
            for raw in whole:
                line = raw.decode(errors="replace").rstrip("\r")
                self.log.write(line + "\n")
                self.log.flush()
                self.text.append(line)
                yield now, line
        status = self.proc.wait()
        if status:
            raise SoakError("%s: lodge's exit status is %d" % (self.name, status))
        if not any(line.startswith("@@over") for line in self.text):
            raise SoakError("%s: the guest did not come to its end" % self.name)

    def end(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        self.log.close()

    def complaints(self):
        return [line for line in bad_lines("\n".join(self.text)) if not HARMLESS.search(line)
                and not line.startswith(("!", "|"))]


def guest_run(results, args, name, run, each, limit, extra=""):
    """Run it; `each` sees every line. What the kernel says of its machine is a failure."""
    guest = Guest(args, name, run, extra)
    good = True
    try:
        for now, line in guest.lines(limit):
            each(now, line)
    except SoakError as e:
        results.say(False, name, str(e))
        good = False
    finally:
        guest.end()
    bad = guest.complaints()
    results.say(not bad, name + ": kernel log", "; ".join(bad[:5]))
    return good


# ---- programs --------------------------------------------------------------------------------

class Outcomes:
    """What run.sh says, line by line."""

    def __init__(self):
        self.done, self.output, self.current = {}, {}, None

    def take(self, _, line):
        words = line.split()
        if line.startswith("@@begin "):
            self.current = words[1]
            self.output[self.current] = []
        elif line.startswith("@@end "):
            self.done[words[1]] = (words[2], words[3], float(words[4]))
            self.current = None
        elif self.current and line.startswith("| "):
            self.output[self.current].append(line)


def native(run):
    out = subprocess.run(["unshare", "-m", "sh", "-c", NATIVE, "sh", os.path.join(WORK, "root"),
                          "/soak/" + run[0], *run[1:]], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, check=False)
    if out.returncode:
        raise SoakError("the native run failed:\n" + out.stdout[-2000:])
    return out.stdout.split("\n")


def first_difference(a, b):
    for x, y in zip(a, b):
        if x != y:
            return "native %s, guest %s" % (x[2:90], y[2:90])
    return "the output's length"


def programs(results, args):
    want, got = Outcomes(), Outcomes()
    names = args.program or PROGRAMS
    for line in native(["run.sh", *names]):
        want.take(0, line)
    for n in range(args.rounds):
        got = Outcomes()
        guest_run(results, args, "programs", ["run.sh", *names], got.take, args.silence)
        for p in names:
            w, g = want.done.get(p), got.done.get(p)
            if not w or not g:
                results.say(False, p, "did not end " + ("in the guest" if w else "natively"))
            elif w[:2] != g[:2]:
                results.say(False, p, "status %s, guest %s; %s" % (
                    w[0], g[0], first_difference(want.output[p], got.output[p])))
            else:
                results.say(w[0] == "0", p, "%.1f s, native %.1f" % (g[2], w[2]))


# ---- the kernel ------------------------------------------------------------------------------

def kernel(results, args):
    said = []

    def each(_, line):
        if line.startswith("@@kernel "):
            said.append(line[9:])
    guest_run(results, args, "kernel", ["kernel.sh", str(args.rounds * 3)], each, args.silence, SLOW)
    failed = [s for s in said if re.search("failed|wrong|EMPTY|NOT HIT", s)]
    results.say("done" in said and not failed, "kernel text patching",
                "; ".join(failed[:5]) or "%d rounds" % sum(s.startswith("round") for s in said))


# ---- clocks ----------------------------------------------------------------------------------

def best(samples, clock):
    """Host minus guest, of the sample that came through fastest."""
    return min(host - guest[clock] for host, guest in samples)


def clocks(results, args):
    samples, failed = {}, []

    def each(now, line):
        if line.startswith("@@t "):
            w = line.split()
            samples.setdefault((w[1], w[2]), []).append((now, [int(x) for x in w[3:]]))
        elif line.startswith("@@failed"):
            failed.append(line[9:])
    guest_run(results, args, "clocks", ["clock.sh", str(args.sleep), *args.source], each,
              args.sleep + args.silence)
    for f in failed:
        results.say(False, "clocks", f)
    sources = sorted({s for s, _ in samples})
    if not sources:
        results.say(False, "clocks", "the guest told no time")
    for s in sources:
        if (s, "after") not in samples:
            results.say(False, "clock source " + s, "did not come to its end")
            continue
        off = [(best(samples[s, "after"], c) - best(samples[s, "before"], c)) / 1e6
               for c in range(len(CLOCKS))]
        results.say(all(abs(x) <= args.drift for x in off), "clock source " + s,
                    "over %g s behind the host by %s ms" % (args.sleep, ", ".join(
                        "%s %.2f" % (n, x) for n, x in zip(CLOCKS, off))))


# ---- stress-ng -------------------------------------------------------------------------------

def stress(results, args):
    seen, failed, absent = [0], [], []
    total, ended = [0], []

    def each(_, line):
        w = line.split()
        if line.startswith("@@stress-list "):
            total[0] = int(w[1])
        elif line.startswith("@@stress-end"):
            ended.append(line)
        elif line.startswith("@@stress ") and len(w) == 3:
            seen[0] += 1
            status = int(w[2])
            if status in NOT_HERE:
                absent.append(w[1])
            elif status:
                failed.append("%s (%d)" % (w[1].strip("+").replace("++", ","), status))
    guest_run(results, args, "stress", ["stress.sh", str(int(args.minutes * 60)), str(args.each),
                                        str(args.seed), *args.stressor], each, args.silence)
    results.say(not failed and seen[0] > 0 and ended, "stress-ng", "%d stressors, %d runs%s%s%s" % (
        total[0], seen[0], "" if ended else ", and it ended before its time", ", failed: " + " ".join(failed) if failed else "",
        ", not possible here: " + " ".join(absent) if absent else ""))


PARTS = {"programs": programs, "kernel": kernel, "clocks": clocks, "stress": stress}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    ap.add_argument("parts", nargs="*", metavar="PART")
    ap.add_argument("--minutes", type=float, default=15, help="of mixed stress (default 15)")
    ap.add_argument("--each", type=int, default=3, help="seconds of each stressor alone; 0: not")
    ap.add_argument("--seed", type=int, default=1, help="of the lot that mixes stressors")
    ap.add_argument("--stressor", action="append", default=[], help="only these stressors")
    ap.add_argument("--program", action="append", default=[], help="only these programs")
    ap.add_argument("--source", action="append", default=[], help="only these clock sources")
    ap.add_argument("--rounds", type=int, default=1, help="of programs, and of the kernel's patching")
    ap.add_argument("--sleep", type=float, default=60, help="seconds on each clock source")
    ap.add_argument("--drift", type=float, default=50, help="milliseconds that a clock may be off")
    ap.add_argument("--silence", type=int, default=900, help="seconds without a word: it hangs")
    ap.add_argument("--smp", type=int, default=2)
    ap.add_argument("--memory", default="2G")
    ap.add_argument("--lodge", default=os.path.join(TOP, "build/lodge"))
    ap.add_argument("--option", action="append", default=[], help="more for lodge: --option=-accel …")
    ap.add_argument("--keep-root", action="store_true", help="the guest's root as it is in build/soak")
    args = ap.parse_args()
    for p in args.parts:
        if p not in PARTS:
            ap.error("no part is called %s: %s" % (p, " ".join(PARTS)))
    if os.geteuid():
        print("soak: run it as root: the native runs are in a chroot", file=sys.stderr)
        return 2
    os.makedirs(WORK, exist_ok=True)
    root, initrd = os.path.join(WORK, "root"), os.path.join(WORK, "initrd")
    results = Results()
    try:
        if not (args.keep_root and os.path.exists(initrd)):
            mkroot.make(root)
            mkroot.pack(root, initrd)
        for p in args.parts or PARTS:
            PARTS[p](results, args)
    except (SoakError, OSError, subprocess.CalledProcessError,
            mkroot.fetch_kernels.FetchError) as e:
        print("soak: %s" % e, file=sys.stderr)
        return 1
    print("soak: %s (logs in build/soak)" % ("%d failures" % results.failures if results.failures
                                             else "everything was right"))
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
