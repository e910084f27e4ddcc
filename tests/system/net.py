# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests with a network, for test_network.py: a script that sets up the card, a server of the host."""
import contextlib
import hashlib
import http.server
import os
import socket
import threading

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
