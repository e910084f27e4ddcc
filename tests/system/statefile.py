# SPDX-License-Identifier: GPL-2.0-or-later
"""A reader of saved machines for tests, made from docs/state.md alone."""
import struct


def crc32c(data, crc=0):
    crc ^= 0xffffffff
    for b in data:
        crc = TABLE[(crc ^ b) & 0xff] ^ crc >> 8
    return crc ^ 0xffffffff


def _entry(n):
    for _ in range(8):
        n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
    return n


TABLE = [_entry(n) for n in range(256)]


class State:
    """`sections`: (name, contents) in order; `memory`: where it is in the file, and its length."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as f:
            head = f.read(48)
            magic, version, count, size, at, length, flags, crc = struct.unpack("<8sIIQQQII", head)
            assert magic == b"LODGEVM\x1a" and version == 1 and flags == 0
            assert crc == crc32c(head[:44])
            f.seek(4096)
            data = f.read(size)
        self.memory = (at, length)
        self.sections = []
        off = 0
        for _ in range(count):
            name, n, crc = struct.unpack_from("<16sQI", data, off)
            body = data[off + 32:off + 32 + n]
            assert crc == crc32c(body, crc32c(data[off:off + 24])), name
            self.sections.append((name.rstrip(b"\0").decode(), body))
            off += 32 + (n + 7) // 8 * 8
        assert off == len(data)

    def all(self, name):
        return [body for n, body in self.sections if n == name]

    def text(self, name):
        return [body.rstrip(b"\0").decode() for body in self.all(name)]

    def devices(self):
        """Name of each: its fields as (name, bytes)."""
        out = {}
        for body in self.all("device"):
            name, rest = body.split(b"\0", 1)
            out[name.decode()] = fields(rest)
        return out

    def cpus(self):
        return [fields(body) for body in self.all("cpu")]


def fields(data):
    """The stream of one device (docs/state.md)."""
    def name(at):
        n = data[at]
        return data[at + 1:at + 1 + n].decode(), at + 1 + n

    cls, at = name(0)
    version, count = struct.unpack_from("<BH", data, at)
    at += 3
    out = {"class": cls, "version": version}
    for _ in range(count):
        key, at = name(at)
        _, size, elems = struct.unpack_from("<BHI", data, at)
        at += 7
        out[key] = data[at:at + size * elems]
        at += size * elems
    assert at == len(data), cls
    return out
