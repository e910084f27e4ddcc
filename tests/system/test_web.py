# SPDX-License-Identifier: GPL-2.0-or-later
"""The page for browsers, without a browser: who gets in, what is served, requests that are none.

What a browser makes of it: tests/systems/test_web.py. Run: make t T=system/web
"""
import base64
import http.client
import os
import random
import re
import signal
import socket
import subprocess

import pytest
from qmp import Qmp, wait_for
from vm import LODGE

# Without Debian's package, whose dependencies are many: its files are not looked into here.
NOVNC = "/usr/share/novnc"


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path, monkeypatch):
    d = tmp_path / "run"
    d.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(d))
    return d


class Machine:
    def __init__(self, tmp_path, *args):
        self.log, self.args = tmp_path / "log", args
        self.novnc = tmp_path / "novnc"
        for name in ("core/rfb.js", "core/util/int.js", "vendor/pako/lib/zlib/inflate.js"):
            (self.novnc / name).parent.mkdir(parents=True, exist_ok=True)
            (self.novnc / name).write_text("// " + name)
        (tmp_path / "secret").write_text("secret")
        (self.novnc / "core/link.js").symlink_to(tmp_path / "secret")

    def __enter__(self):
        with open(self.log, "w") as f:
            self.child = subprocess.Popen(
                [*LODGE, "-name", "m", "-nic", "none", "-m", "32M", "-S", "-display",
                 "web=127.0.0.1:0,novnc=%s" % self.novnc, *self.args],
                stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        wait_for("m").close()
        m = re.search(r"screen at http://127\.0\.0\.1:(\d+)/\?token=([0-9a-f]{64})\n",
                      self.log.read_text())
        self.port, self.token = int(m[1]), m[2]
        self.cookie = None
        return self

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(30)

    def get(self, path, method="GET", **headers):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        if self.cookie:
            headers.setdefault("Cookie", self.cookie)
        c.request(method, path, headers=headers)
        r = c.getresponse()
        body = r.read().decode()
        c.close()
        return r, body

    def login(self):
        r, _ = self.get("/?token=" + self.token)
        assert r.status == 303 and r.getheader("Location") == "/"
        cookie = r.getheader("Set-Cookie")
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        self.cookie = cookie.split(";")[0]

    def websocket(self, cookie=None, origin=None, protocol="binary"):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        s.sendall(("GET /websockify HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nOrigin: %s\r\nCookie: %s\r\nSec-WebSocket-Key: %s\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: %s\r\n\r\n" % (
                       self.port, origin or "http://127.0.0.1:%d" % self.port,
                       cookie or self.cookie or "x=y",
                       base64.b64encode(os.urandom(16)).decode(), protocol)).encode())
        return s


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


def test_page_when_asked_for_without_session_expect_nothing_but_forbidden(tmp_path):
    with Machine(tmp_path) as m:
        for path in ("/", "/page.js", "/novnc/core/rfb.js", "/?token=", "/?token=" + "0" * 64,
                     "/?token=" + m.token[:-1], "/secret"):
            r, body = m.get(path)
            assert r.status == 403 and "x-web-address" in body, path
        r, _ = m.get("/", Cookie="lodge=" + "0" * 64)
        assert r.status == 403


def test_token_when_used_expect_one_session_and_the_page(tmp_path):
    with Machine(tmp_path) as m:
        m.login()
        r, body = m.get("/")
        assert r.status == 200 and "<title>Lodge</title>" in body
        assert "default-src 'none'" in r.getheader("Content-Security-Policy")
        assert r.getheader("X-Frame-Options") == "DENY"
        r, body = m.get("/page.js")
        assert r.status == 200 and "websockify" in body and "javascript" in r.getheader("Content-Type")
        r, body = m.get("/novnc/vendor/pako/lib/zlib/inflate.js")
        assert body == "// vendor/pako/lib/zlib/inflate.js"
        r, body = m.get("/page.js", "HEAD")
        assert r.status == 200 and not body
        for path in ("/nothing", "/novnc/core/link.js", "/novnc/core/../../secret", "/novnc", "/%2e"):
            assert m.get(path)[0].status == 404, path
        # Once.
        cookie, m.cookie = m.cookie, None
        assert m.get("/?token=" + m.token)[0].status == 403
        m.cookie = cookie
        address = Qmp(wait_for("m"))("x-web-address")["address"]
        m.cookie, m.token = None, address[-64:]
        m.login()
        assert m.get("/")[0].status == 200


def test_websocket_when_session_and_origin_are_right_expect_rfb(tmp_path):
    with Machine(tmp_path) as m:
        m.login()
        with m.websocket() as s:
            data = b""
            while b"RFB 003.008\n" not in data:
                more = s.recv(4096)
                assert more, data
                data += more
            assert data.startswith(b"HTTP/1.1 101")


def test_websocket_when_it_is_not_the_pages_expect_forbidden(tmp_path):
    with Machine(tmp_path) as m:
        m.login()
        for how in ({"cookie": "lodge=" + "1" * 64}, {"cookie": "a=b"}, {"origin": "http://evil"},
                    {"origin": "http://127.0.0.1:%d.evil.com" % m.port}, {"origin": "null"}):
            with m.websocket(**how) as s:
                assert read_all(s).startswith(b"HTTP/1.1 403"), how


def test_requests_when_they_are_none_expect_answers_and_a_server_that_goes_on(tmp_path):
    rng = random.Random(int(os.environ.get("LODGE_SEED", "1")))
    with Machine(tmp_path) as m:
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
        for _ in range(20):
            with m.websocket() as s:
                read_head(s)
                s.sendall(rng.randbytes(300))
        assert m.get("/")[0].status == 200
        for s in idle:
            s.close()
        assert Qmp(wait_for("m"))("query-status")["status"] == "prelaunch"
