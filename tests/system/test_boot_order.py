# SPDX-License-Identifier: GPL-2.0-or-later
"""What SeaBIOS boots, of disks whose boot sectors say who they are.

Run: make t T=system/boot_order
"""
from vm import LODGE, Vm

WAIT = 60


def disk(path, name, reset=False, size=1474560, signature=True):
    """A disk that prints "this is NAME", then resets the machine or stops."""
    code = bytes([0xfc, 0x31, 0xc0, 0x8e, 0xd8,  # cld; ds = 0
                  0xbe, 0, 0,                    # si = text
                  0xac, 0x84, 0xc0, 0x74, 6,     # next character, or done
                  0xb4, 0x0e, 0xcd, 0x10,        # print it by INT 10h
                  0xeb, 0xf5])
    if reset:
        # Some ticks until the console has it all.
        code += bytes([0xfb, 0xb9, 20, 0, 0xf4, 0xe2, 0xfd])
        code += bytes([0xba, 0xf9, 0x0c, 0xb0, 6, 0xee])  # port 0xcf9 = 6
    code += bytes([0xf4, 0xeb, 0xfd])                     # hlt
    at = 0x7c00 + len(code)
    code = code[:6] + bytes([at & 0xff, at >> 8]) + code[8:]
    code += b"this is %s\r\n\0" % name.encode()
    sector = code.ljust(510, b"\0") + (b"\x55\xaa" if signature else b"\0\0")
    path.write_bytes(sector.ljust(size, b"\0"))
    return str(path)


def machine(*args):
    vm = Vm()
    vm.args = [*LODGE, "-m", "64M", "-nographic", *args]
    return vm


def test_boot_when_order_is_given_expect_that_one(tmp_path):
    a = disk(tmp_path / "a", "a-floppy")
    c = disk(tmp_path / "c", "a-disk", size=1 << 20)
    drives = ("-drive", "if=floppy,format=raw,file=" + a, "-drive", "if=ide,format=raw,file=" + c)
    for order, first in [("a", "a-floppy"), ("c", "a-disk"), ("ca", "a-disk")]:
        with machine(*drives, "-boot", order) as vm:
            vm.expect("this is " + first, timeout=WAIT)


def test_boot_when_once_expect_order_after_the_reset(tmp_path):
    a = disk(tmp_path / "a", "a-floppy", reset=True)
    c = disk(tmp_path / "c", "a-disk", reset=True, size=1 << 20)
    with machine("-drive", "if=floppy,format=raw,file=" + a, "-drive",
                 "if=ide,format=raw,file=" + c, "-boot", "order=c,once=a") as vm:
        vm.expect("this is a-floppy", timeout=WAIT)
        for _ in range(3):
            vm.expect(r"this is ([a-z-]+)\r", timeout=WAIT)
            assert vm.child.match.group(1) == "a-disk"


def test_boot_when_bootindex_is_given_expect_lowest_first(tmp_path):
    drives, names = [], ["one", "two", "three"]
    for n, name in enumerate(names):
        drives += ["-drive", "if=none,id=%s,format=raw,file=%s" %
                   (name, disk(tmp_path / name, name, size=1 << 20))]
    kinds = ["virtio-blk-pci,drive=one,", "ide-hd,drive=two,", "virtio-blk-pci,drive=three,"]
    for first in range(3):
        devices = []
        for n, kind in enumerate(kinds):
            devices += ["-device", kind + "bootindex=%d" % ((n - first) % 3 + 1)]
        with machine(*drives, *devices) as vm:
            vm.expect(r"this is ([a-z-]+)\r", timeout=WAIT)
            assert vm.child.match.group(1) == names[first]


def test_boot_when_strict_expect_nothing_without_index(tmp_path):
    c = disk(tmp_path / "c", "a-disk", size=1 << 20)
    with machine("-drive", "if=ide,format=raw,file=" + c, "-boot", "strict=on") as vm:
        vm.expect("No bootable device", timeout=WAIT)
        assert "this is" not in vm.text


def test_floppy_when_unsigned_expect_boot_only_without_check(tmp_path):
    a = disk(tmp_path / "a", "unsigned", signature=False)
    drive = ("-drive", "if=floppy,format=raw,file=" + a, "-boot", "a")
    with machine(*drive) as vm:
        vm.expect("not a bootable disk", timeout=WAIT)
    with machine(*drive, "-no-fd-bootchk") as vm:
        vm.expect("this is unsigned", timeout=WAIT)


def test_option_rom_when_given_expect_it_runs_and_boots_by_index(tmp_path):
    # 55 aa, 512 bytes, jump to 6; there a far return with "no device" in ax.
    text = b"this is a ROM\r\n\0"
    code = bytes([0x0e, 0x1f, 0xfc, 0xbe, 0x28, 0,
                  0xac, 0x84, 0xc0, 0x74, 6, 0xb4, 0x0e, 0xcd, 0x10, 0xeb, 0xf5,
                  0x31, 0xc0, 0xcb])
    rom = (bytes([0x55, 0xaa, 1, 0xeb, 3, 0, 0, 0]) + code).ljust(0x28, b"\0") + text
    rom = rom.ljust(511, b"\0")
    rom += bytes([-sum(rom) & 0xff])
    (tmp_path / "x.rom").write_bytes(rom)
    with machine("-option-rom", str(tmp_path / "x.rom")) as vm:
        vm.expect("this is a ROM", timeout=WAIT)
        vm.expect("No bootable device", timeout=WAIT)
