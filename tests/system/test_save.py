# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine saved to a file and restored from it, with Debian's kernel in it.

Run: make t T=system/save
"""
import os
import re
import socket
import subprocess
import tempfile
import threading
import time

import pexpect
import pytest
import save_rounds
from modules import modules
from qmp import Error, Qmp, lodge, wait_for
from statefile import State
from vm import LODGE, Vm, bad_lines, initrd, kernel, linux


@pytest.fixture(autouse=True)
def runtime(tmp_path_factory, monkeypatch):
    path = tmp_path_factory.mktemp("run")
    os.chmod(path, 0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    return path


# Where it may make files: the sandbox has no others than its disks' folders.
MAY = ("-sandbox", "on,path=" + tempfile.gettempdir())


def shell(*args, name="saved", **more):
    vm = linux("cloud-amd64", "cryptomgr.notests", args=("-name", name, *MAY, *args), **more)
    vm.files = []  # a restored machine's reset would read it again
    return vm


def restored(path, *args, **more):
    """A machine from that file; beside it only what may be given there."""
    vm = Vm(**more)
    vm.args = [*LODGE, "-restore", str(path), *MAY, *args]
    return vm


def run_restore(path, *args):
    r = subprocess.run([*LODGE, "-restore", str(path), "-display", "none", *args],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                       timeout=60)
    return r.returncode, r.stdout


@pytest.fixture
def saved(tmp_path):
    """A guest at its shell, saved and ended; the file."""
    path = tmp_path / "guest.state"
    with shell() as vm:
        vm.expect("guest# ")
        vm.send("x=42; sleep 1000 &\n")
        vm.expect("guest# ")
        out = lodge("save", "saved", str(path)).stdout
        assert re.search(r"saved in \d+ ms: \d+ MiB of \d+ MiB", out)
        assert vm.wait_exit() == 0
    return path


def test_guest_when_restored_expect_it_goes_on(saved):
    assert os.stat(saved).st_mode & 0o777 == 0o600
    with restored(saved) as vm:
        vm.expect("engine: ")
        time.sleep(0.5)
        vm.send("echo x is $x, $(pidof sleep | wc -w) job; dmesg | tail -n 30; poweroff -f\n")
        vm.expect("x is 42, 1 job")
        vm.expect("reboot: Power down")
        assert vm.wait_exit() == 0
        assert bad_lines(vm.text) == []


def test_clock_when_saved_for_long_expect_it_stood_still(tmp_path):
    path = tmp_path / "state"
    with shell() as vm:
        vm.expect("guest# ")
        vm.send("cut -d. -f1 /proc/uptime >/up; echo NOTED\n")
        vm.expect("NOTED\r")
        q = Qmp(wait_for("saved"))
        q.save(path)
        time.sleep(12)
        q("quit")
        vm.wait_exit()
    start = time.monotonic()
    with restored(path) as vm:
        vm.expect("engine: ")
        time.sleep(0.5)
        vm.send("echo gone $(($(cut -d. -f1 /proc/uptime) - $(cat /up))); poweroff -f\n")
        gone = int(vm.expect(r"gone (-?\d+)").group(1))
        assert 0 <= gone < 10 + time.monotonic() - start
        vm.wait_exit()


# What changes by itself: the RTC shows the host's time; cards that can say so tell of their new place.
LIVE = {("rtc", "cmos"), ("rtc", "seen_s"), ("mc146818", "cmos"), ("mc146818", "seen_s")}


def same(a, b):
    assert a.keys() == b.keys()
    return ["%s: %s" % (dev, key) for dev in a for key in a[dev]
            if a[dev][key] != b[dev].get(key) and (a[dev]["class"], key) not in LIVE]


@pytest.mark.parametrize("args", [
    (),
    ("-smp", "2", "-vga", "std", "-drive", "file=DISK,format=raw,if=virtio", "-nic",
     "user,model=virtio-net-pci", "-device", "virtio-rng-pci", "-device", "virtio-balloon-pci"),
    ("-hda", "DISK", "-cdrom", "DISK2", "-nic", "user,model=e1000", "-device", "virtio-serial-pci",
     "-vga", "virtio"),
    ("-device", "ahci,id=a", "-drive", "file=DISK,format=raw,if=none,id=d", "-device",
     "ide-hd,bus=a.0,drive=d", "-drive", "file=DISK2,format=raw,if=none,id=n", "-device",
     "nvme,drive=n,serial=x", "-nic", "user,model=rtl8139", "-device", "bochs-display"),
])
def test_state_when_saved_again_expect_the_same_bytes(tmp_path, args):
    one, two = tmp_path / "one", tmp_path / "two"
    for name in ("DISK", "DISK2"):
        with open(tmp_path / name, "wb") as f:
            f.truncate(8 << 20)
    args = [a.replace("DISK", str(tmp_path / "DISK")) for a in args]
    with shell(*args) as vm:
        vm.expect("guest# ")
        lodge("save", "saved", str(one))
        vm.wait_exit()
    with restored(one, "-S") as vm:
        lodge_wait("saved")
        lodge("save", "saved", str(two))
        vm.wait_exit()
    a, b = State(one), State(two)
    assert a.cpus() == b.cpus()
    assert a.all("cpuid") == b.all("cpuid")
    assert a.all("option") == b.all("option")
    assert a.all("drive") == b.all("drive")
    assert same(a.devices(), b.devices()) == []
    assert a.memory[1] == b.memory[1]
    # Memory, by its sums.
    assert a.all("memory") == b.all("memory")


def test_screen_when_restored_on_virtio_gpu_expect_its_picture_and_a_driver_that_goes_on(tmp_path):
    state, mods = tmp_path / "state", modules("amd64", "virtio_pci", "virtio_gpu")
    job = tmp_path / "job"
    job.write_text("#!/bin/sh\n%secho 0 >/sys/class/vtconsole/vtcon1/bind\nsh -i\n" %
                   "".join("insmod /bin/%s\n" % os.path.basename(m) for m in mods))
    job.chmod(0o755)
    draw = "yes %s | tr -d '\\n' | head -c 1228800 >/dev/fb0; echo DR''AWN\n"

    def picture():
        path = str(tmp_path / "now.ppm")
        lodge("screenshot", "saved", path)
        with open(path, "rb") as f:
            return f.read()

    def shows(text):
        """Dots of four letters each: blue, green, red, and one that is not seen."""
        dots = (text.encode() * 4)[:4 * len(text)]
        row = b"".join(dots[i + 2:i + 3] + dots[i + 1:i + 2] + dots[i:i + 1]
                       for i in range(0, len(dots), 4))
        return b"P6\n640 480\n255\n" + row * (640 * 480 // len(text))

    vm = linux("amd64", "cryptomgr.notests lodge.cmd=job", str(job), *mods,
               args=("-name", "saved", *MAY, "-device", "virtio-gpu-pci,xres=640,yres=480"))
    vm.files = []
    with vm:
        vm.expect("# ")
        vm.send(draw % "abcdefgh")
        vm.expect("DRAWN\r")
        end = time.monotonic() + 60
        while picture() != shows("abcdefgh"):
            assert time.monotonic() < end
            time.sleep(0.2)
        lodge("save", "saved", str(state))
        assert vm.wait_exit() == 0
    with restored(state) as vm:
        lodge_wait("saved")
        assert picture() == shows("abcdefgh")
        vm.send(draw % "mnop")
        vm.expect("DRAWN\r")
        end = time.monotonic() + 60
        while picture() != shows("mnop"):
            assert time.monotonic() < end
            time.sleep(0.2)
        vm.send("dmesg | tail -n 30; poweroff -f\n")
        vm.expect("reboot: Power down")
        assert vm.wait_exit() == 0
        assert bad_lines(vm.text) == []


def lodge_wait(name):
    q = Qmp(wait_for(name))
    q.close()


def test_rounds_when_debian_boots_expect_it_to_end_well(tmp_path):
    seed = os.environ.get("LODGE_SEED") or "%08x" % int.from_bytes(os.urandom(4), "little")
    count = int(os.environ.get("LODGE_COUNT", "10"))
    print("LODGE_SEED=%s" % seed)
    save_rounds.rounds(seed, count, 5, ["virtio", "piix"], str(tmp_path))


def test_file_when_bad_expect_a_sentence(saved, tmp_path):
    whole = saved.read_bytes()
    at = State(saved).memory[0]
    cases = [
        (whole[:20], "is no saved machine"),
        (b"\x7fELF" + whole[4:8192], "is no saved machine"),
        (whole[:4096 + 100], "is cut off"),
        (whole[:at + 5000], "is cut off"),
        (whole[:8] + b"\x02" + whole[9:], "newer program"),
        (whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:], "checksum"),
    ]
    bad = tmp_path / "bad"
    for data, words in cases:
        bad.write_bytes(data)
        code, text = run_restore(bad)
        assert code == 1 and words in text and str(bad) in text, text
    code, text = run_restore(tmp_path / "none")
    assert code == 1 and "No such file" in text


def test_options_when_they_change_hardware_expect_refusal(saved):
    for args in (["-m", "512M"], ["-smp", "2"], ["-cpu", "qemu64"], ["-device", "virtio-rng-pci"],
                 ["-drive", "file=/dev/null,id=x"], ["-hda", "/dev/null"], ["-nic", "user"],
                 ["-vga", "std"], ["-serial", "none"], ["-append", "x"]):
        code, text = run_restore(saved, *args)
        assert code == 1 and ("saved machine" in text), text


def test_save_when_it_cannot_be_written_expect_the_guest_to_go_on(tmp_path):
    with shell() as vm:
        vm.expect("guest# ")
        r = lodge("save", "saved", str(tmp_path / "no" / "folder"), ok=False)
        assert r.returncode == 1 and "No such file" in r.stderr
        r = lodge("save", "saved", "/var/lib/not-granted", ok=False)
        assert r.returncode == 1 and "not-granted" in r.stderr
        # As large a file as half a save.
        subprocess.run(["prlimit", "--fsize=%d" % (20 << 20), "--pid", str(vm.pid)], check=True)
        r = lodge("save", "saved", str(tmp_path / "part"), ok=False)
        assert r.returncode == 1 and "too large" in r.stderr, r.stderr
        assert os.listdir(tmp_path) == []
        q = Qmp(wait_for("saved"))
        assert q("query-status")["running"]
        assert q("query-migrate")["status"] == "failed"
        with pytest.raises(Error, match="file:PATH"):
            q("migrate", uri="tcp:localhost:4444")
        q.close()
        vm.send("echo still $((6 * 7))\n")
        vm.expect("still 42")


def test_machine_when_paused_or_kept_expect_so_afterwards(tmp_path):
    with shell() as vm:
        vm.expect("guest# ")
        lodge("save", "--keep", "saved", str(tmp_path / "a"))
        q = Qmp(wait_for("saved"))
        assert q("query-status")["status"] == "running"
        assert "completed" in q.hmp("info migrate")
        q.hmp("migrate -d file:%s" % (tmp_path / "b"))
        while "completed" not in q.hmp("info migrate"):
            time.sleep(0.01)
        assert q("query-status")["status"] == "paused"
        q.close()
        # It was paused when it was saved again.
        lodge("save", "saved", str(tmp_path / "c"))
        vm.wait_exit()
    for path, status in (("a", "running"), ("b", "running"), ("c", "paused")):
        with restored(tmp_path / path, "-name", "again") as vm:
            q = Qmp(wait_for("again"))
            assert q("query-status")["status"] == status
            q("quit")
            q.close()
            vm.wait_exit()


def test_disk_when_missing_or_resized_expect_a_sentence(tmp_path):
    disk, other, path = tmp_path / "disk", tmp_path / "other", tmp_path / "state"
    for p in (disk, other):
        with open(p, "wb") as f:
            f.truncate(4 << 20)
    with shell("-drive", "file=%s,format=raw,if=none,id=d" % disk, "-device",
               "virtio-blk-pci,drive=d") as vm:
        vm.expect("guest# ")
        lodge("save", "saved", str(path))
        vm.wait_exit()
    os.truncate(disk, 8 << 20)
    code, text = run_restore(path)
    assert code == 1 and "another size" in text and str(disk) in text
    os.unlink(disk)
    code, text = run_restore(path)
    assert code == 1 and str(disk) in text and "No such file" in text
    # Another file in its place; it was not written since.
    with restored(path, "-S", "-drive", "file=%s,format=raw,if=none,id=d" % other) as vm:
        q = Qmp(wait_for("saved"))
        assert q("query-block")[0]["inserted"]["file"] == str(other)
        q("quit")
        q.close()
        assert vm.wait_exit() == 0
        assert "was written after" not in vm.text
    os.utime(other, (time.time() + 60, time.time() + 60))
    code, text = run_restore(path, "-drive", "file=%s,format=qcow2,if=none,id=d" % other)
    assert code == 1
    with restored(path, "-S", "-drive", "file=%s,format=raw,if=none,id=d" % other) as vm:
        vm.expect("was written after the machine was saved")


def test_device_when_its_state_is_elsewhere_expect_refusal(tmp_path):
    disk = tmp_path / "disk"
    with open(disk, "wb") as f:
        f.truncate(4 << 20)
    with shell("-drive", "file=%s,format=raw,if=virtio,snapshot=on" % disk) as vm:
        vm.expect("guest# ")
        r = lodge("save", "saved", str(tmp_path / "a"), ok=False)
        assert r.returncode == 1 and "throws away what is written" in r.stderr
        assert not (tmp_path / "a").exists()
    # A card that came while it ran, and went again.
    with shell() as vm:
        vm.expect("guest# ")
        q = Qmp(wait_for("saved"))
        q("device_add", driver="virtio-rng-pci", id="late")
        with pytest.raises(Error, match="'late' was added while it ran"):
            q("migrate", uri="file:%s" % (tmp_path / "a"))
        assert q("query-status")["running"]
        q.close()


def test_folder_when_mounted_expect_refusal_and_a_save_when_not(tmp_path):
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "hello").write_text("hi")
    paths = modules("amd64", "virtio_pci", "9pnet_virtio", "9p")
    (tmp_path / "modlist").write_text(" ".join(os.path.basename(p) for p in paths))
    vm = Vm("-kernel", kernel("amd64"), "-initrd",
            initrd("amd64", str(tmp_path / "modlist"), *paths), "-append", "console=ttyS0 quiet",
            "-name", "saved", *MAY, "-virtfs", "local,path=%s,mount_tag=t,security_model=none" %
            (tmp_path / "share"))
    vm.files = []
    with vm:
        vm.expect("guest# ")
        vm.send("for m in $(cat /bin/modlist); do insmod /bin/$m; done; mkdir -p /mnt; "
                "mount -t 9p -o trans=virtio,version=9p2000.L t /mnt; cat /mnt/hello; echo\n")
        vm.expect("hi\r")
        r = lodge("save", "saved", str(tmp_path / "a"), ok=False)
        assert r.returncode == 1 and "mounted" in r.stderr
        vm.send("umount /mnt && echo UN''MOUNTED\n")
        vm.expect("UNMOUNTED")
        lodge("save", "saved", str(tmp_path / "a"))
        vm.wait_exit()
    with restored(tmp_path / "a") as vm:
        vm.expect("engine: ")
        time.sleep(0.5)
        vm.send("mount -t 9p -o trans=virtio,version=9p2000.L t /mnt; cat /mnt/hello; echo\n")
        vm.expect("hi\r")


def test_machine_when_firmware_booted_it_expect_it_goes_on_and_resets(tmp_path):
    path = tmp_path / "state"
    vm = Vm("-name", "saved", *MAY)
    vm.args.remove("-no-reboot")
    with vm:
        vm.expect("Booting from|No bootable device|iPXE")
        lodge("save", "saved", str(path))
        vm.wait_exit()
    with restored(str(path) + ",verify=on") as vm:
        q = Qmp(wait_for("saved"))
        q("system_reset")
        vm.expect("SeaBIOS")
        q("quit")
        q.close()
        assert vm.wait_exit() == 0


def test_memory_when_damaged_expect_verify_to_tell(saved):
    at, length = State(saved).memory
    with open(saved, "r+b") as f:
        f.seek(at + (16 << 20))
        page = bytearray(f.read(4096))
        page[7] ^= 1
        f.seek(at + (16 << 20))
        f.write(page)
    code, text = run_restore(str(saved) + ",verify=on")
    assert code == 1 and "checksum of its memory" in text


def test_file_when_cut_off_while_it_runs_expect_a_sentence(saved):
    with restored(saved) as vm:
        vm.expect("engine: ")
        os.truncate(saved, 1 << 20)
        vm.send("dmesg >/dev/null; ls -R / >/dev/null; echo 3 >/proc/sys/vm/drop_caches\n")
        assert vm.wait_exit() == 1
        assert "was cut off" in vm.text
        assert "internal error" not in vm.text


def pss(pid):
    """Resident, and its share of what is shared: KiB of the mapping of guest memory."""
    out = {"Rss": 0, "Pss": 0}
    inside = False
    with open("/proc/%d/smaps" % pid) as f:
        for line in f:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                inside = ".state" in line
            m = re.match(r"(Rss|Pss): +(\d+) kB", line)
            if m and inside:
                out[m.group(1)] += int(m.group(2))
    return out


def test_clones_when_four_run_expect_shared_pages(saved):
    vms = []
    try:
        for i in range(4):
            vm = restored(saved, "-name", "clone%d" % i)
            vm.__enter__()
            vms.append(vm)
        for i, vm in enumerate(vms):
            vm.expect("engine: ")
            time.sleep(0.3)
            vm.send("echo clone $x-%d\n" % i)
            vm.expect("clone 42-%d" % i)
        sums = [pss(vm.pid) for vm in vms]
        print(sums)
        for s in sums:
            assert s["Pss"] < s["Rss"] * 0.75
    finally:
        for vm in vms:
            vm.stop()


# ---- while it goes on --------------------------------------------------------------------------

MUCH = "head -c 209715200 /dev/zero | tr '\\0' x >/much; echo FILL''ED\n"


def test_migrate_when_it_takes_long_expect_answers_progress_and_cancel(tmp_path):
    """The reply comes at once, others are served meanwhile, MIGRATION events tell, and it can be given up."""
    with shell(memory="640M") as vm:
        vm.expect("guest# ")
        vm.send(MUCH)
        vm.expect("FILLED")
        one, two = Qmp(wait_for("saved")), Qmp(wait_for("saved"))
        assert one("query-migrate") == {}
        one("migrate_cancel")  # nothing to give up
        one("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True},
                                                      {"capability": "xbzrle", "state": False}])
        with pytest.raises(Error, match="xbzrle"):
            one("migrate-set-capabilities", capabilities=[{"capability": "xbzrle", "state": True}])
        assert one("query-migrate-capabilities") == [{"capability": "events", "state": True}]

        start = time.monotonic()
        one("migrate", uri="file:%s" % (tmp_path / "a"))
        took = time.monotonic() - start
        seen, slowest, refused = [], 0, False
        while True:
            start = time.monotonic()
            said = two("query-migrate")
            two("query-status"), two("query-block")
            slowest = max(slowest, time.monotonic() - start)
            seen.append(said)
            if said["status"] == "active" and not refused and said["ram"]["remaining"] > 150 << 20:
                refused = True
                for c in ("migrate", "cont"):
                    with pytest.raises(Error, match="migration process in progress|being saved"):
                        two(c, **({"uri": "file:/x"} if c == "migrate" else {}))
                assert "active" in two.hmp("info migrate")
            if said["status"] == "completed":
                break
            assert said["status"] in ("setup", "active")
        active = [s["ram"] for s in seen if s["status"] == "active"]
        print("reply after %.3f s; %d looks, the slowest %.3f s; total %d ms" %
              (took, len(seen), slowest, said["total-time"]))
        assert refused and len(active) >= 3 and active[0]["remaining"] > active[-1]["remaining"]
        assert took < max(0.5, said["total-time"] / 2000)
        assert said["ram"]["remaining"] == 0 and said["ram"]["transferred"] > 200 << 20
        assert [one.event("MIGRATION")["data"]["status"] for _ in range(3)] == ["setup", "active", "completed"]
        assert not [e for e in two.events if e["event"] == "MIGRATION"]
        assert two("query-status")["status"] == "paused"
        two("cont")

        # Given up: no file, and it goes on.
        one("migrate", uri="file:%s" % (tmp_path / "b"))
        while two("query-migrate")["status"] == "setup":
            pass
        two("migrate_cancel")
        while two("query-migrate")["status"] == "cancelling":
            time.sleep(0.01)
        assert two("query-migrate") == {"status": "cancelled"}
        assert two("query-status")["status"] == "running"
        # Stopped by somebody meanwhile, it stays so.
        one("migrate", uri="file:%s" % (tmp_path / "b"))
        two("stop")
        two.hmp("migrate_cancel")
        while two("query-migrate")["status"] == "cancelling":
            time.sleep(0.01)
        assert two("query-status")["status"] == "paused"
        two("cont")
        # A reset spoils it, and the end of the machine does not wait for it.
        assert sorted(os.listdir(tmp_path)) == ["a"]
        one("migrate", uri="file:%s" % (tmp_path / "c"))
        two("quit")
        assert vm.wait_exit() == 0
        assert sorted(os.listdir(tmp_path)) == ["a"]
    with restored(str(tmp_path / "a") + ",verify=on") as vm:
        vm.expect("engine: ")
        time.sleep(0.5)
        vm.send("tr -d x </much | wc -c; wc -c </much; poweroff -f\n")
        vm.expect(r"\n0\r+\n209715200\r+\n")
        assert vm.wait_exit() == 0


def test_memory_when_frames_come_meanwhile_expect_it_whole(tmp_path):
    """What the NAT brings while memory is written is in the file as well, by its sums."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    paths = modules("cloud-amd64", "virtio_pci", "virtio_net")
    (tmp_path / "modlist").write_text(" ".join(os.path.basename(p) for p in paths))
    with Vm("-kernel", kernel("cloud-amd64"), "-initrd", initrd("amd64", str(tmp_path / "modlist"), *paths),
            "-append", "console=ttyS0 cryptomgr.notests", "-name", "saved", *MAY, "-nic",
            "user,model=virtio-net-pci,hostfwd=udp:127.0.0.1:%d-:7" % port, memory="640M") as vm:
        vm.expect("guest# ")
        vm.send("for m in $(cat /bin/modlist); do insmod /bin/$m; done; ifconfig eth0 10.0.2.15; " + MUCH)
        vm.expect("FILLED")
        vm.send("nc -u -l -p 7 >/dev/null & ping -c 1 10.0.2.2 >/dev/null; echo REA''DY\n")
        vm.expect("READY")
        stop = threading.Event()

        def flood():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
                while not stop.is_set():
                    u.sendto(os.urandom(1200), ("127.0.0.1", port))
                    time.sleep(0.0005)

        t = threading.Thread(target=flood)
        t.start()
        try:
            time.sleep(0.3)
            q = Qmp(wait_for("saved"))
            for name in "abc":
                before = q.hmp("info network")
                q.save(tmp_path / name)
                q("cont")
            assert before
            q("quit")
            q.close()
        finally:
            stop.set()
            t.join()
        assert vm.wait_exit() == 0
    for name in "abc":
        with restored(str(tmp_path / name) + ",verify=on", "-S", "-name", "x") as vm:
            q = Qmp(wait_for("x"))
            assert q("query-status")["status"] == "paused"
            q("cont")
            time.sleep(0.3)
            vm.send("ping -c 1 10.0.2.2 | grep -c 'bytes from'; poweroff -f\n")
            assert vm.wait_exit() == 0
            assert bad_lines(vm.text) == []


def test_save_when_at_a_terminal_expect_a_bar(tmp_path):
    with shell(memory="640M") as vm:
        vm.expect("guest# ")
        vm.send(MUCH)
        vm.expect("FILLED")
        c = pexpect.spawn(LODGE[0], ["save", "saved", str(tmp_path / "a")], timeout=120, encoding="utf-8")
        c.expect(r"saved: saving \[#+ *\] \d+ s")
        c.expect(r"saved in \d+ ms: \d+ MiB of \d+ MiB")
        c.expect(pexpect.EOF)
        c.close()
        assert c.exitstatus == 0
        assert vm.wait_exit() == 0
