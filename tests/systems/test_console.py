# SPDX-License-Identifier: GPL-2.0-or-later
"""An installed Debian's console on the screen: logged in to by `lodge type`, read by `lodge wait`.

Run: make t T=systems/console
"""
import os
import shutil

import pytest

from qmp import lodge
from systems import Machine
from test_debian import log_in, new_debian, power_off

WAIT = 300


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path, monkeypatch):
    d = tmp_path / "run"
    d.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(d))
    return d


def wait_text(text):
    lodge("wait", "m", "--text", text, "--timeout", str(WAIT), timeout=WAIT + 60)


def test_debian_when_logged_in_to_by_typed_keys_expect_its_shell_on_the_screen(tmp_path):
    disk = str(tmp_path / "disk.qcow2")
    shutil.copyfile(new_debian("debian.qcow2"), disk)
    with Machine("-name", "m", "-vga", "std", "-drive", "file=%s,format=qcow2,if=virtio" % disk) as vm:
        log_in(vm)
        vm.send("echo guest:Se-cret_1 | sudo chpasswd; echo SET$((1+1))\n")
        vm.expect("SET2", timeout=WAIT)
        wait_text("lodge login:")
        lodge("type", "m", "guest\\n")
        wait_text("Password:")
        lodge("type", "m", "Se-cret_1\\n")
        wait_text("guest@lodge:~$")
        lodge("type", "m", "clear; echo $((40+2)) on $(tty) as $USER\\n")
        lodge("wait", "m", "--regex", "^42 on /dev/tty1 as guest$", "--timeout", str(WAIT),
              timeout=WAIT + 60)
        lodge("key", "m", "alt-f2")
        wait_text("Debian GNU/Linux")
        wait_text("tty2")
        lodge("screenshot", "m", str(tmp_path / "tty2.png"))
        assert os.path.getsize(tmp_path / "tty2.png") > 500
        power_off(vm)
