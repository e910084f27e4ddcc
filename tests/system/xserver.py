# SPDX-License-Identifier: GPL-2.0-or-later
"""An X server without a screen (Xvfb), for tests: what it shows, and hands at its keyboard and mouse (xdotool)."""
import ctypes
import mmap
import os
import struct
import subprocess
import time

TIMEOUT = 60


# No frames around windows, which would be in the picture.
PLAIN = """<openbox_config xmlns="http://openbox.org/3.4/rc">
<theme><keepBorder>no</keepBorder></theme>
<applications><application class="*"><decor>no</decor></application></applications>
</openbox_config>
"""


class Xserver:
    def __init__(self, folder, width=1280, height=1024, manager=False):
        """manager: with a window manager (openbox)."""
        self.size = width, height
        self.folder = str(folder)
        self.manager = manager
        self.args = ["Xvfb", "-screen", "0", "%dx%dx24" % (width, height), "-fbdir", self.folder,
                     "-nolisten", "tcp", "-noreset", "-nocursor"]

    def __enter__(self):
        r, w = os.pipe()
        self.child = subprocess.Popen([*self.args, "-displayfd", str(w)], pass_fds=[w],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
        os.close(w)
        with os.fdopen(r) as f:
            self.display = ":" + f.readline().strip()
        assert self.display != ":"
        self.env = {**os.environ, "DISPLAY": self.display}
        self.env.pop("XAUTHORITY", None)
        if self.manager:
            config = os.path.join(self.folder, "openbox.xml")
            with open(config, "w") as f:
                f.write(PLAIN)
            ready = os.path.join(self.folder, "ready")
            # It forgets windows that come while it starts.
            self.manager = subprocess.Popen(["openbox", "--config-file", config, "--startup", "touch " + ready],
                                            env={**self.env, "HOME": self.folder},
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL)
            end = time.monotonic() + TIMEOUT
            while not os.path.exists(ready):
                assert time.monotonic() < end
                time.sleep(0.05)
        return self

    def __exit__(self, *_):
        if self.manager:
            self.manager.terminate()
            self.manager.wait(TIMEOUT)
        self.child.terminate()
        self.child.wait(TIMEOUT)

    def do(self, *args, ok=True):
        r = subprocess.run(["xdotool", *map(str, args)], env=self.env, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, check=False, timeout=TIMEOUT)
        assert not ok or r.returncode == 0, r.stderr
        return r.stdout.strip()

    def window(self, name):
        """The window whose title has this in it."""
        end = time.monotonic() + TIMEOUT
        while True:
            out = self.do("search", "--onlyvisible", "--name", name, ok=False)
            if out:
                return int(out.split()[0])
            assert time.monotonic() < end, self.do("search", "--name", ".", ok=False)
            time.sleep(0.05)

    def title(self, window):
        return self.do("getwindowname", window)

    def geometry(self, window):
        out = dict(line.split("=") for line in
                   self.do("getwindowgeometry", "--shell", window).splitlines())
        return int(out["X"]), int(out["Y"]), int(out["WIDTH"]), int(out["HEIGHT"])

    def picture(self, x=0, y=0, w=None, h=None):
        """Rows of bytes r, g, b of what the screen shows there. Source: X11/XWDFile.h."""
        w, h = w or self.size[0], h or self.size[1]
        with open(os.path.join(self.folder, "Xvfb_screen0"), "rb") as f:
            with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
                head = struct.unpack(">25I", m[:100])
                assert head[1] == 7 and head[11] == 32, head
                start, pitch = head[0] + 12 * head[19], head[12]
                rows = []
                for i in range(y, y + h):
                    at = start + i * pitch + 4 * x
                    p = m[at:at + 4 * w]
                    row = bytearray(3 * w)
                    row[0::3], row[1::3], row[2::3] = p[2::4], p[1::4], p[0::4]
                    rows.append(bytes(row))
                return rows

    def close(self, window):
        """What a window manager sends when a person closes it (ICCCM 4.2.8.1)."""
        x = ctypes.CDLL("libX11.so.6")
        x.XOpenDisplay.restype = ctypes.c_void_p
        x.XInternAtom.restype = ctypes.c_ulong
        d = ctypes.c_void_p(x.XOpenDisplay(self.display.encode()))
        # struct XClientMessageEvent: type, serial, send_event, display, window, message_type, format, data
        event = struct.pack("@iLiPLLi5l", 33, 0, 1, 0, window,
                            x.XInternAtom(d, b"WM_PROTOCOLS", 0), 32,
                            x.XInternAtom(d, b"WM_DELETE_WINDOW", 0), 0, 0, 0, 0).ljust(192, b"\0")
        assert x.XSendEvent(d, ctypes.c_ulong(window), 0, ctypes.c_long(0), event)
        x.XCloseDisplay(d)
