# SPDX-License-Identifier: GPL-2.0-or-later
"""The document that bench/run.py writes, docs/performance.md."""
import datetime
import math
import os
import re
import shutil
import statistics
import subprocess

GROUPS = (("integer", "Integer programs"), ("fp", "Floating point and SSE"),
          ("kernel", "Kernel paths (one operation)"))
# (line, what, limit, unit, factor to that unit): the goals of this tier
GOALS = (("geomean", "integer code against native, geometric mean", 60, "times", 1),
         ("boot", "boot of Debian's cloud kernel to its init", 40, "s", 1),
         ("first", "start-up to the guest's first output", 30, "ms", 1e3),
         ("memory", "memory beyond guest RAM after boot", 30, "MiB", 1 / 2**20),
         ("halted", "CPU use of a guest in HLT", 0, "%", 100))


def seconds(s):
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if s * factor >= 1:
            return "%.3g %s" % (s * factor, unit)
    return "%.3g ns" % (s * 1e9)


def number(v):
    return "%.0f" % v if v >= 100 else "%.3g" % v


def spread(samples, show=seconds):
    return "%s–%s" % (show(min(samples)), show(max(samples)))


def geomean(values):
    return math.exp(sum(math.log(v) for v in values) / len(values)) if values else None


def ratios(res, who, base, group, pick=statistics.median, pick_base=statistics.median):
    names = [n for n, g in res.groups.items() if g == group]
    pairs = [(res.get(who, n), res.get(base, n)) for n in names]
    return [pick(a) / pick_base(b) for a, b in pairs if a and b]


def program_rows(res, group, qemu):
    rows = []
    for name in [n for n, g in res.groups.items() if g == group]:
        host, lodge = res.median("host", name), res.median("lodge", name)
        row = [name, seconds(host), spread(res.get("host", name)), seconds(lodge),
               spread(res.get("lodge", name)), number(lodge / host)]
        if qemu:
            q = res.median("qemu", name)
            row += [seconds(q), number(q / host), number(q / lodge)]
        rows.append(row)
    return rows


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |",
             "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(r) + " |" for r in rows])


def goal_rows(res):
    rows = []
    for line, what, limit, unit, factor in GOALS:
        if line == "geomean":
            value = geomean(ratios(res, "lodge", "host", "integer"))
            worst = geomean(ratios(res, "lodge", "host", "integer", max, min))
        else:
            value, worst = res.median("lodge", line), max(res.get("lodge", line), default=None)
        if value is None:
            continue
        met = "met" if value * factor <= limit else "**not met**"
        rows.append([what, "%s %s" % (limit, unit), "%s %s" % (number(value * factor), unit),
                     number(worst * factor), met])
    return rows


def whole_rows(res, qemu):
    shows = (("boot", "boot to init's first line", seconds),
             ("first", "process start to the guest's first byte", seconds),
             ("memory", "memory beyond guest RAM after boot", lambda b: "%.1f MiB" % (b / 2**20)),
             ("halted", "CPU use, guest in HLT", lambda c: "%.1f %%" % (c * 100)),
             ("idle", "CPU use, Linux idle at the shell", lambda c: "%.1f %%" % (c * 100)))
    rows = []
    for line, what, show in shows:
        row = [what, show(res.median("lodge", line)), spread(res.get("lodge", line), show)]
        if qemu:
            row += [show(res.median("qemu", line)), spread(res.get("qemu", line), show)]
        rows.append(row)
    return rows


def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"^model name\s*: (.*)$", f.read(), re.M)
    return "%s, %d cores, Linux %s" % (model.group(1) if model else "unknown CPU", os.cpu_count(),
                                       os.uname().release)


def version(cmd):
    return subprocess.run(cmd, stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n")[0]


def summary(res, qemu):
    out = []
    for group, _ in GROUPS:
        r = ratios(res, "lodge", "host", group)
        if not r:
            continue
        text = "%s: Lodge takes %s times as long as the host (from %s to %s)" % (
            group, number(geomean(r)), number(min(r)), number(max(r)))
        if qemu:
            q = geomean(ratios(res, "qemu", "host", group))
            ql = geomean(ratios(res, "qemu", "lodge", group))
            text += ", QEMU %s times; Lodge is %s times %s than QEMU" % (
                number(q), number(ql if ql >= 1 else 1 / ql), "faster" if ql >= 1 else "slower")
        out.append("- " + text + ".")
    return "Geometric means of medians:\n\n" + "\n".join(out)


def meaning(res, qemu):
    """One paragraph on what the numbers say, from the numbers."""
    names = [n for n in res.groups if res.median("lodge", n)]
    by = sorted(names, key=lambda n: res.median("lodge", n) / res.median("host", n))
    text = ("This tier interprets: it decodes each block of guest code once and then runs one "
            "handler an instruction. Closest to the host is %s, farthest %s." % (by[0], by[-1]))
    if qemu:
        wins = [n for n in names if res.median("lodge", n) < res.median("qemu", n)]
        losses = [n for n in names if n not in wins]
        text += (" QEMU translates to host code, so it should win wherever code loops: it does on "
                 "%d of %d lines (%s)." % (len(losses), len(names), ", ".join(losses) or "none"))
        if wins:
            text += " Lodge wins on %s." % ", ".join(wins)
    return text


def range_note(res):
    best = geomean(ratios(res, "lodge", "host", "integer", min, min))
    if best is None:
        return "No integer program was run."
    return ("The worst geometric mean is that of Lodge's slowest runs over the host's fastest; that "
            "of the fastest runs on both sides, which a busy machine disturbs least, is %s." %
            number(best))


def document(res, runs, load):
    qemu = bool(res.get("qemu", "boot"))
    head = ["program", "host", "min–max", "Lodge", "min–max", "Lodge / host"]
    whole = ["", "Lodge", "min–max"]
    if qemu:
        head += ["QEMU", "QEMU / host", "QEMU / Lodge"]
        whole += ["QEMU", "min–max"]
    busy = max(load) > 2.5
    parts = [
        "# Performance",
        "Written by `make bench`, on %s. Machine: %s%s. %s. %d rounds, interleaved; medians. "
        "Load average during the run: %.1f to %.1f%s." % (
            datetime.date.today().isoformat(), machine(),
            " (itself a VM)" if hypervisor() else "", programs_under_test(qemu), runs, min(load),
            max(load), ": the machine was busy, so trust the ratios more than the times, and those with care"
            if busy else ""),
        "## Goals of the interpreter tier",
        table(["goal", "at most", "median", "worst", ""], goal_rows(res)),
        range_note(res),
        "## What the numbers say", meaning(res, qemu), summary(res, qemu)]
    if qemu:
        parts.append("The last column is QEMU's time over Lodge's: above 1, Lodge is faster.")
    for group, title in GROUPS:
        rows = program_rows(res, group, qemu)
        if rows:
            parts += ["## " + title, table(head, rows)]
    parts += ["## The whole machine", table(whole, whole_rows(res, qemu)), NOTES]
    if clock_error(res) > 0.1:
        parts.append("**A guest's clock and the host's differ by %.0f %% over the programs: the "
                     "guest's times above are off by as much.**" % (clock_error(res) * 100))
    return "\n\n".join(parts) + "\n"


NOTES = """## How it is measured

- The programs are in `bench/programs`: one static binary, the same bytes on the host (on one
  processor) and in guests with one vCPU and 512 MiB, `-cpu max`. Each times itself by
  CLOCK_MONOTONIC. Checksums must agree everywhere, or `make bench` fails.
- Boot is from the start of the process to the first line of the guest's init. QEMU's boot and first
  byte include its firmware; Lodge needs none for a Linux or Multiboot kernel.
- Memory is the resident size of every mapping but the guest's RAM, shared libraries included, after
  boot. CPU use of the idle Linux is over five seconds at the shell's prompt: its timers
  and housekeeping run; the guest in HLT has none."""


def clock_error(res):
    """How far the sum of the guest's own times is beyond the time that passed here."""
    worst = 0
    for who in ("lodge", "qemu"):
        for n, wall in enumerate(res.get(who, "wall")):
            own = sum(res.get(who, name)[n] for name, g in res.groups.items() if g != "kernel")
            worst = max(worst, own / wall - 1)
    return worst


def programs_under_test(qemu):
    text = version(["build/lodge", "--version"])
    if qemu and shutil.which("qemu-system-x86_64"):
        text += "; " + version(["qemu-system-x86_64", "--version"]) + " with `-accel tcg -cpu max`"
    with open("cache/cloud-amd64/package") as f:
        text += "; guest kernel " + f.read().split("_")[0]
    return text


def hypervisor():
    with open("/proc/cpuinfo") as f:
        return " hypervisor" in f.read()
