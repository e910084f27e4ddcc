# SPDX-License-Identifier: GPL-2.0-or-later
"""Python's library at work: big numbers, decimals, floats' digits, text, compression, processes."""
import array
import decimal
import fractions
import hashlib
import json
import math
import os
import random
import re
import struct
import threading
import zlib

random.seed(7)


def show(name, value):
    print(name, hashlib.sha256(repr(value).encode()).hexdigest()[:16])


def pi_digits(n):
    decimal.getcontext().prec = n + 10
    a, b, t, p = (decimal.Decimal(1), 1 / decimal.Decimal(2).sqrt(), decimal.Decimal("0.25"),
                  decimal.Decimal(1))
    for _ in range(14):
        a, b, t, p = (a + b) / 2, (a * b).sqrt(), t - p * ((a - b) / 2) ** 2, 2 * p
    return str((a + b) ** 2 / (4 * t))[:n]


def floats():
    out, x = [], 0.3
    for i in range(1, 60000):
        x = math.fmod(math.sin(x) * 1e3 + math.sqrt(i) / math.cosh(x % 3) + math.log1p(i), 17.0)
        if i % 50 == 0:
            out += ["%r" % x, "%.17e" % x, x.hex(), struct.pack("<fd", x, x)]
    return out


def text():
    words = ["".join(random.choices("abcdefgh", k=random.randint(2, 9))) for _ in range(60000)]
    line = " ".join(words)
    return [len(re.findall(p, line)) for p in (r"\ba\w*b\b", r"(\w)\1", r"(?<=c )d\w+", r"(ab|ba)+c")] \
        + [sorted(words)[::997], sorted(words, key=lambda w: w[::-1])[::997]]


def processes():
    """Children that write to a pipe; the parent sees each whole and in any order."""
    got = []
    for i in range(40):
        r, w = os.pipe()
        pid = os.fork()
        if not pid:
            data = hashlib.sha256(b"%d" % i * 1000).digest() * 500
            while data:
                data = data[os.write(w, data):]
            os._exit(i)
        os.close(w)
        with os.fdopen(r, "rb") as f:
            got.append(hashlib.md5(f.read()).hexdigest())
        got.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return got


def threads():
    lock, total = threading.Lock(), [0]

    def work(n):
        for i in range(3000):
            with lock:
                total[0] += i % n
    ts = [threading.Thread(target=work, args=(n,)) for n in (3, 5, 7, 11)]
    for t in ts:
        t.start()
    for t in ts:
        t.join()
    return total


def objects():
    tree = {}
    for i in range(120000):
        tree.setdefault(i * 7919 % 1009, []).append((i, str(i)))
    data = json.dumps({str(k): v[:20] for k, v in tree.items()}, sort_keys=True)
    return [json.loads(data) == {str(k): [list(x) for x in v[:20]] for k, v in tree.items()},
            zlib.crc32(data.encode()), zlib.decompress(zlib.compress(data.encode(), 9)) == data.encode()]


def matrix():
    n = 60
    a = [array.array("d", (random.random() for _ in range(n))) for _ in range(n)]
    for _ in range(3):
        a = [array.array("d", (sum(x * a[k][j] for k, x in enumerate(row)) / n for j in range(n)))
             for row in a]
    return [v.hex() for row in a for v in row]


show("pi", pi_digits(3000))
show("big", pow(3, 200003, 2 ** 4423 - 1))
show("factorial", math.factorial(1500))
show("fraction", sum(fractions.Fraction(1, i) for i in range(1, 800)))
show("floats", floats())
show("text", text())
show("processes", processes())
show("threads", threads())
show("objects", objects())
show("matrix", matrix())
for name in ("md5", "sha1", "sha512", "sha3_512", "blake2b", "blake2s"):
    print(name, hashlib.new(name, b"lodge" * 300000).hexdigest()[:16])
