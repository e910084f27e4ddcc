# SPDX-License-Identifier: GPL-2.0-or-later
"""The page in a browser: headless Chromium, driven by Playwright, looks at GRUB and at Debian's kernel, types, and
presses each button.

Wants Debian's chromium-headless-shell (or chromium), nodejs and npm; noVNC comes from Debian's package, Playwright and
xterm.js from npm, once. Run: make t T=system/browser
"""
import re
import time

import pytest
from browser import Browser, novnc, xterm
from machine import GRUB, Machine, wait_text
from modules import modules
from qmp import Qmp, connect, lodge, wait_for
from vm import BOOT_TIMEOUT, initrd, kernel

pytestmark = pytest.mark.usefixtures("runtime_dir")

TERMINAL = "#terminal .xterm-helper-textarea"
ROWS = "#terminal .xterm-rows"


class Paged(Machine):
    def __init__(self, tmp_path, *args, terminal=True):
        web = "web=127.0.0.1:0,novnc=" + novnc() + (",xterm=" + xterm() if terminal else "")
        super().__init__(tmp_path, "-display", web, *args)

    def url(self):
        return re.search(r"screen at (http://\S+)\n", self.said())[1]


def grub(tmp_path, **more):
    return Paged(tmp_path, "-m", "64M", *GRUB, **more)


def linux(tmp_path, *files):
    return Paged(tmp_path, "-m", "256M", "-kernel", kernel("cloud-amd64"), "-initrd",
                   initrd("amd64", *files), "-append", "console=ttyS0 quiet")


def test_page_when_opened_expect_screen_keys_and_text_and_nobody_else_in(tmp_path):
    with grub(tmp_path) as m, Browser() as b:
        wait_text("Press enter to boot")
        url = m.url()
        bare = url.split("?")[0]
        assert b("status", url=bare) == 403
        opened = b("open", url=url)
        assert opened["title"] == "m" and "token" not in opened["url"]
        # The token was for one browser; nor is the page's own address enough.
        for address in (url, bare, opened["url"]):
            assert b("status", url=address) == 403, address
        assert b("again", url=bare) == 403
        assert b("again", url=opened["url"]) == 200
        # Keys, and text with Shift, a part of which no key writes.
        b("keys", keys=["c"])
        wait_text("grub>")
        assert "2 characters are on no key" in b("text", text="echo Hello_Wörld€! 'a|b~'\n")
        wait_text("Hello_Wrld! a|b~")
        b("clipboard", text="set a=of_the; echo ${a}_clipboard\n")
        wait_text("of_the_clipboard")
        b("keys", keys=["A", "Backspace", "x", "Control+u"])
        b("reload")
        b("keys", keys=[*"echo", "Space", *"ag", "Shift+A", *"in-", "Shift+4", "a", "Enter"])
        wait_text("agAin-of_the")
        assert b("errors") == []


def test_buttons_when_pressed_expect_what_they_say(tmp_path):
    with grub(tmp_path) as m, Browser() as b:
        wait_text("Press enter to boot")
        b("open", url=m.url())
        b("keys", keys=["c"])
        wait_text("grub>")
        # What the browser saves is what the machine shows.
        time.sleep(2)
        assert b("shot", path=str(tmp_path / "page.png")) == "m.png"
        with open(tmp_path / "page.png", "rb") as f:
            assert f.read(8) == b"\x89PNG\r\n\x1a\n"
        lodge("wait", "m", "--picture", str(tmp_path / "page.png"), "--timeout", "60")
        assert b("full") is True
        assert b("full") is False
        q = Qmp(wait_for("m"))
        b("click", id="power")
        q.event("POWERDOWN")
        b("dismiss")
        b("click", id="reset")
        lodge("wait", "m", "--text", "grub>")
        b("accept")
        b("click", id="reset")
        assert not q.event("RESET")["data"]["guest"]
        wait_text("Press enter to boot")
        # The BIOS, which GRUB has its keys from, resets the machine.
        b("click", id="cad")
        assert q.event("RESET")["data"]["guest"]
        wait_text("Press enter to boot")
        assert b("errors") == []


def test_serial_tab_when_typed_in_expect_the_guests_answers_and_the_power_button_its_end(tmp_path):
    with linux(tmp_path, *modules("cloud-amd64", "button", "evdev")) as m, Browser() as b:
        b("open", url=m.url())
        b("click", id="toserial")
        b("see", text="guest# ", at=ROWS)  # it may have been said before
        b("write", text="echo $((6 * 7))-answers\n", at=TERMINAL)
        b("see", text="42-answers", at=ROWS)
        # Somebody else at the same line sees it, types there, and is seen.
        s = connect("m", "console")
        s.sendall(b"echo seen-by-$((1 + 1))\n")
        b("see", text="seen-by-2", at=ROWS)
        assert b("text", text="echo text-$((40 + 2))\n") == ""
        b("see", text="text-42", at=ROWS)
        b("reload")
        b("click", id="toserial")
        b("see", text="text-42", at=ROWS)  # what was said last
        b("click", id="toscreen")
        b("click", id="toserial")
        names = [k.rsplit("/", 1)[-1] for k in modules("cloud-amd64", "button", "evdev")]
        s.sendall("".join("insmod /bin/%s; " % n for n in names).encode() +
                  b"e=$(grep -l Power /sys/class/input/event*/device/name | head -1); e=${e%/device/name}; "
                  b"(head -c 24 /dev/input/${e##*/} >/tmp/e && poweroff -f) & echo rea''dy\n")
        b("see", text="ready", at=ROWS)
        time.sleep(1)
        b("click", id="power")
        assert m.child.wait(BOOT_TIMEOUT) == 0
        b("see", text="not connected", at="#state")
        s.close()


def test_serial_tab_when_there_is_no_line_or_no_terminal_expect_a_sentence(tmp_path):
    with Paged(tmp_path, "-m", "32M", "-S", "-serial", "none") as m, Browser() as b:
        b("open", url=m.url())
        b("click", id="toserial")
        b("see", text="has no serial port", at="#serialstate")
    with Paged(tmp_path, "-m", "32M", "-S", terminal=False) as m, Browser() as b:
        b("open", url=m.url())
        b("click", id="toserial")
        b("see", text="There is no terminal", at="#serialstate")
