# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine killed while its guest writes: all that was flushed is in the image, and the image is sound.

Run: make t T=system/disk_kill      (LODGE_KILLS=N: so many times for each kind of image)
"""
import array
import os
import random
import re
import signal
import subprocess
import time

import pytest
from test_disk import guest
from vm import TOP

MIB = 1 << 20
WRITERS, BLOCKS, BYTES = 4, 512, 4096
KILLS = int(os.environ.get("LODGE_KILLS", "1"))


def blocks_of(seed, n):
    """{block: numbers written there, in order} of one writer's first n writes (kill_writer.c)."""
    found, x = {}, seed & 0xffffffff
    for i in range(1, n + 1):
        x = (x * 1664525 + 1013904223) & 0xffffffff
        found.setdefault((x >> 16) % BLOCKS, []).append(i)
    return found


def check(raw, seed, flushed):
    """Each word of each block is of a write there, and not of one before the last that was flushed."""
    with open(raw, "rb") as f:
        for w in range(WRITERS):
            written = blocks_of(seed + w, flushed[w] + 100000)
            for block in range(BLOCKS):
                f.seek((w * BLOCKS + block) * BYTES)
                words = array.array("I", f.read(BYTES))
                numbers = written.get(block, [])
                least = max((n for n in numbers if n <= flushed[w]), default=0)
                for n in set(words):
                    assert n >= least, "writer %d, block %d: %d is older than %d" % (w, block, n, least)
                    assert n == 0 or n in numbers, "writer %d, block %d: %d is not of here" % (w, block, n)


@pytest.fixture
def program(tmp_path):
    out = tmp_path / "kill_writer"
    subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-static", "-o", str(out),
                    os.path.join(TOP, "tests/system/kill_writer.c")], check=True)
    return out


@pytest.mark.parametrize("kind,options", [("raw", "cache=writeback"), ("raw", "cache=none"),
                                          ("qcow2", "cache=writeback"), ("qcow2", "cache=none"),
                                          ("qcow2", "cache=none,aio=threads")])
def test_disk_when_machine_is_killed_expect_flushed_bytes_there(tmp_path, program, kind, options):
    for _ in range(KILLS):
        seed = random.randrange(1 << 30)
        image = tmp_path / ("disk." + kind)
        subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(image), "16M"], check=True)
        script = "kill_writer /dev/vda %d\n" % seed
        with guest(tmp_path, script, "-drive",
                   "if=virtio,format=%s,file=%s,%s" % (kind, image, options), files=[program]) as vm:
            vm.expect(r"flushed 3 \d+\r")
            time.sleep(random.uniform(0.1, 2))
            os.kill(vm.pid, signal.SIGKILL)
            vm.wait_exit()
        flushed = [0] * WRITERS
        for m in re.finditer(r"flushed (\d) (\d+)\r", vm.text):
            flushed[int(m.group(1))] = int(m.group(2))
        print("seed %d, flushed %s" % (seed, flushed))
        raw = image
        if kind != "raw":
            end = time.monotonic() + 20
            while True:
                r = subprocess.run(["qemu-img", "check", str(image)], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, check=False)
                # What io_uring had of a process goes a moment after it, and with that the lock.
                if "lock" not in r.stdout or time.monotonic() > end:
                    break
                time.sleep(0.05)
            # Leaked clusters (3) lose space, not data.
            assert r.returncode in (0, 3), r.stdout
            raw = tmp_path / "flat.raw"
            subprocess.run(["qemu-img", "convert", "-O", "raw", str(image), str(raw)], check=True)
        check(raw, seed, flushed)
