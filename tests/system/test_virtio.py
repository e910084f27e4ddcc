# SPDX-License-Identifier: GPL-2.0-or-later
"""Virtio devices with the drivers of Debian's kernels, modules of the very package.

Run: make t T=system/virtio
"""
import os
import re
import socket
import subprocess
import threading
import time

import pytest
from modules import modules
from vm import LODGE, Vm, bad_lines, initrd, kernel

LOAD = """#!/bin/busybox sh
for m in $(cat /bin/modlist); do insmod /bin/$m || echo "FAIL insmod $m"; done
"""

# Mount, read what the host put there, write with both processors at once, look again, leave clean.
FILES = """
n=0
while [ ! -b /dev/vda ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
mount -t ext4 /dev/vda /mnt || echo "FAIL mount"
(cd /mnt && md5sum -c sums) || echo "FAIL sums"
for cpu in 0 1; do
	(taskset $((cpu + 1)) sh -c "
		for i in 1 2 3 4; do
			dd if=/dev/urandom of=/mnt/cpu$cpu-\\$i bs=64k count=24 conv=fsync 2>/dev/null
		done") &
done
wait
(cd /mnt && md5sum cpu* >newsums && sync)
umount /mnt && echo 3 >/proc/sys/vm/drop_caches && mount -t ext4 /dev/vda /mnt
(cd /mnt && md5sum -c newsums >/dev/null && wc -l newsums) || echo "FAIL newsums"
fstrim /mnt && echo TRIMMED
umount /mnt || echo "FAIL umount"
echo "queues $(ls /sys/block/vda/mq | wc -l)"
grep virtio /proc/interrupts
"""


def guest(tmp_path, script, *args, name="cloud-amd64", mods=(), append="", files=(), **more):
    """A guest that loads modules, runs `script`, and powers off."""
    paths = modules(name, "virtio_pci", *mods)
    (tmp_path / "virtiojob").write_text(LOAD + "mkdir -p /mnt\n" + script)
    (tmp_path / "modlist").write_text(" ".join(os.path.basename(m) for m in paths))
    return Vm("-kernel", kernel(name), "-initrd",
              initrd("amd64", str(tmp_path / "virtiojob"), str(tmp_path / "modlist"), *paths, *files),
              "-append", "console=ttyS0 quiet cryptomgr.notests lodge.cmd=virtiojob " + append,
              *args, **more)


def finish(vm):
    """The guest has ended well, and complained of nothing."""
    assert vm.wait_exit() == 0
    assert "FAIL" not in vm.text
    assert bad_lines(vm.text) == []


@pytest.fixture
def ext4(tmp_path):
    """A file system with a file of a megabyte and its sum."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "big").write_bytes(os.urandom(1 << 20))
    sums = subprocess.run(["md5sum", "big"], cwd=tree, stdout=subprocess.PIPE, check=True).stdout
    (tree / "sums").write_bytes(sums)
    path = tmp_path / "disk.img"
    with open(path, "wb") as f:
        f.truncate(64 << 20)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(tree), str(path)], check=True)
    return path


# Both interfaces, each way of interrupts, each form of ring.
@pytest.mark.parametrize("how,queues,interrupts", [
    ("virtio-blk-pci", 2, "PCI-MSI"),
    ("virtio-blk-pci-non-transitional,num-queues=2,event_idx=off", 2, "PCI-MSI"),
    ("virtio-blk-pci-transitional,indirect_desc=off,queue-size=64", 2, "PCI-MSI"),
    ("virtio-blk-pci,disable-modern=on,num-queues=1", 1, "PCI-MSI"),
    ("virtio-blk-pci,vectors=0,disable-legacy=on", 2, "IO-APIC"),
])
def test_blk_when_ext4_is_written_by_two_processors_expect_it_clean(tmp_path, ext4, how, queues,
                                                                   interrupts):
    with guest(tmp_path, FILES, "-smp", "2", "-drive", "if=none,id=d,format=raw,file=%s" % ext4,
               "-device", how + ",drive=d", mods=["virtio_blk"]) as vm:
        finish(vm)
        assert "big: OK" in vm.text and "8 newsums" in vm.text and "TRIMMED" in vm.text
        assert "queues %d\r" % queues in vm.text
        assert re.search(interrupts + r".*virtio0", vm.text)
    check = subprocess.run(["e2fsck", "-fn", str(ext4)], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, check=False)
    assert check.returncode == 0, check.stdout


def test_rng_when_read_expect_different_bytes(tmp_path):
    script = """
cat /sys/class/misc/hw_random/rng_current
for i in 1 2; do dd if=/dev/hwrng bs=512 count=32 2>/dev/null | md5sum; done
dd if=/dev/hwrng bs=512 count=32 2>/dev/null | wc -c
"""
    with guest(tmp_path, script, "-device", "virtio-rng-pci", mods=["virtio_rng"]) as vm:
        finish(vm)
        assert "virtio_rng.0" in vm.text and "16384" in vm.text
        sums = re.findall(r"(\w{32})  -", vm.text)
        assert len(sums) == 2 and sums[0] != sums[1]


def test_console_when_ports_are_used_expect_bytes_both_ways(tmp_path):
    script = """
sleep 0.5
cat /sys/class/virtio-ports/vport*p1/name
echo "words on hvc0" >/dev/hvc0
exec 3<>/dev/vport0p1
echo "hello host" >&3
read line <&3
echo "guest got: $line"
dd if=/dev/zero bs=64k count=20 2>/dev/null | tr '\\0' x >&3
echo >&3
read line <&3
"""
    path, console = str(tmp_path / "port"), tmp_path / "console"
    with guest(tmp_path, script, "-chardev", "file,id=c,path=%s" % console, "-chardev",
               "socket,id=p,path=%s,server=on,wait=off" % path, "-device", "virtio-serial-pci",
               "-device", "virtconsole,chardev=c", "-device",
               "virtserialport,chardev=p,name=org.lodge.test", mods=["virtio_console"]) as vm:
        client = connect(path)
        assert read_line(client) == b"hello host\n"
        client.sendall(b"answer\n")
        assert read_line(client) == b"x" * (20 << 16) + b"\n"
        client.sendall(b"enough\n")
        finish(vm)
        assert "org.lodge.test" in vm.text and "guest got: answer" in vm.text
    assert b"words on hvc0" in console.read_bytes()


def connect(path):
    """A stream to the socket that the machine makes."""
    for _ in range(600):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(120)
        try:
            s.connect(path)
            return s
        except OSError:
            s.close()
            time.sleep(0.1)
    raise AssertionError("nobody listens on " + path)


def read_line(s):
    got = b""
    while not got.endswith(b"\n"):
        piece = s.recv(65536)
        assert piece, "the line ends early: %r" % got[:100]
        got += piece
    return got


def host_mib(vm):
    """Host memory behind the guest's."""
    with open("/proc/%d/status" % vm.pid) as f:
        return int(re.search(r"RssShmem:\s+(\d+)", f.read()).group(1)) >> 10


def test_balloon_when_inflated_expect_the_guest_with_less(tmp_path):
    script = """
n=0
while [ $(awk '/^MemTotal/ { print $2 }' /proc/meminfo) -gt 155000 ] && [ $n -lt 200 ]; do
	sleep 0.1; n=$((n + 1))
done
awk '/^MemTotal/ { print "total", int($2 / 1024) }' /proc/meminfo
head -c 30000000 /dev/urandom >/tmp/a && md5sum /tmp/a && md5sum /tmp/a
"""
    with guest(tmp_path, script, "-device", "virtio-balloon-pci,target=160M",
               mods=["virtio_balloon"]) as vm:
        vm.expect(r"total (\d+)")
        # Of 256, 96 have gone; the kernel's own are not counted.
        assert 80 < int(vm.child.match.group(1)) < 160
        finish(vm)
        sums = re.findall(r"(\w{32})  /tmp/a", vm.text)
        assert len(sums) == 2 and sums[0] == sums[1]


def test_balloon_when_pages_are_free_expect_them_with_the_host(tmp_path):
    script = """
mount -t tmpfs -o size=200m none /mnt
head -c 120000000 /dev/zero | tr '\\0' x >/mnt/a && echo FILLED; read go
rm /mnt/a && echo FREED; read go
head -c 50000000 /dev/zero | tr '\\0' y >/mnt/b
tr -d y </mnt/b | wc -c
"""
    with guest(tmp_path, script, "-device", "virtio-balloon-pci,free-page-reporting=on",
               mods=["virtio_balloon"]) as vm:
        vm.expect("FILLED")
        full = host_mib(vm)
        assert full > 115
        vm.send("\r")
        vm.expect("FREED")
        for _ in range(300):
            if host_mib(vm) < full - 80:
                break
            time.sleep(0.2)
        assert host_mib(vm) < full - 80
        vm.send("\r")
        finish(vm)
        assert re.search(r"\n0\r", vm.text)


def test_9p_when_folders_are_mounted_expect_them_shared(tmp_path):
    script = """
o=trans=virtio,version=9p2000.L,msize=131072
mkdir /ro /rw
mount -t 9p -o $o,ro ro /ro || mount -t 9p -o $o ro /ro || echo "FAIL mount ro"
mount -t 9p -o $o rw /rw || echo "FAIL mount rw"
(cd /ro && md5sum -c sums) || echo "FAIL sums"
find /ro -type f | wc -l
ls -l /ro/link
cat /ro/link 2>/dev/null && echo "FAIL the outside"
mount -o remount,rw /ro
echo x >/ro/new 2>/dev/null && echo "FAIL write to ro"
cd /rw
mkdir dir && cp /ro/big dir/big && cmp /ro/big dir/big || echo "FAIL copy"
mv dir/big dir/moved && ln -s moved dir/s && ln dir/moved hard && chmod 640 hard
for i in $(seq 100); do echo $i >dir/n$i; done
cat dir/n* | sort -n | tail -1
rm dir/n? && ls dir | wc -l
echo more >>hard && tail -c 5 dir/moved
sync && cd / && umount /rw && mount -t 9p -o $o,cache=loose rw /rw && tail -c 5 /rw/dir/s
"""
    ro, rw = tmp_path / "ro", tmp_path / "rw"
    ro.mkdir()
    rw.mkdir()
    (tmp_path / "secret").write_text("secret")
    (ro / "big").write_bytes(os.urandom(3 << 20))
    sums = subprocess.run(["md5sum", "big"], cwd=ro, stdout=subprocess.PIPE, check=True).stdout
    (ro / "sums").write_bytes(sums)
    (ro / "link").symlink_to("../secret")
    deep = ro
    for n in range(20):
        deep = deep / ("d%d" % n)
        deep.mkdir()
        (deep / "file").write_text(str(n))
    with guest(tmp_path, script, "-virtfs", "local,path=%s,mount_tag=ro,security_model=none" % ro,
               "-fsdev", "local,id=f,path=%s,security_model=none,readonly=off" % rw, "-device",
               "virtio-9p-pci,fsdev=f,mount_tag=rw", name="amd64", memory="512M",
               mods=["9pnet_virtio", "9p"]) as vm:
        finish(vm)
        assert "big: OK" in vm.text
        assert re.search(r"\n22\r", vm.text)  # files
        assert re.search(r"\n100\r", vm.text)
        assert re.search(r"\n93\r", vm.text)  # entries left
        assert vm.text.count("more\r") >= 2
    assert (rw / "hard").read_bytes() == (ro / "big").read_bytes() + b"more\n"
    assert (rw / "dir/moved").stat().st_ino == (rw / "hard").stat().st_ino
    assert (rw / "hard").stat().st_mode & 0o777 == 0o640
    assert os.readlink(rw / "dir/s") == "moved"
    assert not (ro / "new").exists()


def read_all(s):
    got = []
    while True:
        piece = s.recv(65536)
        if not piece:
            return b"".join(got)
        got.append(piece)


def test_vsock_when_both_sides_connect_expect_streams(tmp_path):
    script = """
vsocktool echo 5000 &
sleep 0.5
echo READY; read go
vsocktool cat 6000 </bin/busybox | md5sum
md5sum </bin/busybox
echo x | vsocktool cat 6001
echo ENDED; read go
"""
    tool = str(tmp_path / "vsocktool")
    subprocess.run(["gcc", "-static", "-O1", "-o", tool,
                    os.path.join(os.path.dirname(os.path.abspath(__file__)), "vsocktool.c")],
                   check=True)
    path = str(tmp_path / "vsock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path + "_6000")
    server.listen(1)
    server.settimeout(120)
    with guest(tmp_path, script, "-device", "virtio-vsock-pci,guest-cid=7,path=" + path,
               mods=["vmw_vsock_virtio_transport"], files=[tool]) as vm:
        vm.expect("READY")
        nobody = connect(path)
        nobody.sendall(b"CONNECT 9999\n")
        assert nobody.recv(100) == b""
        data = os.urandom(3 << 20)
        streams = [connect(path) for _ in range(3)]
        for s in streams:
            s.sendall(b"CONNECT 5000\nearly")  # what is behind the line belongs to the stream
        # One after the other is served; all may send at once.
        for s in streams:
            line = b""
            while not line.endswith(b"\n"):
                line += s.recv(1)
            assert re.match(rb"OK \d+\n", line)
            sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
            sender.start()
            assert read_all(s) == b"early" + data
            sender.join()
        vm.send("\r")
        client, _ = server.accept()
        client.settimeout(120)
        got = read_all(client)
        client.sendall(got)
        client.close()
        vm.expect("ENDED")
        vm.send("\r")
        finish(vm)
        sums = re.findall(r"(\w{32})  -", vm.text)
        assert len(sums) == 2 and sums[0] == sums[1]
        assert "connect: Connection reset" in vm.text
    assert not os.path.exists(path)


@pytest.mark.parametrize("args,sentence", [
    (["-device", "virtio-blk-pci"], "drive"),
    (["-device", "virtio-blk-pci,drive=none"], "none"),
    (["-device", "virtio-rng-pci,rng=rng0"], "rng"),
    (["-device", "virtio-rng-pci,max-bytes=1,period=0"], "period"),
    (["-device", "virtio-rng-pci,disable-legacy=on,disable-modern=on"], "leave nothing"),
    (["-device", "virtio-rng-pci,vectors=999"], "vectors"),
    (["-device", "virtio-rng-pci,addr=1f.9"], "addr"),
    (["-device", "virtio-serial-pci,max_ports=32"], "max_ports"),
    (["-device", "virtconsole"], "virtio-serial-pci"),
    (["-device", "virtio-serial-pci", "-device", "virtconsole,chardev=c"], "id=c"),
    (["-device", "virtio-serial-pci,id=s", "-device", "virtserialport,bus=t.0"], "t.0"),
    (["-device", "virtio-serial-pci", "-device", "virtserialport,nr=0"], "port 0"),
    (["-chardev", "null,id=a", "-chardev", "null,id=a"], "taken"),
    (["-chardev", "null"], "id="),
    (["-chardev", "spicevmc,id=a"], "spicevmc"),
    (["-chardev", "file,id=a"], "path="),
    (["-chardev", "socket,id=a,port=1,fd=3"], "fd"),
    (["-serial", "chardev:none"], "id=none"),
    (["-virtfs", "local,path=/nonexistent,mount_tag=t"], "/nonexistent"),
    (["-virtfs", "local,path=/tmp"], "mount_tag"),
    (["-virtfs", "local,path=/tmp,mount_tag=t,security_model=mapped-file"], "mapped-file"),
    (["-virtfs", "local,path=/tmp,mount_tag=t,writeout=immediate"], "writeout"),
    (["-virtfs", "proxy,socket=x,mount_tag=t"], "proxy"),
    (["-device", "virtio-9p-pci,fsdev=f,mount_tag=t"], "id=f"),
    (["-device", "virtio-vsock-pci"], "path="),
    (["-device", "virtio-vsock-pci,path=/tmp/x,guest-cid=2"], "guest-cid"),
    (["-device", "virtio-balloon-pci,target=x"], "target"),
    (["-device", "virtio-nothing-pci"], "virtio-nothing-pci"),
])
def test_options_when_impossible_expect_sentence(args, sentence):
    r = subprocess.run([*LODGE, "-kernel", kernel("cloud-amd64"), "-display", "none", *args],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, timeout=60, check=False)
    assert r.returncode == 1
    assert sentence in r.stdout, r.stdout
