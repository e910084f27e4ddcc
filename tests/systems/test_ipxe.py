# SPDX-License-Identifier: GPL-2.0-or-later
"""iPXE in the option ROMs of network cards: a lease, and a script by TFTP, by BIOS and by EFI.

Run: make t T=systems/ipxe
"""
import shutil

import pytest
from vm import Vm

WAIT = 90
OVMF = "/usr/share/OVMF/OVMF_%s_4M.fd"


@pytest.mark.parametrize("card", ["e1000", "virtio-net-pci"])
@pytest.mark.parametrize("firmware", ["bios", "efi"])
def test_ipxe_when_it_boots_expect_lease_and_script_by_tftp(card, firmware, tmp_path):
    (tmp_path / "tftp").mkdir()
    (tmp_path / "tftp" / "hello.ipxe").write_text(
        "#!ipxe\necho lodge says ${platform} ${net0/ip}\nsleep 2\npoweroff || sleep 1\n")
    args = ["-nic", "user,model=%s,tftp=%s/tftp,bootfile=hello.ipxe" % (card, tmp_path)]
    if firmware == "efi":
        shutil.copyfile(OVMF % "VARS", tmp_path / "vars.fd")
        args += ["-drive", "if=pflash,format=raw,readonly=on,file=" + OVMF % "CODE",
                 "-drive", "if=pflash,format=raw,file=%s/vars.fd" % tmp_path]
    with Vm(*args, "-boot", "n", memory="512M") as vm:
        vm.expect(r"iPXE initialising devices|iPXE 1\.\d", timeout=WAIT)
        vm.expect(r"Configuring \(net0 52:54:00:12:34:56\)", timeout=WAIT)
        vm.expect(r"net0: 10\.0\.2\.15/255\.255\.255\.0 gw 10\.0\.2\.2", timeout=WAIT)
        vm.expect(r"lodge says %s 10\.0\.2\.15" % ("efi" if firmware == "efi" else "pcbios"),
                  timeout=WAIT)
