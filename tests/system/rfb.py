# SPDX-License-Identifier: GPL-2.0-or-later
"""A small VNC client for tests (RFC 6143): raw and zlib pictures, and what it takes to misbehave."""
import socket
import struct
import subprocess
import zlib

TIMEOUT = 60
RAW, COPYRECT, ZRLE, TIGHT, ZLIB = 0, 1, 16, 7, 6
NEW_SIZE, XVP, EXT_SIZE = -223, -309, -308


class Closed(Exception):
    pass


def answer(challenge, password):
    """DES with each byte of the password reversed, bit by bit."""
    key = bytes(int("{:08b}".format(b)[::-1], 2) for b in password.encode()[:8].ljust(8, b"\0"))
    return subprocess.run(["openssl", "enc", "-des-ecb", "-K", key.hex(), "-nopad", "-provider",
                           "legacy", "-provider", "default"], input=challenge, check=True,
                          stdout=subprocess.PIPE).stdout


class Rfb:
    def __init__(self, address, password=None, encodings=(RAW, NEW_SIZE), timeout=TIMEOUT):
        """address: (host, port), or a path."""
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.sock.settimeout(timeout)
        self.sock.connect(address)
        self.encodings, self.password = encodings, password
        self.z = {}
        self.ext_size = None

    def __enter__(self):
        self.handshake()
        return self

    def __exit__(self, *_):
        self.sock.close()

    def take(self, n):
        out = b""
        while len(out) < n:
            try:
                more = self.sock.recv(n - len(out))
            except ConnectionResetError:
                more = b""
            if not more:
                raise Closed
            out += more
        return out

    def send(self, data):
        self.sock.sendall(data)

    def handshake(self):
        assert self.take(12) == b"RFB 003.008\n"
        self.send(b"RFB 003.008\n")
        kinds = self.take(self.take(1)[0])
        if 2 in kinds:
            assert 1 not in kinds
            self.send(b"\2")
            self.send(answer(self.take(16), self.password or ""))
        else:
            assert 1 in kinds, kinds
            self.send(b"\1")
        if self.take(4) != b"\0\0\0\0":
            raise PermissionError
        self.send(b"\1")
        self.width, self.height = struct.unpack(">HH", self.take(4))
        self.format = self.take(16)
        self.name = self.take(struct.unpack(">I", self.take(4))[0]).decode()
        # 32 bits, blue first, whatever the server likes better.
        self.send(struct.pack(">B3xBBBBHHHBBB3x", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        self.send(struct.pack(">BxH", 2, len(self.encodings)) +
                  b"".join(struct.pack(">i", e) for e in self.encodings))
        self.pixels = bytearray(4 * self.width * self.height)

    def request(self, incremental=True):
        self.send(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width, self.height))

    def put(self, x, y, w, h, data):
        for i in range(h):
            at = 4 * ((y + i) * self.width + x)
            self.pixels[at:at + 4 * w] = data[4 * w * i:4 * w * (i + 1)]

    def zrle(self, x, y, w, h):
        size = struct.unpack(">I", self.take(4))[0]
        data = self.z.setdefault(ZRLE, zlib.decompressobj()).decompress(self.take(size))
        at = 0
        pix = lambda: data[at:at + 3] + b"\0"  # noqa: E731

        def length():
            nonlocal at
            n = 1
            while True:
                at += 1
                n += data[at - 1]
                if data[at - 1] != 255:
                    return n
        for ty in range(y, y + h, 64):
            for tx in range(x, x + w, 64):
                tw, th = min(64, x + w - tx), min(64, y + h - ty)
                kind, n, out, palette = data[at], tw * th, [], []
                at += 1
                for _ in range(kind & 127 if kind not in (0, 1) and kind != 128 else 0):
                    palette.append(pix())
                    at += 3
                if kind == 0:
                    for _ in range(n):
                        out.append(pix())
                        at += 3
                elif kind == 1:
                    out = [pix()] * n
                    at += 3
                elif kind <= 16:
                    bits = 1 if kind == 2 else 2 if kind <= 4 else 4
                    for _ in range(th):
                        row = data[at:at + (tw * bits + 7) // 8]
                        at += len(row)
                        for i in range(tw):
                            v = row[i * bits // 8] >> (8 - bits - i * bits % 8)
                            out.append(palette[v & ((1 << bits) - 1)])
                elif kind == 128:
                    while len(out) < n:
                        p = pix()
                        at += 3
                        out += [p] * length()
                else:
                    while len(out) < n:
                        v = data[at]
                        at += 1
                        out += [palette[v & 127]] * (length() if v & 128 else 1)
                assert len(out) == n
                self.put(tx, ty, tw, th, b"".join(out))
        assert at == len(data)

    def update(self, incremental=True):
        """Ask for what changed and read it: rectangles (x, y, w, h, encoding)."""
        self.request(incremental)
        return self.read_update()

    def read_update(self):
        while True:
            kind = self.take(1)[0]
            if kind == 0:
                break
            if kind == 2:
                continue
            if kind == 3:
                self.take(struct.unpack(">3xI", self.take(7))[0])
                continue
            if kind == 250:
                self.xvp = self.take(3)
                continue
            raise AssertionError("message %d" % kind)
        rects = []
        for _ in range(struct.unpack(">xH", self.take(3))[0]):
            x, y, w, h, enc = struct.unpack(">HHHHi", self.take(12))
            rects.append((x, y, w, h, enc))
            if enc == NEW_SIZE:
                self.width, self.height = w, h
                self.pixels = bytearray(4 * w * h)
            elif enc == EXT_SIZE:
                screens = self.take(4)[0]
                self.take(16 * screens)
                self.ext_size = (x, y)  # who wished for it; 0, or why not
                if y == 0 and (w, h) != (self.width, self.height):
                    self.width, self.height = w, h
                    self.pixels = bytearray(4 * w * h)
            elif enc == RAW:
                self.put(x, y, w, h, self.take(4 * w * h))
            elif enc == ZRLE:
                self.zrle(x, y, w, h)
            else:
                raise AssertionError("encoding %d" % enc)
        return rects

    def picture(self):
        """Rows of bytes r, g, b."""
        p = bytes(self.pixels)
        return [b"".join(bytes((p[i + 2], p[i + 1], p[i]))
                         for i in range(4 * self.width * y, 4 * self.width * (y + 1), 4))
                for y in range(self.height)]

    def wish_size(self, width, height):
        self.send(struct.pack(">BxHHBxIHHHHI", 251, width, height, 1, 0, 0, 0, width, height, 0))

    def key(self, sym, down=None):
        for d in (1, 0) if down is None else (down,):
            self.send(struct.pack(">BBxxI", 4, d, sym))

    def type(self, text):
        for c in text:
            shift = c.isupper() or c in '~!@#$%^&*()_+{}|:"<>?'
            if shift:
                self.key(0xffe1, 1)
            self.key(0xff0d if c == "\n" else ord(c))
            if shift:
                self.key(0xffe1, 0)

    def point(self, x, y, buttons=0):
        self.send(struct.pack(">BBHH", 5, buttons, x, y))


KEYS = {"ret": 0xff0d, "tab": 0xff09, "esc": 0xff1b, "up": 0xff52, "down": 0xff54}


def main(address, *words):
    """ADDRESS (a path, or HOST:PORT), then: move X Y, click X Y [N] (button N), type TEXT, key NAME."""
    import time  # noqa: PLC0415
    where = address if "/" in address else (address.split(":")[0], int(address.split(":")[1]))
    words = list(words)
    with Rfb(where) as r:
        r.update(False)
        while words:
            what = words.pop(0)
            if what in ("move", "click"):
                x, y = int(words.pop(0)), int(words.pop(0))
                button = 1 << (int(words.pop(0)) - 1 if words and words[0].isdigit() else 0)
                for state in (0, button, 0) if what == "click" else (0,):
                    r.point(x, y, state)
                    time.sleep(0.1)
            elif what == "type":
                for c in words.pop(0).encode().decode("unicode_escape"):
                    r.type(c)
                    time.sleep(0.03)
            elif what == "key":
                r.key(KEYS[words.pop(0)])
            else:
                raise SystemExit("rfb: '%s' is not understood" % what)
        r.update(False)  # all before it has been taken


if __name__ == "__main__":
    import sys
    main(*sys.argv[1:])
