# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests on the network: NAT in a process of its own, cards, cables between guests.

Run: make t T=system/network
"""
import os
import random
import signal
import subprocess
import time
import urllib.request

import pytest
from net import free_port, guest, server, sha
from vm import TOP, children

MIB = 1 << 20
DATA = random.Random(1).randbytes(20 * MIB)


@pytest.mark.parametrize("card", ["virtio", "e1000", "rtl8139"])
def test_nat_when_guest_fetches_and_host_connects_expect_every_byte(tmp_path, card):
    port = free_port()
    with server(DATA) as (http, _):
        script = """
dhcp
fetch http://10.0.2.2:%d/ /tmp/data
httpd -p 80 -h /tmp
echo @@serving
read line
""" % http
        with guest(tmp_path, card, "user,hostfwd=tcp:127.0.0.1:%d-:80" % port, script) as vm:
            vm.expect(r"@@lease 10\.0\.2\.15 10\.0\.2\.2 10\.0\.2\.3")
            assert vm.expect(r"@@sha (\w+)").group(1) == sha(DATA)
            vm.expect("@@serving")
            with urllib.request.urlopen("http://127.0.0.1:%d/data" % port, timeout=60) as r:
                assert sha(r.read()) == sha(DATA)
            vm.send("\n")
            assert vm.wait_exit() == 0


def test_nat_when_settings_given_expect_the_guest_to_see_them(tmp_path):
    tftp = tmp_path / "tftp"
    tftp.mkdir()
    (tftp / "boot.txt").write_bytes(b"from the folder\n")
    (tmp_path / "secret").write_bytes(b"secret\n")
    os.symlink(tmp_path / "secret", tftp / "link")
    script = """
dhcp
cd /tmp
tftp -g -r boot.txt 192.168.77.2 && cat boot.txt
tftp -g -r link 192.168.77.2 2>/dev/null || echo @@no-link
tftp -g -r ../secret 192.168.77.2 2>/dev/null || echo @@no-way-up
"""
    nic = ("user,net=192.168.77.0/24,dhcpstart=192.168.77.50,hostname=gast,domainname=d.example,"
           "bootfile=boot.txt,tftp=%s" % tftp)
    with guest(tmp_path, "virtio", nic, script) as vm:
        vm.expect(r"@@lease 192\.168\.77\.50 192\.168\.77\.2 192\.168\.77\.3 gast d\.example "
                  r"boot\.txt")
        vm.expect("from the folder")
        vm.expect("@@no-link")
        vm.expect("@@no-way-up")
        assert vm.wait_exit() == 0


def test_nat_when_restricted_expect_host_out_of_reach_but_forwards_in(tmp_path):
    port = free_port()
    with server(DATA) as (http, _):
        script = """
dhcp
fetch http://10.0.2.2:%d/ /tmp/data
echo inside >/tmp/page
httpd -p 80 -h /tmp
echo @@serving
read line
""" % http
        with guest(tmp_path, "virtio",
                   "user,restrict=on,hostfwd=tcp:127.0.0.1:%d-:80" % port, script) as vm:
            vm.expect(r"@@lease 10\.0\.2\.15")
            vm.expect("@@no")
            vm.expect("@@serving")
            with urllib.request.urlopen("http://127.0.0.1:%d/page" % port, timeout=60) as r:
                assert r.read() == b"inside\n"
            vm.send("\n")
            assert vm.wait_exit() == 0


def test_nat_process_when_it_dies_expect_the_guest_to_go_on_and_when_lodge_dies_expect_it_gone(
        tmp_path):
    script = """
dhcp
echo @@up $(cat /sys/class/net/eth0/carrier)
read line
echo @@down $(cat /sys/class/net/eth0/carrier)
read line
"""
    with guest(tmp_path, "virtio", "user", script) as vm:
        vm.expect("@@up 1")
        (helper,) = children(vm.pid)
        # No memory of the guest, no file of the host, no terminal.
        with open("/proc/%d/maps" % helper) as f:
            maps = f.read()
        assert "libslirp" in maps and "memfd" not in maps
        with open("/proc/%d/maps" % vm.pid) as f:
            assert "libslirp" not in f.read()
        fds = os.listdir("/proc/%d/fd" % helper)
        assert {os.readlink("/proc/%d/fd/0" % helper)} == {"/dev/null"} and len(fds) < 12
        with open("/proc/%d/status" % helper) as f:
            status = f.read()
        assert "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status
        os.kill(helper, signal.SIGKILL)
        vm.expect(r"the NAT process has ended \(signal 9\); the guest's cable is unplugged")
        vm.send("\n")
        vm.expect("@@down 0")
        vm.send("\n")
        assert vm.wait_exit() == 0
    with guest(tmp_path, "virtio", "user", script) as vm:
        vm.expect("@@up 1")
        (helper,) = children(vm.pid)
        os.kill(vm.pid, signal.SIGKILL)
        vm.child.wait()
        for _ in range(100):
            if not os.path.exists("/proc/%d" % helper):
                break
            time.sleep(0.1)
        assert not os.path.exists("/proc/%d" % helper)


LISTEN = """
ifconfig eth0 10.1.1.1
head -c 8388608 /dev/urandom >/tmp/data
httpd -p 80 -h /tmp
echo @@sha $(sha256sum </tmp/data)
read line
"""
FETCH = """
ifconfig eth0 10.1.1.2
ping -c 3 -W 5 10.1.1.1 && echo @@pong
fetch http://10.1.1.1/data /tmp/data
"""


@pytest.mark.parametrize("kind", ["stream", "dgram", "listen"])
def test_cable_between_two_guests_expect_ping_and_every_byte(tmp_path, kind):
    a, b, port = tmp_path / "a", tmp_path / "b", free_port()
    ends = {
        "stream": ("stream,server=on,addr.type=unix,addr.path=%s" % a,
                   "stream,addr.type=unix,addr.path=%s" % a),
        "dgram": ("dgram,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s" % (a, b),
                  "dgram,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s" % (b, a)),
        "listen": ("socket,listen=127.0.0.1:%d" % port, "socket,connect=127.0.0.1:%d" % port),
    }[kind]
    with guest(tmp_path, "virtio", ends[0] + ",mac=52:54:00:00:00:01", LISTEN) as one:
        want = one.expect(r"@@sha (\w+)").group(1)
        with guest(tmp_path, "e1000", ends[1] + ",mac=52:54:00:00:00:02", FETCH) as two:
            two.expect("@@pong")
            assert two.expect(r"@@sha (\w+)").group(1) == want
            assert two.wait_exit() == 0
        one.send("\n")
        assert one.wait_exit() == 0


def lodge(*args):
    return subprocess.run([os.path.join(TOP, "build/lodge"), "run", *args], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                          timeout=60, check=False)


@pytest.mark.parametrize("args, says", [
    (("-netdev", "user,id=n", "-device", "e1000,netdev=m"), "there is no -netdev with id=m"),
    (("-netdev", "user,id=n", "-netdev", "user,id=n"), "the id 'n' is taken"),
    (("-netdev", "user,id=n", "-device", "e1000,netdev=n", "-device", "e1000,netdev=n"),
     "has a card already"),
    (("-nic", "user,model=ne2000"), "there is no model=ne2000"),
    (("-nic", "user,mac=nonsense"), "not a card's address"),
    (("-nic", "user,mac=01:00:00:00:00:01"), "not a card's address"),
    (("-netdev", "user,id=n,guestfwd=tcp:10.0.2.9:1-cmd:sh"), "guestfwd= is not there"),
    (("-device", "e1000,colour=red"), "colour"),
    (("-net", "nic"), "-nic"),
])
def test_options_when_wrong_expect_a_sentence(args, says):
    # Any file will do: nothing is run.
    r = lodge("-kernel", "/bin/true", "-display", "none", *args)
    assert r.returncode == 1 and says in r.stdout, r.stdout
