# SPDX-License-Identifier: GPL-2.0-or-later
"""IDE, AHCI, NVMe and floppy drives: under Debian's drivers, and as what SeaBIOS boots from.

Run: make t T=system/storage
"""
import os
import struct
import subprocess

import pytest
from modules import modules
from vm import TOP, WORK, Vm, initrd, kernel

HERE = os.path.dirname(os.path.abspath(__file__))
DRIVERS = ("crct10dif_generic", "crc64_rocksoft_generic", "ata_piix", "ahci", "nvme", "sd_mod",
           "sr_mod", "isofs", "crc32c_generic", "ext4", "floppy")

DISKS = {
    "ide": ("sda", ["-drive", "if=ide,format=FORMAT,file=IMAGE"]),
    "ide-slave": ("sda", ["-drive", "if=none,id=d,format=FORMAT,file=IMAGE",
                          "-device", "ide-hd,drive=d,bus=ide.1,unit=1"]),
    "ahci": ("sda", ["-device", "ahci,id=ahci", "-drive", "if=none,id=d,format=FORMAT,file=IMAGE",
                     "-device", "ide-hd,drive=d,bus=ahci.2"]),
    "nvme": ("nvme0n1", ["-drive", "if=none,id=d,format=FORMAT,file=IMAGE",
                         "-device", "nvme,drive=d,serial=one"]),
}


def run(*cmd):
    subprocess.run([str(c) for c in cmd], check=True, stdout=subprocess.PIPE,
                   stderr=subprocess.STDOUT)


def guest(tmp_path, disk, what, *args, append=""):
    """disktest.sh in a guest with the drivers of all these drives."""
    mods = modules("amd64", *DRIVERS)
    if what != "floppy":
        mods = [m for m in mods if not m.endswith("floppy.ko")]
    (tmp_path / "modules.list").write_text("\n".join(os.path.basename(m) for m in mods) + "\n")
    run("gcc", "-O1", "-static", "-o", tmp_path / "cdctl", os.path.join(HERE, "cdctl.c"))
    return Vm("-kernel", kernel("amd64"), "-initrd",
              initrd("amd64", os.path.join(HERE, "disktest.sh"), str(tmp_path / "cdctl"),
                     str(tmp_path / "modules.list"), *mods),
              "-append", "console=ttyS0 quiet cryptomgr.notests lodge.cmd=disktest.sh "
              "lodge.disk=%s lodge.disktest=%s %s" % (disk, what, append), *args)


def files(tmp_path, kib):
    """A folder with files and their sums."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "big").write_bytes(os.urandom(kib << 10))
    (root / "hello").write_text("hello\n")
    with open(root / "sums", "w") as f:
        subprocess.run(["md5sum", "big", "hello"], cwd=root, stdout=f, check=True)
    return root


def with_image(args, image, fmt="raw"):
    return [a.replace("IMAGE", str(image)).replace("FORMAT", fmt) for a in args]


@pytest.mark.parametrize("kind,append", [("ide", ""), ("ide-slave", ""), ("ahci", ""),
                                         ("ahci", "pci=nomsi"), ("nvme", ""),
                                         ("nvme", "pci=nomsi")])
def test_disk_when_written_expect_clean_file_system(tmp_path, kind, append):
    name, args = DISKS[kind]
    image = tmp_path / "disk.img"
    run("mke2fs", "-q", "-t", "ext4", "-d", files(tmp_path, 4096), image, "64M")
    with guest(tmp_path, name, "write", *with_image(args, image), append=append) as vm:
        assert vm.wait_exit(300) == 0
        assert "disktest: done" in vm.text and "FAIL" not in vm.text
        assert "disktest: trimmed" in vm.text
        assert "exception" not in vm.text and "timeout" not in vm.text
    run("e2fsck", "-fn", image)


@pytest.mark.parametrize("args", [
    ["-cdrom", "IMAGE"],
    ["-device", "ich9-ahci,id=sata", "-drive", "if=none,id=c,media=cdrom,format=raw,file=IMAGE",
     "-device", "ide-cd,drive=c,bus=sata.5"]], ids=["ide", "ahci"])
def test_cd_when_ejected_expect_gone_and_back(tmp_path, args):
    image = tmp_path / "cd.iso"
    run("xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", image, files(tmp_path, 3000))
    with guest(tmp_path, "sr0", "cd", *with_image(args, image)) as vm:
        assert vm.wait_exit(300) == 0
        assert "disktest: done" in vm.text and "FAIL" not in vm.text
        assert vm.text.count("big: OK") == 2


@pytest.mark.parametrize("kib", [360, 720, 1440, 2880])
def test_floppy_when_written_expect_clean_file_system(tmp_path, kib):
    image = tmp_path / "floppy.img"
    run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", files(tmp_path, 100), image,
        "%dk" % kib)
    with guest(tmp_path, "fd0", "floppy", "-drive",
               "if=floppy,format=raw,file=%s" % image) as vm:
        assert vm.wait_exit(300) == 0
        assert "disktest: done" in vm.text and "FAIL" not in vm.text
    run("e2fsck", "-fn", image)


def damaged(tmp_path, at):
    """A compressed qcow2 image whose cluster at byte `at` cannot be read."""
    raw, image = tmp_path / "plain.img", tmp_path / "bad.qcow2"
    raw.write_bytes(b"".join(b"%015d\n" % n for n in range((4 << 20) // 16)))
    run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, image)
    with open(image, "r+b") as f:
        f.seek(40)
        f.seek(struct.unpack(">Q", f.read(8))[0])
        level2 = struct.unpack(">Q", f.read(8))[0] & 0x00fffffffffffe00
        f.seek(level2 + at // 65536 * 8)
        entry = struct.unpack(">Q", f.read(8))[0]
        assert entry >> 62 == 1
        f.seek(entry & ((1 << 54) - 1))
        f.write(b"\xff" * 64)
    return image


@pytest.mark.parametrize("kind", ["ide", "ahci", "nvme"])
def test_disk_when_sector_is_bad_expect_the_rest(tmp_path, kind):
    name, args = DISKS[kind]
    image = damaged(tmp_path, 2 << 20)
    with guest(tmp_path, name, "bad", *with_image(args, image, "qcow2")) as vm:
        assert vm.wait_exit(300) == 0
        assert "disktest: done" in vm.text and "FAIL" not in vm.text
        assert "sector 4096 " in vm.text
        if kind != "nvme":
            assert "UNC" in vm.text and "timeout" not in vm.text


# ---- Firmware -----------------------------------------------------------------------------------

GRUB = """serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
echo "GRUB is here"
"""


@pytest.fixture(scope="module")
def grub_iso():
    """A GRUB that boots as a CD and as a disk, and gives its prompt on the serial line."""
    root = os.path.join(WORK, "grub-%d" % os.getpid())
    os.makedirs(root + "/boot/grub", exist_ok=True)
    with open(root + "/boot/grub/grub.cfg", "w") as f:
        f.write(GRUB)
    run("grub-mkrescue", "-o", root + ".iso", root)  # for BIOS and EFI
    yield root + ".iso"
    os.unlink(root + ".iso")


@pytest.mark.parametrize("args", [
    ["-cdrom", "IMAGE"],
    ["-hda", "IMAGE"],
    ["-drive", "if=ide,index=3,media=cdrom,format=raw,file=IMAGE", "-boot", "d"],
    ["-device", "ahci,id=a", "-drive", "if=none,id=d,format=raw,file=IMAGE",
     "-device", "ide-hd,drive=d,bus=a.0"],
    ["-device", "ahci,id=a", "-drive", "if=none,id=d,format=raw,media=cdrom,file=IMAGE",
     "-device", "ide-cd,drive=d,bus=a.4,bootindex=1"],
    ["-drive", "if=none,id=d,format=raw,file=IMAGE", "-device", "nvme,drive=d,serial=1"],
], ids=["cd", "disk", "second-cd", "ahci-disk", "ahci-cd", "nvme"])
def test_grub_when_booted_expect_prompt(grub_iso, args):
    with Vm(*with_image(args, grub_iso), "-snapshot", memory="128M") as vm:
        vm.expect("GRUB is here")
        vm.expect("grub> ")
        vm.send("ls\r")
        vm.expect(r"\((cd|hd0)\)")


@pytest.mark.parametrize("args", [
    ["-hda", "IMAGE"],
    ["-device", "ahci,id=a", "-drive", "if=none,id=d,format=raw,file=IMAGE",
     "-device", "ide-hd,drive=d,bus=a.0"],
    ["-drive", "if=none,id=d,format=raw,file=IMAGE", "-device", "nvme,drive=d,serial=1"],
], ids=["ide", "ahci", "nvme"])
def test_reset_when_asked_by_grub_expect_it_boots_again(grub_iso, args):
    vm = Vm(*with_image(args, grub_iso), "-snapshot", memory="128M")
    vm.args.remove("-no-reboot")
    with vm:
        for _ in range(3):
            vm.expect("GRUB is here")
            vm.expect("grub> ")
            vm.send("reboot\r")


@pytest.mark.parametrize("args", [
    ["-cdrom", "IMAGE"],
    ["-device", "ahci,id=a", "-drive", "if=none,id=d,format=raw,media=cdrom,file=IMAGE",
     "-device", "ide-cd,drive=d,bus=a.3,bootindex=1"],
    ["-drive", "if=none,id=d,format=raw,file=IMAGE",
     "-device", "nvme,drive=d,serial=1,bootindex=1"],
], ids=["ide-cd", "ahci-cd", "nvme"])
def test_grub_when_booted_by_ovmf_expect_prompt(grub_iso, args):
    ovmf = "/usr/share/OVMF/OVMF_%s.fd"
    with Vm("-drive", "if=pflash,format=raw,readonly=on,file=" + ovmf % "CODE",
            "-drive", "if=pflash,format=raw,file=" + ovmf % "VARS", "-snapshot",
            *with_image(args, grub_iso), memory="256M") as vm:
        vm.expect("GRUB is here")
        vm.expect("grub> ")


def test_bootindex_when_given_expect_that_disk(grub_iso, tmp_path):
    """Two disks that cannot boot are before it, and behind."""
    for n in (1, 2):
        (tmp_path / ("empty%d" % n)).write_bytes(bytes(1 << 20))
    args = ["-drive", "if=none,id=a,format=raw,file=%s" % (tmp_path / "empty1"),
            "-drive", "if=none,id=b,format=raw,file=IMAGE",
            "-drive", "if=none,id=c,format=raw,file=%s" % (tmp_path / "empty2"),
            "-device", "ide-hd,drive=a,bus=ide.0,unit=0,bootindex=7",
            "-device", "ide-hd,drive=b,bus=ide.1,unit=0,bootindex=1",
            "-device", "ide-hd,drive=c,bus=ide.0,unit=1,bootindex=2"]
    with Vm(*with_image(args, grub_iso), "-snapshot", memory="128M") as vm:
        vm.expect("GRUB is here")


@pytest.mark.parametrize("kib", [360, 720, 1200, 1440, 2880])
def test_grub_when_on_a_floppy_expect_prompt(tmp_path, kib):
    (tmp_path / "early.cfg").write_text(GRUB + "normal\n")
    run("grub-mkimage", "-O", "i386-pc", "-p", "(fd0)/boot/grub", "-o", tmp_path / "core.img", "-c",
        tmp_path / "early.cfg", "biosdisk", "serial", "terminal", "echo", "normal", "ls", "halt")
    with open("/usr/lib/grub/i386-pc/boot.img", "rb") as f:
        data = f.read() + (tmp_path / "core.img").read_bytes()
    (tmp_path / "floppy.img").write_bytes(data.ljust(kib << 10, b"\0"))
    with Vm("-drive", "if=floppy,format=raw,file=%s" % (tmp_path / "floppy.img"),
            memory="64M") as vm:
        vm.expect("GRUB is here")
        vm.expect("grub> ")


# ---- What is refused ----------------------------------------------------------------------------

@pytest.mark.parametrize("args,words", [
    (["-device", "ide-hd"], "drive=ID is missing"),
    (["-device", "nvme,drive=d", "-drive", "if=none,id=d,format=raw,file=IMAGE"], "serial= is missing"),
    (["-device", "ide-cd,bus=ahci.0"], "add '-device ahci,id=ahci' before it"),
    (["-device", "ide-cd,bus=ide.0,unit=5"], "unit"),
    (["-device", "ide-cd,bus=ide.0,unit=0", "-hda", "IMAGE"], "free"),
    (["-device", "ide-cd,color=red"], "color"),
    (["-device", "floppy", "-device", "floppy", "-device", "floppy"], "two floppy drives"),
    (["-drive", "if=floppy,format=raw,file=IMAGE"], "is no floppy"),
])
def test_device_when_wrong_expect_a_sentence(tmp_path, args, words):
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(4 << 20))
    r = subprocess.run([os.path.join(TOP, "build/lodge"), "run", "-display", "none",
                        *with_image(args, image)], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    assert r.returncode == 1
    assert words in r.stdout
