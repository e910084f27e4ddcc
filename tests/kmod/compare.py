# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's modules and ours, test by test, as docs/kmod-compared.md has it: python3 tests/kmod/compare.py

Reads what the last runs of test_svm, test_trinity, test_vmx and test_irqchip have left in build/system.
"""
import os
import sys

import conftest  # noqa: F401  where the other helpers are
from common import instructions, said, unit_tests
from vm import WORK

# Who emulates the processor, and the log; how often the programs ran: Debian's run, ours.
LOGS = (
    ("AMD-V (QEMU)", "nested-npt-1-kmod.log", 0, 1),
    ("AMD-V (Bochs)", "nested-vmx-trinity.log", 0, 1),
    ("VT-x (Bochs)", "nested-vmx-kmod.log", 0, 3),
    ("controllers on, AMD-V (QEMU)", "nested-npt-1-irqchip.log", 0, 2),
    ("controllers split, AMD-V (QEMU)", "nested-npt-1-irqchip.log", 1, 3),
    ("controllers on, VT-x (Bochs)", "nested-vmx-kmod.log", 1, 4),
    ("controllers split, VT-x (Bochs)", "nested-vmx-kmod.log", 2, 5),
)


def row(*cells):
    print("| " + " | ".join(str(c) for c in cells) + " |")


def logs():
    """[(name, text, Debian's {program: checks}, ours)] of those that are there."""
    found = []
    for name, file, debian, ours in LOGS:
        path = os.path.join(WORK, file)
        if not os.path.exists(path):
            print("%s: no %s" % (name, path), file=sys.stderr)
            continue
        with open(path, errors="replace") as f:
            text = f.read().replace("\r", "")
        runs = said(text, text.count("@@oklog"))
        found.append((name, text, runs[debian], runs[ours]))
    return found


def summary(found):
    row("", *(name for name, *_ in found))
    row("---", *("---" for _ in found))
    with_units = [f if "@@begin unit-debian" in f[1] and not f[0].startswith("controllers") else None for f in found]
    row("the engine's unit tests", *("%d = %d" % tuple(unit_tests(f[1], w) for w in ("debian", "lodge")) if f else "" for f in with_units))
    isa = [[instructions(f[1], w) for w in ("debian", "lodge")] if f else None for f in with_units]
    row("instructions as on hardware (`tests/isa`)", *(("%d = %d" if i[0][1] == i[1][1] else "%d, %d") % (i[0][1], i[1][1]) if i else "" for i in isa))
    row("instructions that the emulated processor does otherwise", *("%d, %d in both" % (len(i[0][0]), len(i[0][0] & i[1][0])) if i else "" for i in isa))
    row("bare-metal programs (`tests/guest`)", *(len(d) for _, _, d, _ in found))
    row("their checks that pass", *(counts(*f[2:]) for f in found))


def counts(debian, ours):
    """Debian's and ours; and those that only one side has."""
    d, o = ({(n, c) for n, cs in side.items() for c in cs} for side in (debian, ours))
    return cell(d, o)


def cell(d, o):
    if d == o:
        return "%d" % len(d)
    return "%d, %d" % (len(d), len(o)) + (", %d lost" % len(d - o) if d - o else "")


def each(found):
    row("program", *(name for name, *_ in found))
    row("---", *("---" for _ in found))
    for p in sorted({p for _, _, d, _ in found for p in d}):
        row(p, *(cell(d[p], o.get(p, set())) if p in d else "" for _, _, d, o in found))


if __name__ == "__main__":
    FOUND = logs()
    summary(FOUND)
    print()
    each(FOUND)
