# SPDX-License-Identifier: GPL-2.0-or-later
"""Keyboards, mice, tablets: Debian's xhci-hcd and uhci-hcd with usbhid, virtio_input, SeaBIOS.

Run: make t T=system/usb
"""
import os
import struct
import subprocess
import time

import pytest
from modules import modules
from qmp import Qmp, lodge, wait_for
from rfb import Rfb
from vm import LODGE, TOP, kernel

pytestmark = pytest.mark.usefixtures("runtime_dir")

BIOS = ("-bios", "bios-256k.bin", "-L", os.path.dirname(kernel("linuxboot")))
# Events of the tablet, each of Linux' 24 bytes as hexadecimal text.
JOB = r"""#!/bin/sh
for m in %s; do insmod /bin/$m; done
for i in 1 2 3 4 5 6 7 8 9 10; do
	e=$(grep -l '%s' /sys/class/input/event*/device/name) && break
	sleep 0.5
done
e=${e%%/device/name}
hexdump -v -e '24/1 "%%02x" "\n"' </dev/input/${e##*/} >/dev/tty1 &
# What comes before it is opened is lost.
until ls -l /proc/$!/fd 2>/dev/null | grep -q /dev/input; do sleep 0.1; done
echo 'DEVICE' $(cat $e/device/name) >/dev/tty1
exec setsid cttyhack sh -i </dev/tty1 >/dev/tty1 2>&1
"""


def linux(tmp_path, name, *wanted):
    mods = modules("amd64", *wanted, "evdev")
    job = tmp_path / "job"
    job.write_text(JOB % (" ".join(os.path.basename(m) for m in mods), name))
    os.chmod(job, 0o755)
    out = str(tmp_path / "initrd")
    subprocess.run(["sh", os.path.join(TOP, "tools/mkinitramfs.sh"), out,
                    kernel("busybox-amd64"), os.path.join(TOP, "tools/guest_init.sh"), str(job),
                    *mods], check=True)
    return (*BIOS, "-m", "256M", "-kernel", kernel("amd64"), "-initrd", out, "-append",
            "console=tty0 cryptomgr.notests quiet lodge.cmd=job")


def event(kind, code, value):
    """The end of an event as the guest shows it."""
    return struct.pack("<HHi", kind, code, value).hex()


def wait_text(text, timeout=240):
    lodge("wait", "m", "--text", text, "--timeout", str(timeout), timeout=timeout + 60)


USB = ("-device", "qemu-xhci,id=u", "-device", "usb-tablet,bus=u.0")
HID = ("usbhid", "hid_generic")
VIRTIO = ("-device", "virtio-tablet-pci", "-device", "virtio-keyboard-pci")


@pytest.mark.parametrize("args,name,found,drivers", [
    (USB, "USB Tablet", "Lodge Lodge USB Tablet", ("xhci_pci", *HID)),
    # The machine's own, since it has a screen; and the same at an old controller.
    ((), "USB Tablet", "Lodge Lodge USB Tablet", ("xhci_pci", *HID)),
    (("-usb",), "USB Tablet", "Lodge Lodge USB Tablet", ("uhci_hcd", *HID)),
    (VIRTIO, "Lodge Virtio Tablet", "Lodge Virtio Tablet", ("virtio_pci", "virtio_input"))])
def test_linux_when_it_has_a_tablet_expect_clicks_where_they_were_made(args, name, found, drivers,
                                                                       tmp_path):
    path = str(tmp_path / "vnc")
    child = subprocess.Popen([*LODGE, "-name", "m", "-nic", "none", "-vnc", "unix:" + path,
                              *args, *linux(tmp_path, found, *drivers)], stdin=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    try:
        wait_for("m").close()
        wait_text("DEVICE " + found)
        q = Qmp(wait_for("m"))
        assert [m for m in q("query-mice") if m["current"]][0]["name"] == name
        assert q("x-query-input")["absolute"]
        # The middle of 720 by 400 dots, both as Linux' ABS_X, ABS_Y (0, 1) of 32767.
        lodge("click", "m", "360", "200")
        wait_text(event(3, 0, (360 * 32767 + 359) // 719), 60)
        wait_text(event(3, 1, (200 * 32767 + 199) // 399), 60)
        wait_text(event(1, 272, 1), 60)  # BTN_LEFT
        wait_text(event(1, 272, 0), 60)
        with Rfb(path) as r:
            r.update(False)
            r.point(719, 399, 4)
            wait_text(event(3, 0, 32767), 60)
            wait_text(event(1, 273, 1), 60)  # BTN_RIGHT
            r.point(0, 0, 8)
            wait_text(event(1, 273, 0), 60)
            wait_text(event(2, 8, 1), 60)  # REL_WHEEL
        lodge("type", "m", "echo typed$((1+1))\\n")
        wait_text("typed2", 60)
    finally:
        child.kill()
        child.wait()


def key_events(q, *codes):
    for code in codes:
        q("send-key", keys=[{"type": "qcode", "data": c} for c in code.split("-")])


@pytest.mark.parametrize("args,drivers", [
    (("-usb", "-usbdevice", "keyboard"), ("uhci_hcd", *HID)),
    (("-device", "qemu-xhci", "-device", "usb-kbd"), ("xhci_pci", *HID)),
    # Behind hubs.
    (("-usb", "-device", "usb-hub,port=2", "-device", "usb-kbd,port=2.8"), ("uhci_hcd", *HID)),
    (("-device", "qemu-xhci,id=x", "-device", "usb-hub,bus=x.0,port=3", "-device",
      "usb-hub,bus=x.0,port=3.1", "-device", "usb-kbd,bus=x.0,port=3.1.2"), ("xhci_pci", *HID))])
def test_linux_when_it_has_a_usb_keyboard_expect_keys(args, drivers, tmp_path):
    child = subprocess.Popen([*LODGE, "-name", "m", "-nic", "none", "-vga", "std", "-display", "none",
                              *args, *linux(tmp_path, "Lodge Lodge USB Keyboard", *drivers)],
                             stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("m").close()
        wait_text("DEVICE Lodge Lodge USB Keyboard")
        q = Qmp(wait_for("m"))
        assert q("x-query-input")["keyboard"] == "USB Keyboard"
        key_events(q, "z")
        wait_text(event(1, 44, 1), 60)
        wait_text(event(1, 44, 0), 60)
        key_events(q, "backspace", "shift_r-f5")
        wait_text(event(1, 54, 1), 60)
        wait_text(event(1, 63, 1), 60)
        # The guest lights Caps Lock, and the console writes capitals (EV_LED, LED_CAPSL).
        key_events(q, "caps_lock")
        wait_text(event(17, 1, 1), 60)
        key_events(q, "caps_lock")
        wait_text(event(17, 1, 0), 60)
        lodge("type", "m", "\\nclear; echo typed_$((1+1))\\n")
        wait_text("typed_2", 60)
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("args,drivers", [
    (("-usb", "-device", "usb-mouse,bus=usb-bus.0,port=2"), ("uhci_hcd", *HID)),
    (("-device", "nec-usb-xhci", "-device", "usb-mouse"), ("xhci_pci", *HID))])
def test_linux_when_it_has_a_usb_mouse_expect_movements(args, drivers, tmp_path):
    child = subprocess.Popen([*LODGE, "-name", "m", "-nic", "none", "-vga", "std", "-display", "none",
                              *args, *linux(tmp_path, "Lodge Lodge USB Mouse", *drivers)],
                             stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("m").close()
        wait_text("DEVICE Lodge Lodge USB Mouse")
        q = Qmp(wait_for("m"))
        assert [m for m in q("query-mice") if m["current"]][0]["name"] == "USB Mouse"
        assert not q("x-query-input")["absolute"]
        q("input-send-event", events=[
            {"type": "rel", "data": {"axis": "x", "value": 200}},
            {"type": "rel", "data": {"axis": "y", "value": -77}}])
        wait_text(event(2, 0, 127), 60)
        wait_text(event(2, 0, 73), 60)
        wait_text(event(2, 1, -77), 60)
        q("input-send-event", events=[{"type": "btn", "data": {"button": "side", "down": True}}])
        wait_text(event(1, 275, 1), 60)
        q("input-send-event", events=[{"type": "btn", "data": {"button": "wheel-down", "down": True}}])
        wait_text(event(2, 8, -1), 60)
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("args", [("-usb", "-device", "usb-kbd"),
                                  ("-device", "qemu-xhci", "-device", "usb-kbd")])
def test_seabios_when_it_has_a_usb_keyboard_expect_it_obeys(args, tmp_path):
    with subprocess.Popen([*LODGE, "-name", "m", "-nic", "none", "-vga", "std", "-display", "none",
                           "-m", "64M", "-boot", "menu=on,splash-time=60000", "-cdrom",
                           kernel("grub-cd"), *args], stdin=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as child:
        try:
            wait_for("m").close()
            wait_text("Press ESC for boot menu")
            q = Qmp(wait_for("m"))
            end = time.monotonic() + 60
            while q("x-query-input")["keyboard"] != "USB Keyboard":
                assert time.monotonic() < end
                time.sleep(0.1)
            lodge("key", "m", "esc")
            wait_text("Select boot device", 60)
            lodge("key", "m", "1")
            # GRUB reads keys by the BIOS.
            wait_text("*GNU/Linux")
            lodge("key", "m", "c")
            wait_text("grub> ")
            lodge("type", "m", "echo By_USB\\n")
            lodge("wait", "m", "--regex", r"^ *By_USB$", "--timeout", "60")
        finally:
            child.kill()


def test_machine_when_it_is_looked_at_expect_a_tablet_unless_told_otherwise(tmp_path):
    def devices(*args):
        child = subprocess.Popen([*LODGE, "-name", "m", "-nic", "none", "-m", "32M", "-S", *args],
                                 stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return Qmp(wait_for("m")).hmp("info qtree")
        finally:
            child.kill()
            child.wait()

    vnc = ("-vnc", "unix:" + str(tmp_path / "v"))
    for args, want in ((vnc, {"qemu-xhci", "usb-tablet"}), ((*vnc, "-usb"), {"piix3-usb-uhci", "usb-tablet"}),
                       ((*vnc, "-nodefaults", "-vga", "std"), set()), (("-display", "none"), set()),
                       ((*vnc, "-device", "virtio-tablet-pci"), set())):
        text = devices(*args)
        found = {n for n in ("qemu-xhci", "piix3-usb-uhci", "usb-tablet") if n in text}
        assert found == want, args


@pytest.mark.parametrize("args,drivers", [
    (("-usb", "-usbdevice", "keyboard", "-usbdevice", "tablet"), ("uhci_hcd", *HID)),
    (("-device", "qemu-xhci", "-device", "usb-kbd", "-device", "usb-tablet"), ("xhci_pci", *HID))])
def test_machine_when_saved_and_restored_expect_keys_and_clicks(args, drivers, tmp_path):
    saved = str(tmp_path / "m.save")
    may = ("-sandbox", "on,path=" + str(tmp_path))
    child = subprocess.Popen([*LODGE, "-name", "m", "-nic", "none", "-vga", "std", "-display", "none",
                              *may, *args, *linux(tmp_path, "Lodge Lodge USB Tablet", *drivers)],
                             stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("m").close()
        wait_text("DEVICE Lodge Lodge USB Tablet")
        wait_text("guest#")
        lodge("save", "m", saved, timeout=120)
        child.wait()
        child = subprocess.Popen([*LODGE, "-restore", saved, *may], stdin=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        q = Qmp(wait_for("m"))
        assert q("x-query-input")["keyboard"] == "USB Keyboard"
        lodge("type", "m", "echo typed_$((1+1))\\n")
        wait_text("typed_2", 60)
        lodge("click", "m", "719", "0")
        wait_text(event(3, 0, 32767), 60)
        wait_text(event(1, 272, 0), 60)
    finally:
        child.kill()
        child.wait()
