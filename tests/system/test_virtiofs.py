# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-fs through Debian's virtiofsd, with the driver of Debian's kernel.

Run: make t T=system/virtiofs
"""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

import pytest
from test_virtio import finish, guest
from vm import LODGE

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


def end(vm):
    # With the patience of a boot: what runs before takes a while on a busy host.
    vm.expect("virtiojob exit")
    finish(vm)


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
            end(vm)
            assert "big: OK" in vm.text and "\n100\r" in vm.text and "\n93\r" in vm.text
            assert vm.text.count("more\r") == 2
    assert (folder / "from-guest").read_text() == "words\n"
    assert (folder / "hard").stat().st_size == (9 << 20) + 5
    assert (folder / "hard").stat().st_mode & 0o777 == 0o640


def test_fs_when_virtiofsd_dies_expect_errors_and_a_guest_that_lives(tmp_path):
    script = """
mount -t virtiofs share /mnt || echo "FAIL mount"
cat /mnt/file
# Requests under way when it happens, on both processors.
for cpu in 1 2; do
	taskset $cpu sh -c 'n=0; while ls -l /mnt >/dev/null 2>&1; do n=$((n + 1)); done; echo ENDED' &
done
sleep 1
echo READY; read go
wait
cat /mnt/file 2>&1
echo x >/mnt/new && echo "FAIL written"
umount /mnt || echo "FAIL umount"
# The driver mounts without asking.
mount -t virtiofs share /mnt && ls /mnt && echo "FAIL mount of nothing"
umount /mnt
for d in /sys/bus/virtio/drivers/virtiofs/virtio*; do echo ${d##*/} >/sys/bus/virtio/drivers/virtiofs/unbind; done
echo UNBOUND
"""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("contents\n")
    with Server(folder, tmp_path / "s", "-o", "cache=none") as server:
        with fs_guest(tmp_path, script, "-smp", "2", *server.args("share")) as vm:
            vm.expect("READY")
            server.process.kill()
            vm.expect("virtio-fs 'share': the back end is gone")
            vm.send("\r")
            end(vm)
            assert vm.text.count("contents\r") == 1 and vm.text.count("ENDED") == 2
            assert vm.text.count("not connected") >= 2 and "UNBOUND" in vm.text


def test_fs_when_driver_or_machine_starts_anew_expect_folder(tmp_path):
    script = """
mount -t virtiofs share /mnt || echo "FAIL mount"
if [ ! -e /mnt/second ]; then
	umount /mnt
	d=$(basename /sys/bus/virtio/drivers/virtiofs/virtio*)
	for i in 1 2 3; do
		echo $d >/sys/bus/virtio/drivers/virtiofs/unbind
		echo $d >/sys/bus/virtio/drivers/virtiofs/bind
		mount -t virtiofs share /mnt && cat /mnt/file && umount /mnt || echo "FAIL bind"
	done
	mount -t virtiofs share /mnt && echo x >/mnt/second
	# Under way when the machine is reset, by no driver's leave.
	while :; do cat /mnt/big >/dev/null; done &
	sleep 1
	echo b >/proc/sysrq-trigger
	sleep 100
fi
cmp /mnt/big /mnt/same && echo SECOND
"""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("contents\n")
    for name in ("big", "same"):
        (folder / name).write_bytes(b"0123456789" * 100000)
    with Server(folder, tmp_path / "s", "-o", "cache=none") as server:
        vm = fs_guest(tmp_path, script, *server.args("share", ",queue-size=64"))
        vm.args.remove("-no-reboot")
        with vm:
            end(vm)
            assert vm.text.count("contents\r") == 3 and "SECOND" in vm.text


def test_fs_when_as_qemu_spells_it_expect_two_folders(tmp_path):
    script = """
mkdir /a /b
mount -t virtiofs a /a && mount -t virtiofs b /b || echo "FAIL mount"
cat /a/name /b/name
cp /a/name /b/copy && sync
awk '/^MemTotal/ { print "total", int($2 / 1024) }' /proc/meminfo
"""
    servers = []
    for tag in "ab":
        (tmp_path / tag).mkdir()
        (tmp_path / tag / "name").write_text("folder %s\n" % tag)
        servers.append(Server(tmp_path / tag, tmp_path / ("s" + tag)))
    with servers[0] as a, servers[1] as b:
        vm = fs_guest(tmp_path, script, "-object",
                      "memory-backend-file,id=mem,size=512M,mem-path=/dev/shm,share=on", "-numa",
                      "node,memdev=mem", *a.args("a"), *b.args("b"), memory="512M")
        with vm:
            end(vm)
            assert "folder a\r" in vm.text and "folder b\r" in vm.text
            assert 400 < int(vm.text.split("total ")[1].split()[0]) < 512
    assert (tmp_path / "b" / "copy").read_text() == "folder a\n"


def test_fs_when_nothing_serves_expect_sentence(tmp_path):
    def refusal(*args):
        r = subprocess.run([*LODGE, "-display", "none", "-serial", "null", *args],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
                           check=False)
        assert r.returncode == 1
        return r.stdout

    device = ("-device", "vhost-user-fs-pci,chardev=c,tag=t")
    path = str(tmp_path / "nobody")
    assert path in refusal("-chardev", "socket,id=c,path=" + path, *device)
    assert "has to connect" in refusal("-chardev", "socket,id=c,server=on,wait=off,path=" + path,
                                       *device)
    assert "reconnect=" in refusal("-chardev", "socket,id=c,reconnect=1,path=" + path, *device)
    assert "has to connect" in refusal("-chardev", "null,id=c", *device)
    assert "chardev=ID is missing" in refusal("-device", "vhost-user-fs-pci,tag=t")
    with Server(tmp_path, tmp_path / "s") as server:
        assert "has 2 queues, 5 are wanted" in refusal(
            *server.args("t", ",num-request-queues=4"))
    # Somebody who takes the connection and says nothing.
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(path)
    silent.listen(1)
    start = time.monotonic()
    assert "does not answer GET_FEATURES" in refusal("-chardev", "socket,id=c,path=" + path,
                                                     *device)
    assert time.monotonic() - start < 60


# A name space for processes is not to be had everywhere.
SANDBOX = "namespace" if subprocess.run(["unshare", "-mnp", "--fork", "true"], check=False,
                                        stderr=subprocess.DEVNULL).returncode == 0 else "chroot"


def test_share_when_it_starts_virtiofsd_expect_read_only_unless_asked(tmp_path):
    script = """
mkdir /ro /rw
mount -t virtiofs ro /ro && mount -t virtiofs rw /rw || echo "FAIL mount"
cat /ro/name /rw/name
echo x >/ro/new && echo "FAIL written"
rm /ro/name && echo "FAIL removed"
cat /ro/link && echo "FAIL the outside"
cp /ro/name /rw/copy && echo COPIED
read go
"""
    for tag in ("ro", "rw"):
        (tmp_path / tag).mkdir()
        (tmp_path / tag / "name").write_text("folder %s\n" % tag)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "ro" / "link").symlink_to("../secret")
    with fs_guest(tmp_path, script, "-share", "%s,tag=ro,sandbox=%s" % (tmp_path / "ro", SANDBOX),
                  "-share", "%s,tag=rw,readonly=off,cache=none,sandbox=%s" %
                  (tmp_path / "rw", SANDBOX)) as vm:
        vm.expect("COPIED")
        children = subprocess.run(["pgrep", "-P", str(vm.pid), "virtiofsd"], check=False,
                                  stdout=subprocess.PIPE, text=True).stdout.split()
        assert len(children) == 2
        vm.send("\r")
        end(vm)
        assert "folder ro\r" in vm.text and "folder rw\r" in vm.text
        assert vm.text.count("Read-only file system") == 2
    assert (tmp_path / "rw" / "copy").read_text() == "folder ro\n"
    assert not [c for c in children if os.path.exists("/proc/" + c)]


NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.mark.skipif(subprocess.run([*NOBODY, "test", "-x", LODGE[0]], check=False).returncode != 0,
                    reason="ordinary users have no access to this folder")
@pytest.mark.skipif(subprocess.run([*NOBODY, "unshare", "-Urmpn", "--fork", "true"], check=False,
                                   stderr=subprocess.DEVNULL).returncode != 0,
                    reason="no user name spaces for ordinary users on this host")
def test_share_when_user_is_not_root_expect_files_to_be_roots(tmp_path):
    script = """
mount -t virtiofs rw /mnt || echo "FAIL mount"
cat /mnt/name
ls -ln /mnt/name
echo x >/mnt/new && mkdir /mnt/folder && mv /mnt/new /mnt/folder/ || echo "FAIL write"
chown 5 /mnt/folder 2>/dev/null && echo "FAIL another's"
"""
    with tempfile.TemporaryDirectory(prefix="lodge-share-") as folder:
        os.chmod(folder, 0o755)
        share = os.path.join(folder, "share")
        os.mkdir(share)
        with open(os.path.join(share, "name"), "w", encoding="ascii") as f:
            f.write("a name\n")
        for path in (share, os.path.join(share, "name")):
            os.chown(path, 65534, 65534)
        vm = fs_guest(tmp_path, script, "-share", "%s,tag=rw,readonly=off" % share)
        vm.args = NOBODY + vm.args
        with vm:
            end(vm)
            assert "a name\r" in vm.text
            assert re.search(r"-rw-r--r-- +1 0 +0 .*/mnt/name", vm.text)
        st = os.stat(os.path.join(share, "folder", "new"))
        assert (st.st_uid, st.st_gid) == (65534, 65534)


def test_share_when_it_cannot_be_expect_sentence(tmp_path):
    def refusal(what):
        r = subprocess.run([*LODGE, "-display", "none", "-serial", "null", "-share", what],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
                           check=False)
        assert r.returncode == 1
        return r.stdout

    assert "is no folder" in refusal("%s/nowhere,tag=t" % tmp_path)
    assert "tag=TAG is missing" in refusal(str(tmp_path))
    assert "cache" in refusal("%s,tag=t,cache=much" % tmp_path)
    assert "install Debian's package" in refusal("%s,tag=t,virtiofsd=/nowhere/virtiofsd" % tmp_path)
    # A program that is none.
    assert "hung up at GET_FEATURES" in refusal("%s,tag=t,virtiofsd=/bin/true" % tmp_path)
    assert "hung up at" in refusal("%s,tag=t,virtiofsd=/bin/false,readonly=off" % tmp_path)


PAGES = 300
# Adds its number once in each of its pages, and fails if the sum is not right.
PROGRAM = """
.globl _start
_start:
	xor %%ebx, %%ebx
.rept %d
	jmp 1f
	.balign 4096
1:	add $%d, %%ebx
.endr
	xor %%edi, %%edi
	cmp $%d, %%ebx
	setne %%dil
	mov $60, %%eax
	syscall
"""


def test_fs_when_programs_come_and_go_expect_each_ones_own_code(tmp_path):
    """What the back end writes is code, on pages that were other programs' before."""
    script = """
mount -t virtiofs share /mnt || echo "FAIL mount"
for round in 1 2 3 4 5; do
	for n in 1 2 3 4 5 6 7 8; do
		/mnt/p$n || echo "FAIL program $n"
		echo 3 >/proc/sys/vm/drop_caches
	done
done
echo ALLRUN
"""
    folder = tmp_path / "folder"
    folder.mkdir()
    for n in range(1, 9):
        subprocess.run(["as", "-o", str(tmp_path / "o"), "-"],
                       input=PROGRAM % (PAGES, n, PAGES * n), text=True, check=True)
        subprocess.run(["ld", "-o", str(folder / ("p%d" % n)), str(tmp_path / "o")], check=True)
    with Server(folder, tmp_path / "s") as server:
        # The guest shall not itself write to the pages that it takes.
        with fs_guest(tmp_path, script, *server.args("share"), append="init_on_alloc=0") as vm:
            end(vm)
            assert "ALLRUN" in vm.text
