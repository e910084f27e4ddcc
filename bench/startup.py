#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""From the start of a process to its guest's first byte, and what it holds beside the guest's memory.

usage: bench/startup.py [--rounds N] [--lodge build/lodge] [--no-qemu]

The guest is bench/first.S, a Multiboot kernel that writes one byte to the debug console. Lines are measured in
turn, round by round; medians and the range between the quartiles are printed, the time less that of an empty C
program's start, and the processor time from start to end, which a busy machine changes less. Memory is that of a machine with virtio disk, network and rng, without the guest's RAM.
"""
import argparse
import os
import re
import select
import signal
import statistics
import subprocess
import sys
import time

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
FIRST = os.path.join(TOP, "build/bench/first")
EMPTY = os.path.join(TOP, "build/bench/empty")
DISK = os.path.join(TOP, "build/bench/startup.img")
GOAL_MS, GOAL_MIB = 10, 10
RAM = r"/memfd:(lodge-ram|memory-backend-memfd)"
CODE = r"/dev/zero"  # shared memory without a name: generated code


def build():
    os.makedirs(os.path.dirname(EMPTY), exist_ok=True)
    subprocess.run(["cc", "-O2", "-x", "c", "-o", EMPTY, "-"], check=True,
                   input=b"#include <unistd.h>\nint main(void)\n{\n\treturn write(1, \"!\", 1) != 1;\n}\n")
    subprocess.run(["make", "-s", "-C", TOP, "build/bench/first"], check=True)
    with open(DISK, "wb") as f:
        f.truncate(64 << 20)


class Process:
    """Started by posix_spawn, which costs the same for a large parent and a small one."""

    def __init__(self, cmd):
        self.out, w = os.pipe()
        null = os.open("/dev/null", os.O_RDWR)
        self.start = time.perf_counter()
        self.pid = os.posix_spawnp(cmd[0], cmd, os.environ, file_actions=[
            (os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, w, 1),
            (os.POSIX_SPAWN_DUP2, null, 2)])
        os.close(w)
        os.close(null)

    def first_byte_ms(self):
        while select.select([self.out], [], [], 20)[0]:
            data = os.read(self.out, 4096)
            if b"!" in data:
                return (time.perf_counter() - self.start) * 1e3
            if not data:
                break
        raise SystemExit("startup: no byte came")

    def memory(self):
        """(private and shared part beyond RAM, of that generated code's) in MiB, by Pss."""
        total = code = 0
        name = ""
        with open("/proc/%d/smaps" % self.pid) as f:
            for line in f:
                head = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)", line)
                if head:
                    name = head.group(1)
                elif line.startswith("Pss:") and not re.match(RAM, name):
                    kib = int(line.split()[1])
                    total += kib
                    code += kib if re.match(CODE, name) else 0
        return total / 1024, code / 1024

    def end(self):
        try:
            os.kill(self.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        usage = os.wait4(self.pid, 0)[2]
        os.close(self.out)
        return (usage.ru_utime + usage.ru_stime) * 1e3


def lodge(args):
    return [args.lodge, "run", "-m", "256M", "-display", "none", "-no-reboot", "-monitor", "none",
             "-serial", "none", "-debugcon", "stdio",
            "-kernel", FIRST]


def lines(args):
    plain = lodge(args) + ["-nic", "none"]
    found = [
        ("an empty C program", [EMPTY]),
        ("lodge", plain + ["-accel", "soft"]),
        ("lodge, with the probe of /dev/kvm", plain),
        ("lodge, -sandbox off", plain + ["-accel", "soft", "-sandbox", "off"]),
        ("lodge, disk, network by NAT, rng", lodge(args) + virtio("user")),
    ]
    if args.qemu:
        found.append(("QEMU, TCG", [
            "qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-display", "none", "-no-reboot",
            "-m", "256M", "-debugcon", "stdio", "-serial", "none", "-monitor", "none", "-kernel", FIRST]))
    return found


def virtio(net):
    return ["-accel", "soft", "-drive", "file=%s,format=raw,if=virtio" % DISK,
            "-netdev", "%s,id=n0" % net, "-device", "virtio-net-pci,netdev=n0",
            "-device", "virtio-rng-pci"]


def quartiles(values):
    q = statistics.quantiles(values, n=4)
    return statistics.median(values), q[0], q[2]


def weigh(args):
    """Idle after its first byte, with virtio devices."""
    p = Process(lodge(args) + virtio("user"))
    p.first_byte_ms()
    time.sleep(0.5)
    all_of_it, code = p.memory()
    p.end()
    return all_of_it, code


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--rounds", type=int, default=30)
    ap.add_argument("--lodge", default=os.path.join(TOP, "build/lodge"))
    ap.add_argument("--no-qemu", dest="qemu", action="store_false")
    args = ap.parse_args()
    build()
    what = lines(args)
    times = {name: [] for name, _ in what}
    cpu = {name: [] for name, _ in what}
    for _ in range(args.rounds):
        for name, cmd in what:
            p = Process(cmd)
            times[name].append(p.first_byte_ms())
            cpu[name].append(p.end())
    empty = statistics.median(times[what[0][0]])
    print("%-36s %8s %8s %16s %8s" % ("", "median", "beyond", "quartiles", "CPU (ms)"))
    for name, _ in what:
        mid, low, high = quartiles(times[name])
        print("%-36s %8.2f %8.2f %7.2f to %.2f %8.2f" % (
            name, mid, mid - empty, low, high, statistics.median(cpu[name])))
    all_of_it, code = weigh(args)
    print("memory beyond the guest's: %.1f MiB, of it %.1f generated code (goal: %d)" % (
        all_of_it, code, GOAL_MIB))
    print("goal for lodge: %d ms; load of the host %.1f" % (GOAL_MS, os.getloadavg()[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
