# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-fs through Debian's virtiofsd, with the driver of Debian's kernel.

Run: make t T=system/virtiofs
"""
import os
import shutil
import subprocess
import time

import pytest
from test_virtio import finish, guest

# Where Debian 12 and later put it.
PLACES = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")
VIRTIOFSD = next((p for p in PLACES if os.access(p, os.X_OK)), shutil.which("virtiofsd"))

pytestmark = [
    pytest.mark.skipif(not VIRTIOFSD, reason="virtiofsd is not installed: apt-get install "
                                             "qemu-system-common (Debian 12) or virtiofsd"),
    pytest.mark.skipif(os.geteuid() != 0, reason="virtiofsd wants to be root"),
]


class Server:
    """A virtiofsd that shares `folder`."""

    def __init__(self, folder, socket, *options):
        self.socket = str(socket)
        self.process = subprocess.Popen(
            [VIRTIOFSD, "--socket-path=" + self.socket, "-o", "source=%s" % folder, "-o",
             "sandbox=chroot", *options], stdout=subprocess.DEVNULL)
        for _ in range(600):
            if os.path.exists(self.socket):
                return
            time.sleep(0.1)
        raise AssertionError("virtiofsd makes no socket")

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.process.kill()
        self.process.wait()

    def args(self, tag, more=""):
        n = tag
        return ("-chardev", "socket,id=c%s,path=%s" % (n, self.socket), "-device",
                "vhost-user-fs-pci,chardev=c%s,tag=%s%s" % (n, tag, more))


def fs_guest(tmp_path, script, *args, **more):
    return guest(tmp_path, script, *args, mods=["virtiofs"], **more)


def test_fs_when_mounted_expect_files_shared(tmp_path):
    script = """
mount -t virtiofs share /mnt || echo "FAIL mount"
cd /mnt
md5sum -c sums || echo "FAIL sums"
find . -type f | wc -l
mkdir dir && cp big dir/big && cmp big dir/big || echo "FAIL copy"
mv dir/big dir/moved && ln -s moved dir/s && ln dir/moved hard && chmod 640 hard
for i in $(seq 100); do echo $i >dir/n$i; done
cat dir/n* | sort -n | tail -1
rm dir/n? && ls dir | wc -l
echo more >>hard && tail -c 5 dir/moved
cat from-guest 2>/dev/null; echo words >from-guest
sync; cd /; umount /mnt || echo "FAIL umount"
echo 3 >/proc/sys/vm/drop_caches
mount -t virtiofs share /mnt && tail -c 5 /mnt/dir/s || echo "FAIL remount"
umount /mnt
"""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "big").write_bytes(os.urandom(9 << 20))
    sums = subprocess.run(["md5sum", "big"], cwd=folder, stdout=subprocess.PIPE, check=True).stdout
    (folder / "sums").write_bytes(sums)
    with Server(folder, tmp_path / "s") as server:
        with fs_guest(tmp_path, script, "-smp", "2", *server.args("share"), memory="512M") as vm:
            finish(vm)
            assert "big: OK" in vm.text and "\n100\r" in vm.text and "\n93\r" in vm.text
            assert vm.text.count("more\r") == 2
    assert (folder / "from-guest").read_text() == "words\n"
    assert (folder / "hard").stat().st_size == (9 << 20) + 5
    assert (folder / "hard").stat().st_mode & 0o777 == 0o640
