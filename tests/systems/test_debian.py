# SPDX-License-Identifier: GPL-2.0-or-later
"""An installed Debian on a disk: `lodge new debian`, then from firmware to a login and back.

Run: make check-systems S=debian   (the image is made once, in build/systems)
"""
import os
import shutil
import socket
import subprocess
import time

import pytest

from systems import TOP, WORK, Machine

IMAGE = os.path.join(WORK, "debian.qcow2")
KEY = os.path.join(WORK, "key")


@pytest.fixture(scope="session")
def image():
    os.makedirs(WORK, exist_ok=True)
    if not os.path.exists(KEY):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY], check=True)
    if not os.path.exists(IMAGE):
        subprocess.run([os.path.join(TOP, "build/lodge"), "new", "debian", "--size", "3G",
                        "--user", "guest", "--ssh-key", KEY + ".pub", "--hostname", "lodge",
                        IMAGE], check=True)
    return IMAGE


@pytest.fixture
def disk(image, tmp_path):
    """A copy that only this test writes."""
    copy = os.path.join(tmp_path, "disk.qcow2")
    shutil.copyfile(image, copy)
    return copy


def check_file_system(disk, tmp_path):
    """e2fsck of the root file system, as the machine left it."""
    raw = os.path.join(tmp_path, "check.img")
    lodge = os.path.join(TOP, "build/lodge")
    subprocess.run([lodge, "img", "convert", "-O", "raw", disk, raw], check=True)
    part = os.path.join(tmp_path, "root.img")
    subprocess.run(["dd", "if=" + raw, "of=" + part, "bs=1M", "skip=66", "conv=sparse",
                    "status=none"], check=True)
    r = subprocess.run(["e2fsck", "-f", "-n", part], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, check=False)
    assert r.returncode == 0, r.stdout


def log_in(vm):
    vm.expect(r"login: guest \(automatic login\)")
    vm.expect(r"guest@lodge:~\$ ")


def power_off(vm):
    vm.send("sudo systemctl poweroff\n")
    assert vm.wait_exit(180) == 0


CONTROLLERS = {
    "virtio": lambda d: ["-drive", "file=%s,format=qcow2,if=virtio" % d],
    "ide": lambda d: ["-drive", "file=%s,format=qcow2,if=ide" % d],
    "ahci": lambda d: ["-device", "ahci,id=ahci", "-drive",
                       "file=%s,format=qcow2,if=none,id=d" % d,
                       "-device", "ide-hd,drive=d,bus=ahci.0"],
    "nvme": lambda d: ["-drive", "file=%s,format=qcow2,if=none,id=d" % d,
                       "-device", "nvme,drive=d,serial=lodge"],
}


@pytest.mark.parametrize("controller", sorted(CONTROLLERS))
def test_debian_by_seabios_expect_login_and_clean_end(disk, tmp_path, controller):
    with Machine(*CONTROLLERS[controller](disk), memory="512M") as vm:
        log_in(vm)
        vm.send("findmnt -no SOURCE,FSTYPE /; echo 'written' >kept; sync\n")
        vm.expect({"virtio": r"/dev/vda3", "ide": r"/dev/sda3", "ahci": r"/dev/sda3",
                   "nvme": r"/dev/nvme0n1p3"}[controller])
        vm.expect(r"guest@lodge:~\$ ")
        power_off(vm)
    check_file_system(disk, tmp_path)
    with Machine(*CONTROLLERS[controller](disk), memory="512M") as vm:
        log_in(vm)
        vm.send("cat kept\n")
        vm.expect("[\r\n]written")
        power_off(vm)


def test_debian_by_ovmf_expect_login_and_clean_end(disk, tmp_path):
    variables = os.path.join(tmp_path, "vars.fd")
    shutil.copyfile("/usr/share/OVMF/OVMF_VARS_4M.fd", variables)
    with Machine("-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
                 "-drive", "if=pflash,format=raw,file=" + variables,
                 *CONTROLLERS["virtio"](disk), memory="512M") as vm:
        log_in(vm)
        vm.send("ls -d /sys/firmware/efi/efivars\n")
        vm.expect("/sys/firmware/efi/efivars\r")
        power_off(vm)
    check_file_system(disk, tmp_path)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ssh(port, command, timeout=300):
    """Try until sshd is there; then the command's output."""
    end = time.monotonic() + timeout
    while True:
        r = subprocess.run(["ssh", "-i", KEY, "-p", str(port), "-o", "BatchMode=yes",
                            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                            "-o", "ConnectTimeout=20", "guest@127.0.0.1", command],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if r.returncode != 255 or time.monotonic() > end:
            assert r.returncode == 0, r.stderr
            return r.stdout
        time.sleep(2)


@pytest.mark.parametrize("card", ["virtio-net-pci", "e1000", "rtl8139"])
def test_debian_when_on_the_network_expect_packages_and_ssh(disk, card):
    port = free_port()
    with Machine(*CONTROLLERS["virtio"](disk), "-smp", "2", "-netdev",
                 "user,id=n,hostfwd=tcp:127.0.0.1:%d-:22" % port,
                 "-device", card + ",netdev=n", memory="768M") as vm:
        log_in(vm)
        assert "lodge" in ssh(port, "hostname")
        assert len(ssh(port, "head -c 1000000 /dev/zero")) == 1000000
        vm.send("sudo apt-get update && echo it is up to date\n")
        vm.expect("[\r\n]it is up to date", timeout=600)
        assert "active" in ssh(port, "systemctl is-active ssh")
        power_off(vm)


def test_two_systems_at_once_expect_each_its_own_process(image, tmp_path):
    disks = [os.path.join(tmp_path, "disk%d.qcow2" % n) for n in range(2)]
    for d in disks:
        shutil.copyfile(image, d)
    with Machine(*CONTROLLERS["virtio"](disks[0]), memory="512M") as a, \
         Machine(*CONTROLLERS["ide"](disks[1]), memory="512M") as b:
        log_in(a)
        log_in(b)
        assert a.pid != b.pid
        a.send("echo one >mine; cat mine\n")
        a.expect("[\r\n]one")
        b.send("ls mine\n")
        b.expect("No such file")
        power_off(a)
        b.send("echo still here\n")
        b.expect("[\r\n]still here")
        power_off(b)
