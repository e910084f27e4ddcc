# SPDX-License-Identifier: GPL-2.0-or-later
"""VNC with encryption: VeNCrypt with certificates and without, who gets in, and clients that misbehave before it.

Run: make t T=system/vnc_tls
"""
import os
import random
import re
import socket
import ssl
import struct
import subprocess

import pytest
from machine import wait_text
from qmp import Qmp, lodge, wait_for
from rfb import NEW_SIZE, ZRLE, Closed, Rfb
from test_vnc import Viewed, until_same

pytestmark = pytest.mark.usefixtures("runtime_dir")

NOBODY = (Closed, OSError, PermissionError)


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certificate(folder, name, ca, purpose):
    """NAME-cert.pem and NAME-key.pem, signed by the folder's `ca`."""
    key, req, cert = (folder / (name + "-" + n) for n in ("key.pem", "req.pem", "cert.pem"))
    ext = folder / "ext"
    ext.write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=%s\n" % purpose)
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", req, "-subj", "/CN=" + name)
    openssl("x509", "-req", "-in", req, "-CA", folder / (ca + "-cert.pem"), "-CAkey",
            folder / (ca + "-key.pem"), "-CAcreateserial", "-days", "2", "-out", cert, "-extfile", ext)


def authority(folder, name):
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / (name + "-key.pem"),
            "-out", folder / (name + "-cert.pem"), "-days", "2", "-subj", "/CN=" + name)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    d = tmp_path_factory.mktemp("pki")
    authority(d, "ca")
    authority(d, "other")
    certificate(d, "server", "ca", "serverAuth")
    certificate(d, "client", "ca", "clientAuth")
    certificate(d, "stranger", "other", "clientAuth")
    return d


def context(pki, who=None):
    c = ssl.create_default_context(cafile=str(pki / "ca-cert.pem"))
    c.check_hostname = False
    if who:
        c.load_cert_chain(str(pki / (who + "-cert.pem")), str(pki / (who + "-key.pem")))
    return c


def anonymous():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    c.maximum_version = ssl.TLSVersion.TLSv1_2
    c.set_ciphers("aNULL:@SECLEVEL=0")
    return c


def x509(pki, more=""):
    return ("-object", "tls-creds-x509,id=t,endpoint=server,dir=%s%s" % (pki, more))


def test_viewer_when_it_has_a_certificate_expect_the_screen_without_password(pki, tmp_path):
    with Viewed(tmp_path, *x509(pki), vnc="127.0.0.1:%d,tls-creds=t") as m:
        assert "password" not in m.said()
        assert Qmp(wait_for("m"))("query-vnc")["auth"] == "vencrypt+x509+none"
        wait_text("Press enter to boot")
        with Rfb(m.address, encodings=(ZRLE, NEW_SIZE), tls=context(pki, "client")) as r:
            assert r.vencrypt_kind == 260 and r.sock.version() == "TLSv1.3"
            r.update(False)
            until_same(r, tmp_path)
            r.type("c")
            wait_text("grub>")
            until_same(r, tmp_path)
        for who in (None, "stranger", "server"):
            with pytest.raises(NOBODY):
                with Rfb(m.address, tls=context(pki, who)) as r:
                    r.update(False)
        # Without encryption there is nothing.
        s = socket.create_connection(m.address, timeout=30)
        s.recv(12)
        s.sendall(b"RFB 003.008\n")
        assert s.recv(2) == b"\1\x13"
        s.sendall(b"\1")
        assert s.recv(4) == b"\0\0\0\1"
        s.close()
        with Rfb(m.address, tls=context(pki, "client")) as r:
            r.update(False)


def test_viewer_when_there_are_no_client_certificates_expect_a_password_needed(pki, tmp_path):
    with Viewed(tmp_path, "-S", *x509(pki, ",verify-peer=off"), vnc="127.0.0.1:%d,tls-creds=t",
                 media=False) as m:
        password = re.search(r"password: (\S{8})\n", m.said())[1]
        for wrong in ("", "wrong"):
            with pytest.raises(PermissionError):
                Rfb(m.address, password=wrong, tls=context(pki)).handshake()
        with Rfb(m.address, password=password, tls=context(pki)) as r:
            assert r.vencrypt_kind == 261
            r.update(False)
        assert Qmp(wait_for("m"))("query-vnc")["auth"] == "vencrypt+x509+vnc"


def test_viewer_when_encryption_is_anonymous_expect_the_password_inside(tmp_path):
    (tmp_path / "pw").write_text("secret\n")
    with Viewed(tmp_path, "-S", "-object", "tls-creds-anon,id=t,endpoint=server",
                 vnc="127.0.0.1:%%d,tls-creds=t,password-file=%s" % (tmp_path / "pw"),
                 media=False) as m:
        with Rfb(m.address, password="secret", tls=anonymous()) as r:
            assert r.vencrypt_kind == 258
            r.update(False)
        with pytest.raises(PermissionError):
            Rfb(m.address, password="guess", tls=anonymous()).handshake()


def child(pid, name):
    return int(subprocess.run(["pgrep", "-P", str(pid), name], stdout=subprocess.PIPE, text=True,
                              check=True).stdout.split()[0])


def test_processes_when_encrypted_expect_the_key_in_one_that_is_shut_in(pki, tmp_path):
    with Viewed(tmp_path, "-S", *x509(pki), vnc="127.0.0.1:%d,tls-creds=t", media=False) as m:
        with Rfb(m.address, tls=context(pki, "client")) as r:
            r.update(False)
            viewer = child(m.helper(), "lodge-vnc")
            with open("/proc/%d/status" % child(viewer, "lodge-tls")) as f:
                status = dict(line.split(":", 1) for line in f)
            assert status["Seccomp"].strip() == "2" and int(status["CapEff"], 16) == 0
            assert int(status["Seccomp_filters"]) >= 2


def test_clients_when_they_misbehave_before_and_in_tls_expect_the_machine_unharmed(pki, tmp_path):
    rng = random.Random(int(os.environ.get("LODGE_SEED", "1")))
    steps = [b"RFB 003.008\n", b"\x13", b"\0\2", struct.pack(">I", 260)]
    with Viewed(tmp_path, "-S", *x509(pki), vnc="127.0.0.1:%d,tls-creds=t", media=False) as m:
        helper = m.helper()
        for i in range(60):
            s = socket.create_connection(m.address, timeout=20)
            try:
                for step in steps[:i % 5]:
                    s.sendall(step)
                s.sendall(rng.randbytes(rng.randrange(1, 3000)))
                if i % 7 == 0:
                    s.settimeout(0.2)
                    s.recv(4096)
            except OSError:
                pass
            s.close()
        half = [socket.create_connection(m.address, timeout=20) for _ in range(10)]
        for s in half:
            s.sendall(b"RFB 003.008\n\x13\0\2")
        with Rfb(m.address, tls=context(pki, "client")) as r:
            r.update(False)
            assert m.helper() == helper
            # One that stops in the middle of a record.
            half[0].sendall(struct.pack(">I", 260) + b"\x16\3\1\2\0\1")
        for s in half:
            s.close()
        assert Qmp(wait_for("m"))("query-status")["status"] == "prelaunch"


def test_many_when_encrypted_expect_all_served(pki, tmp_path):
    with Viewed(tmp_path, "-S", *x509(pki), vnc="127.0.0.1:%d,tls-creds=t", media=False) as m:
        viewers = [Rfb(m.address, tls=context(pki, "client")) for _ in range(16)]
        for r in viewers:
            r.handshake()
        for r in viewers:
            r.update(False)
            r.sock.close()


@pytest.mark.parametrize("args,text", [
    (("-vnc", ":7001,tls-creds=t"), "names no object"),
    (("-vnc", ":7001,tls-creds=t", "-object", "tls-creds-x509,id=t,dir=/"), "endpoint=server"),
    (("-vnc", ":7001,tls-creds=t", "-object", "tls-creds-x509,id=t,endpoint=server"), "dir= is missing"),
    (("-vnc", ":7001,tls-creds=t", "-object",
      "tls-creds-x509,id=t,endpoint=server,dir=/nonexistent"), "/nonexistent/ca-cert.pem"),
    (("-vnc", ":7001,tls-creds=t", "-object", "tls-creds-psk,id=t,endpoint=server"), "VNC takes"),
    (("-vnc", ":7001", "-object", "tls-creds-anon,id=t,endpoint=server"), "nothing uses"),
    (("-vnc", ":7001,tls-creds=t", "-object", "tls-creds-anon,id=t,endpoint=server,priority=NO"),
     "priority"),
    (("-vnc", "0.0.0.0:7001,password=off,tls-creds=t", "-object",
      "tls-creds-anon,id=t,endpoint=server"), "is not offered"),
])
def test_options_when_wrong_expect_sentences(args, text):
    r = lodge("run", "-S", "-m", "32M", *args, ok=False)
    assert r.returncode == 1 and text in r.stderr, r.stderr


def test_open_port_when_nobody_is_asked_who_he_is_expect_it_refused(pki):
    r = lodge("run", "-S", "-m", "32M", "-vnc", "0.0.0.0:7001,password=off,tls-creds=t",
              *x509(pki, ",verify-peer=off"), ok=False)
    assert r.returncode == 1 and "is not offered" in r.stderr, r.stderr
