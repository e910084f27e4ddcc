# SPDX-License-Identifier: GPL-2.0-or-later
"""Every control command against a live Debian guest; hostile clients; the commands of `lodge`.

Run: make t T=system/control
"""
import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time

import pexpect
import pytest
from modules import modules
from qmp import Error, Qmp, connect, lodge, wait_for
from vm import LODGE, TOP, Vm, initrd, kernel

pytestmark = pytest.mark.usefixtures("runtime_dir")

APPEND = "console=ttyS0 quiet cryptomgr.notests"
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_balloon", "ata_piix", "sr_mod", "isofs",
           "button", "evdev")
LOAD = """for m in $(cat /bin/modlist); do insmod /bin/$m 2>/dev/null; done
mkdir -p /mnt
ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0
echo LOADED$((1 + 1))
"""
# Linux' input event: 24 bytes, the key's code at 18; KEY_POWER is 116.
BUTTON = """echo WAIT$((40 + 2))
for e in /dev/input/event*; do
	(dd if=$e bs=24 count=1 2>/dev/null | grep -q . && echo BUTTON && poweroff -f) &
done
wait
"""


def plain(name, *args, append="", **more):
    """A guest at its shell, without drivers."""
    return Vm("-kernel", kernel("cloud-amd64"), "-initrd", initrd(), "-append", APPEND + append,
              "-name", name, *args, **more)


def say(vm, line, expect, timeout=120):
    vm.send(line + "\r")
    return vm.expect(expect, timeout=timeout)


def iso(tmp_path, label):
    tree = tmp_path / ("tree-" + label)
    tree.mkdir()
    (tree / "word").write_text(label + "\n")
    out = tmp_path / (label + ".iso")
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-V", label, "-o", out, tree], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return out


# These are used with guests that have a screen and read their keys: test_input.py, test_vnc.py, test_web.py.
WITH_SCREEN = {"screendump", "x-screen-picture", "x-screen-text", "x-screen-size", "send-key", "input-send-event",
               "query-mice", "x-query-input", "query-vnc", "set_password", "change-vnc-password", "x-web-address"}
WITH_SCREEN_WORDS = {"sendkey", "mouse_move", "mouse_button", "screendump"}


# ---- a guest with drivers, and everything that can be done to it ------------------------------

@pytest.fixture
def guest(tmp_path):
    mods = modules("cloud-amd64", *MODULES)
    (tmp_path / "load").write_text(LOAD)
    (tmp_path / "button").write_text(BUTTON)
    (tmp_path / "modlist").write_text(" ".join(os.path.basename(m) for m in mods))
    disk = tmp_path / "disk.qcow2"
    lodge("img", "create", "-f", "qcow2", str(disk), "64M")
    files = [str(tmp_path / f) for f in ("load", "button", "modlist")]
    vm = Vm("-kernel", kernel("cloud-amd64"), "-initrd", initrd("amd64", *files, *mods), "-append",
            APPEND, "-name", "all of it", "-smp", "2",
            "-drive", "if=none,id=d0,format=qcow2,file=%s" % disk,
            "-device", "virtio-blk-pci,drive=d0,id=disk0",
            "-drive", "if=ide,index=2,media=cdrom,id=cd0",
            "-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0",
            "-device", "virtio-balloon-pci", "-sandbox", "on,path=%s" % tmp_path, memory="384M")
    # The shared command line resets for real here.
    vm.args.remove("-no-reboot")
    vm.disk = disk
    with vm:
        vm.expect("guest# ")
        say(vm, "sh /bin/load", "LOADED2")
        q = Qmp(connect("all%20of%20it"))
        vm.q = q
        yield vm
        q.close()


def test_commands_when_guest_is_live_expect_all_of_them_to_work(tmp_path, guest):
    vm, q = guest, guest.q
    names = {c["name"] for c in q("query-commands")}
    used = {"qmp_capabilities", "query-commands"}

    def do(command, **args):
        used.add(command)
        return q(command, **args)

    assert q.greeting["QMP"]["capabilities"] == []
    assert do("query-version")["package"].startswith("lodge")
    assert do("query-status") == {"status": "running", "singlestep": False, "running": True}
    assert do("query-name") == {"name": "all of it"}
    assert len(do("query-uuid")["UUID"]) == 36
    assert do("query-kvm") == {"enabled": False, "present": False}
    assert do("query-target") == {"arch": "x86_64"}
    assert do("query-hotpluggable-cpus") == []
    assert do("query-memory-size-summary")["base-memory"] == 384 << 20
    cpus = do("query-cpus-fast")
    assert [c["cpu-index"] for c in cpus] == [0, 1]
    for c in cpus:
        with open("/proc/%d/task/%d/comm" % (vm.pid, c["thread-id"])) as f:
            assert f.read() == "vcpu%d\n" % c["cpu-index"]
    assert do("query-chardev")[0]["label"] == "serial0"

    # The clock of a stopped guest stands still.
    up = float(say(vm, "cut -d' ' -f1 /proc/uptime; date +%s", r"\n([0-9.]+)\r+\n").group(1))
    do("stop")
    assert q.event("STOP") and q("query-status")["status"] == "paused"
    with open("/proc/%d/stat" % vm.pid) as f:
        before = f.read().rsplit(")")[1].split()[11:13]
    time.sleep(6)
    with open("/proc/%d/stat" % vm.pid) as f:
        after = f.read().rsplit(")")[1].split()[11:13]
    assert sum(map(int, after)) - sum(map(int, before)) < 15  # hundredths of a second: it sleeps
    do("cont")
    assert q.event("RESUME")
    now = float(say(vm, "cut -d' ' -f1 /proc/uptime", r"\n([0-9.]+)\r+\n").group(1))
    assert now - up < 5

    # CD-ROM.
    one, two = iso(tmp_path, "ONE"), iso(tmp_path, "TWO")
    do("blockdev-change-medium", device="cd0", filename=str(one), format="raw")
    assert q.event("DEVICE_TRAY_MOVED")["data"] == {"device": "cd0", "id": "", "tray-open": True}
    assert q.event("DEVICE_TRAY_MOVED")["data"]["tray-open"] is False
    say(vm, "mount -t iso9660 /dev/sr0 /mnt && cat /mnt/word", r"\nONE\r+\n")
    with pytest.raises(Error, match="is locked"):
        do("eject", device="cd0")
    say(vm, "umount /mnt; echo gone$((1 + 1))", "gone2")
    q("eject", device="cd0", force=True)
    assert q.event("DEVICE_TRAY_MOVED")["data"]["tray-open"] is True
    cd = [b for b in do("query-block") if b["device"] == "cd0"][0]
    assert cd["removable"] and "inserted" not in cd
    assert q.hmp("change cd0 %s raw" % two) == ""
    say(vm, "mount -t iso9660 /dev/sr0 /mnt && cat /mnt/word; umount /mnt; echo out$((1 + 1))", r"\nTWO\r+\n(?s:.*)out2")
    with pytest.raises(Error, match="not found") as e:
        q("eject", device="nothing")
    assert e.value.kind == "DeviceNotFound"
    with pytest.raises(Error, match="not removable"):
        q("eject", id="disk0")
    # The tray: the medium stays in it.
    q.events.clear()
    do("blockdev-open-tray", device="cd0")
    assert q.event("DEVICE_TRAY_MOVED")["data"]["tray-open"] is True
    cd = [b for b in q("query-block") if b["device"] == "cd0"][0]
    assert cd["tray_open"] and cd["inserted"]["file"] == str(two)
    say(vm, "head -c 1 /dev/sr0 2>&1 | wc -c; echo opened$((1 + 1))", r"No medium found|opened2")
    do("blockdev-close-tray", device="cd0")
    assert q.event("DEVICE_TRAY_MOVED")["data"]["tray-open"] is False
    say(vm, "mount -t iso9660 /dev/sr0 /mnt && cat /mnt/word; umount /mnt; echo out$((1 + 1))", r"\nTWO\r+\n(?s:.*)out2")
    with pytest.raises(Error, match="has no tray"):
        q("blockdev-open-tray", device="d0")

    # Disk: another size, a snapshot.
    say(vm, "dd if=/dev/zero bs=64k count=16 | tr '\\0' A >/dev/vda; sync; echo wrote$((1 + 1))", "wrote2")
    do("block_resize", device="d0", size=96 << 20)
    say(vm, "cat /sys/block/vda/size", r"\n196608\r+\n")
    top = tmp_path / "top.qcow2"
    do("blockdev-snapshot-sync", device="d0", snapshot_file=str(top), format="qcow2")
    info = [b for b in q("query-block") if b["device"] == "d0"][0]["inserted"]
    assert info["file"] == str(top) and info["drv"] == "qcow2"
    size = os.path.getsize(vm.disk)
    say(vm, "dd if=/dev/zero bs=64k count=8 | tr '\\0' B >/dev/vda; sync; echo 3 >/proc/sys/vm/drop_caches; "
        "head -c 1048576 /dev/vda | tr -cd A | wc -c", r"\n524288\r+\n")
    assert os.path.getsize(vm.disk) == size
    stats = {s["device"]: s["stats"] for s in do("query-blockstats")}
    assert stats["d0"]["wr_bytes"] >= 3 << 19

    # Memory.
    total = int(say(vm, "awk '/MemAvail/ { print $2 }' /proc/meminfo", r"\n(\d+)\r+\n").group(1))
    do("balloon", value=256 << 20)
    assert q.event("BALLOON_CHANGE")["data"]["actual"] < 384 << 20
    end = time.monotonic() + 60
    while do("query-balloon")["actual"] != 256 << 20:
        assert time.monotonic() < end
        time.sleep(0.1)
    less = int(say(vm, "awk '/MemAvail/ { print $2 }' /proc/meminfo", r"\n(\d+)\r+\n").group(1))
    assert total - less > 100 << 10
    assert q.hmp("info balloon") == "balloon: actual=256\n"
    assert q.hmp("balloon 384") == ""

    # Network: a port of the host that leads to the guest, while it runs; the cable.
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    assert q.hmp("hostfwd_add n0 tcp:127.0.0.1:%d-:7" % port) == ""
    assert "tcp:127.0.0.1:%d-" % port in q.hmp("info usernet")
    vm.send("sleep 60 | nc -l -p 7 & sleep 1; echo listens$((1 + 1))\r")
    vm.expect("listens2")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        s.settimeout(30)
        s.sendall(b"hello guest\n")
        vm.expect("hello guest")
    assert "removed" in q.hmp("hostfwd_remove n0 tcp:127.0.0.1:%d" % port)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert "Error:" in q.hmp("hostfwd_remove n0 tcp:127.0.0.1:%d" % port)
    assert "n0: type=user" in q.hmp("info network")
    do("set_link", name="n0", up=False)
    say(vm, "sleep 1; cat /sys/class/net/eth0/carrier", r"\n0\r+\n")
    q("set_link", name="n0", up=True)
    say(vm, "sleep 1; cat /sys/class/net/eth0/carrier", r"\n1\r+\n")

    # A look inside: a page of the guest's, by both kinds of address; its cards as it sees them.
    at = int(re.search(r"RSP=([0-9a-f]+)", q.hmp("info registers")).group(1), 16) & ~4095
    gpa = int(re.search(r"gpa: (0x[0-9a-f]+)", q.hmp("gva2gpa 0x%x" % at)).group(1), 16)
    do("stop")
    do("memsave", val=at if at < 1 << 63 else at - (1 << 64), size=4096, filename=str(tmp_path / "lin"))
    do("pmemsave", val=gpa, size=4096, filename=str(tmp_path / "phys"))
    do("cont")
    assert (tmp_path / "lin").read_bytes() == (tmp_path / "phys").read_bytes()
    assert len((tmp_path / "lin").read_bytes()) == 4096
    with pytest.raises(Error, match="no memory at physical address 0xfee00000"):
        q("pmemsave", val=0xfee00000, size=16, filename=str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()
    pci = do("query-pci")[0]["devices"]
    mine = sorted("%04x:%04x" % (d["id"]["vendor"], d["id"]["device"]) for d in pci)
    vm.send("for d in /sys/bus/pci/devices/*; do echo P $(cat $d/vendor):$(cat $d/device); done; echo PCI$((1 + 1))\r")
    vm.expect("PCI2")
    assert sorted("%s:%s" % m for m in re.findall(r"P 0x(\w{4}):0x(\w{4})\r", vm.text)) == mine
    disk = [d for d in pci if d["qdev_id"] == "disk0"][0]
    assert any(b["type"] == "memory" and b["address"] > 0 for b in disk["regions"])
    do("inject-nmi")
    say(vm, "sleep 1; grep -c NMI: /proc/interrupts; grep NMI: /proc/interrupts", r"NMI: +[1-9]")
    assert do("query-current-machine") == {"wakeup-suspend-support": False}
    with pytest.raises(Error, match="not supported by this guest"):
        do("system_wakeup")

    # Counters; what is not there.
    counters = {s["name"]: s["value"] for s in do("query-stats", target="vm")[0]["stats"]}
    schema = do("query-stats-schemas")
    assert counters["insns-decoded"] > 100000
    assert {s["name"] for s in schema[0]["stats"]} == set(counters)
    assert len(q("query-stats", target="vcpu")) == 2

    # Cards that come and go: a disk that is written, a network card, and what cannot be.
    more = tmp_path / "more.qcow2"
    lodge("img", "create", "-f", "qcow2", str(more), "32M")
    do("blockdev-add", driver="qcow2", node_name="d1", file={"driver": "file", "filename": str(more)})
    do("device_add", driver="virtio-blk-pci", drive="d1", id="disk1", serial="hot")
    vm.expect(r"\[vdb\] 65536 512-byte|guest# ")
    say(vm, "sleep 3; cat /sys/block/vdb/serial; cat /sys/block/vdb/size", r"hot\r*\n?65536\r+\n")
    say(vm, "dd if=/dev/zero bs=64k count=16 | tr '\\0' H >/dev/vdb; sync; echo hot$((1 + 1))", "hot2")
    with pytest.raises(Error, match="has a device already"):
        do("device_add", driver="virtio-blk-pci", drive="d1")
    with pytest.raises(Error, match="busy"):
        do("blockdev-del", node_name="d1")
    do("device_del", id="disk1")
    assert q.event("DEVICE_DELETED")["data"] == {"device": "disk1", "path": "/machine/peripheral/disk1"}
    say(vm, "sleep 1; ls /sys/block | grep -c vdb", r"\n0\r+\n")
    q("device_add", driver="virtio-blk-pci", drive="d1", id="disk1")
    say(vm, "sleep 3; head -c 1048576 /dev/vdb | tr -cd H | wc -c", r"\n1048576\r+\n")
    q("device_del", id="disk1")
    q.event("DEVICE_DELETED")
    q("blockdev-del", node_name="d1")
    lodge("img", "check", str(more))
    # A network that was not there, its card, a port of the host that leads to it; and away with both.
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    do("netdev_add", type="user", id="n1", net="10.9.0.0/24", hostfwd=[{"str": "tcp:127.0.0.1:%d-10.9.0.15:7" % port}])
    assert "n1 tcp:127.0.0.1:%d-10.9.0.15:7" % port in q.hmp("info usernet")
    assert q.hmp("device_add virtio-net-pci,netdev=n1,id=card1,mac=52:54:00:00:00:77") == ""
    say(vm, "sleep 3; cat /sys/class/net/*/address", "52:54:00:00:00:77")
    vm.send("ip link set eth1 up; ip addr add 10.9.0.15/24 dev eth1; sleep 60 | nc -l -p 7 & "
            "ping -c 1 10.9.0.2 >/dev/null; echo listens$((1 + 2))\r")
    vm.expect("listens3")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        s.sendall(b"hello hot card\n")
        vm.expect("hello hot card")
    with pytest.raises(Error, match="has a card"):
        do("netdev_del", id="n1")
    with pytest.raises(Error, match="added while it ran"):
        q("migrate", uri="file:%s" % (tmp_path / "none"))
    assert q.hmp("device_del card1") == ""
    assert q.event("DEVICE_DELETED")["data"]["device"] == "card1"
    q("netdev_del", id="n1")
    assert "n1" not in q.hmp("info network")
    for args, why in (({"type": "tap", "id": "n1"}, "sandbox"), ({"type": "user"}, "'id' is missing"),
                      ({"type": "user", "id": "n0"}, "Duplicate"), ({"type": "user", "id": "n1", "x": 1}, "x"),
                      ({"type": "user", "id": "n1", "hostfwd": [{"str": "rubbish"}]}, "rubbish"),
                      ({"type": "user", "id": "n1", "hostfwd": [7]}, "list of text")):
        with pytest.raises(Error, match=why):
            q("netdev_add", **args)
    with pytest.raises(Error, match="not found"):
        q("netdev_del", id="n1")
    for args, why in (({"driver": "nvme"}, "cannot be added"), ({"driver": "nothing"}, "not a valid"),
                      ({"driver": "virtio-blk-pci", "drive": "none"}, "no drive"),
                      ({"driver": "virtio-rng-pci", "x": 1}, "x"),
                      ({"driver": "virtio-rng-pci", "addr": "1"}, "taken"),
                      ({"driver": "virtio-rng-pci", "id": [1]}, "no text")):
        with pytest.raises(Error, match=why):
            q("device_add", **args)
    with pytest.raises(Error, match="not found"):
        q("device_del", id="none")
    for _ in range(5):  # the places and names come back
        q("device_add", driver="virtio-rng-pci", id="r")
        time.sleep(0.3)
        q("device_del", id="r")
        q.event("DEVICE_DELETED")
    assert "VM status: running" in do("human-monitor-command", command_line="info status")
    for what in ("block", "blockstats", "cpus", "chardev", "jit", "kvm", "name", "uuid", "version"):
        assert "Error" not in q.hmp("info " + what)

    # Saved, it stays stopped.
    assert do("query-migrate") == {}
    do("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
    assert do("query-migrate-capabilities") == [{"capability": "events", "state": True}]
    do("migrate_cancel")
    do("migrate", uri="file:%s" % (tmp_path / "state"))
    while do("query-migrate")["status"] != "completed":
        time.sleep(0.01)
    assert q("query-status")["status"] == "paused"
    assert do("query-migrate")["status"] == "completed"
    assert "completed" in q.hmp("info migrate")
    assert (tmp_path / "state").stat().st_size > 384 << 20
    assert [q.event("MIGRATION")["data"]["status"] for _ in range(3)] == ["setup", "active", "completed"]
    do("cont")

    # Reset, then the power button.
    do("system_reset")
    assert q.event("RESET")["data"] == {"guest": False, "reason": "host-qmp-system-reset"}
    vm.expect("lodge-guest: a shell")
    vm.expect("guest# ")
    say(vm, "sh /bin/load; sh /bin/button", "WAIT42")
    time.sleep(1)
    do("system_powerdown")
    assert q.event("POWERDOWN")
    vm.expect("BUTTON")
    assert q.event("SHUTDOWN")["data"] == {"guest": True, "reason": "guest-shutdown"}
    assert vm.wait_exit() == 0
    used.add("quit")  # below
    assert used | WITH_SCREEN == names
    lodge("img", "check", str(top))


# What "help" and "info" list, with an answer that shows that it was done; {} are the test's files.
LOOKS = (("status", "VM status: running"), ("name", "all of it"), ("migrate", ""), ("uuid", "-"),
         ("version", "lodge"), ("kvm", "disabled"), ("cpus", "CPU #1"), ("block", "disk.qcow2"),
         ("blockstats", "d0: rd_bytes="), ("network", "n0: type=user"), ("usernet", ""),
         ("balloon", "actual=384"), ("chardev", "serial0"), ("registers", "RIP="), ("registers -a", "CPU#1"),
         ("pci", "id \"disk0\""), ("mtree", "-000000000009ffff: ram"), ("qtree", "virtio-blk"),
         ("device piix4-pm", "pm.val ="), ("pic", "i8259#0:"), ("lapic", "lapic#0:"),
         ("memory_size_summary", "base memory: 402653184"), ("jit", "blocks"))
WORDS = (("help stop", "stop -- "), ("cpu 1", ""), ("x/2i $rip", "0x"), ("x/4xg $rsp", ": 0x"),
         ("xp/2xb 0xf0000", ": 0x"), ("gva2gpa $rsp", "gpa: 0x"), ("gpa2hva 0x1000", "0x7"),
         ("memsave $rsp 16 {}/a", ""), ("pmemsave 0 4096 {}/b", ""), ("nmi", ""),
         ("system_wakeup", "Error: wake-up"), ("stop", ""), ("cont", ""),
         ("change cd0 {}/ONE.iso raw", ""), ("eject -f cd0", ""), ("block_resize d0 70M", ""),
         ("snapshot_blkdev d0 {}/snap.qcow2 qcow2", ""), ("balloon 300", ""), ("balloon 384", ""),
         ("set_link n0 off", ""), ("set_link n0 on", ""),
         ("drive_add 0 if=none,id=x1,file={}/x1.qcow2,format=qcow2", "OK"), ("drive_del x1", ""),
         ("device_add virtio-rng-pci,id=hot", ""), ("device_del hot", ""),
         ("netdev_add user,id=n1", ""), ("netdev_del n1", ""),
         ("hostfwd_add n0 tcp:127.0.0.1:PORT-:22", ""), ("hostfwd_remove n0 tcp:127.0.0.1:PORT", "removed"),
         ("migrate -d file:{}/state", ""), ("migrate_cancel", ""))


def test_words_when_guest_is_live_expect_all_of_them_to_work(tmp_path, guest):
    """Every command of the monitor for people; "quit" and the reset are last."""
    vm, q = guest, guest.q
    iso(tmp_path, "ONE")
    lodge("img", "create", "-f", "qcow2", str(tmp_path / "x1.qcow2"), "8M")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    names = set(re.findall(r"^(\S+)", q.hmp("help"), re.M))
    infos = set(re.findall(r"^info (\S+)", q.hmp("info"), re.M))
    used = {"info"}
    for line, want in LOOKS:
        said = q.hmp("info " + line)
        assert "Error" not in said and want in said, (line, said)
    assert {line.split()[0] for line, _ in LOOKS} | {"mice"} == infos
    for line, want in WORDS:
        said = q.hmp(line.replace("{}", str(tmp_path)).replace("PORT", port))
        assert want in said and ("Error" in said) == want.startswith("Error"), (line, said)
        used.add(re.split("[ /]", line)[0])
        if line.startswith("device_del"):
            q.event("DEVICE_DELETED")
    while "cancelling" in q.hmp("info migrate"):
        time.sleep(0.01)
    assert os.path.getsize(tmp_path / "a") == 16 and os.path.getsize(tmp_path / "b") == 4096
    say(vm, "sleep 1; cat /sys/block/vda/size", r"\n143360\r+\n")
    # `lodge forward` is those words.
    lodge("forward", "all of it", "add", port + ":7")
    assert "n0 tcp:127.0.0.1:%s-:7" % port in lodge("forward", "all of it").stdout
    vm.send("sleep 60 | nc -l -p 7 & sleep 1; echo listens$((1 + 1))\r")
    vm.expect("listens2")
    with socket.create_connection(("127.0.0.1", int(port)), timeout=30) as s:
        s.sendall(b"hello by forward\n")
        vm.expect("hello by forward")
    lodge("forward", "--net", "n0", "all of it", "remove", port)
    assert port not in lodge("forward", "all of it").stdout
    assert "no such forward" in lodge("forward", "all of it", "remove", port, ok=False).stderr
    q.hmp("system_powerdown")
    q.event("POWERDOWN")
    q.hmp("system_reset")
    q.event("RESET")
    vm.expect("lodge-guest: a shell")
    q.hmp("quit")
    assert vm.wait_exit() == 0
    used |= {"system_powerdown", "system_reset", "quit"}
    assert used | WITH_SCREEN_WORDS == names


# ---- the commands of lodge --------------------------------------------------------------------

def test_lodge_when_machines_run_expect_them_found_and_controlled(runtime_dir):
    assert lodge("ps", "--json").stdout == "[]\n"
    with plain("one") as vm:
        vm.expect("guest# ")
        one = json.loads(lodge("ps", "--json").stdout)[0]
        assert one["name"] == "one" and one["pid"] == vm.pid and one["status"] == "running"
        assert one["engine"] == "soft" and one["cpus"] == 1 and one["memory"] == 256 << 20
        assert 0 <= one["uptime"] < 600 and one["cpu-percent"] >= 0
        table = lodge("ps").stdout.split("\n")
        assert table[0].split() == ["NAME", "PID", "STATUS", "ENGINE", "CPUS", "MEMORY", "UPTIME", "CPU%"]
        assert table[1].split()[:5] == ["one", str(vm.pid), "running", "soft", "1"]
        r = lodge("run", "-name", "one", "-kernel", kernel("cloud-amd64"), ok=False)
        assert r.returncode == 1 and "a machine with the name 'one' runs already" in r.stderr
        lodge("pause", "one")
        assert json.loads(lodge("ps", "--json").stdout)[0]["status"] == "paused"
        assert "does not run" in lodge("stop", "one", ok=False).stderr
        lodge("resume", str(vm.pid))
        assert lodge("monitor", "one", "info", "status").stdout == "VM status: running\n"
        assert lodge("monitor", "one", input="info name\n").stdout == "one\n"
        r = lodge("monitor", "--qmp", "one", input='{"execute":"qmp_capabilities"}{"execute":"query-name"}')
        assert json.loads(r.stdout.split("\n")[-2]) == {"return": {"name": "one"}}
        r = lodge("stop", "--timeout", "1", "one", ok=False)
        assert r.returncode == 1 and "'lodge kill one'" in r.stderr
        lodge("reset", "one")
        assert vm.wait_exit() == 0  # -no-reboot
    assert "no machine 'one' runs" in lodge("stop", "one", ok=False).stderr
    assert os.listdir(runtime_dir / "lodge") == []


def test_stop_when_the_guest_listens_expect_a_clean_end(tmp_path):
    mods = modules("cloud-amd64", "button", "evdev")
    (tmp_path / "button").write_text("#!/bin/busybox sh\nfor m in $(cat /bin/modlist); do insmod /bin/$m; done\n" + BUTTON)
    (tmp_path / "modlist").write_text(" ".join(os.path.basename(m) for m in mods))
    with Vm("-kernel", kernel("cloud-amd64"), "-initrd",
            initrd("amd64", str(tmp_path / "button"), str(tmp_path / "modlist"), *mods),
            "-append", APPEND + " lodge.cmd=button", "-name", "polite") as vm:
        vm.expect("WAIT42")
        time.sleep(1)
        assert lodge("stop", "polite").stdout == ""
        assert vm.wait_exit() == 0


def test_machine_when_killed_expect_its_left_overs_cleared(runtime_dir):
    with plain("gone", "-S") as vm:
        q = Qmp(wait_for("gone"))
        assert q("query-status")["status"] == "prelaunch"
        os.kill(vm.pid, signal.SIGKILL)
        vm.wait_exit()
        assert sorted(os.listdir(runtime_dir / "lodge")) == ["gone.console", "gone.info", "gone.qmp"]
    assert lodge("ps", "--json").stdout == "[]\n"
    assert os.listdir(runtime_dir / "lodge") == []


def test_name_when_its_machine_was_killed_expect_it_free(runtime_dir):
    with plain("again", "-S") as vm:
        wait_for("again")
        os.kill(vm.pid, signal.SIGKILL)
        vm.wait_exit()
    with plain("again", "-S") as vm:
        q = Qmp(wait_for("again"))
        q("cont")
        assert q.event("RESUME")
        vm.expect("guest# ")
        lodge("kill", "again")
        assert q.event("SHUTDOWN")["data"] == {"guest": False, "reason": "host-qmp-quit"}
        assert vm.wait_exit() == 0


def test_folder_when_others_may_write_it_expect_no_socket_and_a_word(runtime_dir):
    (runtime_dir / "lodge").mkdir()
    os.chmod(runtime_dir / "lodge", 0o777)
    with plain("open") as vm:
        vm.expect("no control socket: the folder .* is not yours alone")
        vm.expect("guest# ")
        assert os.listdir(runtime_dir / "lodge") == []


def test_console_when_attached_expect_what_was_said_and_keys():
    with plain("term") as vm:
        vm.expect("guest# ")
        c = pexpect.spawn(LODGE[0], ["console", "term"], timeout=60, encoding="utf-8")
        c.expect("guest# ")  # said before
        c.send("echo $((6 * 7))x\r")
        c.expect("42x")
        vm.expect("42x")  # both see it
        c.send("\x1d")
        c.expect(pexpect.EOF)
        vm.send("echo still$((1 + 1))\r")
        vm.expect("still2")


def test_console_when_daemonized_expect_it_attachable(tmp_path):
    lodge("run", "-name", "far", "-daemonize", "-m", "256M", "-display", "none", "-kernel",
          kernel("cloud-amd64"), "-initrd", initrd(), "-append", APPEND)
    try:
        c = pexpect.spawn(LODGE[0], ["console", "far"], timeout=240, encoding="utf-8")
        c.expect("guest# ")
        c.send("poweroff -f\r")
        c.expect(pexpect.EOF)
    finally:
        lodge("kill", "far", ok=False)


# ---- monitors ---------------------------------------------------------------------------------

def test_monitors_when_on_sockets_expect_sessions_one_after_another(tmp_path):
    os.chdir(tmp_path)
    with plain("mon", "-qmp", "unix:q,server=on,wait=off", "-qmp-pretty", "unix:p,server=on,wait=off",
               "-monitor", "unix:m,server=on,wait=off", "-chardev", "socket,id=c,path=c,server=on,wait=off",
               "-mon", "chardev=c,mode=control") as vm:
        vm.expect("guest# ")
        for path in "q", "q", "c":
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            s.settimeout(60)
            q = Qmp(s)
            assert q("query-status")["running"]
            q.close()
        s = socket.socket(socket.AF_UNIX)
        s.connect("p")
        s.settimeout(60)
        assert s.recv(65536).startswith(b'{\n    "QMP": {')
        s.close()
        m = socket.socket(socket.AF_UNIX)
        m.connect("m")
        m.settimeout(60)
        f = m.makefile("rb")
        m.sendall(b"info status\nnonsense\nquit\n")
        text = f.read().decode()
        assert "(qemu) VM status: running\r\n(qemu) Error: unknown command: 'nonsense'" in text
        assert vm.wait_exit() == 0


def test_mux_when_ctrl_a_c_expect_monitor_and_guest_again():
    with plain("mux") as vm:
        vm.expect("guest# ")
        vm.send("\x01c")
        vm.expect(r"\(qemu\) ")
        vm.send("info statux\x7fs\r")
        vm.expect("VM status: running")
        vm.send("stop\r")
        vm.expect(r"\(qemu\) ")
        vm.send("info status\r")
        vm.expect("VM status: paused")
        vm.send("cont\r\x01c")
        say(vm, "\recho back$((1 + 1))", "back2")


def test_monitor_when_on_the_terminal_expect_it_edited_and_echoed():
    c = pexpect.spawn(LODGE[0], ["run", "-name", "tty", "-monitor", "stdio", "-S", "-kernel",
                                 kernel("cloud-amd64")], timeout=60, encoding="utf-8")
    c.expect(r"monitor - type 'help'.*\(qemu\) ")
    c.send("info nane\x7f\x7fme\r")
    c.expect(r"info nane\x08 \x08\x08 \x08me\r+\ntty\r+\n\(qemu\) ")
    c.send("rubbish\x15help quit\r")
    c.expect("quit -- end it at once")
    c.send("q\r")
    c.expect(pexpect.EOF)
    c.wait()
    assert c.exitstatus == 0


def test_mux_when_shared_by_chardev_expect_the_monitor_behind_ctrl_a_c():
    with Vm("-kernel", kernel("cloud-amd64"), "-initrd", initrd(), "-append", APPEND, "-S", "-chardev",
            "stdio,mux=on,id=c", "-serial", "chardev:c", "-mon", "chardev=c") as vm:
        vm.expect("software")
        time.sleep(0.5)
        vm.send("\x01c")
        vm.expect(r"\(qemu\) ")
        vm.send("info status\r")
        vm.expect(r"VM status: paused \(prelaunch\)")
        vm.send("cont\r\x01c")
        vm.expect("guest# ")


# ---- disk errors ------------------------------------------------------------------------------

def test_io_error_when_werror_is_stop_expect_event_state_and_cont(tmp_path):
    mods = modules("cloud-amd64", "virtio_pci", "virtio_blk")
    (tmp_path / "modlist").write_text(" ".join(os.path.basename(m) for m in mods))
    disk = tmp_path / "disk.qcow2"
    lodge("img", "create", "-f", "qcow2", str(disk), "64M")
    with Vm("-kernel", kernel("cloud-amd64"), "-initrd",
            initrd("amd64", str(tmp_path / "modlist"), *mods), "-append", APPEND, "-name", "full",
            "-drive", "if=none,id=d0,format=qcow2,werror=stop,file=%s" % disk,
            "-device", "virtio-blk-pci,drive=d0,id=v0") as vm:
        vm.expect("guest# ")
        say(vm, "for m in $(cat /bin/modlist); do insmod /bin/$m; done; echo LOADED$((1 + 1))", "LOADED2")
        q = Qmp(connect("full"))
        hard = resource.prlimit(vm.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(vm.pid, resource.RLIMIT_FSIZE, (4 << 20, hard))
        vm.send("dd if=/dev/zero bs=1M count=16 | tr '\\0' C >/dev/vda; sync; "
                "tr -cd C </dev/vda | wc -c\r")
        ev = q.event("BLOCK_IO_ERROR")["data"]
        assert ev["device"] == "d0" and ev["operation"] == "write" and ev["action"] == "stop"
        q.event("STOP")
        assert q("query-status")["status"] == "io-error"
        resource.prlimit(vm.pid, resource.RLIMIT_FSIZE, (hard, hard))
        q("cont")
        q.event("RESUME")
        vm.expect(r"\n16777216\r+\n")
        assert q("query-status")["status"] == "running"


def test_floppy_when_changed_expect_the_new_one_and_kept_bytes(tmp_path):
    for name in "a", "b":
        (tmp_path / name).write_bytes(name.encode() * 1474560)
    with Vm("-S", "-name", "fl", "-fda", str(tmp_path / "a"), "-nic", "none"):
        q = Qmp(wait_for("fl"))
        name = [b["device"] for b in q("query-block") if b["removable"]][0]
        q("blockdev-change-medium", device=name, filename=str(tmp_path / "b"), format="raw",
          read_only_mode="read-only")
        b = [b for b in q("query-block") if b["device"] == name][0]
        assert b["inserted"]["file"] == str(tmp_path / "b") and b["inserted"]["ro"]
        with pytest.raises(Error):  # no floppy has that size, and the old one stays
            (tmp_path / "c").write_bytes(b"c" * 12345 * 512)
            q("blockdev-change-medium", device=name, filename=str(tmp_path / "c"), format="raw")
        assert [b for b in q("query-block") if b["device"] == name][0]["inserted"]["file"] == str(tmp_path / "b")
        q("eject", device=name)
        assert "inserted" not in [b for b in q("query-block") if b["device"] == name][0]
        q("quit")
    assert (tmp_path / "a").read_bytes() == b"a" * 1474560


# ---- hostile clients --------------------------------------------------------------------------

def rss_kib(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def test_clients_when_hostile_expect_the_machine_unharmed():
    with plain("target") as vm:
        vm.expect("guest# ")
        good = Qmp(connect("target"))
        before = rss_kib(vm.pid)

        # Half a message, and one that never ends.
        half = connect("target")
        half.sendall(b'{"execute":"qmp_capabilities"}{"execute": "que')
        huge = connect("target")
        huge.sendall(b'{"execute":"qmp_capabilities"}{"execute": "')

        # A client that asks for much and never reads, and one that floods.
        def flood(sock, data, seconds):
            sock.settimeout(1)
            end = time.monotonic() + seconds
            try:
                while time.monotonic() < end:
                    sock.sendall(data)
            except OSError:
                pass

        deaf, mad, deep = connect("target"), connect("target"), connect("target")
        jobs = [threading.Thread(target=flood, args=a) for a in (
            (huge, b"x" * 65536, 6),
            (deaf, b'{"execute":"qmp_capabilities"}' + b'{"execute":"query-commands"}' * 1000, 6),
            (mad, b"}{]['\"\\\xff\x00" * 5000, 6),
            (deep, b'{"a":' * 20000, 6))]
        for j in jobs:
            j.start()

        # More than there may be.
        many = [connect("target") for _ in range(100)]
        time.sleep(1)
        answers = 0
        for s in many:
            s.settimeout(10)
            try:
                answers += s.recv(100).startswith(b'{"QMP"')
            except OSError:
                pass
        assert 50 <= answers <= 64

        # Meanwhile the guest and a client with manners are served.
        say(vm, "echo alive$((1 + 1))", "alive2", timeout=30)
        start = time.monotonic()
        assert good("query-status")["running"]
        assert time.monotonic() - start < 10
        for _ in range(300):
            good("stop")
            good("cont")
        for j in jobs:
            j.join()
        assert rss_kib(vm.pid) - before < 64 << 10
        for s in (half, huge, deaf, mad, deep, *many):
            s.close()
        assert good("query-status")["running"]
        say(vm, "echo alive$((1 + 2))", "alive3", timeout=30)
        # The places are free again.
        for _ in range(70):
            Qmp(connect("target")).close()
        good("quit")
        assert vm.wait_exit() == 0


def test_protocol_when_broken_expect_qemus_errors():
    with plain("strict", "-S"):
        raw = Qmp(wait_for("strict"), negotiate=False)

        def ask(text):
            raw.send(text.encode() if isinstance(text, str) else text)
            return raw.read()

        r = ask('{"execute":"query-status"}')
        assert r["error"]["class"] == "CommandNotFound" and "qmp_capabilities" in r["error"]["desc"]
        assert "error" in ask('{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}')
        assert ask("{'execute':'qmp_capabilities','id':{'a':[1,null]}}") == {"return": {}, "id": {"a": [1, None]}}
        assert "already complete" in ask('{"execute":"qmp_capabilities"}')["error"]["desc"]
        assert ask('{"execute":"nope","id":"x"}') == {
            "error": {"class": "CommandNotFound", "desc": "The command nope has not been found"}, "id": "x"}
        for text, desc in (
                ('{"execute":"set_link"}', "Parameter 'name' is missing"),
                ('{"execute":"set_link","arguments":{"name":1,"up":true}}',
                 "Invalid parameter type for 'name', expected: string"),
                ('{"execute":"stop","arguments":{"x":1}}', "Parameter 'x' is unexpected"),
                ('{"execute":"stop","arguments":[]}', "QMP input member 'arguments' must be an object"),
                ('{"arguments":{}}', "QMP input lacks member 'execute'"),
                ('{"execute":"stop","extra":1}', "unexpected member"),
                ('[1,2]', "QMP input must be a JSON object"),
                ('{"execute":}', "JSON parse error"),
                ('{"execute":"stop","execute":"cont"}', "JSON parse error"),
                ('hello\n', "JSON parse error"),
                ('{"execute":"query-status"\xff', "JSON parse error"),
                ('[' * 200 + ']' * 200, "nesting depth"),
                ('{"execute":"' + "y" * 300000 + '"}', "size limit"),
                ('{"execute":"set_link","arguments":{"name":"a\\u0000b","up":true}}', "JSON parse error")):
            assert desc in ask(text.encode("latin-1"))["error"]["desc"], text[:80]
        assert ask('{"execute":"query-status"}')["return"]["status"] == "prelaunch"
