# SPDX-License-Identifier: GPL-2.0-or-later
"""A small VNC client for tests (RFC 6143): raw, ZRLE and Tight pictures, VeNCrypt, and what it takes to misbehave."""
import socket
import struct
import subprocess
import zlib

TIMEOUT = 60
RAW, COPYRECT, ZRLE, TIGHT, ZLIB = 0, 1, 16, 7, 6
NEW_SIZE, XVP, EXT_SIZE, QEMU_KEYS = -223, -309, -308, -258
VENCRYPT = 19
QUALITY = -32  # and 9 above: how good JPEG is to be


class Closed(Exception):
    pass


def answer(challenge, password):
    """DES with each byte of the password reversed, bit by bit."""
    key = bytes(int("{:08b}".format(b)[::-1], 2) for b in password.encode()[:8].ljust(8, b"\0"))
    return subprocess.run(["openssl", "enc", "-des-ecb", "-K", key.hex(), "-nopad", "-provider",
                           "legacy", "-provider", "default"], input=challenge, check=True,
                          stdout=subprocess.PIPE).stdout


class Rfb:
    def __init__(self, address, password=None, encodings=(RAW, NEW_SIZE), timeout=TIMEOUT,
                 tls=None):
        """address: (host, port), or a path. tls: an ssl.SSLContext."""
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.sock.settimeout(timeout)
        self.sock.connect(address)
        self.encodings, self.password, self.tls = encodings, password, tls
        self.qemu_keys, self.jpegs = False, []
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
        if self.tls:
            self.vencrypt(kinds)
        elif 2 in kinds:
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

    def vencrypt(self, kinds):
        """Encryption, and the kind of password under it."""
        assert kinds == bytes([VENCRYPT]), kinds
        self.send(kinds)
        assert self.take(2) == b"\0\2"
        self.send(b"\0\2")
        assert self.take(2) == b"\0\1"
        kind = self.take(4)
        self.vencrypt_kind = struct.unpack(">I", kind)[0]
        self.send(kind)
        assert self.take(1) == b"\1"
        self.sock = self.tls.wrap_socket(self.sock)
        none = self.vencrypt_kind in (257, 260)
        # What follows is as if it had been chosen without encryption.
        if not none:
            self.send(answer(self.take(16), self.password or ""))

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

    def tight(self, x, y, w, h):
        control = self.take(1)[0]
        for i in range(4):
            if control >> i & 1:
                self.z.pop((TIGHT, i), None)
        kind = control >> 4

        def length():
            n, shift = 0, 0
            while True:
                b = self.take(1)[0]
                n |= (b & 127 if shift < 14 else b) << shift
                shift += 7
                if b < 128 or shift > 14:
                    return n

        def flip(rgb):
            out = bytearray(4 * (len(rgb) // 3))
            out[0::4], out[1::4], out[2::4] = rgb[2::3], rgb[1::3], rgb[0::3]
            return bytes(out)
        if kind == 8:
            self.put(x, y, w, h, flip(self.take(3)) * (w * h))
            return
        if kind == 9:
            self.jpegs.append(self.take(length()))
            return
        assert kind < 8, kind
        what, palette = (self.take(1)[0] if kind & 4 else 0), b""
        if what == 1:
            palette = self.take(3 * (self.take(1)[0] + 1))
        colours = len(palette) // 3
        row = 3 * w if what != 1 else (w + 7) // 8 if colours == 2 else w
        data = self.take(row * h) if row * h < 12 else self.z.setdefault(
            (TIGHT, kind & 3), zlib.decompressobj()).decompress(self.take(length()))
        assert len(data) == row * h
        if what == 1 and colours == 2:
            data = bytes(data[row * i + j // 8] >> (7 - j % 8) & 1 for i in range(h)
                         for j in range(w))
        if what == 1:
            data = b"".join(palette[3 * i:3 * i + 3] for i in data)
        if what == 2:
            out = bytearray(len(data))
            for i in range(h):
                for j in range(3 * w):
                    left = out[row * i + j - 3] if j > 2 else 0
                    up = out[row * (i - 1) + j] if i else 0
                    both = out[row * (i - 1) + j - 3] if i and j > 2 else 0
                    guess = max(0, min(255, left + up - both))
                    out[row * i + j] = (data[row * i + j] + guess) & 255
            data = bytes(out)
        self.put(x, y, w, h, flip(data))

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
            elif enc == TIGHT:
                self.tight(x, y, w, h)
            elif enc == QEMU_KEYS:
                self.qemu_keys = True
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

    def code(self, code, sym=0):
        """A key by its place: QEMU's message."""
        for d in (1, 0):
            self.send(struct.pack(">BBHII", 255, 0, d, sym, code))

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
