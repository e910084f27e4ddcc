# SPDX-License-Identifier: GPL-2.0-or-later
"""Tell the time by every clock before and after a sleep, for each clock source.

usage: clock.py SECONDS [SOURCE…]
Lines: "@@t SOURCE PHASE REALTIME MONOTONIC BOOTTIME RAW" in nanoseconds; the host notes when each
comes. Several lines at both ends: the one with the least delay counts.
"""
import sys
import time

FOLDER = "/sys/devices/system/clocksource/clocksource0/"
CLOCKS = (time.CLOCK_REALTIME, time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME, time.CLOCK_MONOTONIC_RAW)


def say(source, phase):
    for _ in range(40):
        print("@@t", source, phase, *[time.clock_gettime_ns(c) for c in CLOCKS], flush=True)
        time.sleep(0.025)


def main():
    with open(FOLDER + "available_clocksource") as f:
        have = f.read().split()
    print("@@sources", *have, flush=True)
    for source in sys.argv[2:] or have:
        with open(FOLDER + "current_clocksource", "w") as f:
            f.write(source)
        time.sleep(0.5)
        with open(FOLDER + "current_clocksource") as f:
            now = f.read().strip()
        if now != source:
            print("@@failed: the clock source is", now, "not", source, flush=True)
            continue
        say(source, "before")
        start = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        time.sleep(float(sys.argv[1]))
        print("@@slept", source, time.clock_gettime_ns(time.CLOCK_MONOTONIC) - start, flush=True)
        say(source, "after")
    print("@@end-clocks", flush=True)


main()
