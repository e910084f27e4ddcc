# SPDX-License-Identifier: GPL-2.0-or-later
"""The document that bench/run.py writes, docs/performance.md."""
import os
import re
import shutil
import subprocess

import stats

GROUPS = (("integer", "Integer programs"), ("fp", "Floating point, vectors, AES and SHA instructions"),
          ("stream", "Memory streams"), ("kernel", "Kernel paths (one operation)"),
          ("small", "Small loops (not counted above)"))
NAMES = {"lodge": "Lodge", "qemu": "QEMU", "native": "native"}
NOTES_FILE = "bench/notes.md"  # written by hand: what the figures mean, what would be next


# ---- formats -----------------------------------------------------------------------------------

def seconds(s):
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if s * factor >= 1:
            return "%s %s" % (number(s * factor), unit)
    return "%s ns" % number(s * 1e9)


def number(v):
    return "%.0f" % v if v >= 100 else "%.3g" % v


def optional(v, show=None):
    return "" if v is None else (show or number)(v)


def spread(samples, show=seconds):
    if not samples:
        return ""
    low, high = show(min(samples)), show(max(samples))
    if low.split(" ")[1:] == high.split(" ")[1:]:  # the unit once
        low = low.split(" ")[0]
    return "%s–%s" % (low, high)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |",
             "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(r) + " |" for r in rows])


# ---- parts of the document ---------------------------------------------------------------------

def goal_table(res):
    what = {"tcg": "times faster than TCG", "native": "times native's time",
            "smp": "times as fast"}
    rows = []
    for name, kind, limit, value, over, reached in res.goals():
        sign = "≤" if kind == "native" else "≥"
        rows.append([name, what[kind], "%s %g" % (sign, limit), "**%s**" % number(value),
                     "%s–%s" % (number(over[0]), number(over[1])) if over else "",
                     "reached" if reached else "**not reached**"])
    return table(["goal", "measure", "must reach", "median", "over the rounds", ""], rows)


def group_table(res, qemu, others):
    head = ["group", "Lodge / native"] + (["QEMU / native", "QEMU / Lodge"] if qemu else []) + \
        ["%s / Lodge" % o for o in others]
    rows = []
    for title, groups in [("all", stats.COUNTED)] + [(g, (g,)) for g, _ in GROUPS]:
        row = [title, optional(res.mean_ratio("lodge", "native", groups))]
        if qemu:
            row += [optional(res.mean_ratio("qemu", "native", groups)),
                    optional(res.mean_ratio("qemu", "lodge", groups))]
        row += [optional(res.mean_ratio(o, "lodge", groups)) for o in others]
        if row[1]:
            rows.append(row)
    return table(head, rows)


def program_table(res, group, qemu, others):
    head = ["line", "native", "min–max", "Lodge", "min–max", "Lodge / native"]
    if qemu:
        head += ["QEMU", "min–max", "QEMU / native", "QEMU / Lodge"]
    head += ["%s / Lodge" % o for o in others]
    rows = []
    for name in res.lines(group):
        row = [name]
        for who in ("native", "lodge"):
            row += [optional(res.median(who, name), seconds), spread(res.get(who, name))]
        row.append(optional(res.ratio("lodge", "native", name)))
        if qemu:
            row += [optional(res.median("qemu", name), seconds), spread(res.get("qemu", name)),
                    optional(res.ratio("qemu", "native", name)),
                    optional(res.ratio("qemu", "lodge", name))]
        row += [optional(res.ratio(o, "lodge", name)) for o in others]
        rows.append(row)
    return table(head, rows) if rows else None


def smp_table(res, machines):
    who = [m for m in machines if m + "/2" in res.samples]
    lines = [n for n in res.lines("smp") if any(res.speed_up(m, n) for m in who)]
    if not lines:
        return None
    head = ["line"] + [h for m in who for h in
                       (NAMES.get(m, m) + ", 1", NAMES.get(m, m) + ", 2", "speed-up")]
    rows = [[n] + [c for m in who for c in (
        optional(res.median(m, n), seconds), optional(res.median(m + "/2", n), seconds),
        optional(res.speed_up(m, n)))] for n in lines]
    rows.append(["geometric mean"] + [c for m in who for c in ("", "", optional(stats.geomean(
        s for s in (res.speed_up(m, n) for n in lines) if s)))])
    return table(head, rows)


def whole_table(res, machines):
    shows = (("boot", "boot to init's first line", seconds),
             ("first", "process start to the guest's first byte", seconds),
             ("memory", "memory beyond guest RAM after boot", lambda b: "%.1f MiB" % (b / 2**20)),
             ("halted", "CPU use, guest in HLT", lambda c: "%.1f %%" % (c * 100)),
             ("idle", "CPU use, Linux idle at the shell", lambda c: "%.1f %%" % (c * 100)))
    who = [m for m in machines if m != "native"]
    head = [""] + [h for m in who for h in (NAMES.get(m, m), "min–max")]
    rows = [[what] + [c for m in who for c in (optional(res.median(m, line), show),
                                               spread(res.get(m, line), show))]
            for line, what, show in shows if any(res.get(m, line) for m in who)]
    return table(head, rows) if rows else None


def clock_note(res, machines):
    off = [(m, *d) for m in machines for d in res.clock_differences(m)]
    if not off:
        return ("Each line was timed by the guest's clock and, over its console, by the host's: they "
                "agree within 5 % (or 30 ms) on every line.")
    return "**The guest's clock and the host's differ:** " + "; ".join(
        "%s under %s %s against %s" % (n, NAMES.get(m, m), seconds(g), seconds(h))
        for m, n, g, h in off) + "."


def summary(res, qemu):
    """What the figures say, from the figures."""
    lines = [n for n in res.lines(*stats.COUNTED) if res.ratio("lodge", "native", n)]
    if not lines:
        return ""
    by = sorted(lines, key=lambda n: res.ratio("lodge", "native", n))
    text = "Closest to native is %s (%s times its time), farthest %s (%s)." % (
        by[0], number(res.ratio("lodge", "native", by[0])), by[-1],
        number(res.ratio("lodge", "native", by[-1])))
    if qemu:
        slower = [n for n in lines if (res.ratio("qemu", "lodge", n) or 1) < 1]
        text += " Slower than TCG on %d of %d lines%s." % (
            len(slower), len(lines), ": " + ", ".join(slower) if slower else "")
        worst = res.slowest_line()
        if worst:
            text += " The line with the least advantage is %s (%s)." % (
                worst, number(res.ratio("qemu", "lodge", worst)))
    return text


def document(res, svg):
    about = res.about
    machines = [m for m in res.samples if not m.endswith("/2")]
    qemu = "qemu" in machines
    others = [m for m in machines if m not in NAMES]
    parts = ["# Performance", head(about)]
    if res.errors:
        parts.append("**Errors, so these figures are incomplete:**\n\n" + "\n".join(
            "- " + e.split("\n")[0] for e in res.errors))
    if res.goals():
        parts += ["## Goals", goal_table(res)]
    parts += ["![Times as long as native, line by line](%s)" % svg, summary(res, qemu)]
    if os.path.exists(NOTES_FILE):
        with open(NOTES_FILE) as f:
            parts.append(f.read().strip())
    if any(res.lines(g) for g, _ in GROUPS):
        parts += ["## Geometric means", group_table(res, qemu, others)]
    if qemu:
        parts.append("QEMU / Lodge is QEMU's time over Lodge's: above 1, Lodge is faster.")
    for group, title in GROUPS:
        rows = program_table(res, group, qemu, others)
        if rows:
            parts += ["## " + title, rows]
    for title, rows in (("Two processors against one", smp_table(res, machines)),
                        ("The whole machine", whole_table(res, machines))):
        if rows:
            parts += ["## " + title, rows]
    parts += [METHOD, clock_note(res, machines)]
    skipped = sorted({n for names in about.get("skipped", {}).values() for n in names})
    if skipped:
        parts.append("Not run everywhere, for want of AVX2 or FMA: %s." % ", ".join(skipped))
    return "\n\n".join(p for p in parts if p) + "\n"


METHOD = """## How it is measured

- The integer programs, and the AES and SHA lines, are Debian 12's own binaries and libraries: gzip,
  xz, zstd, GCC's cc1, perl, python3, sqlite3, sort, and libcrypto (with `OPENSSL_ia32cap=0:0` where
  the hardware's instructions are not to be used; rsa-sign, sha256-hw and aes-hw use what the
  processor offers. QEMU 7.2 offers no SHA instructions). The others are in `bench/programs`: baseline
  x86-64 code, but for avx2-fma and avx2-int. On the host they run in the guest's own root, by chroot,
  bound to one processor; the guests have one vCPU, 1 GiB and the same initramfs; QEMU has
  `-accel tcg,thread=multi -cpu max`.
- Each line does a fixed amount of work and is timed by CLOCK_MONOTONIC where it runs, translation
  and the start of its process included. Its checksum must agree everywhere, or `make bench` fails.
- Rounds are interleaved: the host, Lodge, the host, QEMU. Ratios are of medians; "over the rounds"
  is the least and the most of the same figure taken from single rounds.
- "Two processors against one" is the same two processes (or threads) at once in a guest with one
  vCPU and in one with two; the host is bound to as many processors.
- Boot is from the start of the process to the first line of the guest's init, from an initramfs of
  busybox. QEMU's boot and first byte include its firmware; Lodge needs none for a Linux or
  Multiboot kernel. Memory is the resident size of every mapping but the guest's RAM, after boot."""


# ---- facts about the run -----------------------------------------------------------------------

def version(cmd):
    return subprocess.run(cmd, stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n")[0]


def machine():
    with open("/proc/cpuinfo") as f:
        info = f.read()
    model = re.search(r"^model name\s*: (.*)$", info, re.M)
    family = re.search(r"^cpu family\s*: (.*)$", info, re.M)
    number_ = re.search(r"^model\s*: (.*)$", info, re.M)
    return "%s (family %s, model %s), %d processors, Linux %s%s" % (
        model.group(1) if model else "unknown CPU", family.group(1) if family else "?",
        number_.group(1) if number_ else "?", os.cpu_count(), os.uname().release,
        ", itself a VM" if " hypervisor" in info else "")


def about(machines, opts):
    commit = ""
    if shutil.which("git"):
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True, check=False).stdout.strip()
    with open("cache/cloud-amd64/package") as f:
        kernel = f.read().split("_")[0]
    out = {"machine": machine(), "kernel": kernel, "scale": opts.scale,
           "lodge": version([opts.lodge, "--version"]) + (" (%s)" % commit if commit else ""),
           "lodge_args": opts.lodge_args.strip(), "also": opts.also}
    if "qemu" in machines:
        out["qemu"] = version(["qemu-system-x86_64", "--version"])
    return out


def head(about):
    text = "Written by `make bench` on %s. Machine: %s. %s%s" % (
        about.get("date", "?"), about.get("machine", "?"), about.get("lodge", "?"),
        " with `%s`" % about["lodge_args"] if about.get("lodge_args") else "")
    for item in about.get("also", []):
        text += "; %s is `%s`" % tuple(item.partition("=")[::2])
    if about.get("qemu"):
        text += "; %s with `-accel tcg -cpu max`" % about["qemu"]
    text += ". Guest kernel %s. Rounds: %d, interleaved; medians" % (
        about.get("kernel", "?"), about.get("rounds", 0))
    if about.get("scale", 100) != 100:
        text += "; only %d %% of the usual work a line" % about["scale"]
    low, high = about.get("load", [0, 0])
    return text + ". Load average during the run: %.1f to %.1f%s." % (
        low, high, ": the machine was busy, so trust the ratios more than the times, and those with "
        "care" if high > 2.5 else "")
