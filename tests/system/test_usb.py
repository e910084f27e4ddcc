# SPDX-License-Identifier: GPL-2.0-or-later
"""Tablets: Debian's xhci-hcd with usbhid, and virtio_input; clicks that arrive where they were made.

Run: make t T=system/usb
"""
import os
import struct
import subprocess

import pytest
from modules import modules
from qmp import Qmp, lodge, wait_for
from rfb import Rfb
from vm import LODGE, TOP, kernel

BIOS = ("-bios", "bios-256k.bin", "-L", os.path.dirname(kernel("linuxboot")))
# Events of the tablet, each of Linux' 24 bytes as hexadecimal text.
JOB = r"""#!/bin/sh
for m in %s; do insmod /bin/$m; done
for i in 1 2 3 4 5 6 7 8 9 10; do
	e=$(grep -l '%s' /sys/class/input/event*/device/name) && break
	sleep 0.5
done
e=${e%%/device/name}
echo 'DEVICE' $(cat $e/device/name) >/dev/tty1
hexdump -v -e '24/1 "%%02x" "\n"' </dev/input/${e##*/} >/dev/tty1 &
exec setsid cttyhack sh -i </dev/tty1 >/dev/tty1 2>&1
"""


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path, monkeypatch):
    d = tmp_path / "run"
    d.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(d))
    return d


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
VIRTIO = ("-device", "virtio-tablet-pci", "-device", "virtio-keyboard-pci")


@pytest.mark.parametrize("args,name,found,drivers", [
    (USB, "USB Tablet", "Lodge Lodge USB Tablet", ("xhci_pci", "usbhid", "hid_generic")),
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
