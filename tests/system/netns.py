# SPDX-License-Identifier: GPL-2.0-or-later
"""A network namespace for a test, with interfaces and servers of its own: for test_tap.py and test_passt.py."""
import os
import subprocess
import sys

import pytest


class Host:
    """
    A network of its own beside the host's: `with Host() as h: h.ip("link ...")`. Guests and servers are
    started in it by h.enter. Needs root, or the test is skipped.
    """

    def __enter__(self):
        if os.geteuid():
            pytest.skip("a network namespace needs root")
        self.holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 3600"],
                                       stdout=subprocess.PIPE)
        self.others = []
        if not self.holder.stdout.read(1):
            self.holder.wait()
            pytest.skip("a network namespace cannot be made here")
        self.enter = ("nsenter", "-t", str(self.holder.pid), "-n")
        self.ip("link set lo up")
        return self

    def __exit__(self, *_):
        for p in [*self.others, self.holder]:
            p.kill()
            p.wait()

    def ip(self, words, why=None):
        r = subprocess.run([*self.enter, "ip", *words.split()], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, check=False)
        if r.returncode and why:
            pytest.skip("%s: %s" % (why, r.stdout.strip()))
        assert r.returncode == 0, "ip %s: %s" % (words, r.stdout)
        return r.stdout

    def tap(self, name="tap0", addr="10.9.0.1/24", how=""):
        if not os.path.exists("/dev/net/tun"):
            pytest.skip("there is no /dev/net/tun")
        self.ip("tuntap add %s mode tap %s" % (name, how), "a tap interface cannot be made here")
        self.ip("addr add %s dev %s" % (addr, name))
        self.ip("link set %s up" % name)

    def serve(self, folder, addr, port):
        """The files of a folder by HTTP."""
        self.others.append(subprocess.Popen(
            [*self.enter, sys.executable, "-m", "http.server", "--bind", addr, "-d", str(folder),
             str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def fetch(self, url):
        """What is there, asked for from inside."""
        script = ("import sys, time, urllib.request\n"
                  "for n in range(100):\n"
                  "    try:\n"
                  "        d = urllib.request.urlopen(sys.argv[1], timeout=20).read()\n"
                  "        break\n"
                  "    except OSError:\n"
                  "        time.sleep(0.2)\n"
                  "sys.stdout.buffer.write(d)\n")
        return subprocess.run([*self.enter, sys.executable, "-c", script, url],
                              stdout=subprocess.PIPE, timeout=300, check=True).stdout
