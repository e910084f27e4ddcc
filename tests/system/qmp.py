# SPDX-License-Identifier: GPL-2.0-or-later
"""A client of a machine's control socket, and the commands of `lodge` around it, for tests."""
import json
import os
import socket
import subprocess
import time

from vm import LODGE

TIMEOUT = 60


def connect(name, suffix="qmp"):
    """A socket connected to a machine's; its folder's path may be longer than a socket's can be."""
    folder = os.open(os.path.join(os.environ["XDG_RUNTIME_DIR"], "lodge"), os.O_RDONLY)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(TIMEOUT)
    try:
        for _ in range(1000):
            try:
                s.connect("/proc/self/fd/%d/%s.%s" % (folder, name, suffix))
                return s
            except BlockingIOError:  # more wait to be taken than may
                time.sleep(0.01)
    finally:
        os.close(folder)
    raise TimeoutError("nobody takes the connection")


def wait_for(name, suffix="qmp"):
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            return connect(name, suffix)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


class Error(Exception):
    def __init__(self, error):
        super().__init__("%(class)s: %(desc)s" % error)
        self.kind, self.desc = error["class"], error["desc"]


class Qmp:
    def __init__(self, sock, negotiate=True):
        self.sock = sock
        self.file = sock.makefile("rb")
        self.events = []
        self.count = 0
        self.greeting = self.read()
        if negotiate:
            self("qmp_capabilities")

    def read(self):
        line = self.file.readline()
        return json.loads(line) if line else None

    def send(self, data):
        self.sock.sendall(data)

    def __call__(self, command, **args):
        self.count += 1
        args = {k.replace("_", "-") if k not in ("tray_open",) else k: v for k, v in args.items()}
        self.send(json.dumps({"execute": command, "arguments": args, "id": self.count}).encode())
        while True:
            reply = self.read()
            assert reply is not None, "hung up"
            if "event" in reply:
                self.events.append(reply)
                continue
            assert reply["id"] == self.count
            if "error" in reply:
                raise Error(reply["error"])
            return reply["return"]

    def hmp(self, line):
        return self("human-monitor-command", command_line=line).replace("\r", "")

    def save(self, path, seconds=600):
        """Save to a file and wait for it; what query-migrate says then."""
        self("migrate", uri="file:%s" % path)
        end = time.monotonic() + seconds
        while True:
            said = self("query-migrate")
            if said["status"] not in ("setup", "active", "cancelling"):
                assert said["status"] == "completed", said
                return said
            assert time.monotonic() < end
            time.sleep(0.002)

    def event(self, name):
        """Wait for an event of that name; those before it are dropped."""
        while True:
            ev = self.events.pop(0) if self.events else self.read()
            assert ev is not None, "hung up before " + name
            if ev.get("event") == name:
                assert ev["timestamp"]["seconds"] > 1e9
                return ev

    def close(self):
        self.file.close()
        self.sock.close()


def lodge(*args, ok=True, timeout=TIMEOUT * 2, **more):
    r = subprocess.run([LODGE[0], *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                       check=False, timeout=timeout, **more)
    if ok:
        assert r.returncode == 0, r.stderr
    return r
