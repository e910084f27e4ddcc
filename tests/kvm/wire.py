# SPDX-License-Identifier: GPL-2.0-or-later
"""A serial line of the first level, as a Unix socket of this machine: for a debugger."""
import os
import selectors
import socket
import threading


class Wire:
    """The emulator connects to `port` of this machine; debuggers, one after the other, to `path`."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "wire")
        self.inner = socket.create_server(("127.0.0.1", 0))
        self.port = self.inner.getsockname()[1]
        self.outer = socket.socket(socket.AF_UNIX)
        self.outer.bind(self.path)
        self.outer.listen(1)
        threading.Thread(target=self.relay, daemon=True).start()

    def relay(self):
        try:
            line, _ = self.inner.accept()
            while True:
                gdb, _ = self.outer.accept()
                self.session(line, gdb)
                gdb.close()
        except OSError:
            pass  # closed

    @staticmethod
    def session(line, gdb):
        with selectors.DefaultSelector() as ready:
            ready.register(line, selectors.EVENT_READ, gdb)
            ready.register(gdb, selectors.EVENT_READ, line)
            while True:
                for key, _ in ready.select():
                    data = key.fileobj.recv(4096)
                    if not data:
                        return
                    key.data.sendall(data)

    def close(self):
        self.inner.close()
        self.outer.close()
        os.unlink(self.path)


# In the first level: the machine of the command waits for a debugger at its port 1234, which the line then is.
BEGIN = """
stty -F /dev/ttyS1 115200 raw -echo
"""
SESSION = """
%(command)s &
until netstat -ltn | grep -q ':1234 '; do sleep 0.2; done
echo "@@begin %(name)s"
nc 127.0.0.1 1234 </dev/ttyS1 >/dev/ttyS1
wait $!
echo "@@exit %(name)s $?"
"""


def session(name, command):
    return SESSION % {"name": name, "command": command + " -gdb tcp:127.0.0.1:1234 </dev/null"}
