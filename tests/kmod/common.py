# SPDX-License-Identifier: GPL-2.0-or-later
"""What both of Debian's and our modules run in a first level, and what comes of it."""
import base64
import fnmatch
import re
import zlib

import programs
from vm import bad_lines

# Both run this; what it says goes to files named by $1.
JOBS = """
echo "@@begin unit-$1"; timeout 300 kvm_run 2>&1 | grep -v 'has not'; echo "@@exit unit-$1 0"
timeout 1500 isa -e kvm -s >/tmp/isa-$1 2>&1
echo "@@begin isa-$1"; grep '^FAIL' /tmp/isa-$1; echo "@@agree $(grep -c '^ok' /tmp/isa-$1)"; echo "@@exit isa-$1 0"
rm -f /tmp/oks; . /g/programs
"""

# What the kernel says when something is wrong in it. That the emulator refused an instruction is no such thing.
LOOK = "dmesg | grep -E 'BUG|WARNING|Oops|RIP:|stall' | sed 's/^/@@dmesg /'\n"


def part(text, name):
    m = re.search(r"@@begin %s\n(.*?)@@exit %s (\d+)" % (name, name), text, re.S)
    assert m, "the first level did not come to the end of '%s'" % name
    return m.group(1), int(m.group(2))


def check_guest(text, name, cpus, md5, says="lodge: engine: KVM (/dev/kvm), because"):
    out, code = part(text, name)
    assert code == 0
    assert says in out
    assert "@@cpus %d\n" % cpus in out and "@@disk %s\n" % md5 in out
    assert "@@written" in out and "@@net" in out and "@@timer 1" in out and "@@bad" not in out
    assert "lodge-guest: l2.sh exit 0" in out
    assert not bad_lines(out)


def said(text, times=2):
    """[{program: its checks that passed}], Debian's and ours, as often as they ran."""
    logs = re.findall(r"@@oklog\n(.*?)@@end of oklog", text, re.S)
    assert len(logs) == times, "the first level did not come to the end of the programs"
    found = []
    for log in logs:
        log = zlib.decompress(base64.b64decode(log), 31).decode(errors="replace")
        each = re.findall(r"^== (\S+)\n(.*?)(?=^== |\Z)", log, re.M | re.S)
        found.append({name: programs.ok_names(out) for name, out in each})
    return found


def unit_tests(text, which):
    """How many passed."""
    out, _ = part(text, "unit-" + which)
    m = re.search(r"\[  PASSED  \] (\d+) test", out)
    assert m and "FAILED" not in out, which
    return int(m.group(1))


def instructions(text, which):
    """Those that differ from the known results, and how many do not."""
    out, _ = part(text, "isa-" + which)
    return set(re.findall(r"^FAIL.*", out, re.M)), int(re.search(r"@@agree (\d+)", out).group(1))


def lost(debian, lodge, ran, *where):
    """Checks that pass on Debian's modules and not on ours, but where the emulator, or time, decides."""
    known = programs.differs(*where)
    return ["%s: %s" % (p.run_name, check) for p in ran
            for check in sorted(debian[p.run_name] - lodge.get(p.run_name, set()))
            if not any(fnmatch.fnmatchcase(p.name, prog) and fnmatch.fnmatchcase(check, c.replace("[", "[[]"))
                       for prog, c in known)]


def worse(text, ran, *where):
    return lost(*said(text), ran, *where)


def check_nothing_left(text, name):
    """What debugfs counts, in that part."""
    counts = dict(re.findall(r"lodge/(\w+):(\d+)", part(text, name)[0]))
    assert set(counts) == {"vms", "vcpus", "tables", "slots", "eventfds"}
    assert set(counts.values()) == {"0"}, counts
    assert "@@dmesg" not in text


def table(text, ran):
    """Rows of docs/kmod.md's comparison: what, Debian's, ours, in both."""
    rows = []
    units = [unit_tests(text, w) for w in ("debian", "lodge")]
    rows.append(("the engine's unit tests", *units, min(units)))
    isa = [instructions(text, w) for w in ("debian", "lodge")]
    rows.append(("instructions as on hardware (tests/isa)", isa[0][1], isa[1][1], isa[0][1] if isa[1][0] <= isa[0][0] else "?"))
    rows.append(("instructions otherwise, by the emulated processor", len(isa[0][0]), len(isa[1][0]), len(isa[0][0] & isa[1][0])))
    debian, lodge = said(text)
    rows.append(("bare-metal programs (tests/guest)", len(debian), len(lodge), len(set(debian) & set(lodge))))
    checks = [{(n, c) for n, cs in side.items() for c in cs} for side in (debian, lodge)]
    rows.append(("their checks that pass", len(checks[0]), len(checks[1]), len(checks[0] & checks[1])))
    return rows
