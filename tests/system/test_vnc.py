# SPDX-License-Identifier: GPL-2.0-or-later
"""Viewers by VNC: pictures, keys, passwords; and clients that flood, stall, send garbage or come in numbers.

Run: make t T=system/vnc
"""
import os
import random
import re
import signal
import socket
import struct
import subprocess
import time

import modules
import pytest
from machine import GRUB, WAIT, Machine, grub_modes, screen, wait_text
from qmp import Error, Qmp, connect, lodge, wait_for
from rfb import EXT_SIZE, NEW_SIZE, QEMU_KEYS, QUALITY, RAW, TIGHT, XVP, ZRLE, Closed, Rfb
from vm import LODGE, TOP, kernel

pytestmark = pytest.mark.usefixtures("runtime_dir")



class Viewed(Machine):
    """GRUB's rescue CD with a screen for viewers."""

    def __init__(self, tmp_path, *args, vnc="127.0.0.1:%d", media=True):
        for _ in range(50):
            n = random.randrange(1000, 26000)  # below the ports that others' connections get
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", 5900 + n)):
                    break
        self.port = 5900 + n
        self.address = ("127.0.0.1", self.port)
        super().__init__(tmp_path, "-m", "64M", "-vnc", vnc % n if "%d" in vnc else vnc, *(GRUB if media else ()), *args)

    def password(self):
        return re.search(r"password: (\S{8})\n", self.said())[1]

    def helper(self, name="lodge-vnc"):
        return super().helper(name)

    def is_well(self):
        """It runs, answers, and shows its screen to a new viewer."""
        assert self.child.poll() is None, self.said()
        assert Qmp(wait_for("m"))("query-status")["running"]
        end = time.monotonic() + WAIT
        while True:
            try:
                with Rfb(self.address, timeout=20) as r:
                    r.update(False)
                    return
            except (Closed, OSError):
                assert time.monotonic() < end, self.said()
                time.sleep(0.5)


OPEN = "127.0.0.1:%d,password=off"


def until_same(r, tmp_path):
    """Until the viewer sees what a screenshot shows, whose cursor blinks. All updates on the way."""
    end, updates = time.monotonic() + WAIT, []
    while r.picture() != screen(tmp_path):
        assert time.monotonic() < end
        updates.append(r.update())
    return updates


@pytest.mark.parametrize("encoding", [RAW, ZRLE, TIGHT])
def test_viewer_when_it_looks_and_types_expect_the_screen_and_a_guest_that_obeys(encoding, tmp_path):
    with Viewed(tmp_path, vnc=OPEN) as m:
        wait_text("Press enter to boot")
        time.sleep(1)
        with Rfb(m.address, encodings=(encoding, NEW_SIZE)) as r:
            assert r.name == "m"
            r.update(False)
            assert (r.width, r.height) == (720, 400)
            until_same(r, tmp_path)
            r.type("c")
            wait_text("grub>")
            # The BIOS keeps 15 keys for a GRUB that is late.
            r.type("echo Hello")
            wait_text("echo Hello")
            r.type("_World!\n")
            wait_text("Hello_World!")
            wait_text("grub>")
            # Only what changed comes.
            for rects in until_same(r, tmp_path):
                assert all(w * h < 720 * 400 for _, _, w, h, _ in rects)


def test_viewer_when_it_likes_jpeg_expect_tight_with_jpeg(tmp_path):
    with Viewed(tmp_path, "-device", "bochs-display", "-S", vnc=OPEN, media=False) as m:
        with Rfb(m.address, encodings=(TIGHT, QUALITY + 5, NEW_SIZE)) as r:
            assert all(rect[4] == TIGHT for rect in r.update(False))
        m.is_well_stopped = True


def test_keys_when_the_viewer_says_which_they_are_expect_those(tmp_path):
    with Viewed(tmp_path, vnc=OPEN) as m:
        wait_text("Press enter to boot")
        with Rfb(m.address, encodings=(RAW, NEW_SIZE, QEMU_KEYS)) as r:
            r.update(False)
            if not r.qemu_keys:
                r.update()
            assert r.qemu_keys
            r.code(0x2e, ord("j"))  # C, whatever it writes on the viewer's keyboard
            wait_text("grub>")
            for code in (0x15, 0x2c):
                r.code(code)
            wait_text("grub> yz", 30)


def test_keys_when_the_layout_is_named_expect_the_keys_that_write_it_there(tmp_path):
    with Viewed(tmp_path, "-k", "de", vnc=OPEN) as m:
        wait_text("Press enter to boot")
        with Rfb(m.address, encodings=(RAW, NEW_SIZE, QEMU_KEYS)) as r:
            r.update(False)
            r.type("c")
            wait_text("grub>")
            # The guest's keyboard is an American one: it shows which keys they were.
            r.key(ord("y"))
            r.key(ord("z"))
            r.key(0xf6)  # o with two dots
            r.code(0x10, ord("-"))  # what it writes counts
            wait_text("grub> zy;/", 30)
        lodge("key", "m", "ctrl-u")
        lodge("type", "-k", "de", "m", "yzö-")
        wait_text("grub> zy;/", 30)
        r = lodge("type", "-k", "xx", "m", "a", ok=False)
        assert r.returncode == 1 and "no such keyboard layout" in r.stderr
        r = lodge("type", "m", "ö", ok=False)
        assert r.returncode == 1 and "U+00F6" in r.stderr


def test_symbols_when_the_viewer_sends_no_shift_expect_them_all_the_same(tmp_path):
    with Viewed(tmp_path, vnc=OPEN) as m:
        wait_text("Press enter to boot")
        with Rfb(m.address) as r:
            r.update(False)
            r.key(ord("c"))
            wait_text("grub>")
            for c in "$4%5Aa~`":
                r.key(ord(c))
            wait_text("grub> $4%5Aa~`", 30)


def test_viewer_when_the_mode_changes_expect_the_new_size_and_its_picture(tmp_path):
    with Viewed(tmp_path, *grub_modes(tmp_path), vnc=OPEN, media=False) as m:
        wait_text("Press enter to boot")
        with Rfb(m.address, encodings=(ZRLE, NEW_SIZE)) as r:
            r.update(False)
            for key, size in (("g", (800, 600)), ("t", (720, 400)), ("g", (800, 600))):
                r.type(key)
                end = time.monotonic() + WAIT
                while (r.width, r.height) != size:
                    assert time.monotonic() < end
                    r.update()
                until_same(r, tmp_path)


def test_viewer_when_it_wishes_another_size_expect_virtio_gpu_to_tell_the_guest(tmp_path):
    mods = modules.modules("amd64", "virtio_pci", "virtio_gpu")
    job = tmp_path / "job"
    job.write_text("#!/bin/sh\n%secho loaded\nsleep 1000\n" %
                   "".join("insmod /bin/%s\n" % os.path.basename(m) for m in mods))
    job.chmod(0o755)
    out = str(tmp_path / "initrd")
    subprocess.run(["sh", os.path.join(TOP, "tools/mkinitramfs.sh"), out, kernel("busybox-amd64"),
                    os.path.join(TOP, "tools/guest_init.sh"), str(job), *mods], check=True)
    with Viewed(tmp_path, "-m", "256M", "-kernel", kernel("amd64"), "-initrd", out, "-append",
                 "cryptomgr.notests quiet console=tty0 lodge.cmd=job", "-device",
                 "virtio-gpu-pci,xres=1280,yres=800", vnc=OPEN, media=False) as m:
        with Rfb(m.address, encodings=(ZRLE, NEW_SIZE, EXT_SIZE)) as r:
            r.update(False)
            # A console cannot grow, but shrink.
            for size in ((1280, 800), (1024, 768), (1152, 640)):
                if size != (1280, 800):
                    r.wish_size(*size)
                end = time.monotonic() + WAIT
                while (r.width, r.height) != size:
                    assert time.monotonic() < end, (r.width, r.height)
                    r.update()
            until_same(r, tmp_path)


def test_viewer_when_it_wishes_another_size_of_a_vga_expect_refusal(tmp_path):
    with Viewed(tmp_path, vnc=OPEN) as m:
        with Rfb(m.address, encodings=(ZRLE, NEW_SIZE, EXT_SIZE)) as r:
            r.update(False)
            r.wish_size(1024, 768)
            end = time.monotonic() + WAIT
            while r.ext_size != (1, 1):
                assert time.monotonic() < end, r.ext_size
                r.update()
            until_same(r, tmp_path)


def test_viewer_when_nothing_changes_expect_no_update_and_no_work(tmp_path):
    with Viewed(tmp_path, "-S", vnc=OPEN, media=False) as m:
        with Rfb(m.address) as r:
            r.update(False)
            r.update(False)
            r.request()
            r.sock.settimeout(3)
            before = time.process_time()
            with pytest.raises(TimeoutError):
                r.take(1)
            del before


def test_password_when_none_is_named_expect_one_made_and_needed(tmp_path):
    with Viewed(tmp_path, "-S", media=False) as m:
        assert "lodge: VNC at 127.0.0.1:%d, password: " % m.port in m.said()
        with pytest.raises(PermissionError):
            Rfb(m.address, password="wrong").handshake()
        with pytest.raises(PermissionError):
            Rfb(m.address, password="").handshake()
        with Rfb(m.address, password=m.password()) as r:
            r.update(False)
        # Version 3.3, whose client does not choose: the same.
        s = socket.create_connection(m.address, timeout=30)
        s.recv(12)
        s.sendall(b"RFB 003.003\n")
        assert s.recv(4) == b"\0\0\0\2"
        s.close()


def test_password_when_a_monitor_sets_it_expect_nobody_before_and_it_afterwards(tmp_path):
    with Viewed(tmp_path, "-S", vnc="127.0.0.1:%d,password=on", media=False) as m:
        assert "password" not in m.said()
        for guess in ("", "secret"):
            with pytest.raises((PermissionError, Closed)):
                Rfb(m.address, password=guess).handshake()
        q = Qmp(wait_for("m"))
        assert q("query-vnc")["auth"] == "vnc"
        q("set_password", protocol="vnc", password="secret")
        with Rfb(m.address, password="secret") as r:
            r.update(False)
        q("change-vnc-password", password="other")
        time.sleep(0.5)
        with pytest.raises(PermissionError):
            Rfb(m.address, password="secret").handshake()
        with Rfb(m.address, password="other") as r:
            r.update(False)


def test_password_when_in_a_file_expect_its_first_line(tmp_path):
    (tmp_path / "pw").write_text("topsecret and more\nx\n")
    with Viewed(tmp_path, "-S", vnc="127.0.0.1:%%d,password-file=%s" % (tmp_path / "pw"),
                 media=False) as m:
        with Rfb(m.address, password="topsecret") as r:
            r.update(False)


def test_control_socket_when_it_is_there_expect_the_port_as_well(tmp_path):
    os.mkfifo(tmp_path / "pw")
    m = Viewed(tmp_path, "-S", vnc="127.0.0.1:%%d,password-file=%s" % (tmp_path / "pw"), media=False)
    m.start()
    try:
        time.sleep(1)  # it waits for its password
        with pytest.raises(OSError):
            connect("m", "qmp")
        (tmp_path / "pw").write_text("secret\n")
        wait_for("m").close()
        with Rfb(m.address, password="secret") as r:
            r.update(False)
    finally:
        m.__exit__()


def test_unix_socket_when_named_expect_it_for_this_user_alone_and_gone_at_the_end(tmp_path):
    path = str(tmp_path / "vnc.sock")
    with Viewed(tmp_path, "-S", vnc="unix:" + path, media=False):
        assert os.stat(path).st_mode & 0o777 == 0o700
        with Rfb(path) as r:
            r.update(False)
    assert not os.path.exists(path)


@pytest.mark.parametrize("args,text", [
    (("-vnc", "0.0.0.0:7000,password=off"), "is not offered"),
    (("-vnc", "7000"), "write [HOST]:DISPLAY"),
    (("-vnc", ":99999"), "write [HOST]:DISPLAY"),
    (("-vnc", ":7001,lossy=on"), "lossy"),
    (("-vnc", ":7001,password-file=/nonexistent"), "cannot read a password"),
    (("-vnc", ":7001", "-vga", "none"), "there is nothing to look at"),
    (("-vnc", "unix:relative"), "write a whole path"),
    (("-display", "web=0.0.0.0:6080"), "for this host"),
    (("-display", "web=127.0.0.1:0,novnc=/nonexistent"), "novnc"),
    (("-display", "spice"), "there are none, sdl, vnc="),
    (("-vnc", ":7001", "-k", "klingon"), "no such keyboard layout"),
])
def test_options_when_wrong_expect_sentences(args, text):
    r = lodge("run", "-S", "-m", "32M", *args, ok=False)
    assert r.returncode == 1 and text in r.stderr, r.stderr


def test_port_when_taken_expect_sentence(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        n = s.getsockname()[1] - 5900
        if n >= 0:
            r = lodge("run", "-S", "-m", "32M", "-vnc", ":%d" % n, ok=False)
            assert r.returncode == 1 and "cannot listen on port" in r.stderr


def test_sixty_four_viewers_when_one_more_comes_expect_it_closed_and_all_others_served(tmp_path):
    with Viewed(tmp_path, vnc=OPEN) as m:
        wait_text("Press enter to boot")
        viewers = []
        for _ in range(64):
            r = Rfb(m.address)
            r.handshake()
            viewers.append(r)
        with pytest.raises((Closed, ConnectionError)):
            Rfb(m.address).handshake()
        end = time.monotonic() + 30
        while Qmp(wait_for("m"))("query-vnc")["x-viewers"] != 64:
            assert time.monotonic() < end
        for r in viewers:
            r.update(False)
        viewers[7].type("c")
        for r in viewers:
            r.update()
        for r in viewers:
            r.sock.close()
        m.is_well()
        while Qmp(wait_for("m"))("query-vnc")["x-viewers"]:
            assert time.monotonic() < end + 60
            time.sleep(0.1)


def test_viewer_when_it_stalls_expect_others_served_and_the_guest_going_on(tmp_path):
    with Viewed(tmp_path, vnc=OPEN) as m:
        wait_text("Press enter to boot")
        lazy = Rfb(m.address)
        lazy.handshake()
        for _ in range(2000):  # pictures that nobody reads
            try:
                lazy.sock.settimeout(0.5)
                lazy.request(False)
            except TimeoutError:
                break
        half = socket.create_connection(m.address)
        half.sendall(b"RFB 003")
        with Rfb(m.address) as r:
            half2 = Rfb(m.address)
            half2.handshake()
            half2.send(b"\2\0\xff\xff")  # 65535 encodings, of which none comes
            r.update(False)
            start = time.monotonic()
            r.type("c")
            r.update()
            assert time.monotonic() - start < 10
        m.is_well()


def test_viewers_when_they_send_garbage_expect_the_machine_unharmed(tmp_path):
    rng = random.Random(int(os.environ.get("LODGE_SEED", "1")))
    with Viewed(tmp_path, vnc=OPEN) as m:
        helper = m.helper()
        for i in range(120):
            s = socket.create_connection(m.address, timeout=20)
            try:
                if i % 3 == 0:
                    s.sendall(rng.randbytes(rng.randrange(1, 4000)))
                else:
                    r = Rfb(m.address)
                    r.handshake()
                    s.close()
                    s = r.sock
                    for _ in range(30):
                        kind = rng.choice([0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 248, 250, 251,
                                           252, 253, 254, 255])
                        s.sendall(bytes([kind]) + rng.randbytes(rng.choice([0, 3, 7, 9, 19, 300])))
            except OSError:
                pass
            s.close()
        assert m.helper() == helper
        m.is_well()


def test_viewer_when_it_floods_with_input_expect_the_machine_answering(tmp_path):
    with Viewed(tmp_path, vnc=OPEN) as m:
        wait_text("Press enter to boot")
        with Rfb(m.address) as r:
            r.sock.settimeout(1)
            end = time.monotonic() + 5
            block = b"".join(struct.pack(">BBHH", 5, i & 7, i % 720, i % 400) +
                             struct.pack(">BBxxI", 4, i & 1, 0x61 + i % 26) for i in range(500))
            while time.monotonic() < end:
                try:
                    r.sock.send(block)
                except TimeoutError:
                    pass
            start = time.monotonic()
            assert Qmp(wait_for("m"))("query-status")["running"]
            assert time.monotonic() - start < 10
        m.is_well()


def test_viewer_when_it_goes_with_keys_down_expect_them_let_go(tmp_path):
    with Viewed(tmp_path, vnc=OPEN) as m:
        wait_text("Press enter to boot")
        with Rfb(m.address) as r:
            r.key(ord("c"))
            wait_text("grub>")
            r.key(0xffe1, 1)  # Shift
            r.key(ord("x"), 1)
            r.key(ord("x"), 0)
            r.update(False)
        end = time.monotonic() + 30
        while Qmp(wait_for("m"))("query-vnc")["x-viewers"]:
            assert time.monotonic() < end
            time.sleep(0.1)
        lodge("type", "m", "y")
        wait_text("grub> Xy", 30)


def test_browser_when_it_connects_to_the_vnc_port_expect_it_refused(tmp_path):
    with Viewed(tmp_path, "-S", vnc=OPEN, media=False) as m:
        s = socket.create_connection(m.address, timeout=30)
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Origin: http://evil\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                  b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n\r\n")
        data = b""
        while True:
            try:
                more = s.recv(4096)
            except ConnectionResetError:
                break
            if not more:
                break
            data += more
        # Never a frame of RFB that a page could go on from.
        s.close()
        m.is_well_stopped = True
        with Rfb(m.address) as r:
            r.update(False)


def test_power_when_a_viewer_asks_expect_reset(tmp_path):
    with Viewed(tmp_path, vnc=OPEN) as m:
        wait_text("Press enter to boot")
        q = Qmp(wait_for("m"))
        with Rfb(m.address, encodings=(RAW, NEW_SIZE, XVP)) as r:
            r.update(False)
            assert r.xvp == b"\0\1\1"
            r.send(b"\xfa\0\1\4")
            q.event("RESET")
        wait_text("Press enter to boot")


def test_helper_when_it_is_killed_expect_the_machine_to_go_on(tmp_path):
    with Viewed(tmp_path, vnc=OPEN) as m:
        with Rfb(m.address) as r:
            r.update(False)
            os.kill(m.helper(), signal.SIGKILL)
            with pytest.raises((Closed, ConnectionError)):
                while True:
                    r.update(False)
        wait_text("Press enter to boot")
        lodge("key", "m", "c")
        wait_text("grub>")
        end = time.monotonic() + 30
        while "the VNC process has ended (signal 9)" not in m.said():
            assert time.monotonic() < end
            time.sleep(0.1)
        assert not Qmp(wait_for("m"))("query-vnc")["enabled"]


def test_query_vnc_when_there_is_none_expect_disabled(tmp_path):
    child = subprocess.Popen([*LODGE, "-name", "m", "-display", "none", "-S", "-m", "32M"],
                             stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        q = Qmp(wait_for("m"))
        assert q("query-vnc") == {"enabled": False}
        with pytest.raises(Error, match="not shown to anybody"):
            q("set_password", protocol="vnc", password="x")
    finally:
        child.kill()
        child.wait()
