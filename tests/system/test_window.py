# SPDX-License-Identifier: GPL-2.0-or-later
"""A window (-display sdl) at an X server: its picture, keys, pointer, title, end; and what its process may do.

Run: make t T=system/window
"""
import os
import signal
import time

import pytest
from machine import GRUB, Machine, grub_modes, screen, wait_text
from qmp import Qmp, lodge, wait_for
from test_usb import event, linux
from xserver import Xserver

pytestmark = pytest.mark.usefixtures("runtime_dir")

WAIT = 60


@pytest.fixture
def x(tmp_path):
    d = tmp_path / "x"
    d.mkdir()
    with Xserver(d) as server:
        yield server


@pytest.fixture
def desktop(tmp_path):
    d = tmp_path / "x"
    d.mkdir()
    with Xserver(d, manager=True) as server:
        yield server


class Windowed(Machine):
    def __init__(self, tmp_path, x, *args, display="sdl"):
        super().__init__(tmp_path, "-m", "64M", "-display", display, *args, env=x.env)
        self.x = x

    def __enter__(self):
        super().__enter__()
        try:
            self.window = self.x.window("Lodge")
        except AssertionError:
            self.child.kill()
            raise AssertionError(self.said()) from None
        return self

    def helper(self, name="lodge-window"):
        return super().helper(name)

    def status(self, key):
        with open("/proc/%d/status" % self.helper()) as f:
            return dict(line.split(":", 1) for line in f)[key].strip()

    def until_title(self, title):
        end = time.monotonic() + WAIT
        while self.x.title(self.window) != title:
            assert time.monotonic() < end, self.x.title(self.window)
            time.sleep(0.05)


def until_same(m, tmp_path):
    """Until the X server shows what a screenshot does, whose cursor blinks."""
    end = time.monotonic() + WAIT
    while True:
        if m.x.picture(*m.x.geometry(m.window)) == screen(tmp_path):
            return
        assert time.monotonic() < end
        time.sleep(0.05)


def test_window_when_the_guest_draws_expect_the_same_picture_and_keys_that_reach_it(x, tmp_path):
    with Windowed(tmp_path, x, *GRUB) as m:
        wait_text("Press enter to boot")
        until_same(m, tmp_path)
        assert x.geometry(m.window)[2:] == (720, 400)
        x.do("key", "c")
        wait_text("grub>")
        x.do("type", "--delay", "60", "echo Hello_World!")
        x.do("key", "Return")
        wait_text("Hello_World!")
        until_same(m, tmp_path)
        # A key that stays down when the window loses the keyboard is let go.
        x.do("keydown", "shift")
        assert m.x.title(m.window) == "m - Lodge"
        x.do("keyup", "shift")


def test_window_when_the_mode_changes_expect_its_size_and_when_a_person_sizes_it_the_picture_scaled(
        x, tmp_path):
    with Windowed(tmp_path, x, *grub_modes(tmp_path)) as m:
        wait_text("Press enter to boot")
        for key, size in (("g", (800, 600)), ("t", (720, 400))):
            x.do("key", key)
            end = time.monotonic() + WAIT
            while x.geometry(m.window)[2:] != size:
                assert time.monotonic() < end
                time.sleep(0.05)
            until_same(m, tmp_path)
        # Twice as high and 100 dots more: each dot twice, in the middle, black beside it.
        x.do("windowmove", m.window, 0, 0)
        x.do("windowsize", "--sync", m.window, 1240, 400)
        end = time.monotonic() + WAIT
        while True:
            seen, want = x.picture(*x.geometry(m.window)), screen(tmp_path)
            if all(s[:3 * 260] == bytes(3 * 260) and s[3 * 260:3 * 980] == row
                   for s, row in zip(seen, want)):
                break
            assert time.monotonic() < end
            time.sleep(0.05)
        # Back to its own size.
        x.do("key", "ctrl+alt+u")
        until_same(m, tmp_path)


def until_geometry(m, right):
    end = time.monotonic() + WAIT
    while not right(m.x.geometry(m.window)):
        assert time.monotonic() < end, m.x.geometry(m.window)
        time.sleep(0.05)


def shown_large(x):
    """720 by 400 as 1280 by 711, in the middle."""
    rows = x.picture()
    return not any(rows[100]) and any(map(any, rows[200:800])) and not any(rows[950])


def test_window_when_it_is_full_screen_expect_all_of_the_screen(desktop, tmp_path):
    x = desktop
    with Windowed(tmp_path, x, *GRUB) as m:
        wait_text("Press enter to boot")
        until_same(m, tmp_path)
        x.do("key", "ctrl+alt+f")
        until_geometry(m, lambda g: g == (0, 0, 1280, 1024))
        end = time.monotonic() + WAIT
        while not shown_large(x):
            assert time.monotonic() < end
            time.sleep(0.05)
        x.do("key", "ctrl+alt+f")
        until_geometry(m, lambda g: g[2:] == (720, 400))
        until_same(m, tmp_path)
        # The guest has not seen F of it.
        wait_text("Press enter to boot")


def test_window_when_it_is_full_screen_without_a_window_manager_expect_the_same(x, tmp_path):
    with Windowed(tmp_path, x, *GRUB) as m:
        wait_text("Press enter to boot")
        until_same(m, tmp_path)
        before = x.geometry(m.window)
        for _ in range(2):
            x.do("key", "ctrl+alt+f")
            until_geometry(m, lambda g: g == (0, 0, 1280, 1024))
            end = time.monotonic() + WAIT
            while not shown_large(x):
                assert time.monotonic() < end
                time.sleep(0.05)
            # The guest has not seen F, but what follows.
            x.do("key", "Down")
            x.do("key", "ctrl+alt+f")
            until_geometry(m, lambda g: g == before)
            until_same(m, tmp_path)
        wait_text("Press enter to boot")


def test_keys_of_the_window_when_it_was_busy_expect_them_taken(x, tmp_path):
    """All of a chord has come and gone before the process looks."""
    with Windowed(tmp_path, x, "-S") as m:
        time.sleep(1)
        os.kill(m.helper(), signal.SIGSTOP)
        x.do("key", "ctrl+alt+f")
        os.kill(m.helper(), signal.SIGCONT)
        until_geometry(m, lambda g: g == (0, 0, 1280, 1024))


def test_option_full_screen_when_given_without_a_window_manager_expect_it_so_at_once(x, tmp_path):
    with Windowed(tmp_path, x, "-S", "-full-screen") as m:
        until_geometry(m, lambda g: g == (0, 0, 1280, 1024))


def test_option_full_screen_when_given_expect_it_so_at_once(desktop, tmp_path):
    x = desktop
    with Windowed(tmp_path, x, "-S", "-full-screen") as m:
        until_geometry(m, lambda g: g == (0, 0, 1280, 1024))


def test_pointer_when_the_guest_has_a_tablet_expect_clicks_where_they_were_made(x, tmp_path):
    name = "Lodge Lodge USB Tablet"
    with Windowed(tmp_path, x, "-device", "qemu-xhci", "-device", "usb-tablet",
                 *linux(tmp_path, name, "xhci_pci", "usbhid", "hid_generic")) as m:
        wait_text("DEVICE " + name, 240)
        end = time.monotonic() + 60
        while not Qmp(wait_for("m"))("x-query-input")["absolute"]:
            assert time.monotonic() < end
        time.sleep(1)  # the window is told
        left, top, w, h = x.geometry(m.window)
        assert (w, h) == (720, 400)
        x.do("mousemove", left + 360, top + 200)
        wait_text(event(3, 0, (360 * 32767 + 359) // 719), 60)
        wait_text(event(3, 1, (200 * 32767 + 199) // 399), 60)
        x.do("click", 1)
        wait_text(event(1, 272, 1), 60)  # BTN_LEFT
        wait_text(event(1, 272, 0), 60)
        x.do("mousemove", left + 719, top + 399, "click", 3)
        wait_text(event(3, 0, 32767), 60)
        wait_text(event(1, 273, 0), 60)  # BTN_RIGHT
        x.do("click", 4)
        wait_text(event(2, 8, 1), 60)  # REL_WHEEL
        x.do("type", "--delay", "60", "echo typed$((1+1))")
        x.do("key", "Return")
        wait_text("typed2", 60)


def test_pointer_when_the_guest_has_a_mouse_expect_it_held_and_let_go(x, tmp_path):
    name = "Lodge Virtio Mouse"
    with Windowed(tmp_path, x, "-device", "virtio-mouse-pci",
                 *linux(tmp_path, name, "virtio_pci", "virtio_input")) as m:
        wait_text("DEVICE " + name, 240)
        left, top, _, _ = x.geometry(m.window)
        x.do("mousemove", left + 100, top + 100, "click", 1)
        m.until_title("m - Ctrl-Alt-G lets keys and pointer go - Lodge")
        for _ in range(5):
            x.do("mousemove_relative", "--", -7, 3)
            time.sleep(0.1)
        wait_text(event(2, 0, -7), 60)
        wait_text(event(2, 1, 3), 60)
        x.do("click", 3)
        wait_text(event(1, 273, 1), 60)
        x.do("key", "ctrl+alt+g")
        m.until_title("m - Lodge")


def test_window_when_it_is_closed_expect_the_end(x, tmp_path):
    with Windowed(tmp_path, x, "-S") as m:
        x.close(m.window)
        assert m.child.wait(30) == 0, m.said()


def test_window_when_closing_is_off_expect_it_stays(x, tmp_path):
    with Windowed(tmp_path, x, "-S", display="sdl,window-close=off") as m:
        x.close(m.window)
        time.sleep(1)
        assert m.child.poll() is None and m.helper()


def test_title_when_the_machine_pauses_expect_it_says_so(x, tmp_path):
    with Windowed(tmp_path, x, *GRUB) as m:
        m.until_title("m - Lodge")
        lodge("pause", "m")
        m.until_title("m [paused] - Lodge")
        lodge("resume", "m")
        m.until_title("m - Lodge")


def test_window_when_nothing_changes_expect_its_process_asleep(x, tmp_path):
    with Windowed(tmp_path, x, "-S") as m:
        time.sleep(2)
        before = m.status("voluntary_ctxt_switches")
        time.sleep(3)
        assert m.status("voluntary_ctxt_switches") == before


def test_process_when_the_window_is_there_expect_it_shut_in(x, tmp_path):
    with Windowed(tmp_path, x, "-S") as m:
        assert m.status("Seccomp") == "2"
        assert m.status("NoNewPrivs") == "1"
        assert int(m.status("CapEff"), 16) == 0 and int(m.status("CapBnd"), 16) == 0
        assert m.status("Threads") == "1"
        with open("/proc/%d/maps" % m.helper()) as f:
            assert "lodge-ram" not in f.read()


def test_window_when_its_process_is_killed_expect_the_machine_to_go_on(x, tmp_path):
    with Windowed(tmp_path, x, *GRUB) as m:
        wait_text("Press enter to boot")
        os.kill(m.helper(), signal.SIGKILL)
        lodge("key", "m", "c")
        wait_text("grub>")
        assert "the window's process has ended (signal 9); the machine goes on without" in m.said()


def test_window_when_the_x_server_goes_expect_the_machine_to_go_on(tmp_path):
    d = tmp_path / "x"
    d.mkdir()
    with Xserver(d) as x:
        m = Windowed(tmp_path, x, *GRUB)
        m.__enter__()
        wait_text("Press enter to boot")
    try:
        lodge("key", "m", "c")
        wait_text("grub>")
        assert "the window's process has ended (exit code 1)" in m.said()
    finally:
        m.__exit__()


@pytest.mark.parametrize("args,text", [
    (("-display", "sdl"), "DISPLAY is not set"),
    (("-display", "sdl,gl=on"), "guests have no 3D here"),
    (("-display", "sdl,grab-mod=x"), "grab-mod"),
    (("-display", "sdl,lossy=on"), "lossy"),
    (("-full-screen",), "add -display sdl"),
    (("-display", "sdl", "-vga", "none"), "there is nothing to look at"),
])
def test_options_when_wrong_expect_sentences(args, text, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    r = lodge("run", "-S", "-m", "32M", *args, ok=False)
    assert r.returncode == 1 and text in r.stderr, r.stderr


def test_server_when_it_is_not_there_expect_a_sentence(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":9999")
    r = lodge("run", "-S", "-m", "32M", "-display", "sdl", ok=False)
    assert r.returncode == 1 and "cannot open a window at the X server :9999" in r.stderr, r.stderr
