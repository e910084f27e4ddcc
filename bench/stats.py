# SPDX-License-Identifier: GPL-2.0-or-later
"""The samples of `make bench` and what is computed from them.

A machine is "native", "lodge", "qemu" or one that --also names; with "/2" at its end it has two
processors. A sample belongs to a round. Ratios are of medians; their spread is over the rounds.
"""
import json
import math
import statistics

COUNTED = ("integer", "fp", "stream", "kernel")  # the groups of "all"
KERNEL_GOALS = ("fork-exec", "page-fault", "pipe-ping-pong", "pread-64K", "open-close")

# name, what, times faster than TCG (at least), times native (at most), speed-up (at least)
GOALS = (
    ("all", "geometric mean of all", 6, 3.5, None),
    ("integer", "user integer programs", 3.5, 2.2, None),
    ("fp", "FP, SIMD, x87, AES, SHA", 15, 1.4, None),
    ("stream", "memory streams", 10, 3, None),
    ("paths", "fork+exec, fault, pipe, file I/O: the least", 4, None, None),
    ("boot", "boot of Debian's cloud kernel to init", 2.5, None, None),
    ("slowest", "slowest single line", 1.3, None, None),
    ("smp", "two vCPUs against one", None, None, 1.8),
)


def geomean(values):
    values = list(values)
    return math.exp(sum(math.log(v) for v in values) / len(values)) if values else None


class Results:
    def __init__(self):
        self.samples = {}   # machine -> line -> [[round, seconds or other value]]
        self.groups = {}    # line -> group, in the order of the first run
        self.sums = {}      # line -> [checksum, machine]
        self.clock = {}     # machine -> line -> [[seconds of its clock, of the host's]]
        self.errors = []
        self.about = {}     # facts about the run, for the report

    # ---- adding --------------------------------------------------------------------------------

    def add(self, who, line, rnd, value):
        self.samples.setdefault(who, {}).setdefault(line, []).append([rnd, value])

    def add_row(self, who, rnd, row):
        """A line of lodge-bench (vm.Row)."""
        self.groups.setdefault(row.name, row.group)
        self.add(who, row.name, rnd, row.seconds / row.count)
        if row.host_seconds is not None:
            self.clock.setdefault(who, {}).setdefault(row.name, []).append(
                [row.seconds, row.host_seconds])
        first = self.sums.setdefault(row.name, [row.checksum, who])
        if first[0] != row.checksum:
            self.error("%s: checksum %s under %s, but %s under %s: one of them is wrong" % (
                row.name, row.checksum, who, first[0], first[1]))

    def error(self, text):
        if text not in self.errors:
            self.errors.append(text)

    # ---- asking --------------------------------------------------------------------------------

    def get(self, who, line, rnd=None):
        return [v for r, v in self.samples.get(who, {}).get(line, []) if rnd in (None, r)]

    def median(self, who, line, rnd=None):
        s = self.get(who, line, rnd)
        return statistics.median(s) if s else None

    def lines(self, *groups):
        return [n for n, g in self.groups.items() if g in groups]

    def rounds(self):
        return sorted({r for m in self.samples.values() for s in m.values() for r, _ in s})

    def ratio(self, a, b, line, rnd=None):
        """How many times as long as under `b` a line takes under `a`."""
        x, y = self.median(a, line, rnd), self.median(b, line, rnd)
        return x / y if x and y else None

    def mean_ratio(self, a, b, groups, rnd=None):
        return geomean(r for r in (self.ratio(a, b, n, rnd) for n in self.lines(*groups)) if r)

    def speed_up(self, who, line, rnd=None):
        """Of two processors over one."""
        return self.ratio(who, who + "/2", line, rnd)

    def clock_differences(self, who, share=0.05, least=0.03):
        """Lines whose time by the guest's clock is off the host's: (line, guest, host seconds)."""
        out = []
        for line, pairs in self.clock.get(who, {}).items():
            guest, host = (statistics.median(p[k] for p in pairs) for k in (0, 1))
            if abs(guest - host) > max(share * host, least):
                out.append((line, guest, host))
        return out

    # ---- goals ---------------------------------------------------------------------------------

    def against_tcg(self, goal, rnd=None, who="lodge"):
        """Times faster than QEMU, for a goal's name; None when it was not measured."""
        if goal in ("all", "integer", "fp", "stream", "kernel"):
            return self.mean_ratio("qemu", who, COUNTED if goal == "all" else (goal,), rnd)
        if goal == "boot":
            return self.ratio("qemu", who, "boot", rnd)
        lines = KERNEL_GOALS if goal == "paths" else self.lines(*COUNTED) + ["boot"]
        return min((r for r in (self.ratio("qemu", who, n, rnd) for n in lines) if r),
                   default=None)

    def against_native(self, goal, rnd=None, who="lodge"):
        groups = COUNTED if goal == "all" else (goal,)
        return self.mean_ratio(who, "native", groups, rnd)

    def slowest_line(self, who="lodge"):
        """The line that does worst against TCG."""
        lines = [(self.ratio("qemu", who, n), n) for n in self.lines(*COUNTED) + ["boot"]]
        return min(((r, n) for r, n in lines if r), default=(None, None))[1]

    def goals(self):
        """[(what, kind, limit, value, (low, high) over the rounds, reached)] of what was measured.
        kind: "tcg", "native" or "smp"."""
        def over_rounds(f):
            values = [v for v in (f(r) for r in self.rounds()) if v is not None]
            return (min(values), max(values)) if values else None

        out = []
        for name, what, tcg, native, smp in GOALS:
            if tcg:
                v = self.against_tcg(name)
                if v is not None:
                    out.append((what, "tcg", tcg, v,
                                over_rounds(lambda r, n=name: self.against_tcg(n, r)), v >= tcg))
            if native:
                v = self.against_native(name)
                if v is not None:
                    out.append((what, "native", native, v, over_rounds(
                        lambda r, n=name: self.against_native(n, r)), v <= native))
            if smp:
                def mean(rnd=None):
                    return geomean(s for s in (self.speed_up("lodge", n, rnd)
                                               for n in self.lines("smp")) if s)
                v = mean()
                if v is not None:
                    out.append((what, "smp", smp, v, over_rounds(mean), v >= smp))
        return out

    # ---- keeping -------------------------------------------------------------------------------

    def save(self, path):
        with open(path, "w") as f:
            json.dump(self.__dict__, f, indent=1)

    @classmethod
    def load(cls, path):
        res = cls()
        with open(path) as f:
            res.__dict__.update(json.load(f))
        return res
