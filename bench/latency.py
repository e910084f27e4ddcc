#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long interrupts take to reach a guest that runs a tight loop.

usage: bench/latency.py [--samples N] [--lodge build/lodge] [OPTION for lodge…]

Runs tests/guest/pm64/latency.c and prints a table: from the TSC deadline to the handler's first
instruction, in microseconds, by the guest's clock; before and after it, what the host's own timers
need for a thread that spins, which is the floor. The machine should have nothing else to do.
"""
import argparse
import os
import re
import subprocess
import sys

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
HOST = os.path.join(TOP, "build/bench/host_timer")
IMAGE = os.path.join(TOP, "build/guest/pm64/latency.elf")
GOAL_US = 50
LINE = re.compile(r"latency in 0.1 us: p50 (\d+) p90 (\d+) p99 (\d+) max (\d+): (.*?)\r?$", re.M)


def host(samples):
    """p50, p90, p99 and max in microseconds of a timer and a signal handler, without a guest."""
    os.makedirs(os.path.dirname(HOST), exist_ok=True)
    subprocess.run(["cc", "-O2", "-o", HOST, os.path.join(TOP, "bench/host_timer.c")], check=True)
    r = subprocess.run([HOST, str(samples)], stdout=subprocess.PIPE, text=True, check=True)
    return [int(x) / 1000 for x in r.stdout.split()]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--samples", type=int, default=1000)
    ap.add_argument("--lodge", default=os.path.join(TOP, "build/lodge"))
    args, more = ap.parse_known_args()
    if not os.path.exists(IMAGE):
        subprocess.run(["make", "-C", TOP, "guest-bins"], check=True, stdout=subprocess.DEVNULL)
    floor = [host(args.samples)]
    r = subprocess.run([args.lodge, "run", "-m", "128M", "-display", "none", "-monitor", "none",
                        "-nic", "none", "-no-reboot", "-serial", "stdio", "-device",
                        "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", IMAGE, "-append",
                        "samples=%d" % args.samples, *more], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    rows = [([int(x) / 10 for x in m[:4]], m[4]) for m in LINE.findall(r.stdout)]
    if not rows or r.returncode != 33:
        print("latency: the guest failed:\n" + r.stdout[-2000:], file=sys.stderr)
        return 1
    floor.append(host(args.samples))
    print("%-28s %8s %8s %8s %8s   (µs)" % ("loop", "p50", "p90", "p99", "max"))
    for figures, name in rows:
        print("%-28s %8.1f %8.1f %8.1f %8.1f" % (name, *figures))
    for figures in floor:
        print("%-28s %8.1f %8.1f %8.1f %8.1f" % ("(the host's own timer)", *figures))
    late = [name for figures, name in rows if figures[2] > GOAL_US]
    print("p99 above %d µs in %d of %d loops%s; load of the host %.1f" % (
        GOAL_US, len(late), len(rows), ": " + ", ".join(late) if late else "", os.getloadavg()[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
