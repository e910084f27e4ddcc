# SPDX-License-Identifier: GPL-2.0-or-later
"""The sandbox of a whole machine, by what the kernel says of each thread: make t T=system/sandbox"""
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

import qmp
from vm import LODGE, Vm, children, initrd, kernel, open_files

PROMPT = r"guest# "


def status(path):
    with open(os.path.join(path, "status")) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def threads(pid):
    """{name: status} of all threads; of one name, the last."""
    found = {}
    for task in glob.glob("/proc/%d/task/*" % pid):
        st = status(task)
        found.setdefault(st["Name"], []).append(st)
    return found


def maps(pid):
    with open("/proc/%d/maps" % pid) as f:
        return f.read().splitlines()


def client(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(qmp.TIMEOUT)
    s.connect(str(path))
    return qmp.Qmp(s)


def guest(*args, **kw):
    return Vm("-kernel", kernel("cloud-amd64"), "-initrd", initrd(), "-append",
              "console=ttyS0 quiet", *args, **kw)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    tmp = tmp_path_factory.mktemp("sandbox")
    disk = tmp / "disk.img"
    disk.write_bytes(b"\0" * (4 << 20))
    (tmp / "folder").mkdir()
    with guest("-drive", "file=%s,format=raw,if=virtio" % disk,
               "-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0",
               "-virtfs", "local,path=%s,mount_tag=t,security_model=mapped-xattr" % (tmp / "folder"),
               "-smp", "2", "-qmp", "unix:%s,server=on,wait=off" % (tmp / "qmp")) as vm:
        vm.expect(PROMPT)
        vm.files = []  # the others' too
        yield vm, tmp


def test_every_thread_when_the_guest_runs_expect_filter_no_new_rights_no_capabilities(running):
    vm, _ = running
    found = threads(vm.pid)
    assert {"lodge", "io", "control", "vcpu0", "vcpu1", "disk", "9p"} <= set(found)
    if len(os.sched_getaffinity(0)) > 1:  # more than one processor: memory for code is touched ahead
        assert "engine" in found
    for name, all_of_name in found.items():
        for st in all_of_name:
            if name.startswith("iou-wrk"):
                continue
            assert st["Seccomp"] == "2", name
            assert st["NoNewPrivs"] == "1", name
            if name != "9p":  # of root's: files of any user
                for caps in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"):
                    if caps != "CapBnd" or os.geteuid() == 0:
                        assert int(st[caps], 16) == 0, (name, caps)


def test_memory_when_the_guest_runs_expect_nothing_both_writable_and_executable(running):
    vm, _ = running
    lines = maps(vm.pid)
    assert any(" r-xs " in l for l in lines), "no generated code to look at"
    for line in lines:
        rights = line.split()[1]
        assert not ("w" in rights and "x" in rights), line


def test_helper_process_when_the_guest_runs_expect_none_of_the_guests_memory(running):
    vm, _ = running
    helpers = children(vm.pid)
    assert helpers
    for pid in helpers:
        st = status("/proc/%d" % pid)
        assert st["Seccomp"] == "2" and st["NoNewPrivs"] == "1"
        assert not [l for l in maps(pid) if "memfd:lodge" in l]
        assert not [f for f in open_files(pid) if "memfd:" in f]
        mem = [l for l in maps(pid) if "w" in l.split()[1] and "x" in l.split()[1]]
        assert not mem, mem


def test_shared_folder_when_root_shares_it_expect_files_by_the_guest(running):
    vm, tmp = running
    vm.send("mkdir /m; mount -t 9p -o trans=virtio,version=9p2000.L t /m && echo 1 >/m/x; ls /m/x\n")
    got = vm.expect(r"\n/m/x\r|No such file|can't create|mounting t")
    vm.expect(PROMPT)
    if "mounting" not in got.group(0):  # the kernel has no 9p
        assert (tmp / "folder" / "x").exists()


def test_disk_when_written_and_flushed_expect_the_bytes(running):
    vm, tmp = running
    vm.send("ls /dev/vda; echo sandboxed | dd of=/dev/vda conv=fsync 2>/dev/null; echo done-$?\n")
    vm.expect(r"done-\d")
    vm.expect(PROMPT)


def test_added_disk_when_in_the_folder_of_an_image_expect_it_opens(running):
    vm, tmp = running
    other = tmp / "more.img"
    other.write_bytes(b"\0" * (1 << 20))
    q = client(tmp / "qmp")
    q("blockdev-add", driver="raw", node_name="b1",
      file={"driver": "file", "filename": str(other)})
    q("device_add", driver="virtio-blk-pci", id="d1", drive="b1")
    q("blockdev-snapshot-sync", device="virtio0", snapshot_file=str(tmp / "s.qcow2"))
    q.sock.close()
    vm.send("sleep 2; dd if=/dev/vdb of=/dev/null; dd if=/dev/zero of=/dev/vdb count=9 conv=fsync; "
            "echo more-$?\n")
    vm.expect(r"more-\d")
    vm.expect(PROMPT)
    assert (tmp / "s.qcow2").exists()


def test_added_disk_when_elsewhere_expect_a_refusal_that_names_the_mend(running, tmp_path):
    vm, tmp = running
    other = tmp_path / "more.img"
    other.write_bytes(b"\0" * (1 << 20))
    q = client(tmp / "qmp")
    with pytest.raises(qmp.Error) as e:
        q("blockdev-add", driver="raw", node_name="b2",
          file={"driver": "file", "filename": str(other)})
    q.sock.close()
    assert "sandbox" in e.value.desc and "path=" in e.value.desc


def test_added_disk_when_its_folder_is_granted_expect_it_opens(tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    (more / "more.img").write_bytes(b"\0" * (1 << 20))
    with guest("-sandbox", "on,path=%s" % more, "-qmp",
               "unix:%s,server=on,wait=off" % (tmp_path / "qmp")) as vm:
        vm.expect(PROMPT)
        q = client(tmp_path / "qmp")
        q("blockdev-add", driver="raw", node_name="b1",
          file={"driver": "file", "filename": str(more / "more.img")})
        q.sock.close()


# Without strings: gdb would make room for them by the thread's malloc().
PLANTED = [
    ("vcpu0", "(int)socket(1, 1, 0)", "socket"),
    ("io", "(int)chroot(0)", "chroot"),
    ("control", "(long)ptrace(16, 1, 0, 0)", "ptrace"),
]


@pytest.mark.skipif(not shutil.which("gdb"), reason="needs gdb")
@pytest.mark.parametrize("thread,code,name", PLANTED)
def test_code_planted_in_a_running_machine_when_it_wants_out_expect_the_end(thread, code, name):
    """gdb makes a thread of a live machine call what no thread of it should."""
    with guest() as vm:
        vm.expect(PROMPT)
        pick = ("python [t.switch() for t in gdb.selected_inferior().threads() if t.name == '%s']"
                % thread)
        subprocess.run(["gdb", "-nx", "-batch", "-p", str(vm.pid), "-ex",
                        "handle SIGSYS nostop noprint pass", "-ex", pick, "-ex", "call " + code],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=120, check=False)
        vm.expect(r"the sandbox stopped the system call %s \(\d+\) of the thread '%s'"
                  % (name, thread), timeout=60)
        vm.wait_exit()
        assert vm.child.signalstatus == signal.SIGSYS


def test_process_when_sandbox_is_off_expect_a_loud_line_and_no_filter():
    with guest("-sandbox", "off") as vm:
        vm.expect(r"WARNING: -sandbox off")
        vm.expect(PROMPT)
        st = threads(vm.pid)
        assert all(s["Seccomp"] == "0" and s["NoNewPrivs"] == "0"
                   for some in st.values() for s in some)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("user,uid", [("nobody", 65534), ("1234:2345", 1234)])
def test_process_when_it_runs_as_another_expect_that_user_in_every_thread(user, uid, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    files = tmp_path / "lodge"
    with guest("-runas", user, "-name", "other") as vm:
        vm.expect(PROMPT)
        assert sorted(os.listdir(files)) == ["other.console", "other.info", "other.qmp"]
        for some in threads(vm.pid).values():
            for st in some:
                assert st["Uid"].split() == [str(uid)] * 4
                assert int(st["CapEff"], 16) == 0
                assert st["Seccomp"] == "2"
        vm.send("poweroff -f\n")
        assert vm.wait_exit() == 0
        # That user cannot remove them from root's folder; a process that stayed root's does.
        end = time.monotonic() + 20
        while os.listdir(files):
            assert time.monotonic() < end
            time.sleep(0.02)
    # The same name is free again; a machine that is killed leaves nothing either.
    with guest("-runas", user, "-name", "other") as vm:
        vm.expect(PROMPT)
        os.kill(vm.pid, signal.SIGKILL)
        end = time.monotonic() + 20
        while os.listdir(files):
            assert time.monotonic() < end
            time.sleep(0.02)


def refusal(*args):
    r = subprocess.run([*LODGE, "-display", "none", *args], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
                       check=False)
    assert r.returncode == 1
    return r.stderr


@pytest.mark.parametrize("args,words", [
    (("-sandbox", "on,spawn=allow"), "only deny"),
    (("-sandbox", "on,elevateprivileges=children"), "only deny"),
    (("-sandbox", "maybe"), "on or off"),
    (("-sandbox", "on,what=on"), "there is no 'what'"),
    (("-runas", "no-such-user-here"), "no such user"),
])
def test_option_when_it_means_nothing_here_expect_one_sentence(args, words):
    text = refusal(*args)
    assert words in text and text.count("\n") <= 2


def test_options_when_spelled_as_qemu_does_expect_them_taken():
    with guest("-sandbox",
               "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny") as vm:
        vm.expect(PROMPT)


def test_doctor_when_asked_expect_what_the_host_offers():
    lodge = LODGE[0]
    r = subprocess.run([lodge, "doctor"], stdout=subprocess.PIPE, text=True, check=False)
    assert re.search(r"^sandbox$", r.stdout, re.M)
    assert "Landlock" in r.stdout
    r = subprocess.run([lodge, "doctor", "--json"], stdout=subprocess.PIPE, text=True, check=False)
    assert json.loads(r.stdout)["sandbox"]["filters"] is True
