#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Saving and restoring: how long, how large, what clones share (docs/performance.md).

Run: bench/restore.py [--runs N] [--dir FOLDER]
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/system"))
from qmp import Qmp, wait_for  # noqa: E402
from vm import LODGE, linux  # noqa: E402

TICK = "while :; do echo -n x; done\n"


def boot_and_save(path, memory, fill_mib):
    """A guest that says x for ever, saved while it does: ms in all, MiB that were not zero."""
    with linux("cloud-amd64", "cryptomgr.notests quiet", memory=memory, args=("-name", "bench", "-sandbox", "on,path=" + os.path.dirname(path))) as vm:
        vm.files = []
        vm.expect("guest# ")
        if fill_mib:
            vm.send("mkdir -p /mnt; mount -t tmpfs -o size=90%% t /mnt; "
                    "dd if=/dev/urandom of=/mnt/x bs=1M count=%d 2>/dev/null; echo FIL''LED\n" % fill_mib)
            vm.expect("FILLED")
        vm.send(TICK)
        vm.expect("xxxxxxxxxxxxxxxx")
        q = Qmp(wait_for("bench"))
        q("migrate", uri="file:" + path)
        got = q("query-migrate")
        q("quit")
        vm.stop()
    return got["total-time"], got["ram"]["transferred"] >> 20


def cold(path):
    """What of the file is in the page cache goes."""
    with open(path, "rb") as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def first_output(path, is_cold):
    """Milliseconds from starting the process to the first byte its guest says."""
    if is_cold:
        cold(path)
    start = time.monotonic()
    p = subprocess.Popen([*LODGE, "-accel", "soft", "-restore", path, "-control", "off", "-display", "none",
                          "-serial", "stdio"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)
    byte = p.stdout.read(1)
    ms = (time.monotonic() - start) * 1000
    p.kill()
    p.wait()
    assert byte == b"x", byte
    return ms


def clone_sizes(path, count):
    procs = [subprocess.Popen([*LODGE, "-accel", "soft", "-restore", path, "-control", "off", "-display",
                               "none", "-serial", "null"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
             for _ in range(count)]
    time.sleep(5)
    rss = pss = private = 0
    for p in procs:
        inside = False
        with open("/proc/%d/smaps" % p.pid) as f:
            for line in f:
                if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                    inside = line.rstrip().endswith(path)
                m = re.match(r"(Rss|Pss|Private_Dirty): +(\d+) kB", line)
                if m and inside:
                    n = int(m.group(2))
                    rss += n if m.group(1) == "Rss" else 0
                    pss += n if m.group(1) == "Pss" else 0
                    private += n if m.group(1) == "Private_Dirty" else 0
    for p in procs:
        p.kill()
        p.wait()
    return rss / 1024, pss / 1024, private / 1024


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--runs", type=int, default=7)
    p.add_argument("--dir", default=None)
    p.add_argument("--fill", type=int, default=1024, help="MiB written in the larger guest")
    a = p.parse_args()
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="lodge-run"))
    with tempfile.TemporaryDirectory(dir=a.dir) as folder:
        for memory, fill in (("256M", 0), ("4G", 0), ("4G", a.fill)):
            path = os.path.join(folder, "state")
            ms, mib = boot_and_save(path, memory, fill)
            st = os.stat(path)
            warm = [first_output(path, False) for _ in range(a.runs)]
            disk = [first_output(path, True) for _ in range(3)]
            print("%s guest, %d MiB not zero: saved in %d ms; file %d MiB, of it on disk %d MiB; first output after "
                  "%.0f ms (least %.0f), not cached %.0f ms"
                  % (memory, mib, ms, st.st_size >> 20, st.st_blocks * 512 >> 20,
                     statistics.median(warm), min(warm), statistics.median(disk)), flush=True)
            if memory == "256M":
                rss, pss, own = clone_sizes(path, 8)
                print("8 clones of it: %.0f MiB resident, %.0f MiB in fact (PSS), %.0f MiB their own"
                      % (rss, pss, own), flush=True)


if __name__ == "__main__":
    main()
