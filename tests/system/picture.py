# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures of screens, for tests: PNG files read, cut and compared.

Fonts and clocks differ a little from one run to the next, so two pictures are alike in a box when few dots of it
differ by more than a shade.
"""
import struct
import zlib

SHADE = 40  # of 255, in one colour
SHARE = 0.004  # dots that may differ by more


class Picture:
    """Rows of bytes r, g, b."""

    def __init__(self, rows):
        self.rows = rows
        self.width, self.height = len(rows[0]) // 3, len(rows)

    def cut(self, box):
        x, y, w, h = box
        assert x >= 0 and y >= 0 and x + w <= self.width and y + h <= self.height, (
            "%r is not inside %d by %d dots" % (box, self.width, self.height))
        return Picture([row[3 * x:3 * (x + w)] for row in self.rows[y:y + h]])

    def colours(self):
        """How many dots have each colour."""
        count = {}
        for row in self.rows:
            for i in range(0, len(row), 3):
                count[row[i:i + 3]] = count.get(row[i:i + 3], 0) + 1
        return count

    def file(self):
        packed = zlib.compress(b"".join(b"\0" + row for row in self.rows), 9)
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in ((b"IHDR", struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0,
                                                     0, 0)), (b"IDAT", packed), (b"IEND", b"")))


def paeth(a, b, c):
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    return a if pa <= pb and pa <= pc else b if pb <= pc else c


def unfilter(kind, line, above, n):
    """One line as PNG's filter `kind` made it of dots of n bytes."""
    out = bytearray(line)
    if kind == 2:
        return bytes((a + b) & 255 for a, b in zip(line, above))
    for i, v in enumerate(line if kind else b""):
        left = out[i - n] if i >= n else 0
        corner = above[i - n] if i >= n else 0
        out[i] = (v + (left if kind == 1 else (left + above[i]) // 2 if kind == 3 else
                       paeth(left, above[i], corner))) & 255
    return bytes(out)


def parse(data):
    """A PNG of 8 bits a colour, with or without transparency, which is dropped."""
    width, height, depth, kind, _, _, lace = struct.unpack(">IIBBBBB", data[16:29])
    assert depth == 8 and kind in (2, 6) and not lace, "a PNG of another kind"
    n, packed, at, rows = 3 if kind == 2 else 4, b"", 8, []
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at:at + 8])
        if name == b"IDAT":
            packed += data[at + 8:at + 8 + size]
        at += size + 12
    raw, above, step = zlib.decompress(packed), bytes(n * width), n * width + 1
    for y in range(height):
        above = unfilter(raw[y * step], raw[y * step + 1:(y + 1) * step], above, n)
        rows.append(above)
    if n == 4:
        rows = [b"".join(row[i:i + 3] for i in range(0, len(row), 4)) for row in rows]
    return Picture(rows)


def read(path):
    with open(path, "rb") as f:
        return parse(f.read())


def differs(a, b, shade=SHADE):
    """The share of dots that differ by more than a shade, from 0 to 1; all do where sizes differ."""
    if (a.width, a.height) != (b.width, b.height):
        return 1.0
    n = 0
    for p, q in zip(a.rows, b.rows):
        if p != q:
            n += sum(p[i:i + 3] != q[i:i + 3] and
                     max(abs(p[i] - q[i]), abs(p[i + 1] - q[i + 1]), abs(p[i + 2] - q[i + 2])) > shade
                     for i in range(0, len(p), 3))
    return n / (a.width * a.height)


def alike(a, b, boxes=None, share=SHARE):
    """None, or where they are not; of both but those boxes (x, y, w, h), if there are some."""
    if (a.width, a.height) != (b.width, b.height):
        return "%d by %d dots, not %d by %d" % (a.width, a.height, b.width, b.height)
    for box in [(0, 0, a.width, a.height)] if boxes is None else boxes:
        d = differs(a.cut(box), b.cut(box))
        if d > share:
            return "%.2f %% of the dots of %r differ" % (100 * d, box)
    return None


def find(whole, part):
    """Where `part` is in `whole`, dot for dot: (x, y), or None."""
    n = 3 * part.width
    for y in range(whole.height - part.height + 1):
        x = whole.rows[y].find(part.rows[0])
        while x >= 0:
            if x % 3 == 0 and all(whole.rows[y + i][x:x + n] == row
                                  for i, row in enumerate(part.rows)):
                return x // 3, y
            x = whole.rows[y].find(part.rows[0], x + 1)
    return None
