# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's installer from its netboot packages: to the language question, and a whole installation.

Run: make t T=systems/installer
"""
import glob
import os
import subprocess

import pexpect
import pytest

import udebs
from systems import TOP, WORK, Machine

# Release, its name, the installer's version where not the newest: with a kernel of which a mirror that is behind
# still has the modules.
INSTALLERS = (("12", "bookworm", None), ("13", "trixie", None),
              ("13", "trixie", "20250803+deb13u6"))
PRESEED = """
d-i debian-installer/locale string en_US.UTF-8
d-i debian-installer/allow_unauthenticated boolean true
d-i keyboard-configuration/xkb-keymap select us
d-i netcfg/choose_interface select auto
d-i netcfg/get_hostname string installed
d-i netcfg/get_domain string
d-i mirror/country string manual
d-i mirror/http/hostname string {mirror}
d-i mirror/http/directory string /debian
d-i mirror/http/proxy string
d-i mirror/suite string {codename}
d-i mirror/udeb/suite string {udebs}
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
d-i base-installer/install-recommends boolean false
d-i base-installer/kernel/image string linux-image-cloud-amd64
d-i base-installer/initramfs-tools/driver-policy select dep
d-i apt-setup/cdrom/set-first boolean false
d-i apt-setup/services-select multiselect
d-i apt-setup/enable-source-repositories boolean false
tasksel tasksel/first multiselect
d-i pkgsel/run_tasksel boolean false
d-i pkgsel/include string
d-i pkgsel/upgrade select none
popularity-contest popularity-contest/participate boolean false
d-i grub-installer/only_debian boolean true
d-i grub-installer/bootdev string /dev/vda
d-i debian-installer/exit/poweroff boolean true
d-i debian-installer/add-kernel-opts string console=ttyS0
d-i finish-install/reboot_in_progress note
"""


def fetch_package(name, version, codename):
    """Debian's package in WORK: by the host's APT, or from the mirror's pool."""
    if codename == "bookworm":
        subprocess.run(["apt-get", "-q", "download", name], cwd=WORK, check=True,
                       stdout=subprocess.DEVNULL)
        (deb,) = glob.glob(os.path.join(WORK, name + "_*.deb"))
        return deb
    pool = "pool/main/d/debian-installer-netboot-images/%s_%s_all.deb"
    if version is None:
        version = udebs.version_of(name, codename)
    deb = os.path.join(WORK, name + ".deb")
    with open(deb, "wb") as f:
        f.write(udebs.fetch(pool % (name, version)))
    return deb


def netboot(arch, release="12", codename="bookworm", version=None):
    """Kernel and initrd of the text installer, out of Debian's package, fetched once."""
    out = os.path.join(WORK, "installer-%s-%s-%s" % (release, arch, version or "newest"))
    if not os.path.exists(out):
        os.makedirs(WORK, exist_ok=True)
        deb = fetch_package("debian-installer-%s-netboot-%s" % (release, arch), version, codename)
        subprocess.run(["dpkg-deb", "-x", deb, out + ".part"], check=True)
        os.unlink(deb)
        os.rename(out + ".part", out)
    folder = os.path.join(out, "usr/lib/debian-installer/images", release, arch,
                          "text/debian-installer", arch)
    return os.path.join(folder, "linux"), os.path.join(folder, "initrd.gz")


@pytest.mark.parametrize("arch", ["amd64", "i386"])
def test_installer_expect_the_language_question(arch):
    linux, initrd = netboot(arch)
    with Machine("-kernel", linux, "-initrd", initrd, "-append", "console=ttyS0 TERM=linux",
                 memory="1G") as vm:
        vm.expect(r"Choose the language to be used")


def with_preseed(initrd, preseed, tmp_path):
    """The installer looks for /preseed.cfg in its initramfs, of which a second archive is a part."""
    with open(os.path.join(tmp_path, "preseed.cfg"), "w", encoding="ascii") as f:
        f.write(preseed)
    more = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=b"preseed.cfg\n",
                          cwd=tmp_path, stdout=subprocess.PIPE, check=True).stdout
    out = os.path.join(tmp_path, "initrd")
    with open(initrd, "rb") as f, open(out, "wb") as g:
        data = f.read()
        g.write(data + b"\0" * (-len(data) % 4) + more)
    return out


def installer(tmp_path):
    """The first installer of which the mirror has all components, its release, and a folder with its index."""
    missing = []
    for i, (release, codename, version) in enumerate(INSTALLERS):
        linux, initrd = netboot("amd64", release, codename, version)
        folder = os.path.join(tmp_path, "udebs%d" % i)
        os.makedirs(folder)
        lacks = udebs.make(folder, initrd, codename)
        if lacks is None:
            return linux, initrd, codename, folder
        missing.append(lacks)
    pytest.skip("the mirror lacks components of each installer: " + ", ".join(missing))


def install(disk, net, tmp_path):
    linux, initrd, codename, folder = installer(tmp_path)
    with udebs.served(folder) as port:
        preseed = PRESEED.format(mirror="10.0.2.2:%d" % port, codename=codename,
                                 udebs=udebs.SUITE)
        with Machine("-kernel", linux, "-initrd", with_preseed(initrd, preseed, tmp_path),
                     "-append", "console=ttyS0 auto=true priority=critical DEBIAN_FRONTEND=text",
                     "-smp", "2", *disk, *net, memory="1G") as vm:
            # A question is one too many: all are answered.
            end = vm.child.expect([r"Prompt: '\?' for help", pexpect.EOF], timeout=5400)
            assert end == 1, "the installer asks"
            vm.child.wait()
            assert vm.child.exitstatus == 0


def log_in_and_power_off(*args):
    with Machine("-smp", "2", *args, memory="512M") as vm:
        vm.expect(r"installed login:")
        vm.send("root\n")
        vm.expect("Password:")
        vm.send("lodge\n")
        vm.expect(r"root@installed:~# ")
        vm.send("systemctl is-system-running --wait; poweroff\n")
        vm.expect("[\r\n]running")
        assert vm.wait_exit(180) == 0


def test_installer_when_answered_beforehand_expect_a_system_that_boots_by_itself(tmp_path):
    image = os.path.join(tmp_path, "disk.qcow2")
    lodge = os.path.join(TOP, "build/lodge")
    subprocess.run([lodge, "img", "create", "-q", "-f", "qcow2", image, "4G"], check=True)
    disk = ["-drive", "file=%s,format=qcow2,if=virtio,discard=unmap" % image]
    net = ["-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n"]
    install(disk, net, tmp_path)
    log_in_and_power_off(*disk, *net)
    subprocess.run([lodge, "img", "check", image], check=True, stdout=subprocess.DEVNULL)
