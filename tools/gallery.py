#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Make docs/gallery: run each scene's machine and commands, and keep the pictures that they take.

usage: tools/gallery.py [--out DIR] [--list | --readme] [SCENE...]
       tools/gallery.py --cut PICTURE X Y WIDTH HEIGHT PART

Without names, all scenes. The commands are run as they are written in docs/gallery/README.md, which --readme makes
anew from them. tests/systems/test_gallery.py runs them again and compares.
"""
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
GALLERY = os.path.join(TOP, "docs/gallery")
sys.path[:0] = [os.path.join(TOP, d) for d in ("tests/systems", "tests/system")]
import browser  # noqa: E402
import picture  # noqa: E402
from vm import kernel  # noqa: E402

STEP_TIMEOUT = 900
NEW = ("new debian --size 5G --user guest --password guest --hostname lodge --packages "
       "xserver-xorg-core,xserver-xorg-input-libinput,xinit,icewm,xterm,fonts-dejavu-core,"
       "libpam-systemd,x11-xserver-utils")


# ---- Files that machines need ---------------------------------------------------------------------

def link(path, name):
    return lambda work: os.symlink(path() if callable(path) else path, os.path.join(work, name))


def installer(work):
    """Kernel and initrd of Debian's graphical installer."""
    from test_installer import netboot  # noqa: PLC0415
    for path in netboot("amd64"):
        os.symlink(path.replace("/text/", "/gtk/"), os.path.join(work, os.path.basename(path)))


def desktop_image():
    """A Debian with Xorg and a window manager, in cache/, made once."""
    out = os.path.join(TOP, "cache/desktop.qcow2")
    if not os.path.exists(out):
        subprocess.run([os.path.join(TOP, "build/lodge"), *NEW.split(), out], check=True)
    return out


GRUB = link(lambda: kernel("grub-cd"), "grub.iso")
MEMTEST = link(lambda: kernel("memtest"), "memtest86+x64.bin")
MEMTEST_EFI = link(lambda: kernel("memtest-efi"), "memtest86+x64.efi")
RFB = link(os.path.join(TOP, "tests/system/rfb.py"), "rfb.py")
DESKTOP = link(desktop_image, "debian.qcow2")
NOVNC = link(browser.novnc, "novnc")
XTERM = link(browser.xterm, "xterm")


# ---- Scenes -----------------------------------------------------------------------------------------

class Browser:
    """A step in a browser: commands of tests/system/browser/drive.js, and `same`, which compares its screen with the
    machine's, but for the last lines, where clocks are."""

    def __init__(self, what, *commands):
        self.what, self.commands = what, commands


class Scene:
    """`run` starts the machine. `boxes` says which parts of a picture are the same each time: all of one that is
    not there; of a page none, as its screen is compared with the machine's."""

    def __init__(self, about, files, run, steps, boxes=None):
        self.about, self.files, self.run, self.steps, self.boxes = about, files, run, steps, boxes or {}

    def pictures(self):
        for s in self.steps:
            if isinstance(s, Browser):
                yield from (c["path"] for c in s.commands if c["do"] == "picture")
            else:
                yield from re.findall(r"^lodge screenshot m (\S+)$", s, re.M)


DEBIAN = ("lodge run -name m -m 1G -smp 2 %s \\\n"
          "        -drive file=debian.qcow2,format=qcow2,if=virtio -snapshot")
LOGIN = [
    "lodge wait m --text 'lodge login:' --timeout 300",
    r"lodge type m 'guest\n'",
    "lodge wait m --text 'Password:'",
    r"lodge type m 'guest\n'",
    "lodge wait m --text 'guest@lodge:~$'"]
SESSION = [
    r"""lodge type m "echo 'xsetroot -solid SteelBlue; exec icewm' >.xsession; chmod +x .xsession\n" """.strip(),
    r"""lodge type m "echo 'XTerm*faceName: Mono' >.Xresources; startx\n" """.strip(),
    "lodge wait m --picture parts/icewm.png --timeout 120"]
TYPED = r"xrandr | grep -o 'current.*00,'; echo \$((6*7))\n"
# The start menu by a click, a terminal from it, an answer in that, and the menu of the desktop.
CLICKED = [
    "python3 rfb.py $PWD/vnc click 25 787",
    "lodge wait m --picture parts/menu.png",
    "lodge screenshot m {0}-menu.png",
    "python3 rfb.py $PWD/vnc click 60 598",
    "lodge wait m --picture parts/prompt.png",
    'python3 rfb.py $PWD/vnc type "%s"' % TYPED,
    "lodge wait m --picture parts/answer.png",
    "python3 rfb.py $PWD/vnc click 640 500 3",
    "lodge wait m --picture parts/menu.png",
    "lodge screenshot m {0}.png"]
BROWSED = [
    Browser("open the machine's address; click on Terminal in the menu", {"do": "open"},
            {"do": "size", "width": 1280, "height": 880}, {"do": "mouse", "x": 690, "y": 512}),
    "lodge wait m --picture parts/prompt-2.png",
    Browser("type: echo $((6*7)) in a browser",
            {"do": "type", "text": "echo $((6*7)) in a browser\n"}),
    "lodge wait m --picture parts/answer-browser.png",
    Browser("click on the desktop with the right button", {"do": "mouse", "x": 900, "y": 500,
                                                          "button": "right"}),
    "lodge wait m --picture parts/menu.png",
    Browser("its screen is the machine's; take the page's picture", {"do": "same"},
            {"do": "picture", "path": "{0}-browser.png"})]


def talk(*lines):
    """At the serial console: wait for the first of each pair, write the second."""
    for wait, line in lines:
        yield {"do": "see", "at": "#terminal .xterm-rows", "text": wait}
        if line:
            yield {"do": "write", "at": "#terminal .xterm-helper-textarea", "text": line + "\n"}


SERIAL = [
    Browser("the tab Serial console; log in there, write: tty; take the page's picture",
            {"do": "click", "id": "toserial"},
            *talk(("lodge login:", "guest"), ("Password:", "guest"), ("guest@lodge:~$", "tty"), ("/dev/ttyS0", None)),
            {"do": "picture", "path": "{0}-serial.png"})]
# Title bar, terminal, menus and buttons; not the clock, the meters and the pointer.
TERMINAL, BUTTONS = (0, 0, 494, 346), (56, 776, 500, 24)


def steps(name, *lists):
    """Steps with pictures of that name."""
    for s in (s for one in lists for s in one):
        if isinstance(s, Browser):
            yield Browser(s.what, *({k: v.format(name) if k == "path" else v for k, v in c.items()}
                                    for c in s.commands))
        else:
            yield s.replace("{0}", name)


def desktop(about, name, display, pointer):
    return Scene(
        about, [DESKTOP, RFB, NOVNC, XTERM],
        DEBIAN % ("-vnc unix:$PWD/vnc -display web=127.0.0.1:0,novnc=novnc,xterm=xterm " + display + " \\\n        " +
                  pointer),
        [*steps(name, LOGIN, SESSION, CLICKED, BROWSED, SERIAL)],
        {name + "-menu.png": [(0, 585, 144, 189), (56, 776, 240, 24), (600, 0, 680, 700)],
         name + ".png": [TERMINAL, BUTTONS, (650, 510, 140, 180)],
         name + "-browser.png": [], name + "-serial.png": []})


SCENES = {
    "grub": Scene(
        "GRUB's menu from a CD (grub-rescue-pc)", [GRUB],
        "lodge run -name m -display none -vga std -m 64M -cdrom grub.iso",
        ["lodge wait m --text 'will be executed automatically in'", "lodge screenshot m grub.png"],
        {"grub.png": [(0, 0, 720, 350), (0, 350, 500, 50)]}),
    "memtest": Scene(
        "memtest86+, started by SeaBIOS", [MEMTEST],
        "lodge run -name m -display none -vga std -m 64M -bios bios-256k.bin -kernel memtest86+x64.bin",
        ["lodge wait m --text 'Status: Testing'", "lodge screenshot m memtest.png"],
        {"memtest.png": [(0, 0, 250, 16), (0, 48, 90, 16), (0, 384, 720, 16)]}),
    "memtest-efi": Scene(
        "memtest86+, started by OVMF", [MEMTEST_EFI],
        "lodge run -name m -display none -vga std -m 64M -bios OVMF.fd -kernel memtest86+x64.efi",
        ["lodge wait m --picture parts/memtest.png --timeout 300", "lodge screenshot m memtest-efi.png"],
        {"memtest-efi.png": [(0, 40, 224, 16), (480, 152, 120, 16), (0, 424, 640, 16)]}),
    "installer": Scene(
        "Debian's graphical installer, with a USB tablet (debian-installer-12-netboot-amd64)",
        [installer],
        "lodge run -name m -display none -vga std -m 1G -device qemu-xhci -device usb-tablet \\\n"
        "        -kernel linux -initrd initrd.gz -append 'vga=788 --- quiet'",
        ["lodge wait m --picture parts/installer-language.png --timeout 300",
         "lodge click m 100 615",
         "lodge wait m --picture parts/installer-german.png",
         "lodge screenshot m installer-language.png",
         "lodge click m 1218 774",
         "lodge wait m --picture parts/installer-location.png",
         "lodge screenshot m installer-location.png",
         "lodge key m down down down down",
         "lodge wait m --picture parts/installer-swiss.png",
         "lodge key m ret",
         "lodge wait m --picture parts/installer-keyboard.png",
         "lodge screenshot m installer-keyboard.png"],
        {"installer-language.png": [(0, 80, 1280, 720)],
         "installer-location.png": [(0, 80, 1280, 660)],
         "installer-keyboard.png": [(0, 80, 1280, 660)]}),
    "console": Scene(
        "A Debian's console in a frame buffer (bochs-drm), read letter by letter", [DESKTOP],
        DEBIAN % "-display none -vga std",
        [*LOGIN,
         r"lodge type m 'clear; cat /proc/fb; echo $((6*7)) on $(tty) as $USER\n'",
         "lodge wait m --regex '^42 on /dev/tty1 as guest$'",
         "lodge screenshot m console.png"], {"console.png": [(0, 0, 1280, 48)]}),
    "desktop": desktop(
        "A Debian desktop (Xorg, icewm) on `-vga std`, used by VNC and in a browser", "desktop",
        "-vga std", "-device qemu-xhci -device usb-tablet"),
    "desktop-virtio": desktop(
        "The same on `-vga virtio`, with virtio's tablet and keyboard", "desktop-virtio",
        "-vga virtio", "-device virtio-tablet-pci -device virtio-keyboard-pci"),
    "browser": Scene(
        "GRUB in a browser: headless Chromium, its own picture", [GRUB, NOVNC],
        "lodge run -name m -m 64M -cdrom grub.iso -display web=127.0.0.1:0,novnc=novnc",
        ["lodge wait m --text 'Press enter to boot'",
         Browser("open the machine's address; type c", {"do": "open"}, {"do": "keys", "keys": ["c"]}),
         "lodge wait m --text 'grub>'",
         Browser("write into its box for text: echo Hello_World! 'a|b~'",
                 {"do": "text", "text": "echo Hello_World! 'a|b~'\n"}),
         "lodge wait m --regex '^Hello_World! a.b~$'",
         Browser("take its picture", {"do": "picture", "path": "browser.png"})],
        {"browser.png": []}),
}


# ---- Running them -----------------------------------------------------------------------------------

class Stage:
    """A scene's machine in a folder of its own, with `lodge` in PATH."""

    def __init__(self, scene):
        self.scene, self.child, self.browser = scene, None, None

    def __enter__(self):
        self.work = tempfile.mkdtemp(prefix="lodge-gallery.")
        for make in self.scene.files:
            make(self.work)
        os.symlink(os.path.join(GALLERY, "parts"), os.path.join(self.work, "parts"))
        for d in ("bin", "run"):
            os.mkdir(os.path.join(self.work, d), 0o700)
        os.symlink(os.path.join(TOP, "build/lodge"), os.path.join(self.work, "bin/lodge"))
        self.env = {**os.environ, "XDG_RUNTIME_DIR": os.path.join(self.work, "run"),
                    "PATH": os.path.join(self.work, "bin") + ":" + os.environ["PATH"]}
        with open(os.path.join(self.work, "log"), "w") as log:
            self.child = subprocess.Popen(["sh", "-c", "exec " + self.scene.run], cwd=self.work,
                                          env=self.env, stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=log)
        end = time.monotonic() + 60
        while not self.ready():
            if self.child.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise SystemExit("gallery: the machine does not start:\n" + self.said)
            time.sleep(0.1)
        return self

    def ready(self):
        return os.path.exists(os.path.join(self.work, "run/lodge/m.qmp"))

    def log(self):
        with open(os.path.join(self.work, "log")) as f:
            return f.read()

    def step(self, step):
        if isinstance(step, Browser):
            return self.browse(step)
        subprocess.run(["sh", "-ec", step], cwd=self.work, env=self.env, check=True,
                       timeout=STEP_TIMEOUT)
        return None

    def browse(self, step):
        if not self.browser:
            self.browser = browser.Browser()
        for c in step.commands:
            c = dict(c)
            if c["do"] == "open":
                c["url"] = re.search(r"http://\S+", self.log())[0]
            if "path" in c:
                c["path"] = self.path(c["path"])
            if c["do"] == "same":
                self.compare()
            else:
                self.browser(c.pop("do"), **c)

    def compare(self):
        """Until the browser shows what the machine shows; colours are those of a JPEG."""
        for _ in range(20):
            time.sleep(0.5)
            self.browser("canvas", path=self.path("canvas.png"))
            self.step("lodge screenshot m machine.png")
            a, b = (picture.read(self.path(n)) for n in ("canvas.png", "machine.png"))
            differs = picture.alike(a, b, [(0, 0, b.width, b.height - 30)])
            if differs is None:
                return
        raise SystemExit("gallery: the browser does not show the machine's screen: " + differs)

    def path(self, name):
        return os.path.join(self.work, name)

    def __exit__(self, *_):
        if self.browser:
            self.browser.__exit__()
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.said = self.log()
        shutil.rmtree(self.work)


def play(name, out, keep_failed=None):
    """Run a scene; its pictures are put into the folder `out`."""
    scene = SCENES[name]
    with Stage(scene) as stage:
        try:
            for step in scene.steps:
                stage.step(step)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            if keep_failed:
                subprocess.run(["lodge", "screenshot", "m", keep_failed], cwd=stage.work,
                               env=stage.env, check=False)
            raise
        for p in scene.pictures():
            shutil.copyfile(stage.path(p), os.path.join(out, p))


# ---- The page ---------------------------------------------------------------------------------------

HEAD = """# Gallery

What guests show. Each picture was made by `lodge screenshot` after the commands that are with it (a browser's by the browser);
`tools/gallery.py` makes them anew and writes this page, `make check-systems` compares (`tests/systems/test_gallery.py`). Firmware,
kernels and systems are Debian's; pictures in `parts` are cut from such (`tools/gallery.py --cut`), as waits want them.

| file | what it is |
|---|---|
| `grub.iso`, `memtest86+x64.bin`, `memtest86+x64.efi` | packages grub-rescue-pc and memtest86+ (`tools/fetch_kernels.py`) |
| `linux`, `initrd.gz` | package debian-installer-12-netboot-amd64, folder `gtk` |
| `debian.qcow2` | `lodge %s debian.qcow2` |
| `rfb.py` | a small VNC client, `tests/system/rfb.py` |
| `novnc`, `xterm` | package novnc, `/usr/share/novnc`; package @xterm/xterm of npm |
"""


def readme():
    out = [HEAD % NEW]
    for scene in SCENES.values():
        out.append("\n## %s\n\n" % scene.about)
        out.append("    %s &\n" % scene.run)
        for s in scene.steps:
            text = "# in the browser: " + s.what if isinstance(s, Browser) else s
            out.extend("    %s\n" % line for line in text.split("\n"))
        out.append("\n")
        out.extend("![%s](%s)\n" % (scene.about, p) for p in scene.pictures())
    return "".join(out)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--out", default=GALLERY)
    p.add_argument("--list", action="store_true")
    p.add_argument("--readme", action="store_true")
    p.add_argument("--cut", nargs=6, help=argparse.SUPPRESS)
    p.add_argument("scene", nargs="*")
    a = p.parse_args()
    if a.list:
        print("\n".join(SCENES))
        return
    if a.cut:
        with open(a.cut[5], "wb") as f:
            f.write(picture.read(a.cut[0]).cut(tuple(map(int, a.cut[1:5]))).file())
        return
    if a.readme:
        with open(os.path.join(a.out, "README.md"), "w", encoding="utf-8") as f:
            f.write(readme())
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("gallery: ended"))  # and the machine with it
    for name in a.scene or SCENES:
        start = time.monotonic()
        play(name, a.out, os.path.join(a.out, "failed.png"))
        print("%s: %.0f s" % (name, time.monotonic() - start), flush=True)


if __name__ == "__main__":
    main()
