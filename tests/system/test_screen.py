# SPDX-License-Identifier: GPL-2.0-or-later
"""What real guests show: text screens read exactly, pictures looked at.

Run: make t T=system/screen
"""
import os
import re
import struct
import subprocess
import time
import zlib

import pytest
import modules
from vm import TOP, kernel

SCREEN = os.path.join(TOP, os.environ.get("B", "build/gcc"), "tests/system/screen")
TIMEOUT = 400


class Screen:
    """A machine under tests/system/screen.c."""

    def __init__(self, *args):
        self.args = [SCREEN, "-display", "none", "-nic", "none", *args]
        self.child = None

    def __enter__(self):
        self.child = subprocess.Popen(self.args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True)
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()

    def ask(self, command):
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()
        lines = []
        while True:
            line = self.child.stdout.readline()
            assert line, "the machine ended"
            if line == ".\n":
                return "".join(lines)
            lines.append(line)

    def wait(self, look, what):
        """Look again and again until there is something."""
        end = time.monotonic() + TIMEOUT
        while True:
            got = look()
            if got:
                return got
            assert time.monotonic() < end, "%s: not seen; the screen is\n%s" % (
                what, self.ask("text"))
            time.sleep(0.3)

    def wait_text(self, pattern):
        return self.wait(lambda: re.search(pattern, self.ask("text")), pattern)

    def picture(self, path):
        """Width, height and rows of (r, g, b)."""
        assert self.ask("shot " + path) == ""
        with open(path, "rb") as f:
            return parse_png(f.read())


def parse_png(data):
    """What src/display/png.c writes: 8-bit RGB, every line filtered by the one above."""
    width, height = struct.unpack(">II", data[16:24])
    packed, at = b"", 8
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IDAT":
            packed += data[at + 8:at + 8 + size]
        at += size + 12
    raw, above, rows = zlib.decompress(packed), bytes(3 * width), []
    for y in range(height):
        line = raw[y * (3 * width + 1) + 1:(y + 1) * (3 * width + 1)]
        if any(line):
            above = bytes((a + b) & 255 for a, b in zip(line, above))
        rows.append(above)
    return width, height, rows


def share(picture, colour):
    """How much of a picture has this colour, from 0 to 1."""
    width, height, rows = picture
    colour = bytes(colour)
    n = sum(row[i:i + 3] == colour for row in rows for i in range(0, 3 * width, 3))
    return n / (width * height)


def test_seabios_when_it_has_a_vga_expect_its_text_on_the_screen(tmp_path):
    with Screen("-vga", "std") as vm:
        vm.wait_text(r"\ASeaBIOS \(version 1\.")
        vm.wait_text(r"(?m)^Boot failed: could not read the boot disk$")
        vm.wait_text(r"No bootable device\.\s*\Z")
        assert vm.ask("size") == "720 400\n"
        picture = vm.picture(str(tmp_path / "a.png"))
        # Gray letters on black, and nothing else.
        gray, black = share(picture, (0xaa, 0xaa, 0xaa)), share(picture, (0, 0, 0))
        assert 0.003 < gray < 0.05 and gray + black == 1
        # The first letter, an S: some of its 9 by 16 dots, none in the last column.
        cell = [[row[3 * x] != 0 for x in range(9)] for row in picture[2][:16]]
        assert 15 < sum(map(sum, cell)) < 60 and not any(r[8] for r in cell)


# Mode, and the dots of a character's cell: 8 by 8 of low resolution is 16 by 16.
MODES = {0x04: (16, 16), 0x06: (8, 16), 0x0d: (16, 16), 0x0e: (8, 16), 0x10: (8, 14),
         0x11: (8, 16), 0x12: (8, 16), 0x13: (16, 16)}


@pytest.mark.parametrize("mode", sorted(MODES))
def test_bios_when_it_draws_text_in_graphics_expect_its_letters(mode, tmp_path):
    obj, image = str(tmp_path / "a.o"), str(tmp_path / "a.img")
    subprocess.run(["as", "--32", "--defsym", "MODE=%d" % mode, "-o", obj,
                    os.path.join(os.path.dirname(os.path.abspath(__file__)), "video_mode.S")],
                   check=True)
    subprocess.run(["objcopy", "-O", "binary", obj, image], check=True)
    with open(image, "ab") as f:
        f.truncate(1440 * 1024)
    width, height = MODES[mode]
    path = str(tmp_path / "a.png")

    def letters():
        """The five cells at the top left, as rows of what is lit; nothing is lit elsewhere."""
        rows = vm.picture(path)[2]
        if any(any(row) for row in rows[height:]) or any(any(r[15 * width:]) for r in rows):
            return None
        return [[[any(row[3 * x:3 * x + 3]) for x in range(width * n, width * (n + 1))]
                 for row in rows[:height]] for n in range(5)]

    with Screen("-vga", "std", "-drive", "if=floppy,format=raw,file=" + image, "-boot", "a") as vm:
        cells = vm.wait(lambda: (c := letters()) and sum(map(sum, c[4])) and c, "letters")
    x, y = width // 8, height // 8
    # L: a bar at the left, a foot, and nothing at the upper right.
    assert all(cells[0][row][2 * x] for row in range(2 * y, 5 * y))
    assert not any(cells[0][row][6 * x] for row in range(2 * y, 3 * y))
    assert sum(map(any, cells[0])) >= 5 * y
    # The letters differ.
    assert len({str(c) for c in cells}) == 5


@pytest.mark.parametrize("vga", ["std", "virtio"])
def test_grub_when_it_has_a_vga_expect_its_menu_in_a_box(vga):
    with Screen("-vga", vga, "-cdrom", kernel("grub-cd")) as vm:
        vm.wait_text(r"GNU GRUB  version 2\.06")
        vm.wait_text(r"(?m)^ ┌─{76}┐$")
        vm.wait_text(r"(?m)^ │\*GNU/Linux {66}│$")
        vm.wait_text(r"Use the ↑ and ↓ keys to select")


def test_memtest_when_it_has_a_vga_expect_blue_screen_with_its_text(tmp_path):
    with Screen("-vga", "std", "-m", "64M", "-kernel", kernel("memtest"), "-bios", "bios-256k.bin",
                "-L", os.path.dirname(kernel("linuxboot"))) as vm:
        vm.wait_text(r"\A {6}Memtest86\+ v6\.10 {6}│")
        vm.wait_text(r"Status: Testing")
        assert share(vm.picture(str(tmp_path / "a.png")), (0, 0, 0xaa)) > 0.7


@pytest.mark.parametrize("adapter", ["VGA", "bochs-display"])
def test_memtest_by_efi_expect_it_draws_in_the_frame_buffer(adapter, tmp_path):
    path = str(tmp_path / "a.png")
    with Screen("-device", adapter, "-m", "64M", "-bios", "OVMF.fd", "-kernel",
                kernel("memtest-efi")) as vm:
        vm.wait(lambda: vm.ask("size") == "640 480\n" and
                0.5 < share(vm.picture(path), (0, 0, 0xaa)), "a blue screen")


@pytest.mark.parametrize("adapter", ["VGA", "virtio-gpu-pci", "virtio-vga"])
def test_ovmf_when_it_has_an_adapter_expect_the_monitors_size_and_the_shells_colours(adapter,
                                                                                     tmp_path):
    path = str(tmp_path / "a.png")
    with Screen("-device", adapter + ",xres=1024,yres=768", "-bios", "OVMF.fd") as vm:
        vm.wait(lambda: vm.ask("size") == "1024 768\n", "1024x768")
        # The prompt is yellow on black.
        vm.wait(lambda: share(vm.picture(path), (0xff, 0xff, 0)) > 0, "a yellow prompt")


def test_screen_when_no_adapter_expect_sentence():
    with Screen() as vm:
        assert "-vga std adds one" in vm.ask("text")


LINUX_BIOS = ("-bios", "bios-256k.bin", "-L", os.path.dirname(kernel("linuxboot")))


def linux_args(tmp_path, append, script, *files):
    """Debian's kernel with a script that it runs."""
    job = tmp_path / "job"
    job.write_text(script)
    os.chmod(job, 0o755)
    out = str(tmp_path / "initrd")
    subprocess.run(["sh", os.path.join(TOP, "tools/mkinitramfs.sh"), out,
                    kernel("busybox-amd64"), os.path.join(TOP, "tools/guest_init.sh"), str(job),
                    *files], check=True)
    return ("-m", "256M", "-kernel", kernel("amd64"), "-initrd", out, "-append",
            "cryptomgr.notests quiet lodge.cmd=job " + append)


SAY = "#!/bin/sh\nclear >/dev/tty0; echo 'Ready 1234.' >/dev/tty0; sleep 1000\n"


def test_linux_when_it_has_a_vga_expect_its_console_on_it(tmp_path):
    with Screen("-vga", "std", *LINUX_BIOS, *linux_args(tmp_path, "console=tty0", SAY)) as vm:
        vm.wait_text(r"\AReady 1234\.\n\Z")
        assert vm.ask("size") == "720 400\n"


def wait_console(vm, tmp_path, size):
    """A console of letters in a frame buffer: one line of gray at the top, and no more."""
    path = str(tmp_path / "a.png")

    def look():
        if vm.ask("size") != "%d %d\n" % size:
            return False
        rows = vm.picture(path)[2]
        lit = [i for i, row in enumerate(rows) if any(row)]
        # The text, and below it at most the cursor.
        return lit and lit[0] < 16 and lit[-1] < 32 and any(rows[lit[0]][3 * 8:3 * 90])

    vm.wait(look, "a console of %d by %d" % size)


def test_linux_when_vga_says_so_expect_vesa_mode_of_the_bios(tmp_path):
    with Screen("-vga", "std", *LINUX_BIOS,
                *linux_args(tmp_path, "console=tty0 vga=0x318", SAY)) as vm:
        wait_console(vm, tmp_path, (1024, 768))
        vm.wait_text(r"\AReady 1234\.\n\Z")


def test_linux_when_its_console_is_a_picture_expect_every_letter_read(tmp_path):
    """The kernel's font is not quite the BIOS' (src/display/letters.c)."""
    line = "".join(map(chr, range(33, 127)))
    say = SAY.replace("Ready 1234.", line.replace("'", "'\\''"))
    with Screen("-vga", "std", *LINUX_BIOS,
                *linux_args(tmp_path, "console=tty0 vga=0x318", say)) as vm:
        vm.wait_text(r"\A%s\n\Z" % re.escape(line))


@pytest.mark.parametrize("adapter", ["VGA", "bochs-display"])
def test_linux_when_its_driver_runs_expect_the_monitors_size(adapter, tmp_path):
    """bochs-drm without any firmware: BARs, EDID and dispi registers by the driver alone."""
    mods = modules.modules("amd64", "bochs")
    names = "".join("insmod /bin/%s\n" % os.path.basename(m) for m in mods)
    with Screen("-device", adapter + ",xres=1152,yres=864",
                *linux_args(tmp_path, "console=tty0",
                            SAY.replace("clear", names + "sleep 2; clear", 1), *mods)) as vm:
        wait_console(vm, tmp_path, (1152, 864))


def virtio_gpu_job(then):
    """The script that loads virtio_gpu and its like, and what it needs."""
    mods = modules.modules("amd64", "virtio_pci", "virtio_gpu")
    names = "".join("insmod /bin/%s\n" % os.path.basename(m) for m in mods)
    return "#!/bin/sh\n%ssleep 2\n%s\nsleep 1000\n" % (names, then), mods


@pytest.mark.parametrize("adapter", ["virtio-gpu-pci", "virtio-vga"])
def test_linux_when_virtio_gpu_runs_expect_its_console_in_the_monitors_size(adapter, tmp_path):
    job, mods = virtio_gpu_job("clear >/dev/tty0; echo 'Ready 1234.' >/dev/tty0")
    with Screen("-device", adapter + ",xres=1152,yres=864",
                *linux_args(tmp_path, "console=tty0", job, *mods)) as vm:
        wait_console(vm, tmp_path, (1152, 864))


def test_linux_when_virtio_vga_has_no_driver_expect_its_console_as_text(tmp_path):
    with Screen("-vga", "virtio", *LINUX_BIOS, *linux_args(tmp_path, "console=tty0", SAY)) as vm:
        vm.wait_text(r"\AReady 1234\.\n\Z")


def noise(width, height):
    """Lines of BGRX that are different everywhere."""
    return [b"".join(struct.pack("<I", (i * 2654435761 >> 3) & 0xffffff)
                     for i in range(y * width, (y + 1) * width)) for y in range(height)]


def as_rgb(line):
    out = bytearray(len(line) // 4 * 3)
    out[0::3], out[1::3], out[2::3] = line[2::4], line[1::4], line[0::4]
    return bytes(out)


def differing(want, got):
    """The first dot that is another, or nothing."""
    for y, (a, b) in enumerate(zip(want, got)):
        if a != b:
            x = next(i for i in range(len(a)) if a[i] != b[i]) // 3
            return "%d, %d: %s, not %s" % (x, y, b[3 * x:3 * x + 3].hex(), a[3 * x:3 * x + 3].hex())
    return None


def run_on_virtio_gpu(tmp_path, then, want, *files):
    """Draw noise into /dev/fb0, run `then`; the screen is `want`, dot for dot."""
    pattern = tmp_path / "pattern"
    pattern.write_bytes(b"".join(noise(640, 480)))
    job, mods = virtio_gpu_job("echo 0 >/sys/class/vtconsole/vtcon1/bind\n"
                               "cat /bin/pattern >/dev/fb0\n" + then)
    path, got = str(tmp_path / "a.png"), [None]

    def look():
        picture = vm.picture(path)
        got[0] = picture[:2] != (640, 480) or differing(want, picture[2])
        return not got[0]

    with Screen("-device", "virtio-gpu-pci,xres=640,yres=480",
                *linux_args(tmp_path, "console=ttyS0", job, *mods, str(pattern), *files)) as vm:
        try:
            vm.wait(look, "the pattern")
        except AssertionError:
            pytest.fail("the picture differs: %s" % got[0])


def test_linux_when_it_draws_on_virtio_gpu_expect_every_dot(tmp_path):
    run_on_virtio_gpu(tmp_path, "", [as_rgb(line) for line in noise(640, 480)])


def test_linux_when_it_has_a_pointer_on_virtio_gpu_expect_it_mixed_in(tmp_path):
    tool = str(tmp_path / "drmcursor")
    subprocess.run(["gcc", "-O2", "-static", "-o", tool,
                    os.path.join(os.path.dirname(os.path.abspath(__file__)), "drmcursor.c")],
                   check=True)
    want = [bytearray(as_rgb(line)) for line in noise(640, 480)]
    for row in range(64):
        alpha = row * 4
        for col in range(10, 64):
            over = (alpha * col // 64, alpha // 2, alpha // 4)
            at = 3 * (col - 10)
            for i in range(3):
                under = want[20 + row][at + i]
                want[20 + row][at + i] = min(255, over[i] + (under * (255 - alpha) + 127) // 255)
    run_on_virtio_gpu(tmp_path, "drmcursor", [bytes(line) for line in want], tool)


GRUB_CFG = """
insmod %s
loadfont unicode
set gfxmode=%s
insmod gfxterm
terminal_output gfxterm
set timeout=-1
menuentry "one" { true }
"""


# The VGA BIOS of virtio-vga does not look for a monitor.
@pytest.mark.parametrize("adapter,mode", [("VGA", "auto"), ("virtio-vga", "800x600")])
def test_grub_when_it_draws_letters_by_vbe_expect_the_size(adapter, mode, tmp_path):
    tree = tmp_path / "cd"
    (tree / "boot/grub").mkdir(parents=True)
    (tree / "boot/grub/grub.cfg").write_text(GRUB_CFG % ("vbe", mode))
    iso = str(tmp_path / "grub.iso")
    subprocess.run(["grub-mkrescue", "-o", iso, str(tree)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    path = str(tmp_path / "a.png")
    with Screen("-device", adapter + ",xres=800,yres=600", "-boot", "d", "-cdrom", iso) as vm:
        vm.wait(lambda: vm.ask("size") == "800 600\n", "800x600")
        # The chosen entry is a bar, a row of letters high and nearly as wide as the screen.
        vm.wait(lambda: sum(row.count(row[3 * 600:3 * 601]) > 600 and any(row[3 * 600:3 * 601])
                            for row in vm.picture(path)[2]) >= 14, "the menu's bar")
