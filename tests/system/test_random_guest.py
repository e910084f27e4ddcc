# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that make no sense must not harm the process that runs them.

Each guest is a Multiboot image of random pieces of code, biased towards instructions and device
addresses that do things; random_guest.S makes an exception go on with the next piece, in 32-bit or
64-bit mode. Whatever the guest does, lodge ends by itself or goes on until it is told to stop; it never
ends by a signal of its own, and its memory stays bounded.

Run: make t T=system/random_guest      (LODGE_GUESTS=N for more, LODGE_SEED=S for one run again)
"""
import os
import random
import resource
import signal
import struct
import subprocess
import time

import pytest
from vm import LODGE, WORK

COUNT = int(os.environ.get("LODGE_GUESTS", "30"))
SECONDS = 0.5
RAM_MIB = 32
# Some of these guests fill any code memory that they are given, in a second or two; it is mapped twice,
# so each page of it is counted twice.
CODE_MIB = 16
TABLES_MIB = 80  # blocks' heads and operations, and the program itself
BASE = 0x100000

# Building blocks: system instructions and accesses to every device of the board.
MMIO = [0xfee00000, 0xfec00000, 0xfed00000, 0xb8000, 0xf0000, 0xfffffff0, 0xa0000, 0xe0000000]
PORTS = [0x20, 0x21, 0xa0, 0xa1, 0x40, 0x41, 0x42, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x80, 0x92,
         0xb2, 0xcf8, 0xcfc, 0xcf9, 0x3f8, 0x3f9, 0x3fb, 0x402, 0x510, 0x511, 0x514, 0x518, 0xe9,
         0x600, 0x604, 0x608, 0x4d0, 0x4d1, 0x00, 0x0d, 0xc0, 0x81, 0x1ce, 0xf0]


def piece(r):
    # What resets or wrecks the guest at once is rare, so that much else happens before.
    kind = r.choices([0, 3, 6, 7, 8, 9, 10, 11], [40, 40, 3, 20, 12, 1, 2, 12])[0]
    imm = struct.pack("<I", r.getrandbits(32))
    if kind == 0:  # mov $port, %dx; out or in of some size
        port = r.choice(PORTS) + r.choice([0, 0, 1, 2])
        if port in (0x64, 0x92, 0xcf9, 0x604) and r.randrange(20):
            port = 0x80
        op = r.choice([b"\xee", b"\xef", b"\xec", b"\xed", b"\x66\xef", b"\xf3\x6c", b"\xf3\x6e"])
        return b"\x66\xba" + struct.pack("<H", port) + b"\xb8" + imm + op
    if kind == 3:  # a store to, or a load from, a device
        where = r.choice(MMIO) + r.randrange(0, 0x400, r.choice([1, 4, 16]))
        op = r.choice([b"\xa3", b"\xa1", b"\xa2", b"\xf0\x81\x05"])
        tail = imm if op == b"\xf0\x81\x05" else b""
        return b"\xb8" + imm + op + struct.pack("<I", where & 0xffffffff) + tail
    if kind == 6:  # control and debug registers, with values that do something
        value = r.choice([0x80000011, 0x11, 0x20, 0x30, 0x100000, r.getrandbits(32), 0x60011])
        return b"\xb8" + struct.pack("<I", value) + bytes(
            [0x0f, r.choice([0x22, 0x22, 0x20, 0x23, 0x21]), 0xc0 | r.randrange(8) << 3])
    if kind == 7:  # MSRs
        msr = r.choice([0x1b, 0x10, 0xc0000080, 0xc0000081, 0x174, 0x6e0, 0x800 + r.randrange(64),
                        0x200 + r.randrange(16), 0x277, 0x3b, r.getrandbits(32)])
        return b"\xb9" + struct.pack("<I", msr) + b"\xb8" + imm + r.choice([b"\x0f\x30",
                                                                            b"\x0f\x32"])
    if kind == 8:
        return r.choice([b"\xfb", b"\xfa", b"\xf4", b"\xcc", b"\xcd" + bytes([r.randrange(256)]),
                         b"\xcf", b"\x9d", b"\x9c", b"\x0f\x01" + bytes([r.randrange(256)]),
                         b"\x0f\x00" + bytes([r.randrange(256)]), b"\x0f\xae\x07", b"\x0f\xc7\x0f",
                         b"\x8e" + bytes([r.randrange(256)]), b"\x0f\x09", b"\xdb\xe3", b"\xd9\x07"])
    if kind == 9:  # a table register from somewhere
        return b"\x0f\x01" + bytes([r.choice([0x15, 0x1d, 0x05, 0x0d])]) + struct.pack(
            "<I", r.choice([BASE, 0, 0xfee00000, 0xfffff000, r.getrandbits(32)]))
    if kind == 10:  # far jumps and calls
        return r.choice([b"\xea", b"\x9a"]) + imm + struct.pack("<H", r.randrange(0, 128))
    return bytes(r.getrandbits(8) for _ in range(r.randrange(1, 12)))


@pytest.fixture(scope="module")
def prologues(tmp_path_factory):
    """The fixed part, assembled for 32-bit and for 64-bit mode: (bytes, address of `again`)."""
    folder = tmp_path_factory.mktemp("prologue")
    found = []
    for extra in ([], ["--defsym", "LONG=1"]):
        obj, elf, raw = (str(folder / n) for n in ("p.o", "p.elf", "p.bin"))
        subprocess.run(["as", "--32", *extra, "-o", obj,
                        os.path.join(os.path.dirname(__file__), "random_guest.S")], check=True)
        subprocess.run(["ld", "-m", "elf_i386", "-Ttext", hex(BASE), "-e", "start", "-o", elf, obj],
                       check=True)
        subprocess.run(["objcopy", "-O", "binary", "-j", ".text", elf, raw], check=True)
        with open(raw, "rb") as f:
            data = f.read()
        found.append(data)
    return found


def image(seed, prologue):
    r = random.Random(seed)
    count = r.randrange(20, 400)
    again = struct.unpack_from("<I", prologue, len(prologue) - 12)[0]
    head = prologue[:-4] + struct.pack("<I", count)
    at = BASE + len(head) + 4 * count
    table, code = b"", b""
    for _ in range(count):
        table += struct.pack("<I", at + len(code))
        text = b"".join(piece(r) for _ in range(r.randrange(1, 4)))
        jump = at + len(code) + len(text) + 5
        code += text + b"\xe9" + struct.pack("<i", again - jump)
    data = bytearray(head + table + code)
    struct.pack_into("<I", data, 20, BASE + len(data))  # load_end_addr
    return bytes(data)


def run_one(seed, tmp, prologues):
    path = os.path.join(tmp, "random-%d.bin" % seed)
    with open(path, "wb") as f:
        f.write(image(seed, prologues[seed & 1]))
    r = random.Random(seed ^ 0x5eed)
    args = [*LODGE, "-m", "%dM" % RAM_MIB, "-smp", r.choice(["1", "1", "2"]), "-display", "none", "-monitor",
            "none", "-nic", "none", "-serial", "null", "-kernel", path, "-debugcon", "null",
            "-accel", "soft,tb-size=%d" % CODE_MIB]
    if r.randrange(2):
        args.append("-no-reboot")
    p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    deadline = time.monotonic() + SECONDS
    while p.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if p.poll() is None:
        p.send_signal(signal.SIGTERM)
    try:
        out, _ = p.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        p.kill()
        p.communicate()
        return "seed %d: it does not end on SIGTERM" % seed
    os.unlink(path)
    if p.returncode < 0:
        return "seed %d: ended by signal %d\n%s" % (seed, -p.returncode, out[-2000:].decode(
            errors="replace"))
    if b"assert" in out or b"Sanitizer" in out:
        return "seed %d:\n%s" % (seed, out[-2000:].decode(errors="replace"))
    return None


@pytest.mark.parametrize("kind", ["fixed", "fresh"])
def test_guest_when_random_expect_the_process_to_survive(kind, tmp_path, prologues):
    os.makedirs(WORK, exist_ok=True)
    start = 1000 if kind == "fixed" else int(os.environ.get("LODGE_SEED", time.time_ns() >> 10))
    count = 1 if kind == "fresh" and "LODGE_SEED" in os.environ else COUNT // 2
    wrong = [w for w in (run_one(start + i, str(tmp_path), prologues) for i in range(count)) if w]
    assert not wrong, "\n".join(wrong)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    limit = RAM_MIB + 2 * CODE_MIB + TABLES_MIB
    assert used < limit, "a guest of %d MiB took %d MiB, more than %d" % (RAM_MIB, used, limit)
