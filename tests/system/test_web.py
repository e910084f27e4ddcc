# SPDX-License-Identifier: GPL-2.0-or-later
"""The page for browsers, without a browser: who gets in, what is served, requests that are none.

What a browser makes of it: test_browser.py. Run: make t T=system/web
"""
import base64
import http.client
import os
import random
import re
import socket
import struct
import time

import pytest
from machine import Machine
from qmp import Qmp, wait_for
from test_cli import guest  # noqa: F401: a fixture

pytestmark = pytest.mark.usefixtures("runtime_dir")

# Without Debian's package, whose dependencies are many: its files are not looked into here.
NOVNC = "/usr/share/novnc"


class Served(Machine):
    def __init__(self, tmp_path, *args, run=False):
        self.novnc = tmp_path / "novnc"
        for name in ("core/rfb.js", "core/util/int.js", "vendor/pako/lib/zlib/inflate.js"):
            (self.novnc / name).parent.mkdir(parents=True, exist_ok=True)
            (self.novnc / name).write_text("// " + name)
        (self.novnc / "core/rfb.js").write_text(
            "import { a,\n  b } from './util/int.js';\nimport c from \"../core/gone.js\";\n// from \"x")
        (tmp_path / "secret").write_text("secret")
        (self.novnc / "core/link.js").symlink_to(tmp_path / "secret")
        super().__init__(tmp_path, "-m", "32M", "-display", "web=127.0.0.1:0,novnc=%s" % self.novnc,
                         *(() if run else ("-S",)), *args)

    def __enter__(self):
        super().__enter__()
        m = re.search(r"screen at http://127\.0\.0\.1:(\d+)/\?token=([0-9a-f]{64})\n", self.said())
        self.port, self.token = int(m[1]), m[2]
        self.cookie, self.room = None, "/"
        return self

    def get(self, path, method="GET", **headers):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        if self.cookie:
            headers.setdefault("Cookie", self.cookie)
        c.request(method, path if path.startswith("/") else self.room + path, headers=headers)
        r = c.getresponse()
        body = r.read().decode()
        c.close()
        return r, body

    def login(self):
        r, _ = self.get("/?token=" + self.token)
        self.room = r.getheader("Location")
        assert r.status == 303 and re.fullmatch("/[0-9a-f]{32}/", self.room)
        cookie = r.getheader("Set-Cookie")
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert cookie.endswith("; Path=" + self.room)
        self.cookie = cookie.split(";")[0]

    def websocket(self, cookie=None, origin=None, name="websockify"):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        s.sendall(("GET %s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nOrigin: %s\r\nCookie: %s\r\nSec-WebSocket-Key: %s\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n\r\n" % (
                       self.room, name, self.port, origin or "http://127.0.0.1:%d" % self.port,
                       cookie or self.cookie or "x=y",
                       base64.b64encode(os.urandom(16)).decode())).encode())
        return s

    def is_well(self):
        assert self.child.poll() is None
        assert self.get("")[0].status == 200
        assert Qmp(wait_for("m"))("query-status")["status"] in ("prelaunch", "running")


def read_all(s):
    data = b""
    while True:
        more = s.recv(4096)
        if not more:
            return data
        data += more


def read_head(s):
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(1)
        assert more, data
        data += more
    return data


def frame(data, op=2, fin=True, mask=b"mask"):
    head = bytes([0x80 * fin | op])
    n = len(data)
    head += (bytes([0x80 | n]) if n < 126 else struct.pack(">BH", 0xfe, n) if n < 65536 else
             struct.pack(">BQ", 0xff, n))
    return head + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(data))


def read_frame(s):
    """(op, bytes) of the next one."""
    def take(n):
        data = b""
        while len(data) < n:
            more = s.recv(n - len(data))
            assert more, "hung up"
            data += more
        return data
    op, n = take(2)
    assert op & 0x80 and not n & 0x80
    if n >= 126:
        n = int.from_bytes(take(2 if n == 126 else 8), "big")
    return op & 0xf, take(n)


def expect(s, text):
    got = b""
    while text not in got:
        op, data = read_frame(s)
        assert op == 2
        got += data


def test_page_when_asked_for_without_session_expect_nothing_but_forbidden(tmp_path):
    with Served(tmp_path) as m:
        for path in ("/", "/page.js", "/novnc/core/rfb.js", "/" + "0" * 32 + "/", "/?token=", "/?token=" + "0" * 64,
                     "/?token=" + m.token[:-1], "/secret"):
            r, body = m.get(path)
            assert r.status == 403 and "x-web-address" in body, path
        r, _ = m.get("/", Cookie="lodge=" + "0" * 64)
        assert r.status == 403
        # The cookie opens its own path only, and the path nothing without it.
        m.login()
        for path in ("/", "/page.js", "/websockify", m.room[:-2] + "/"):
            assert m.get(path)[0].status == 403, path
        m.cookie = None
        assert m.get(m.room)[0].status == 403


def test_token_when_used_expect_one_session_and_the_page(tmp_path):
    with Served(tmp_path) as m:
        m.login()
        r, body = m.get("")
        assert r.status == 200 and "<title>Lodge</title>" in body
        assert "default-src 'none'" in r.getheader("Content-Security-Policy")
        assert r.getheader("X-Frame-Options") == "DENY"
        # Modules that are imported are named at once, and no others.
        early = re.findall(r'modulepreload" href="([^"]+)"', body)
        assert sorted(early) == ["novnc/core/rfb.js", "novnc/core/util/int.js"]
        r, body = m.get("page.js")
        assert r.status == 200 and "websockify" in body and "javascript" in r.getheader("Content-Type")
        r, body = m.get("novnc/vendor/pako/lib/zlib/inflate.js")
        assert body == "// vendor/pako/lib/zlib/inflate.js"
        r, body = m.get("page.js", "HEAD")
        assert r.status == 200 and not body
        for path in ("nothing", "novnc/core/link.js", "novnc/core/../../secret", "novnc", "%2e",
                     "xterm/xterm.css.map"):
            assert m.get(path)[0].status == 404, path
        # Once.
        cookie, m.cookie = m.cookie, None
        assert m.get("/?token=" + m.token)[0].status == 403
        m.cookie = cookie
        assert m.get("")[0].status == 200
        address = Qmp(wait_for("m"))("x-web-address")["address"]
        m.cookie, m.token = None, address[-64:]
        m.login()
        assert m.get("")[0].status == 200


def test_connection_when_kept_expect_one_answer_after_the_other(tmp_path):
    with Served(tmp_path) as m:
        m.login()
        c = http.client.HTTPConnection("127.0.0.1", m.port, timeout=60)
        for i in range(50):
            c.request("GET", m.room + ("page.js" if i % 2 else ""), headers={"Cookie": m.cookie})
            kept = c.sock
            r = c.getresponse()
            assert r.status == 200 and len(r.read()) == int(r.getheader("Content-Length"))
            assert c.sock is kept
        # Who may not is sent away, and so is who asks for that.
        c.request("GET", m.room)
        r = c.getresponse()
        assert r.status == 403 and r.getheader("Connection") == "close"
        r, _ = m.get("", Connection="close")
        assert r.getheader("Connection") == "close"
        # Two requests at once; the second is half.
        with socket.create_connection(("127.0.0.1", m.port), timeout=60) as s:
            one = "GET %s HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n" % (m.room, m.cookie)
            s.sendall((one + one[:-4]).encode())
            s.shutdown(socket.SHUT_WR)
            data = read_all(s)
            assert data.count(b"HTTP/1.1 200") == 1 and data.count(b"HTTP/1.1 400") == 1


def test_websocket_when_session_and_origin_are_right_expect_rfb(tmp_path):
    with Served(tmp_path) as m:
        m.login()
        with m.websocket() as s:
            data = b""
            while b"RFB 003.008\n" not in data:
                more = s.recv(4096)
                assert more, data
                data += more
            assert data.startswith(b"HTTP/1.1 101")


def test_websocket_when_it_is_not_the_pages_expect_forbidden(tmp_path):
    with Served(tmp_path) as m:
        m.login()
        for how in ({"cookie": "lodge=" + "1" * 64}, {"cookie": "a=b"}, {"origin": "http://evil"},
                    {"origin": "http://127.0.0.1:%d.evil.com" % m.port}, {"origin": "null"}):
            with m.websocket(**how) as s:
                assert read_all(s).startswith(b"HTTP/1.1 403"), how


def test_requests_when_they_are_none_expect_answers_and_a_server_that_goes_on(tmp_path):
    rng = random.Random(int(os.environ.get("LODGE_SEED", "1")))
    with Served(tmp_path) as m:
        m.login()
        idle = [socket.create_connection(("127.0.0.1", m.port)) for _ in range(20)]
        for data in (b"POST / HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"RFB 003.008\n\r\n\r\n",
                     b"GET / HTTP/1.1\r\nA: " + b"a" * 8000, b"\x16\x03\x01" + b"\r\n\r\n" * 3):
            with socket.create_connection(("127.0.0.1", m.port), timeout=60) as s:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                assert read_all(s).startswith(b"HTTP/1.1 400"), data[:40]
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", m.port), timeout=60) as s:
                s.sendall(rng.randbytes(rng.randrange(1, 5000)))
        # Frames of a websocket that are none.
        for i in range(40):
            with m.websocket(name="serial" if i % 2 else "websockify") as s:
                read_head(s)
                s.sendall(rng.randbytes(300))
        for s in idle:
            s.close()
        m.is_well()


def test_serial_when_typed_and_read_expect_the_guests_echo(guest, tmp_path):
    with Served(tmp_path, "-kernel", guest, run=True) as m:
        m.login()
        with m.websocket(name="serial") as s, m.websocket(name="serial") as other:
            assert read_head(s).startswith(b"HTTP/1.1 101")
            read_head(other)
            expect(s, b"ready")  # it was said before
            s.sendall(frame(b"AB", op=1) + frame(b"C", fin=False) + frame(b"D", op=9) +
                      frame(b"E", op=0))
            got = b""
            pong = None
            while b"ABCE" not in got or pong is None:
                op, data = read_frame(s)
                if op == 10:
                    pong = data
                else:
                    got += data
            assert pong == b"D"
            expect(other, b"ABCE")
            # A byte at a time, and a large one.
            for c in frame(b"slowly"):
                s.sendall(bytes([c]))
            expect(s, b"slowly")
            s.sendall(frame(b"z" * 3000 + b"END"))
            expect(s, b"zEND")
            s.sendall(frame(struct.pack(">H", 1000), op=8))
            assert read_frame(s) == (8, b"\x03\xe8")
        m.is_well()


BAD_FRAMES = {
    "not masked": (b"\x82\x01x", 1002),
    "reserved bits": (b"\xc2\x81maskx", 1002),
    "no such kind": (b"\x83\x81maskx", 1002),
    "no such control": (b"\x8b\x80mask", 1002),
    "long control": (b"\x89\xfe\x00\x7emask", 1002),
    "control in parts": (b"\x09\x80mask", 1002),
    "continues nothing": (b"\x80\x81maskx", 1002),
    "two at once": (b"\x02\x81maskx\x82\x81maskx", 1002),
    "large": (b"\x82\xff" + struct.pack(">Q", (1 << 20) + 1) + b"mask", 1009),
    "absurd": (b"\x82\xff" + b"\xff" * 8 + b"mask", 1009),
}


@pytest.fixture(scope="module")
def well(guest, tmp_path_factory):
    """One machine for those that must not harm it."""
    tmp_path = tmp_path_factory.mktemp("well")
    (tmp_path / "run").mkdir(mode=0o700)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(tmp_path / "run")
    with Served(tmp_path, "-kernel", guest, run=True) as m:
        m.runtime_dir = str(tmp_path / "run")
        m.login()
        yield m
    if before is None:
        del os.environ["XDG_RUNTIME_DIR"]
    else:
        os.environ["XDG_RUNTIME_DIR"] = before


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_serial_when_a_frame_is_none_expect_it_closed_with_the_reason(name, well, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", well.runtime_dir)
    data, code = BAD_FRAMES[name]
    with well.websocket(name="serial") as s:
        read_head(s)
        s.sendall(data)
        while True:
            op, said = read_frame(s)
            if op == 8:
                assert int.from_bytes(said[:2], "big") == code
                break
    well.is_well()


def test_serial_when_it_floods_stalls_or_comes_in_numbers_expect_the_machine_unharmed(well, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", well.runtime_dir)
    # More than the line takes: the rest is told, and others have their turn when one goes.
    many = [well.websocket(name="serial") for _ in range(8)]
    for s in many:
        read_head(s)
    for s in many:
        expect(s, b"ready")
    with well.websocket(name="serial") as s:
        read_head(s)
        op, said = read_frame(s)
        assert op == 8 and b"too many" in said
    # A flood that nobody reads the echo of.
    flood = frame(b"y" * 60000)
    many[0].settimeout(0.5)
    sent = 0
    end = time.monotonic() + 3
    while time.monotonic() < end:
        try:
            sent += many[0].send(flood)
        except TimeoutError:
            break
    assert sent < 16 << 20  # it waits
    well.is_well()
    for s in many:
        s.close()
    end = time.monotonic() + 60
    while True:
        with well.websocket(name="serial") as s:
            read_head(s)
            if read_frame(s)[0] == 2:
                break
        assert time.monotonic() < end
    well.is_well()


@pytest.mark.parametrize("idle", [b"", b"GET / HTTP/1.1\r\nA:"])
def test_connections_when_as_many_as_may_be_say_nothing_expect_the_page_and_viewers_served(
        idle, well, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", well.runtime_dir)
    loris = []
    for _ in range(64 + 16):
        s = socket.create_connection(("127.0.0.1", well.port), timeout=60)
        s.sendall(idle)
        loris.append(s)
    start = time.monotonic()
    well.is_well()
    with well.websocket() as s:
        while b"RFB 003.008\n" not in read_head(s) + s.recv(64):
            pass
    # They would have had 20 seconds each.
    assert time.monotonic() - start < 15
    for s in loris:
        s.close()


def test_page_when_the_helper_has_many_who_may_be_there_expect_one_more_closed(well, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", well.runtime_dir)
    time.sleep(1)
    viewers = []
    end = time.monotonic() + 60
    while len(viewers) < 64:
        s = well.websocket()
        try:
            assert read_head(s).startswith(b"HTTP/1.1 101")
            viewers.append(s)
        except (AssertionError, ConnectionError):
            assert time.monotonic() < end
            time.sleep(0.5)
    with pytest.raises((AssertionError, ConnectionError)):
        read_head(well.websocket())
    for s in viewers:
        s.close()
    while True:
        try:
            well.is_well()
            break
        except (ConnectionError, http.client.HTTPException):
            assert time.monotonic() < end
            time.sleep(0.1)
