# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines in the background with a screen, by the name of m, for those that look at them (runtime_dir of conftest.py)."""
import signal
import subprocess

from qmp import lodge, wait_for
from vm import LODGE, kernel

WAIT = 120
GRUB = ("-cdrom", kernel("grub-cd"))
GRUB_CFG = """
insmod vbe
loadfont unicode
set gfxmode=800x600
insmod gfxterm
set timeout=-1
menuentry "large" --hotkey=g { terminal_output gfxterm }
menuentry "small" --hotkey=t { terminal_output console }
"""


class Machine:
    """Context manager: from its control socket to its end."""

    def __init__(self, tmp_path, *args, env=None):
        self.log, self.env = tmp_path / "log", env
        self.args = [*LODGE, "-name", "m", "-nic", "none", *args]

    def __enter__(self):
        self.start()
        wait_for("m").close()
        return self

    def start(self):
        with open(self.log, "w") as f:
            self.child = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stdout=f, stderr=f, env=self.env)

    def __exit__(self, kind=None, *_):
        if kind:
            print(self.said())
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(60)
        finally:
            self.child.kill()
            self.child.wait()

    def said(self):
        return self.log.read_text()

    def helper(self, name):
        """The process of that name that is the machine's."""
        out = subprocess.run(["pgrep", "-P", str(self.child.pid), name], stdout=subprocess.PIPE, text=True,
                             check=True).stdout
        return int(out.split()[0])


def screen(tmp_path):
    """Rows of bytes r, g, b of a screenshot."""
    path = str(tmp_path / "now.ppm")
    lodge("screenshot", "m", path)
    with open(path, "rb") as f:
        head = f.readline() + f.readline() + f.readline()
        w, h = map(int, head.split()[1:3])
        return [f.read(3 * w) for _ in range(h)]


def wait_text(text, timeout=WAIT, *more):
    lodge("wait", "m", "--text", text, "--timeout", str(timeout), *more, timeout=timeout + 60)


def grub_modes(tmp_path):
    """A CD whose menu goes to 800 by 600 by g, and to text by t."""
    tree = tmp_path / "cd"
    (tree / "boot/grub").mkdir(parents=True)
    (tree / "boot/grub/grub.cfg").write_text(GRUB_CFG)
    iso = str(tmp_path / "grub.iso")
    subprocess.run(["grub-mkrescue", "-o", iso, str(tree)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return ("-boot", "d", "-cdrom", iso)
