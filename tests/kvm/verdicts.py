# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of the probe's verdicts in docs/accel.md against what tests/unit/engine/kvm_probe says on a host."""
import os
import re

from vm import TOP

GOAL_MS = 150  # of processor, where Lodge falls back on the software engine


def table():
    """{host: verdict} of the document."""
    with open(os.path.join(TOP, "docs/accel.md")) as f:
        part = f.read().split("| host | the probe's verdict |")[1].split("\n\n")[0]
    rows = [[c.strip().strip('"') for c in line.strip("|").split("|")] for line in part.split("\n")[2:]]
    return {r[0]: r[1] for r in rows}


def check(text, host=None):
    """Each verdict in `text` is in the table, and soon there; that on /dev/kvm is that of the row `host`."""
    known = table()
    found = re.findall(r"@@probe (\w+): (.*); median ([\d.]+) ms of processor, ([\d.]+) ms by the clock", text)
    assert {row for row, *_ in found} == {"host", "none", "forbidden", "other"}
    for row, said, cpu, _ in found:
        said = re.sub(r"/nonexistent/kvm|/tmp/lodge-kvm-\w+|/dev/null", "/dev/kvm", said)
        assert said in known.values(), said
        if row == "host" and host:
            assert said == known[host]
        assert said == "good" or float(cpu) <= GOAL_MS
