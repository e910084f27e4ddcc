# SPDX-License-Identifier: GPL-2.0-or-later
"""Scripts that type, click, look and wait: `lodge key` and its like, and the QMP commands under them.

Run: make t T=system/input
"""
import os
import re
import subprocess
import time
import zlib

import pytest
from modules import modules
from qmp import Error, Qmp, lodge, wait_for
from vm import LODGE, TOP, kernel

pytestmark = pytest.mark.usefixtures("runtime_dir")

BIOS = ("-bios", "bios-256k.bin", "-L", os.path.dirname(kernel("linuxboot")))


class Machine:
    def __init__(self, *args, log=subprocess.DEVNULL):
        self.child = subprocess.Popen([*LODGE, "-name", "m", "-display", "none", "-nic", "none",
                                       *args], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self):
        wait_for("m").close()
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()


def wait_text(text, timeout=240, *more):
    lodge("wait", "m", "--text", text, "--timeout", str(timeout), *more, timeout=timeout + 60)


def test_grub_when_keys_come_by_scripts_expect_it_obeys(tmp_path):
    png, ppm, part = (str(tmp_path / n) for n in ("a.png", "a.ppm", "part.ppm"))
    with Machine("-vga", "std", "-m", "64M", "-cdrom", kernel("grub-cd")):
        wait_text("*GNU/Linux")
        lodge("key", "m", "c")
        wait_text("grub> ")
        lodge("type", "m", r"echo Hello,\ World_! 'a|b~'\n")
        lodge("wait", "m", "--regex", r"^ *Hello, World_! a\|b~$", "--timeout", "60")
        # Chords, and keys one after another.
        lodge("key", "m", "shift-x", "y", "backspace", "ctrl-u", "esc")
        wait_text("*GNU/Linux")
        wait_text("grub> ", 60, "--gone")
        wait_text("Press enter to boot", 60)
        time.sleep(1)  # it is drawn to its end
        # A picture of it is found on the screen, and so is a piece of it; another is not.
        lodge("screenshot", "m", png)
        lodge("screenshot", "m", ppm)
        with open(ppm, "rb") as f:
            head = f.read(15)
            assert head == b"P6\n720 400\n255\n"
            rows = [f.read(720 * 3) for _ in range(400)]
        assert any(any(r) for r in rows)
        lodge("wait", "m", "--picture", png, "--timeout", "30")
        piece = [r[3 * 200:3 * 300] for r in rows[100:130]]
        with open(part, "wb") as f:
            f.write(b"P6\n100 30\n255\n" + b"".join(piece))
        lodge("wait", "m", "--picture", part, "--timeout", "30")
        with open(part, "wb") as f:
            f.write(b"P6\n100 30\n255\n" + bytes([1]) + b"".join(piece)[1:])
        r = lodge("wait", "m", "--picture", part, "--timeout", "0.5", ok=False)
        assert r.returncode == 1 and "was not on the screen" in r.stderr


LINUX = """#!/bin/sh
for m in %s; do insmod /bin/$m; done
sleep 1
exec setsid cttyhack sh -i </dev/tty1 >/dev/tty1 2>&1
"""
READ = r"""cat /dev/input/mice | hexdump -v -e '3/1 "%02x" "\\n"' >/tmp/m & clear; echo READY$((1+1))\n"""


def linux(tmp_path, *wanted):
    mods = modules("amd64", *wanted)
    job = tmp_path / "job"
    job.write_text(LINUX % " ".join(os.path.basename(m) for m in mods))
    os.chmod(job, 0o755)
    out = str(tmp_path / "initrd")
    subprocess.run(["sh", os.path.join(TOP, "tools/mkinitramfs.sh"), out,
                    kernel("busybox-amd64"), os.path.join(TOP, "tools/guest_init.sh"), str(job),
                    *mods], check=True)
    return (*BIOS, "-m", "256M", "-kernel", kernel("amd64"), "-initrd", out, "-append",
            "console=tty0 cryptomgr.notests quiet lodge.cmd=job")


def test_linux_when_typed_and_clicked_expect_its_shell_and_mouse_hear_it(tmp_path):
    with Machine("-vga", "std", *linux(tmp_path, "psmouse")):
        wait_text("guest#")
        lodge("type", "m", READ)
        wait_text("READY2")
        q = Qmp(wait_for("m"))
        assert q("query-mice") == [{"name": "PS/2 Mouse", "index": 0, "current": True,
                                    "absolute": False}]
        q.hmp("mouse_move 5 3")
        q.hmp("mouse_button 1")
        q.hmp("mouse_button 0")
        q.close()
        lodge("type", "m", "sleep 1; kill %1; sleep 1; cat /tmp/m; echo END$((1+1))\\n")
        wait_text("END2", 60)
        # Movement as PS/2 mice tell it: right 5, up -3; the button down and up.
        text = "\n".join(Qmp(wait_for("m"))("x-screen-text")["lines"])
        got = [l for l in text.split("\n") if re.fullmatch("[0-9a-f]{6}", l)]
        assert "2805fd" in got, text
        assert "090000" in got and got.index("090000") < len(got) - 1 - got[::-1].index("080000")


def test_qmp_when_keys_and_pictures_are_asked_for_expect_qemus_answers(tmp_path):
    with Machine("-vga", "std", "-m", "64M", "-S", "-sandbox", "on,path=" + str(tmp_path)):
        q = Qmp(wait_for("m"))
        key = lambda name: {"type": "qcode", "data": name}  # noqa: E731
        q("send-key", keys=[key("ctrl"), key("alt"), key("delete")], hold_time=1)
        assert q("x-query-input")["waiting"] > 0
        with pytest.raises(Error, match="there is no key 'nonsense'"):
            q("send-key", keys=[key("nonsense")])
        with pytest.raises(Error, match="1 to 16 keys"):
            q("send-key", keys=[])
        with pytest.raises(Error, match="no button"):
            q("input-send-event", events=[{"type": "btn", "data": {"button": "9", "down": True}}])
        with pytest.raises(Error, match="no such key, button or position"):
            q("input-send-event", events=[{"type": "abs", "data": {"axis": "x", "value": 1 << 20}}])
        with pytest.raises(Error, match="find room"):
            for _ in range(2000):
                q("send-key", keys=[{"type": "number", "data": 30}], hold_time=60000)
        ppm, png = str(tmp_path / "a.ppm"), str(tmp_path / "a.png")
        q("screendump", filename=ppm)
        q("screendump", filename=png, format="png")
        with open(ppm, "rb") as f:
            assert f.read(3) == b"P6\n"
        with open(png, "rb") as f:
            assert f.read(4) == b"\x89PNG"
        with pytest.raises(Error, match="'format' is png or ppm"):
            q("screendump", filename=ppm, format="gif")
        with pytest.raises(Error, match="cannot write '/nonexistent/a'"):
            q("screendump", filename="/nonexistent/a")
        with pytest.raises(Error, match="the picture has 0 bytes"):
            q("x-screen-picture", offset=5)
        r = lodge("type", "m", "a", ok=False)
        assert r.returncode == 1 and "find room" in r.stderr


def test_sandbox_when_the_file_is_elsewhere_expect_screendump_refused_and_screenshot_works(tmp_path):
    with Machine("-vga", "std", "-m", "64M", "-S"):
        q = Qmp(wait_for("m"))
        path = "/var/tmp/lodge-%d.ppm" % os.getpid()
        try:
            q("screendump", filename=path)
            os.unlink(path)  # this kernel has no Landlock
        except Error as e:
            assert "the sandbox has only the files" in e.desc
        lodge("screenshot", "m", str(tmp_path / "a.png"))
        with open(tmp_path / "a.png", "rb") as f:
            data = f.read()
        assert zlib.crc32(data[12:29]) == int.from_bytes(data[29:33], "big")


def test_commands_when_wrong_expect_sentences(tmp_path):
    with Machine("-m", "64M", "-S"):
        for args, text in (
                (("screenshot", "m", "a.png"), "-vga std adds one"),
                (("wait", "m", "--text", "a"), "-vga std adds one"),
                (("wait", "m"), "for what?"),
                (("wait", "--text", "a"), "which machine?"),
                (("wait", "m", "--regex", "("), "no extended regular expression"),
                (("wait", "m", "--picture", "/nonexistent"), "cannot read '/nonexistent'"),
                (("key", "m", "ctrl-nonsense"), "names a key that there is not"),
                (("type", "m", "\u00e4"), "no key for the character U+00E4; -k LAYOUT"),
                (("click", "m", "1", "x"), "write the machine and the place")):
            r = lodge(*args, ok=False, cwd=tmp_path)
            assert r.returncode == 1 and text in r.stderr, (args, r.stderr)
