# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests behind Debian's passt, in a network namespace of the test's own; root only, and where passt is.

Run: make t T=system/passt
"""
import os
import random
import shutil
import signal
import time

import pytest
from net import guest, sha
from netns import Host
from vm import children

DATA = random.Random(3).randbytes(8 << 20)
SCRIPT = """
dhcp
fetch http://10.77.0.1:8000/data /tmp/data
httpd -p 80 -h /tmp
echo @@serving
read line
"""


@pytest.fixture(name="host")
def host_fixture(tmp_path):
    if not shutil.which("passt"):
        pytest.skip("passt is not installed: Debian's package passt")
    with Host() as h:
        # passt gives the guest the address of the interface with the default route.
        h.ip("link add out0 type veth peer name far0", "an interface cannot be made here")
        h.ip("link set far0 up")
        h.ip("addr add 10.77.0.2/24 dev out0")
        h.ip("link set out0 up")
        h.ip("route add default via 10.77.0.1")
        (tmp_path / "www").mkdir()
        (tmp_path / "www/data").write_bytes(DATA)
        h.serve(tmp_path / "www", "127.0.0.1", 8000)
        yield h


@pytest.mark.parametrize("card", ["virtio", "e1000", "rtl8139"])
def test_passt_when_guest_and_host_fetch_expect_every_byte(tmp_path, host, card):
    with guest(tmp_path, card, "passt,tcp-ports=8080:80", SCRIPT, prefix=host.enter) as vm:
        vm.expect(r"@@lease 10\.77\.0\.2 10\.77\.0\.1")
        assert vm.expect(r"@@sha (\w+)").group(1) == sha(DATA)
        vm.expect("@@serving")
        assert sha(host.fetch("http://127.0.0.1:8080/data")) == sha(DATA)
        vm.send("\n")
        assert vm.wait_exit() == 0


def test_passt_when_it_ends_expect_the_cable_unplugged(tmp_path, host):
    script = """
dhcp
echo @@up $(cat /sys/class/net/eth0/carrier)
read line
echo @@down $(cat /sys/class/net/eth0/carrier)
read line
"""
    with guest(tmp_path, "virtio", "passt,mtu=1500", script, prefix=host.enter) as vm:
        vm.expect("@@up 1")
        (passt,) = children(vm.pid)
        os.kill(passt, signal.SIGTERM)
        vm.expect("the peer has closed the connection; the guest's cable is unplugged")
        vm.send("\n")
        vm.expect("@@down 0")
        vm.send("\n")
        assert vm.wait_exit() == 0


def descendants(pid):
    own = children(pid)
    return own + [grandchild for child in own for grandchild in descendants(child)]


def test_passt_when_the_machine_is_killed_expect_nothing_left(tmp_path, host):
    with guest(tmp_path, "virtio", "passt", "dhcp; echo @@up; read line", prefix=host.enter) as vm:
        vm.expect("@@up")
        left = descendants(vm.pid)
        assert len(left) == 2
        os.kill(vm.pid, signal.SIGKILL)
        end = time.monotonic() + 30
        while any(os.path.exists("/proc/%d" % pid) for pid in left):
            assert time.monotonic() < end
            time.sleep(0.1)
