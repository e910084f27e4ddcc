#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Throughput between guest and host through user-mode NAT: Lodge against QEMU's TCG, taking turns.

usage: bench/net.py [--rounds N] [--seconds S] [--card virtio,e1000,rtl8139] [--lodge-only] [--json]

Both machines, with the same kernel, initramfs, program (bench/guest/netpump.c) and card, run at once; each round of one
is followed by one of the other, and who waits does nothing. A round is one TCP connection from the guest to the
host's loopback. First one round each way in which every byte is compared; it also says how much makes a round of
S seconds. Then the timed rounds, in which eight bytes of each KiB are compared. The time is the host's: down from the
first byte sent to the guest's word that it has all; up from the command to the last byte. Medians; CPU is all
of the machine's processes' for a MB. More is better for ratios of MB/s.
"""
import argparse
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(TOP, "tests/system"))
from modules import modules  # noqa: E402
from net import CARDS, SET_UP  # noqa: E402
from vm import kernel  # noqa: E402

SCRIPT = SET_UP + """
dhcp
netpump 10.0.2.2 $(cat /proc/cmdline | tr ' ' '\\n' | sed -n 's/^port=//p') || echo @@failed
"""
QEMU_MODEL = {"virtio": "virtio-net-pci", "e1000": "e1000", "rtl8139": "rtl8139"}
BLOCK = 65536
CHECK_BYTES = 4 << 20
CHUNK = 1 << 20
BOOT_SECONDS = 120
ROUND_SECONDS = 60


def known():
    """The block that netpump.c makes as well, as often as a chunk has room for it."""
    x, out = 1, bytearray()
    for _ in range(BLOCK):
        x = (x * 1103515245 + 12345) & 0xffffffff
        out.append(x >> 16 & 0xff)
    return bytes(out) * (CHUNK // BLOCK)


KNOWN = known()


def cpu_seconds(pid):
    """CPU of a process and its children, now."""
    total = 0.0
    for p in [pid, *map(int, open("/proc/%d/task/%d/children" % (pid, pid)).read().split())]:
        for tid in os.listdir("/proc/%d/task" % p):
            try:
                with open("/proc/%d/task/%s/schedstat" % (p, tid)) as f:
                    total += int(f.read().split()[0]) / 1e9
            except OSError:
                pass
    return total


class Machine:
    """A running guest whose netpump waits for orders."""

    def __init__(self, cmd, append):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(4)
        self.listener.settimeout(BOOT_SECONDS)
        port = self.listener.getsockname()[1]
        self.vm = subprocess.Popen([*cmd, "-append", "%s port=%d" % (append, port)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace")
        self.said = []
        threading.Thread(target=lambda: self.said.extend(self.vm.stdout), daemon=True).start()
        self.conn = self._next()

    def _next(self):
        try:
            conn, _ = self.listener.accept()
        except TimeoutError:
            raise RuntimeError("the guest does not connect:\n" + "".join(self.said[-20:])) from None
        conn.settimeout(ROUND_SECONDS)
        self.listener.settimeout(ROUND_SECONDS)
        return conn

    def round(self, way, size, every_byte=False):
        """(seconds, CPU seconds) for `size` bytes."""
        c, cpu = self.conn, cpu_seconds(self.vm.pid)
        c.sendall((b"D" if way == "down" else b"U") + (b"v" if every_byte else b"-") +
                  struct.pack("<Q", size))
        start = time.monotonic()
        if way == "down":
            for at in range(0, size, CHUNK):
                c.sendall(memoryview(KNOWN)[:min(CHUNK, size - at)])
            if c.recv(1) != b"y":
                raise RuntimeError("the guest did not get what was sent")
            took = time.monotonic() - start
        else:
            took = self._take(c, size, every_byte, start)
            c.sendall(b"y")
        cpu = cpu_seconds(self.vm.pid) - cpu
        c.close()
        self.conn = self._next()
        return took, cpu

    @staticmethod
    def _take(c, size, every_byte, start):
        buf, at = bytearray(CHUNK), 0
        while at < size:
            n = c.recv_into(buf)
            if not n:
                raise RuntimeError("%d bytes of %d came" % (at, size))
            off = at % BLOCK
            check = n if every_byte else min(n, 64)
            if n > CHUNK - off:
                check = min(check, CHUNK - off)
            if buf[:check] != KNOWN[off:off + check]:
                raise RuntimeError("what the guest sent came as something else")
            at += n
        if at != size:
            raise RuntimeError("%d bytes came, %d were sent" % (at, size))
        return time.monotonic() - start

    def end(self):
        try:
            self.conn.sendall(b"Q-" + bytes(8))
            self.vm.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            pass
        finally:
            self.vm.kill()
            self.vm.wait()
            self.listener.close()


def build_initrd(card, work):
    name, wanted = CARDS[card]
    mods = modules(name, *wanted)
    pump, job, lst, out = (os.path.join(work, n) for n in ("netpump", "netjob", "modlist", "initrd"))
    subprocess.run(["gcc", "-O2", "-static", "-o", pump,
                    os.path.join(TOP, "bench/guest/netpump.c")], check=True)
    with open(job, "w") as f:
        f.write(SCRIPT)
    with open(lst, "w") as f:
        f.write(" ".join(os.path.basename(m) for m in mods))
    subprocess.run(["sh", os.path.join(TOP, "tools/mkinitramfs.sh"), out, kernel("busybox-amd64"),
                    os.path.join(TOP, "tools/guest_init.sh"), job, lst, pump, *mods], check=True)
    return kernel(name), out


def start(who, args, card, work):
    image, rd = build_initrd(card, work)
    if who == "lodge":
        cmd = [args.lodge, "run", "-monitor", "none"]
    else:
        cmd = [args.qemu, "-accel", "tcg", "-cpu", "max", "-monitor", "none"]
    cmd += ["-m", "256M", "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", image,
            "-initrd", rd, "-netdev", "user,id=n", "-device", QEMU_MODEL[card] + ",netdev=n"]
    return Machine(cmd, "console=ttyS0 quiet cryptomgr.notests lodge.cmd=netjob")


def measure(args, card):
    """{way: {who: [(MB/s, CPU seconds a MB)]}}"""
    names = ["lodge"] + ([] if args.lodge_only or not shutil.which(args.qemu) else ["qemu"])
    found = {way: {who: [] for who in names} for way in ("down", "up")}
    machines = {}
    with tempfile.TemporaryDirectory() as work:
        try:
            for who in names:
                machines[who] = start(who, args, card, work)
            for way in found:
                size = {}
                for who, m in machines.items():
                    took, _ = m.round(way, CHECK_BYTES, True)
                    took, _ = m.round(way, max(CHECK_BYTES, int(CHECK_BYTES / took / 4)))
                    size[who] = max(CHECK_BYTES, int(CHECK_BYTES / took * args.seconds))
                for _ in range(args.rounds):
                    for who, m in machines.items():
                        took, cpu = m.round(way, size[who])
                        mb = size[who] / 1e6
                        found[way][who].append((mb / took, cpu / mb))
        finally:
            for m in machines.values():
                m.end()
    return found


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    ap.add_argument("--rounds", type=int, default=7)
    ap.add_argument("--seconds", type=float, default=2.0)
    ap.add_argument("--card", default="virtio,e1000,rtl8139")
    ap.add_argument("--lodge", default=os.path.join(TOP, "build/lodge"))
    ap.add_argument("--qemu", default="qemu-system-x86_64")
    ap.add_argument("--lodge-only", action="store_true")
    ap.add_argument("--json", action="store_true", help="every round's figures")
    args = ap.parse_args()
    print("%-8s %-5s %9s %17s %9s %17s %6s   %8s %8s   (MB/s, median and range; CPU ms a MB; load %.1f)" %
          ("card", "way", "Lodge", "", "QEMU", "", "ratio", "Lodge", "QEMU", os.getloadavg()[0]))
    for card in args.card.split(","):
        found = measure(args, card)
        if args.json:
            print(json.dumps({card: found}))
        for way, by in found.items():
            cells, mid = [], {}
            for who in ("lodge", "qemu"):
                rates = [r for r, _ in by.get(who, [])] or [float("nan")]
                mid[who] = statistics.median(rates)
                cells += [mid[who], "%.1f..%.1f" % (min(rates), max(rates))]
            cpu = [1e3 * statistics.median([c for _, c in by.get(who, [])] or [float("nan")])
                   for who in ("lodge", "qemu")]
            print("%-8s %-5s %9.1f %17s %9.1f %17s %6.2f   %8.2f %8.2f" %
                  (card, way, *cells, mid["lodge"] / mid["qemu"], *cpu), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
