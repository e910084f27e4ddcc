# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's installer from its netboot packages: to the language question, and a whole installation.

Run: make t T=systems/installer
"""
import glob
import os
import subprocess

import pytest

from systems import TOP, WORK, Machine

RELEASE = "12"
PRESEED = """
d-i debian-installer/locale string en_US.UTF-8
d-i keyboard-configuration/xkb-keymap select us
d-i netcfg/choose_interface select auto
d-i netcfg/get_hostname string installed
d-i netcfg/get_domain string
d-i mirror/country string manual
d-i mirror/http/hostname string deb.debian.org
d-i mirror/http/directory string /debian
d-i mirror/http/proxy string
d-i passwd/root-login boolean true
d-i passwd/root-password password lodge
d-i passwd/root-password-again password lodge
d-i passwd/make-user boolean false
d-i clock-setup/utc boolean true
d-i time/zone string UTC
d-i clock-setup/ntp boolean false
d-i partman-auto/disk string /dev/vda
d-i partman-auto/method string regular
d-i partman-auto/choose_recipe select atomic
d-i partman-partitioning/confirm_write_new_label boolean true
d-i partman/choose_partition select finish
d-i partman/confirm boolean true
d-i partman/confirm_nooverwrite boolean true
d-i apt-setup/cdrom/set-first boolean false
tasksel tasksel/first multiselect
d-i pkgsel/include string
d-i pkgsel/upgrade select none
popularity-contest popularity-contest/participate boolean false
d-i grub-installer/only_debian boolean true
d-i grub-installer/bootdev string /dev/vda
d-i debian-installer/exit/poweroff boolean true
d-i debian-installer/add-kernel-opts string console=ttyS0
d-i finish-install/reboot_in_progress note
"""


def netboot(arch):
    """Kernel and initrd of the text installer, out of Debian's package, fetched once."""
    out = os.path.join(WORK, "installer-" + arch)
    if not os.path.exists(out):
        os.makedirs(WORK, exist_ok=True)
        name = "debian-installer-%s-netboot-%s" % (RELEASE, arch)
        subprocess.run(["apt-get", "-q", "download", name], cwd=WORK, check=True,
                       stdout=subprocess.DEVNULL)
        (deb,) = glob.glob(os.path.join(WORK, name + "_*.deb"))
        subprocess.run(["dpkg-deb", "-x", deb, out + ".part"], check=True)
        os.unlink(deb)
        os.rename(out + ".part", out)
    folder = os.path.join(out, "usr/lib/debian-installer/images", RELEASE, arch,
                          "text/debian-installer", arch)
    return os.path.join(folder, "linux"), os.path.join(folder, "initrd.gz")


@pytest.mark.parametrize("arch", ["amd64", "i386"])
def test_installer_expect_the_language_question(arch):
    linux, initrd = netboot(arch)
    with Machine("-kernel", linux, "-initrd", initrd, "-append", "console=ttyS0 TERM=linux",
                 memory="1G") as vm:
        vm.expect(r"Choose the language to be used")


def with_preseed(initrd, tmp_path):
    """The installer looks for /preseed.cfg in its initramfs, of which a second archive is a part."""
    with open(os.path.join(tmp_path, "preseed.cfg"), "w", encoding="ascii") as f:
        f.write(PRESEED)
    more = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=b"preseed.cfg\n",
                          cwd=tmp_path, stdout=subprocess.PIPE, check=True).stdout
    out = os.path.join(tmp_path, "initrd")
    with open(initrd, "rb") as f, open(out, "wb") as g:
        data = f.read()
        g.write(data + b"\0" * (-len(data) % 4) + more)
    return out


def test_installer_when_answered_beforehand_expect_a_system_that_boots_by_itself(tmp_path):
    linux, initrd = netboot("amd64")
    disk = os.path.join(tmp_path, "disk.qcow2")
    lodge = os.path.join(TOP, "build/lodge")
    subprocess.run([lodge, "img", "create", "-q", "-f", "qcow2", disk, "4G"], check=True)
    drive = ["-drive", "file=%s,format=qcow2,if=virtio,discard=unmap" % disk]
    net = ["-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n"]
    with Machine("-kernel", linux, "-initrd", with_preseed(initrd, tmp_path), "-append",
                 "console=ttyS0 auto=true priority=critical DEBIAN_FRONTEND=text", "-smp", "2",
                 *drive, *net, memory="1G") as vm:
        assert vm.wait_exit(3600) == 0
    with Machine("-smp", "2", *drive, *net, memory="512M") as vm:
        vm.expect(r"installed login:")
        vm.send("root\n")
        vm.expect("Password:")
        vm.send("lodge\n")
        vm.expect(r"root@installed:~# ")
        vm.send("systemctl is-system-running --wait; poweroff\n")
        vm.expect("running")
        assert vm.wait_exit(180) == 0
    subprocess.run([lodge, "img", "check", disk], check=True, stdout=subprocess.DEVNULL)
