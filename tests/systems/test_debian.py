# SPDX-License-Identifier: GPL-2.0-or-later
"""An installed Debian on a disk: `lodge new debian`, then from firmware to a login and back.

Run: make check-systems S=debian   (the image is made once, in build/systems)
"""
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

from systems import TOP, WORK, Machine
from vm import BOOT_TIMEOUT

KEY = os.path.join(WORK, "key")


def new_debian(name, *options):
    out = os.path.join(WORK, name)
    os.makedirs(WORK, exist_ok=True)
    if not os.path.exists(KEY):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY], check=True)
    if not os.path.exists(out):
        subprocess.run([os.path.join(TOP, "build/lodge"), "new", "debian", "--size", "3G",
                        "--user", "guest", "--ssh-key", KEY + ".pub", "--hostname", "lodge",
                        *options, out], check=True)
    return out


@pytest.fixture(scope="session")
def image():
    return new_debian("debian.qcow2")


@pytest.fixture(scope="session")
def image_i386():
    """Without updates: a mirror that is behind with one list of them is no reason to fail."""
    return new_debian("debian-i386.qcow2", "--arch", "i386", "--mirror",
                      "http://deb.debian.org/debian")


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


def log_in(vm, timeout=BOOT_TIMEOUT):
    vm.expect(r"login: guest \(automatic login\)", timeout=timeout)
    vm.expect(r"guest@lodge:~\$ ", timeout=timeout)


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


def test_debian_of_32_bits_by_seabios_expect_login_and_clean_end(image_i386, tmp_path):
    disk = os.path.join(tmp_path, "disk.qcow2")
    shutil.copyfile(image_i386, disk)
    with Machine("-smp", "2", *CONTROLLERS["virtio"](disk), memory="512M") as vm:
        log_in(vm)
        vm.send("echo $(uname -m) $(getconf LONG_BIT) $(nproc) $(dpkg --print-architecture)\n")
        vm.expect("[\r\n]i686 32 2 i386\r")
        power_off(vm)
    check_file_system(disk, tmp_path)


def ordinary_user():
    """Somebody without rights who has ids of a name space; this user, if that is so already."""
    if os.getuid():
        return pwd.getpwuid(os.getuid())
    with open("/etc/subuid", encoding="utf-8") as f:
        names = {line.split(":")[0] for line in f}
    for entry in pwd.getpwall():
        if entry.pw_uid and entry.pw_name in names:
            return entry
    pytest.skip("no user of this host is in /etc/subuid")


def test_new_debian_when_run_by_an_ordinary_user_expect_a_system_and_nothing_left():
    user = ordinary_user()
    with tempfile.TemporaryDirectory(prefix="lodge-user.") as folder:
        lodge = os.path.join(folder, "lodge")
        shutil.copyfile(os.path.join(TOP, "build/lodge"), lodge)
        os.chmod(lodge, 0o755)
        work = os.path.join(folder, "work")
        os.mkdir(work, 0o755)
        rights = {}
        if not os.getuid():
            os.chmod(folder, 0o711)
            os.chown(work, user.pw_uid, user.pw_gid)
            rights = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        os.mkdir(os.path.join(folder, "tmp"))
        os.chmod(os.path.join(folder, "tmp"), 0o1777)
        subprocess.run([lodge, "new", "debian", "--size", "2G", "--user", "guest", "--hostname",
                        "lodge", "--kernel", "cloud-amd64", "disk.qcow2"], check=True, cwd=work,
                       env={"PATH": os.environ["PATH"], "HOME": user.pw_dir,
                            "TMPDIR": os.path.join(folder, "tmp")}, **rights)
        assert os.listdir(os.path.join(folder, "tmp")) == []
        disk = os.path.join(work, "disk.qcow2")
        with Machine(*CONTROLLERS["virtio"](disk), memory="512M") as vm:
            log_in(vm)
            vm.send("stat -c %U:%a / /root /home/guest /usr/bin/sudo | tr '\\n' ' '\n")
            vm.expect("root:755 root:700 guest:7.. root:4755 ")
            power_off(vm)
        check_file_system(disk, folder)


def test_debian_when_interpreted_expect_login_and_clean_end(disk, tmp_path):
    with Machine("-accel", "soft,tier=1", *CONTROLLERS["virtio"](disk), memory="512M") as vm:
        start = time.monotonic()
        log_in(vm, timeout=1800)
        print("login after %.0f s" % (time.monotonic() - start))
        vm.send("echo 1 2 3 | sha256sum\n")
        vm.expect("1def07dbe06eeb097aafec8a40329937cd20c93a83634b8221ea2b41a894310c", timeout=300)
        vm.send("sudo systemctl poweroff\n")
        assert vm.wait_exit(600) == 0
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


def test_two_systems_at_once_expect_each_its_own_process(image, image_i386, tmp_path):
    disks = [os.path.join(tmp_path, "disk%d.qcow2" % n) for n in range(2)]
    shutil.copyfile(image, disks[0])
    shutil.copyfile(image_i386, disks[1])
    with Machine(*CONTROLLERS["virtio"](disks[0]), memory="512M") as a, \
         Machine(*CONTROLLERS["ide"](disks[1]), memory="512M") as b:
        log_in(a)
        log_in(b)
        assert a.pid != b.pid
        a.send("uname -m; echo one >mine; cat mine\n")
        a.expect("[\r\n]x86_64")
        a.expect("[\r\n]one")
        b.send("uname -m\n")
        b.expect("[\r\n]i686\r")
        b.send("ls mine\n")
        b.expect("No such file")
        power_off(a)
        b.send("echo still here\n")
        b.expect("[\r\n]still here")
        power_off(b)
