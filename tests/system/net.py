# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests with a network, for test_network.py: a script that sets up the card, a server of the host."""
import contextlib
import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading

import pytest
from modules import modules
from vm import Vm, initrd, kernel

# Kernel and module for each card; Debian's cloud kernel knows virtio only.
CARDS = {
    "virtio": ("cloud-amd64", ("virtio_pci", "virtio_net")),
    "e1000": ("amd64", ("e1000",)),
    "rtl8139": ("amd64", ("8139cp",)),
}

SET_UP = """#!/bin/busybox sh
for m in $(cat /bin/modlist); do insmod /bin/$m 2>/dev/null; done
cat >/tmp/lease <<'X'
#!/bin/sh
case $1 in bound|renew)
	ifconfig $interface $ip netmask $subnet
	[ -z "$router" ] || route add default gw $router
	echo "nameserver $dns" >/etc/resolv.conf
	echo "@@lease $ip $router $dns $hostname $domain $boot_file";;
esac
X
chmod 755 /tmp/lease
ifconfig lo 127.0.0.1 up
ifconfig eth0 up
dhcp() { udhcpc -i eth0 -s /tmp/lease -n -q -t 8 -T 1 2>&1 | grep -v '^udhcpc'; }
fetch() { wget -q -O $2 $1 && echo "@@sha $(sha256sum <$2 | cut -d' ' -f1)" || echo "@@no"; }
"""


def guest(tmp_path, card, nic, script, memory="256M", args=(), prefix=()):
    """
    A guest whose one card is at the other end of `nic` (None: `args` has it); it runs `script` and powers off.
    """
    name, wanted = CARDS[card]
    mods = modules(name, *wanted)
    where = tmp_path / ("guest-%d" % len(os.listdir(tmp_path)))
    where.mkdir()
    (where / "netjob").write_text(SET_UP + script)
    (where / "modlist").write_text(" ".join(os.path.basename(m) for m in mods))
    return Vm("-kernel", kernel(name), "-initrd",
              initrd("amd64", str(where / "netjob"), str(where / "modlist"), *mods), "-append",
              "console=ttyS0 quiet cryptomgr.notests lodge.cmd=netjob",
              *(("-nic", "%s,model=%s" % (nic, card)) if nic else ()), *args, memory=memory,
              prefix=prefix)


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


def sha(data):
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def server(data):
    """An HTTP server on loopback that gives `data` and keeps what is put; its port and the list."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self):
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield httpd.server_address[1], got
    finally:
        httpd.shutdown()
        httpd.server_close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
