# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests on a tap interface, in a network namespace of the test's own; root only.

Run: make t T=system/tap
"""
import fcntl
import os
import random
import struct
import subprocess

import pytest
from net import guest, sha
from netns import Host
from vm import TOP

DATA = random.Random(2).randbytes(8 << 20)
UP = """
ifconfig eth0 10.9.0.2 netmask 255.255.255.0
"""
BOTH_WAYS = UP + """
n=0
until wget -q -O /dev/null http://10.9.0.1:8000/data || [ $n = 50 ]; do sleep 0.2; n=$((n + 1)); done
fetch http://10.9.0.1:8000/data /tmp/data
httpd -p 80 -h /tmp
echo @@serving
read line
"""


@pytest.fixture(name="host")
def host_fixture(tmp_path):
    with Host() as h:
        (tmp_path / "www").mkdir()
        (tmp_path / "www/data").write_bytes(DATA)
        yield h


def served(h, tmp_path):
    h.serve(tmp_path / "www", "10.9.0.1", 8000)


@pytest.mark.parametrize("card, how", [
    ("virtio", ""), ("virtio", ",vnet_hdr=off"), ("e1000", ""), ("rtl8139", "")])
def test_tap_when_guest_and_host_fetch_expect_every_byte(tmp_path, host, card, how):
    host.tap()
    served(host, tmp_path)
    nic = "tap,ifname=tap0,script=no,downscript=no" + how
    with guest(tmp_path, card, nic, BOTH_WAYS, prefix=host.enter) as vm:
        assert vm.expect(r"@@sha (\w+)").group(1) == sha(DATA)
        vm.expect("@@serving")
        assert sha(host.fetch("http://10.9.0.2/data")) == sha(DATA)
        vm.send("\n")
        assert vm.wait_exit() == 0


QUEUES = UP + """
echo @@queues $(ls /sys/class/net/eth0/queues)
n=0
until wget -q -O /dev/null http://10.9.0.1:8000/data || [ $n = 50 ]; do sleep 0.2; n=$((n + 1)); done
for cpu in 1 2; do
	taskset $cpu wget -q -O /tmp/data$cpu http://10.9.0.1:8000/data
	echo "@@sha$cpu $(sha256sum </tmp/data$cpu | cut -d' ' -f1)"
done
for q in 0 1; do
	awk -v q=virtio0-input.$q '$NF == q { print "@@used " q " " ($2 + $3 > 20) }' /proc/interrupts
done
ifconfig eth0 down
ifconfig eth0 10.9.0.2 up
fetch http://10.9.0.1:8000/data /tmp/data
read line
"""


def tap_fd(name):
    """A queue of the interface, opened here."""
    fd = os.open("/dev/net/tun", os.O_RDWR)
    iff_tap, iff_no_pi, iff_vnet_hdr, iff_multi_queue = 2, 0x1000, 0x4000, 0x100
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", name.encode(), iff_tap | iff_no_pi |
                                            iff_vnet_hdr | iff_multi_queue))
    return fd


@pytest.mark.parametrize("how", ["ifname=tap0,queues=2", "fds"])
def test_tap_when_it_has_two_queues_expect_both_used(tmp_path, host, how):
    host.tap(how="multi_queue")
    served(host, tmp_path)
    prefix = host.enter
    if how == "fds":
        # Somebody with the right to opens the queues, and hands them over.
        code = ("import os, sys; sys.path.insert(0, %r); from test_tap import tap_fd; "
                "[os.dup2(tap_fd('tap0'), n) for n in (20, 21)]; "
                "os.execv(sys.argv[1], sys.argv[1:])" % os.path.dirname(__file__))
        prefix = (*host.enter, "/usr/bin/python3", "-c", code)
        how = "fds=20:21"
    args = ("-smp", "2", "-netdev", "tap,id=n,script=no,downscript=no," + how, "-device",
            "virtio-net-pci,netdev=n,mq=on")
    with guest(tmp_path, "virtio", None, QUEUES, args=args, prefix=prefix) as vm:
        vm.expect(r"@@queues rx-0 rx-1 tx-0 tx-1")
        for cpu in "12":
            assert vm.expect(r"@@sha%s (\w+)" % cpu).group(1) == sha(DATA)
        vm.expect("@@used virtio0-input.0 1")
        vm.expect("@@used virtio0-input.1 1")
        assert vm.expect(r"@@sha (\w+)").group(1) == sha(DATA)
        vm.send("\n")
        assert vm.wait_exit() == 0


def test_tap_when_card_has_one_pair_expect_the_other_queue_left_alone(tmp_path, host):
    host.tap(how="multi_queue")
    served(host, tmp_path)
    args = ("-netdev", "tap,id=n,ifname=tap0,queues=2,script=no,downscript=no", "-device",
            "virtio-net-pci,netdev=n")
    with guest(tmp_path, "virtio", None, BOTH_WAYS, args=args, prefix=host.enter) as vm:
        assert vm.expect(r"@@sha (\w+)").group(1) == sha(DATA)
        vm.expect("@@serving")
        assert sha(host.fetch("http://10.9.0.2/data")) == sha(DATA)
        vm.send("\n")
        assert vm.wait_exit() == 0


def test_tap_when_it_is_taken_away_expect_the_cable_unplugged(tmp_path, host):
    host.tap()
    script = UP + """
echo @@up $(cat /sys/class/net/eth0/carrier)
read line
echo @@down $(cat /sys/class/net/eth0/carrier)
read line
"""
    with guest(tmp_path, "virtio", "tap,ifname=tap0,script=no", script, prefix=host.enter) as vm:
        vm.expect("@@up 1")
        host.ip("link del tap0")
        vm.expect("the tap interface is gone")
        vm.send("\n")
        vm.expect("@@down 0")
        vm.send("\n")
        assert vm.wait_exit() == 0


@pytest.mark.parametrize("netdev, says", [
    ("ifname=tap0,queues=2", "multi_queue"),
    ("ifname=tap0,queues=0", "leaves nothing"),
    ("ifname=tap0,queues=33", "queues"),
    ("ifname=tap0,fd=3", "exclude each other"),
    ("fds=x:3", "'x' is not a descriptor's number"),
    ("fd=0", "not of a tap interface"),
    ("fds=", "names no descriptor"),
    ("fds=0,queues=2", "queues= is for ifname="),
    ("ifname=a-name-that-is-too-long", "too long"),
    ("ifname=tap0,script=/etc/up", "no script is run"),
])
def test_tap_when_settings_are_wrong_expect_a_sentence(host, netdev, says):
    host.tap()
    r = subprocess.run([*host.enter, os.path.join(TOP, "build/lodge"), "run", "-kernel",
                        "/bin/true", "-display", "none", "-netdev", "tap,id=n," + netdev],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       stdin=subprocess.DEVNULL, text=True, timeout=60, check=False)
    assert r.returncode == 1 and says in r.stdout, r.stdout
