#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a person waits for the page in a browser, from the start of `lodge run`.

usage: bench/web.py [--rounds N] [--lodge build/lodge]...

A headless Chromium runs already and has nothing of the page. Each round starts a machine with GRUB's rescue CD, opens
the printed address in a new profile, and waits for the first picture, and that a key is at the guest. Several programs
are measured in turn; medians and the range are printed, in milliseconds since the start of the process; "browser" is
the new profile, which is the browser's own time and taken off.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(TOP, "tests/system"))
from browser import chromium, novnc, npm  # noqa: E402
from vm import kernel  # noqa: E402

STEPS = ("address", "loaded", "connected", "picture", "key")


def one(lodge):
    with tempfile.TemporaryDirectory() as d:
        env = {**os.environ, "NODE_PATH": npm(), "XDG_RUNTIME_DIR": d}
        out = subprocess.run(
            ["node", os.path.join(TOP, "bench/web_start.js"), chromium(), lodge, "run", "-name", "web", "-nic",
             "none", "-m", "64M", "-cdrom", kernel("grub-cd"), "-display",
             "web=127.0.0.1:0,novnc=" + novnc()], env=env, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--lodge", action="append")
    args = p.parse_args()
    programs = args.lodge or [os.path.join(TOP, "build/lodge")]
    got = {x: [] for x in programs}
    for _ in range(args.rounds):
        for x in programs:
            got[x].append(one(x))
    for x in programs:
        print("%s: %d requests" % (x, got[x][-1]["requests"]))
        for step in (*STEPS, "browser"):
            v = [r[step] for r in got[x]]
            print("  %-10s %6.0f  (%.0f to %.0f)" % (step, statistics.median(v), min(v), max(v)))


if __name__ == "__main__":
    main()
