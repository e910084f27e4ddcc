# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks of a Debian guest, through virtio-blk: cache modes, layers, locks, and disks that fail.

Run: make t T=system/disk
"""
import contextlib
import json
import os
import resource
import signal
import subprocess
import time

import pytest
from modules import modules
from vm import LODGE, Vm, initrd, kernel

MIB = 1 << 20
LOAD = """#!/bin/busybox sh
for m in $(cat /bin/modlist); do insmod /bin/$m; done
n=0
while [ ! -b /dev/vda ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
seq 1 2000000 | head -c 8388608 >/tmp/data
"""


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    with open(path, "wb") as f:
        f.truncate(32 * MIB)
    return path


def data():
    """What /tmp/data of the guest holds."""
    return b"".join(b"%d\n" % n for n in range(1, 2000001))[:8 * MIB]


def guest(tmp_path, script, *args, files=()):
    """A guest that runs `script` with its disk in /dev/vda, and powers off."""
    mods = modules("cloud-amd64", "virtio_pci", "virtio_blk")
    name = "diskjob"
    (tmp_path / name).write_text(LOAD + script)
    (tmp_path / "modlist").write_text(" ".join(os.path.basename(m) for m in mods))
    return Vm("-kernel", kernel("cloud-amd64"), "-initrd",
              initrd("amd64", str(tmp_path / name), str(tmp_path / "modlist"),
                     *[str(f) for f in files], *mods), "-append",
              "console=ttyS0 quiet cryptomgr.notests lodge.cmd=" + name, *args)


def read_at(path, off, n):
    with open(path, "rb") as f:
        f.seek(off)
        return f.read(n)


@pytest.mark.parametrize("options", ["cache=writeback", "cache=none", "cache=writethrough",
                                     "cache=directsync", "cache=unsafe",
                                     "cache=none,aio=threads", "cache=writeback,aio=io_uring"])
def test_disk_when_written_directly_expect_bytes_in_the_file(tmp_path, image, options):
    script = """
dd if=/tmp/data of=/dev/vda bs=4k seek=256 oflag=direct 2>/dev/null || echo WRITE-FAILED
dd if=/tmp/data of=/dev/vda bs=1000k seek=16 conv=fsync 2>/dev/null || echo BIG-WRITE-FAILED
dd if=/dev/vda bs=4k skip=256 count=2048 iflag=direct 2>/dev/null | cmp - /tmp/data && echo SAME
cat /sys/block/vda/queue/write_cache
"""
    with guest(tmp_path, script, "-drive", "if=virtio,format=raw,file=%s,%s" % (image, options)) as vm:
        assert vm.wait_exit() == 0
        assert "SAME" in vm.text and "FAILED" not in vm.text
        through = "writethrough" in options or "directsync" in options
        assert ("write through" if through else "write back") in vm.text
    assert read_at(image, MIB, 8 * MIB) == data()
    assert read_at(image, 16 * 1024000, 8 * MIB) == data()


def test_disk_when_discarded_expect_holes(tmp_path, image):
    with open(image, "r+b") as f:
        f.write(b"x" * (32 * MIB))
    script = """
blkdiscard -o 1048576 -l 8388608 /dev/vda && echo DISCARDED
dd if=/dev/vda bs=1M skip=1 count=8 iflag=direct 2>/dev/null | tr -d '\\0' | wc -c
"""
    with guest(tmp_path, script, "-drive",
               "if=virtio,format=raw,discard=unmap,file=%s" % image) as vm:
        assert vm.wait_exit() == 0
        assert "DISCARDED" in vm.text
    assert read_at(image, MIB - 1, 2) == b"x\0" and read_at(image, 9 * MIB - 1, 2) == b"\0x"
    assert os.stat(image).st_blocks * 512 <= 25 * MIB


def test_disk_when_read_only_expect_no_write(tmp_path, image):
    script = """
cat /sys/block/vda/ro
dd if=/tmp/data of=/dev/vda bs=4k count=1 oflag=direct 2>&1 | grep -i -e permitted -e read-only && echo REFUSED
dd if=/dev/vda of=/dev/null bs=1M && echo READ
"""
    os.chmod(image, 0o444)
    with guest(tmp_path, script, "-drive",
               "if=virtio,format=raw,readonly=on,file=%s" % image) as vm:
        assert vm.wait_exit() == 0
        assert "REFUSED" in vm.text and "READ" in vm.text
    assert read_at(image, 0, 4096) == bytes(4096)


@pytest.mark.parametrize("args", [["-snapshot"], ["snapshot=on"]])
def test_disk_when_snapshot_expect_the_file_as_it_was(tmp_path, image, args):
    with open(image, "r+b") as f:
        f.write(b"old" * 1000)
    before = image.read_bytes()
    drive = "if=virtio,format=raw,file=%s" % image
    script = """
dd if=/tmp/data of=/dev/vda bs=3k seek=1 conv=fsync 2>/dev/null
dd if=/dev/vda bs=3k skip=1 2>/dev/null | head -c 8388608 | cmp - /tmp/data && echo SAME
dd if=/dev/vda bs=3 count=1 2>/dev/null; echo
"""
    extra = args if args[0] == "-snapshot" else []
    if not extra:
        drive += "," + args[0]
    with guest(tmp_path, script, "-drive", drive, *extra) as vm:
        assert vm.wait_exit() == 0
        assert "SAME" in vm.text and "\nold" in vm.text
    assert image.read_bytes() == before


def test_image_when_in_use_expect_a_second_machine_refused(tmp_path, image):
    script = "echo READY; sleep 1000\n"
    args = ["-kernel", kernel("cloud-amd64"), "-display", "none", "-drive",
            "if=virtio,format=raw,file=%s" % image]
    with guest(tmp_path, script, *args[-2:]) as vm:
        vm.expect("READY")
        r = subprocess.run([*LODGE, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        assert r.returncode == 1 and "in use" in r.stdout and str(image) in r.stdout
        r = subprocess.run(["qemu-io", "-f", "raw", "-c", "write 0 512", str(image)],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert r.returncode != 0 and "lock" in r.stdout
        vm.send("\x01x")
        assert vm.wait_exit() == 0


def test_image_when_raw_is_guessed_expect_it_said_and_guarded(tmp_path, image):
    script = """
printf 'QFI\\373\\0\\0\\0\\003' | dd of=/dev/vda bs=512 conv=sync,fsync 2>&1 | grep -i 'error' && echo REFUSED
dd if=/tmp/data of=/dev/vda bs=512 count=1 conv=fsync 2>/dev/null && echo WRITTEN
"""
    with guest(tmp_path, script, "-drive", "if=virtio,file=%s" % image) as vm:
        assert vm.wait_exit() == 0
        assert "guessed: raw" in vm.text and "WRITTEN" in vm.text
        if knows_qcow2(image):
            assert "REFUSED" in vm.text
    assert read_at(image, 0, 512) == data()[:512]


def knows_qcow2(image):
    r = subprocess.run([*LODGE, "-kernel", "/nonexistent", "-drive",
                        "if=none,format=qcow2,readonly=on,file=%s" % image],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, timeout=60, check=False)
    return "there is no format" not in r.stdout


# ---- Disks that fail. A limit of the file's size (ulimit -f) is an error that comes and goes.


def limited(vm, limit):
    """The machine may write files up to `limit` bytes from here on."""
    resource.prlimit(vm.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


WRITE_ALL = """
echo READY; read go
dd if=/tmp/data of=/dev/vda bs=64k oflag=direct conv=fsync && echo WRITTEN || echo WRITE-FAILED
"""


@pytest.fixture
def short(tmp_path):
    """A disk of 16 MiB and two files: none of it is there yet."""
    path = tmp_path / "short.img"
    with open(path, "wb") as f:
        f.truncate(16 * MIB)
    return path


def test_error_when_werror_report_expect_the_guest_told(tmp_path, short):
    with guest(tmp_path, WRITE_ALL, "-drive",
               "if=virtio,format=raw,werror=report,file=%s" % short) as vm:
        vm.expect("READY")
        limited(vm, 4 * MIB)
        vm.send("\r")
        vm.expect("WRITE-FAILED")
        assert vm.wait_exit() == 0
        assert "a write failed: File too large" in vm.text and "error" in vm.text
    assert read_at(short, 0, 4 * MIB) == data()[:4 * MIB]


def test_error_when_werror_ignore_expect_the_guest_happy(tmp_path, short):
    with guest(tmp_path, WRITE_ALL, "-drive",
               "if=virtio,format=raw,werror=ignore,file=%s" % short) as vm:
        vm.expect("READY")
        limited(vm, 4 * MIB)
        vm.send("\r")
        vm.expect("WRITTEN")
        assert vm.wait_exit() == 0
        assert vm.text.count("a write failed") == 3 and "are not shown" in vm.text
    assert read_at(short, 4 * MIB, 4 * MIB) == bytes(4 * MIB)


@pytest.mark.parametrize("how", ["signal", "key"])
def test_error_when_werror_stop_expect_it_goes_on_when_told(tmp_path, short, how):
    with guest(tmp_path, WRITE_ALL, "-drive",
               "if=virtio,format=raw,werror=stop,file=%s" % short) as vm:
        vm.expect("READY")
        limited(vm, 4 * MIB)
        vm.send("\r")
        vm.expect(r"The machine is stopped")
        # Not mended yet: it stops again.
        os.kill(vm.pid, signal.SIGCONT)
        vm.expect(r"The machine is stopped")
        limited(vm, resource.RLIM_INFINITY)
        if how == "signal":
            os.kill(vm.pid, signal.SIGCONT)
        else:
            vm.send("\x01r")
        vm.expect("WRITTEN")
        assert vm.wait_exit() == 0
        assert "I/O error" not in vm.text
    assert read_at(short, 0, 8 * MIB) == data()


def test_error_when_stopped_expect_it_can_be_ended(tmp_path, short):
    with guest(tmp_path, WRITE_ALL, "-drive",
               "if=virtio,format=raw,werror=stop,file=%s" % short) as vm:
        vm.expect("READY")
        limited(vm, 4 * MIB)
        vm.send("\r")
        vm.expect(r"The machine is stopped")
        os.kill(vm.pid, signal.SIGTERM)
        assert vm.wait_exit(30) == 0
    assert read_at(short, 0, 4 * MIB) == data()[:4 * MIB]


@contextlib.contextmanager
def block_device(path):
    """A loop device: where its file has lost its end, reads are errors."""
    r = subprocess.run(["losetup", "-f", "--show", str(path)], stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL, text=True, check=False)
    if r.returncode:
        pytest.skip("loop devices cannot be made here")
    try:
        yield r.stdout.strip()
    finally:
        subprocess.run(["losetup", "-d", r.stdout.strip()], check=True)


READ_ALL = """
echo READY; read go
dd if=/dev/vda bs=64k iflag=direct of=/dev/null && echo ALL-READ || echo READ-FAILED
"""


@pytest.mark.parametrize("policy", ["report", "stop"])
def test_error_when_a_read_fails_expect_what_rerror_says(tmp_path, short, policy):
    with block_device(short) as dev, \
         guest(tmp_path, READ_ALL, "-drive",
               "if=virtio,format=raw,cache=none,rerror=%s,file=%s" % (policy, dev)) as vm:
        vm.expect("READY")
        os.truncate(short, 4 * MIB)
        vm.send("\r")
        vm.expect("a read failed: Input/output error")
        if policy == "stop":
            vm.expect("The machine is stopped")
            os.truncate(short, 16 * MIB)
            os.kill(vm.pid, signal.SIGCONT)
        vm.expect("READ-FAILED" if policy == "report" else "ALL-READ")
        assert vm.wait_exit() == 0


def flat(tmp_path, path, kind):
    """The image as a raw file, by qemu-img, which must find it clean."""
    if kind == "raw":
        return path
    out = tmp_path / "flat.raw"
    subprocess.run(["qemu-img", "check", "-q", str(path)], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(path), str(out)], check=True)
    return out


@contextlib.contextmanager
def small_disk(path, mib):
    path.mkdir()
    r = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm" % mib, "lodge-test", str(path)],
                       stderr=subprocess.DEVNULL, check=False)
    if r.returncode:
        pytest.skip("a small file system to fill cannot be mounted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_disk_when_host_is_full_expect_stop_and_all_data_in_the_end(tmp_path, kind):
    """werror=enospc is what is meant when nothing is said."""
    with small_disk(tmp_path / "small", 6) as small:
        path = small / "disk.img"
        subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(path), "16M"], check=True)
        (small / "filler").write_bytes(bytes(3 * MIB))
        with guest(tmp_path, WRITE_ALL, "-drive",
                   "if=virtio,format=%s,file=%s" % (kind, path)) as vm:
            vm.expect("READY")
            vm.send("\r")
            vm.expect("No space left on device. The machine is stopped")
            time.sleep(1)
            subprocess.run(["mount", "-o", "remount,size=12m", str(small)], check=True)
            os.kill(vm.pid, signal.SIGCONT)
            vm.expect("WRITTEN")
            assert vm.wait_exit() == 0
        assert read_at(flat(tmp_path, path, kind), 0, 8 * MIB) == data()


@pytest.mark.parametrize("policy", ["report", "ignore", "stop"])
@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_disk_when_host_is_full_expect_what_werror_says(tmp_path, kind, policy):
    """Whatever becomes of the guest's data, the image stays whole."""
    with small_disk(tmp_path / "small", 6) as small:
        path = small / "disk.img"
        subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(path), "16M"], check=True)
        (small / "filler").write_bytes(bytes(3 * MIB))
        with guest(tmp_path, WRITE_ALL + "read end\n", "-drive",
                   "if=virtio,format=%s,werror=%s,file=%s" % (kind, policy, path)) as vm:
            vm.expect("READY")
            vm.send("\r")
            vm.expect("No space left on device")
            if policy == "stop":
                vm.expect("The machine is stopped")
                # Still full: it stops again, as often as it is told to go on.
                os.kill(vm.pid, signal.SIGCONT)
                vm.expect("The machine is stopped")
                (small / "filler").unlink()
                subprocess.run(["mount", "-o", "remount,size=12m", str(small)], check=True)
                os.kill(vm.pid, signal.SIGCONT)
            vm.expect("WRITE-FAILED" if policy == "report" else "WRITTEN")
            (small / "filler").unlink(missing_ok=True)
            subprocess.run(["mount", "-o", "remount,size=12m", str(small)], check=True)
            vm.send("\r")
            assert vm.wait_exit() == 0
            assert ("The machine is stopped" in vm.text) == (policy == "stop")
        raw = flat(tmp_path, path, kind)  # checks it
        if policy == "stop":
            assert read_at(raw, 0, 8 * MIB) == data()
        else:
            assert read_at(raw, 0, 2 * MIB) == data()[:2 * MIB]


def test_error_when_werror_enospc_and_another_error_expect_the_guest_told(tmp_path, short):
    with guest(tmp_path, WRITE_ALL, "-drive",
               "if=virtio,format=raw,werror=enospc,file=%s" % short) as vm:
        vm.expect("READY")
        limited(vm, 4 * MIB)
        vm.send("\r")
        vm.expect("WRITE-FAILED")
        assert vm.wait_exit() == 0
        assert "a write failed: File too large" in vm.text and "stopped" not in vm.text


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_machine_when_terminated_expect_what_was_written_in_the_file(tmp_path, kind):
    image = tmp_path / "disk.img"
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(image), "32M"], check=True)
    script = """
dd if=/tmp/data of=/dev/vda bs=64k oflag=direct 2>/dev/null
echo READY; sleep 1000
"""
    with guest(tmp_path, script, "-drive", "if=virtio,format=%s,file=%s" % (kind, image)) as vm:
        vm.expect("READY")
        os.kill(vm.pid, signal.SIGTERM)
        assert vm.wait_exit() == 0
    assert read_at(flat(tmp_path, image, kind), 0, 8 * MIB) == data()


def test_blockdev_when_named_by_a_device_expect_it_there(tmp_path, image):
    script = """
dd if=/tmp/data of=/dev/vda bs=1M oflag=direct 2>/dev/null && echo WRITTEN
cat /sys/block/vda/serial
"""
    with guest(tmp_path, script, "-blockdev", "driver=file,node-name=f,filename=%s" % image,
               "-blockdev", "driver=raw,node-name=d,file=f,cache.direct=on", "-device",
               "virtio-blk-pci,drive=d,serial=lodge-1") as vm:
        assert vm.wait_exit() == 0
        assert "WRITTEN" in vm.text and "lodge-1" in vm.text
    assert read_at(image, 0, 8 * MIB) == data()


def test_blockdev_and_device_when_json_expect_them_there(tmp_path):
    image = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(image), "16M"], check=True)
    script = """
dd if=/tmp/data of=/dev/vda bs=1M oflag=direct 2>/dev/null && echo WRITTEN
cat /sys/block/vda/serial
"""
    node = {"driver": "qcow2", "node-name": "d", "discard": "unmap", "cache": {"direct": True, "no-flush": False},
            "file": {"driver": "file", "filename": str(image), "discard": "unmap", "aio": "threads"}}
    device = {"driver": "virtio-blk-pci", "drive": "d", "serial": "lodge-2", "num-queues": 2, "bus": "pci.0",
              "addr": "0x9"}
    with guest(tmp_path, script, "-blockdev", json.dumps(node), "-device", json.dumps(device)) as vm:
        assert vm.wait_exit() == 0
        assert "WRITTEN" in vm.text and "lodge-2" in vm.text
    assert read_at(flat(tmp_path, image, "qcow2"), 0, 8 * MIB) == data()


def test_machine_when_reset_under_load_expect_it_starts_again(tmp_path, image):
    script = """
boots=$(dd if=/dev/vda bs=512 count=1 2>/dev/null | tr -d '\\0')
[ "$boots" = xx ] && { echo THIRD-START; exit; }
printf "x$boots" | dd of=/dev/vda bs=512 conv=sync,fsync 2>/dev/null
for part in 1 2 3 4; do
    dd if=/tmp/data of=/dev/vda bs=64k seek=$((part * 100)) oflag=direct 2>/dev/null &
    dd if=/dev/vda of=/dev/null bs=4k skip=$((part * 500)) iflag=direct 2>/dev/null &
done
reboot -f
sleep 100
"""
    vm = guest(tmp_path, script, "-drive", "if=virtio,format=raw,cache=none,file=%s" % image)
    vm.args.remove("-no-reboot")
    with vm:
        vm.expect("THIRD-START")
        assert vm.wait_exit() == 0
