#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Throughput between guest and host through user-mode NAT, on Lodge and on QEMU TCG in one run.

usage: bench/net.py [--mib N] [--rounds N] [--card virtio,e1000] [--lodge build/lodge] [--qemu qemu-system-x86_64]

The same kernel, initramfs and card on both. Down: busybox wget of N MiB from a socket of the host's
loopback, thrown away. Up: the host reads N MiB by a host forward from busybox nc. The time is the host's, from the
first byte to the last; the best of the rounds counts, and the two machines take turns. Needs an idle machine.
"""
import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(TOP, "tests/system"))
from modules import modules  # noqa: E402
from net import CARDS, SET_UP, free_port  # noqa: E402
from vm import kernel  # noqa: E402

SCRIPT = SET_UP + """
dhcp
echo @@ready
read rounds
n=0
while [ $n -lt $rounds ]; do wget -q -O /dev/null http://10.0.2.2:%d/; n=$((n + 1)); done
echo @@down
n=0
while [ $n -lt $rounds ]; do head -c %d /dev/zero | nc -l -p 80; n=$((n + 1)); echo @@up$n; done
"""
QEMU_MODEL = {"virtio": "virtio-net-pci", "e1000": "e1000", "rtl8139": "rtl8139"}


def serve(sock, size, rounds, times):
    """Answer `rounds` requests with `size` bytes; how long each took until the guest had closed."""
    chunk = bytes(1 << 20)
    for _ in range(rounds):
        c, _ = sock.accept()
        c.recv(65536)
        start = time.monotonic()
        c.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        left = size
        while left:
            left -= c.send(chunk[:min(left, len(chunk))])
        c.shutdown(socket.SHUT_WR)
        while c.recv(65536):
            pass
        times.append(time.monotonic() - start)
        c.close()


def fetch(port, size):
    """Read `size` bytes from the guest; how long that took."""
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", port)) as c:
            got, start = 0, None
            while True:
                data = c.recv(1 << 20)
                if not data:
                    break
                start = start or time.monotonic()
                got += len(data)
            if got:
                assert got == size, "%d bytes of %d" % (got, size)
                return time.monotonic() - start
        time.sleep(0.1)
    raise RuntimeError("the guest does not send")


def run(cmd, port, sock, size, rounds):
    down, up = [], []
    server = threading.Thread(target=serve, args=(sock, size, rounds, down), daemon=True)
    server.start()
    vm = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    try:
        for line in vm.stdout:
            if "@@ready" in line:
                vm.stdin.write("%d\n" % rounds)
                vm.stdin.flush()
            elif "@@down" in line:
                for _ in range(rounds):
                    up.append(fetch(port, size))
        vm.wait()
    finally:
        vm.kill()
    server.join(5)
    assert len(down) == rounds and len(up) == rounds, "the guest failed: " + " ".join(cmd)
    return size / min(down) / 1e6, size / min(up) / 1e6


def initrd(card, port, size, out):
    name, wanted = CARDS[card]
    mods = modules(name, *wanted)
    with tempfile.TemporaryDirectory() as d:
        job, lst = os.path.join(d, "netjob"), os.path.join(d, "modlist")
        with open(job, "w") as f:
            f.write(SCRIPT % (port, size))
        with open(lst, "w") as f:
            f.write(" ".join(os.path.basename(m) for m in mods))
        subprocess.run(["sh", os.path.join(TOP, "tools/mkinitramfs.sh"), out,
                        kernel("busybox-amd64"), os.path.join(TOP, "tools/guest_init.sh"), job,
                        lst, *mods], check=True)
    return kernel(name)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--mib", type=int, default=200)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--card", default="virtio,e1000")
    ap.add_argument("--lodge", default=os.path.join(TOP, "build/lodge"))
    ap.add_argument("--qemu", default="qemu-system-x86_64")
    args = ap.parse_args()
    size = args.mib << 20
    print("%-10s %-6s %12s %12s %8s   (MB/s, load average %.1f)" %
          ("card", "way", "Lodge", "QEMU TCG", "ratio", os.getloadavg()[0]))
    for card in args.card.split(","):
        with tempfile.TemporaryDirectory() as work, socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            sock.listen(8)
            rd = os.path.join(work, "initrd")
            image = initrd(card, sock.getsockname()[1], size, rd)
            figures = []
            for who in (args.lodge, args.qemu):
                if not shutil.which(who):
                    figures.append((float("nan"),) * 2)
                    continue
                fwd = free_port()
                cmd = [who, "run"] if who == args.lodge else [who, "-accel", "tcg"]
                cmd += ["-m", "256M", "-cpu", "max", "-display", "none", "-serial", "stdio",
                        "-monitor", "none", "-no-reboot", "-kernel", image, "-initrd", rd,
                        "-append", "console=ttyS0 quiet cryptomgr.notests lodge.cmd=netjob",
                        "-netdev", "user,id=n,hostfwd=tcp:127.0.0.1:%d-:80" % fwd,
                        "-device", QEMU_MODEL[card] + ",netdev=n"]
                figures.append(run(cmd, fwd, sock, size, args.rounds))
            for i, way in enumerate(("down", "up")):
                print("%-10s %-6s %12.1f %12.1f %8.2f" %
                      (card, way, figures[0][i], figures[1][i], figures[0][i] / figures[1][i]),
                      flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
