# SPDX-License-Identifier: GPL-2.0-or-later
"""Xen with Debian's kernel as its first domain, from a GRUB CD.

Run: make t T=systems/xen
"""
import glob
import os
import shutil
import subprocess

from systems import WORK, Machine
from vm import initrd, kernel

PACKAGE = "xen-hypervisor-4.17-amd64"
GRUB = """
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=0
menuentry xen {
	multiboot2 /xen.gz console=com1 com1=115200 dom0_mem=384M loglvl=all
	module2 /vmlinuz console=hvc0 lodge.cmd=facts.sh
	module2 /initrd
}
"""


def xen():
    """The hypervisor out of Debian's package, fetched once."""
    out = os.path.join(WORK, "xen")
    if not os.path.exists(out):
        os.makedirs(WORK, exist_ok=True)
        subprocess.run(["apt-get", "-q", "download", PACKAGE], cwd=WORK, check=True,
                       stdout=subprocess.DEVNULL)
        (deb,) = glob.glob(os.path.join(WORK, PACKAGE + "_*.deb"))
        subprocess.run(["dpkg-deb", "-x", deb, out + ".part"], check=True)
        os.unlink(deb)
        os.rename(out + ".part", out)
    return os.path.join(out, "boot/xen-4.17-amd64.gz")


def test_xen_from_a_cd_expect_first_domain_with_two_processors(tmp_path):
    tree = os.path.join(tmp_path, "cd")
    os.makedirs(os.path.join(tree, "boot/grub"))
    shutil.copyfile(xen(), os.path.join(tree, "xen.gz"))
    shutil.copyfile(kernel("amd64"), os.path.join(tree, "vmlinuz"))
    shutil.copyfile(initrd("amd64", os.path.join(os.path.dirname(__file__),
                                                 "../system/facts.sh")),
                    os.path.join(tree, "initrd"))
    with open(os.path.join(tree, "boot/grub/grub.cfg"), "w", encoding="ascii") as f:
        f.write(GRUB)
    iso = os.path.join(tmp_path, "xen.iso")
    subprocess.run(["grub-mkrescue", "-o", iso, tree], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    with Machine("-smp", "2", "-cdrom", iso, "-nic", "none", memory="768M") as vm:
        vm.expect(r"\(XEN\) Xen version 4\.17")
        vm.expect(r"\(XEN\) Brought up 2 CPUs")
        vm.expect(r"Booting kernel on Xen|Xen version: 4\.17|Hypervisor detected: Xen")
        vm.expect(r"lodge-guest: running facts\.sh")
        vm.expect(r"lodge-guest: facts\.sh exit 0")
        vm.expect(r"\(XEN\) Entering ACPI S5 state")
        assert vm.wait_exit() == 0
