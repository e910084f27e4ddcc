# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line as a person meets it: sentences, exit codes, terminal, processes.

Run: make t T=system/test_cli
"""
import json
import os
import re
import signal
import socket
import subprocess
import time

import pexpect
import pytest

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
LODGE = os.environ.get("LODGE_BIN", os.path.join(TOP, "build/lodge"))
TIMEOUT = 30


@pytest.fixture(scope="session")
def guest(tmp_path_factory):
    """The echo guest, assembled and linked."""
    folder = tmp_path_factory.mktemp("guest")
    obj, elf = str(folder / "echo.o"), str(folder / "echo.elf")
    subprocess.run(["as", "--32", "-o", obj, os.path.join(TOP, "tests/system/echo.S")], check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-N", "-Ttext", "0x100000", "-o", elf, obj], check=True)
    return elf


def lodge(*args, **kw):
    return subprocess.run([LODGE, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=TIMEOUT, check=False, **kw)


class Machine:
    """`lodge run` with the guest's console on pipes."""

    def __init__(self, guest, *args, serial="stdio"):
        self.seen = b""
        self.p = subprocess.Popen(
            [LODGE, "run", "-m", "16M", "-display", "none", "-serial", serial, "-kernel", guest,
             "-device", "isa-debug-exit,iobase=0xf4,iosize=4", *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.p.poll() is None:
            self.p.kill()
        self.p.communicate()

    def expect(self, text):
        """Read the console until `text` has come once more."""
        want = text.encode()
        while want not in self.seen:
            got = os.read(self.p.stdout.fileno(), 4096)
            assert got, "the console ended, after %r" % self.seen
            self.seen += got
        self.seen = self.seen[self.seen.index(want) + len(want):]

    def send(self, text):
        self.p.stdin.write(text.encode())
        self.p.stdin.flush()

    def wait(self):
        return self.p.wait(timeout=TIMEOUT)


def wait_for(what, seconds=TIMEOUT):
    end = time.time() + seconds
    while time.time() < end:
        if what():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come about")


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- words ---------------------------------------------------------------------------------

def test_version_when_asked_any_way_expect_one_line():
    for args in (["version"], ["--version"], ["-version"]):
        r = lodge(*args)
        assert r.returncode == 0
        assert re.fullmatch(r"lodge \d+\.\d+\.\d+\n", r.stdout)


def test_help_when_asked_expect_commands_and_each_explained():
    r = lodge("help")
    assert r.returncode == 0 and lodge("--help").stdout == r.stdout
    for verb in ("run", "new", "img", "doctor", "help", "version"):
        assert re.search(r"^  %s " % verb, r.stdout, re.M)
        h = lodge("help", verb)
        assert h.returncode == 0 and h.stdout.startswith("usage: lodge " + verb)
    assert lodge("run", "-h").stdout == lodge("help", "run").stdout
    assert lodge("help", "cook").returncode == 1


def options():
    out = lodge("help", "run").stdout
    return re.findall(r"^  (-[A-Za-z_-]+)", out, re.M)


def test_man_page_and_completion_when_option_exists_expect_it_there():
    names = options()
    assert len(names) > 30
    with open(os.path.join(TOP, "docs/lodge.1"), encoding="utf-8") as f:
        man = f.read().replace("\\-", "-")
    with open(os.path.join(TOP, "tools/completion/lodge.bash"), encoding="utf-8") as f:
        bash = f.read()
    with open(os.path.join(TOP, "tools/completion/_lodge"), encoding="utf-8") as f:
        zsh = f.read()
    for name in names:
        word = re.escape(name) + r"(?![A-Za-z_-])"
        for where, text in (("man page", man), ("bash", bash), ("zsh", zsh)):
            assert re.search(r"(?<![A-Za-z_-])" + word, text), "%s: no %s" % (where, name)


def test_bash_completion_when_option_begun_expect_it_completed():
    script = """
    . tools/completion/lodge.bash
    COMP_WORDS=(lodge run -ker); COMP_CWORD=2; _lodge; echo "${COMPREPLY[@]}"
    COMP_WORDS=(lodge d); COMP_CWORD=1; _lodge; echo "${COMPREPLY[@]}"
    COMP_WORDS=(lodge run -accel s); COMP_CWORD=3; _lodge; echo "${COMPREPLY[@]}"
    """
    r = subprocess.run(["bash", "-c", script], cwd=TOP, stdout=subprocess.PIPE, text=True,
                       check=False)
    assert r.stdout.split("\n")[:3] == ["-kernel", "doctor", "soft"]


def test_doctor_when_asked_expect_engines_features_memory_firmware():
    r = lodge("doctor")
    assert r.returncode == 0
    for word in ("soft  ready", "kvm ", "sse2", "MiB", "firmware"):
        assert word in r.stdout
    j = json.loads(lodge("doctor", "--json").stdout)
    kvm = j["engines"]["kvm"]
    assert j["engines"]["soft"]["usable"] and "sse2" in j["cpu"]["features"]
    assert kvm["usable"] or (kvm["reason"] and kvm["mend"])
    assert j["memory"]["total"] > 0
    assert lodge("doctor", "--xml").returncode == 1


# ---- refusals ------------------------------------------------------------------------------

REFUSALS = [
    (["run", "-cidata", "/nonexistent/c", "-kernel", "GUEST"], "/nonexistent/c"),
    (["run", "-device", "warp-drive", "-kernel", "GUEST"], "warp-drive"),
    (["cook"], "cook"),
    (["-m", "512M"], "lodge run"),
    (["run", "-kernel", "/nonexistent/k"], "/nonexistent/k"),
    (["run", "-kernel", "/etc/passwd"], "/etc/passwd"),
    (["run", "-kernel", "/tmp"], "/tmp"),
    (["run", "-kernel", "GUEST", "-initrd", "/nonexistent/i"], "/nonexistent/i"),
    (["run", "-kernel", "GUEST", "-m", "4M"], "8M"),
    (["run", "-kernel", "GUEST", "-m", "4P"], "1T"),
    (["run", "-kernel", "GUEST", "-smp", "1000"], "64"),
    (["run", "-kernel", "GUEST", "-cpu", "i486sx"], "i486sx"),
    (["run", "-kernel", "GUEST", "-cpu", "max,+warp"], "warp"),
    (["run", "-kernel", "GUEST", "-accel", "kvm,device=/dev/null"], "/dev/null is not KVM's device"),
    (["run", "-kernel", "GUEST", "-accel", "kvm,device=/nonexistent/kvm"], "there is no /nonexistent/kvm"),
    (["run", "-kernel", "GUEST", "-accel", "kvm,tier=1"], "tier"),
    (["run", "-kernel", "GUEST", "-accel", "soft,kernel-irqchip=split"], "kernel-irqchip=split is KVM's"),
    (["run", "-kernel", "GUEST", "-machine", "pc,kernel-irqchip=split", "-accel", "soft"], "kernel-irqchip=split is KVM's"),
    (["run", "-kernel", "GUEST", "-accel", "soft,kernel-irqchip=on"], "kernel-irqchip=on is KVM's"),
    (["run", "-kernel", "GUEST", "-accel", "soft", "-cpu", "max,hv_relaxed"], "enlightenments of Hyper-V (hv_...) need KVM"),
    (["run", "-kernel", "GUEST", "-accel", "soft", "-cpu", "max,kvm=on"], "need KVM"),
    (["run", "-kernel", "GUEST", "-accel", "kvm,kernel-irqchip=some"], "there are on, split and off"),
    (["run", "-kernel", "GUEST", "-cpu", "max,hv_evmcs"], "hv_evmcs"),
    (["run", "-kernel", "GUEST", "-cpu", "max,hv_spinlocks=12"], "hv_spinlocks=12"),
    (["run", "-kernel", "GUEST", "-cpu", "max,kvm-asyncpf=on"], "kvm-asyncpf"),
    (["run", "-kernel", "GUEST", "-accel", "soft,tier=7"], "tier=7"),
    (["run", "-kernel", "GUEST", "-accel", "soft,tb-size=0"], "tb-size=0"),
    (["run", "-kernel", "GUEST", "-drive", "file=/nonexistent/x"], "/nonexistent/x"),
    (["run", "-kernel", "GUEST", "-serial", "file:/nonexistent/x"], "/nonexistent/x"),
    (["run", "-kernel", "GUEST", "-serial", "pigeon"], "pigeon"),
    (["run", "-kernel", "GUEST", "-serial", "unix:/nonexistent/s,server=on"], "/nonexistent/s"),
    (["run", "-kernel", "GUEST", "-serial", "stdio", "-debugcon", "stdio"], "stdio"),
    (["run", "-kernel", "GUEST", "-pidfile", "/nonexistent/p"], "/nonexistent/p"),
    (["run", "-kernel", "GUEST", "-D", "/nonexistent/log"], "/nonexistent/log"),
    (["run", "-kernel", "GUEST", "-daemonize", "-nographic"], "-nographic"),
    (["run", "-kernel", "GUEST", "-daemonize", "-serial", "stdio"], "daemon"),
    (["run", "-bios", "/nonexistent/b", "-display", "none"], "/nonexistent/b"),
    (["run", "-bios", "/etc/passwd", "-display", "none"], "/etc/passwd"),
]


@pytest.mark.parametrize("args,word", REFUSALS, ids=[" ".join(a) for a, _ in REFUSALS])
def test_run_when_something_is_wrong_expect_one_sentence_and_1(guest, args, word, tmp_path):
    pid = tmp_path / "pid"
    args = [guest if a == "GUEST" else a for a in args]
    if args[0] == "run" and "-pidfile" not in args:
        args += ["-pidfile", str(pid)]
    r = lodge(*args)
    lines = [l for l in r.stderr.splitlines() if not l.startswith("lodge: engine: ")]
    assert r.returncode == 1
    assert len(lines) == 1 and lines[0].startswith("lodge: ") and word in lines[0], r.stderr
    assert r.stdout == ""
    assert not pid.exists()


def test_run_when_initrd_is_bigger_than_memory_expect_sentence(guest, tmp_path):
    big = tmp_path / "initrd"
    with open(big, "wb") as f:
        f.truncate(64 << 20)
    r = lodge("run", "-m", "16M", "-display", "none", "-kernel", guest, "-initrd", str(big))
    assert r.returncode == 1 and "-m" in r.stderr.splitlines()[-1]


def test_run_when_port_is_taken_expect_sentence(guest):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(1)
        port = s.getsockname()[1]
        r = lodge("run", "-kernel", guest, "-serial", "tcp:127.0.0.1:%d,server=on,wait=off" % port)
    assert r.returncode == 1 and "taken" in r.stderr and str(port) in r.stderr


# ---- ends ----------------------------------------------------------------------------------

def test_run_when_guest_powers_off_expect_0_and_the_engine_named(guest):
    with Machine(guest) as m:
        m.expect("ready")
        m.send("abc")
        m.expect("abc")
        m.send("p")
        assert m.wait() == 0
        err = m.p.stderr.read().decode()
    assert re.match(r"lodge: engine: (software \(S[12] [a-z]+\)|KVM \(/dev/kvm\)), because .+\n", err)


def test_run_when_guest_uses_debug_exit_expect_its_code(guest):
    with Machine(guest) as m:
        m.send("x")
        assert m.wait() == 5 << 1 | 1


@pytest.mark.parametrize("how", ["r", "t"])
def test_run_when_guest_resets_expect_it_boots_again_or_ends(guest, how):
    with Machine(guest) as m:
        for _ in range(3):
            m.expect("ready")
            m.send(how)
        m.expect("ready")
        m.send("p")
        assert m.wait() == 0
    with Machine(guest, "-no-reboot") as m:
        m.expect("ready")
        m.send(how)
        assert m.wait() == 0


def test_run_when_no_shutdown_expect_process_stays_until_sigterm(guest):
    with Machine(guest, "-no-shutdown") as m:
        m.expect("ready")
        m.send("p")
        time.sleep(0.3)
        assert m.p.poll() is None
        before = cpu_seconds(m.p.pid)
        time.sleep(0.5)
        assert cpu_seconds(m.p.pid) - before < 0.1
        m.p.terminate()
        assert m.wait() == 0


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_run_when_signalled_expect_0_and_nothing_left(guest, tmp_path, sig):
    pid, sock = tmp_path / "pid", tmp_path / "sock"
    with Machine(guest, "-pidfile", str(pid), "-serial",
                 "unix:%s,server=on,wait=off" % sock) as m:
        m.expect("ready")
        assert int(pid.read_text()) == m.p.pid and sock.exists()
        m.p.send_signal(sig)
        assert m.wait() == 0
    assert list(tmp_path.iterdir()) == []


def test_run_when_triple_fault_expect_state_in_the_trace(guest, tmp_path):
    log = tmp_path / "log"
    with Machine(guest, "-no-reboot", "-d", "cpu_reset", "-D", str(log)) as m:
        m.expect("ready")
        m.send("t")
        assert m.wait() == 0
        assert "triple fault" in m.p.stderr.read().decode()
    text = log.read_text()
    assert "cpu 0: reset" in text and "cpu 0: triple fault" in text
    assert re.search(r"^RIP=00000000001[0-9a-f]+ ", text, re.M)


def test_run_when_stats_traced_expect_counters_once_at_the_end(guest, tmp_path):
    log = tmp_path / "log"
    with Machine(guest, "-smp", "2", "-d", "stats", "-D", str(log)) as m:
        m.expect("ready")
        assert log.read_text() == ""
        m.send("p")
        assert m.wait() == 0
    text = log.read_text()
    assert text.count("engine counters") == 1
    row = re.search(r"^  instructions decoded +(\d+) +(\d+) +(\d+)$", text, re.M)
    total, first, second = map(int, row.groups())
    assert total == first + second and first > 10 and second == 0
    assert re.search(r"^  writes of ports +[1-9]", text, re.M)


def test_run_when_perf_asked_expect_files_for_it(guest, tmp_path):
    with Machine(guest, "-accel", "soft,perf=map") as m:
        m.expect("ready")
        path = "/tmp/perf-%d.map" % m.p.pid
        m.send("p")
        assert m.wait() == 0
    with open(path, encoding="ascii") as f:
        lines = f.read().splitlines()
    os.unlink(path)
    assert any(l.endswith(" lodge:thunks") for l in lines)
    assert all(re.fullmatch(r"[0-9a-f]+ [0-9a-f]+ lodge:[0-9a-z:]+", l) for l in lines)
    r = subprocess.run(["timeout", "2", LODGE, "run", "-m", "16M", "-display", "none", "-kernel",
                        guest, "-serial", "null", "-accel", "soft,perf=jitdump"], cwd=tmp_path,
                       stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    assert r.returncode in (0, 124)
    (dump,) = tmp_path.iterdir()
    assert re.fullmatch(r"jit-\d+\.dump", dump.name)
    assert dump.read_bytes()[:12] == b"DTiJ\1\0\0\0\x28\0\0\0"


def test_run_when_standard_descriptors_are_closed_expect_it_works(guest, tmp_path):
    out = tmp_path / "out"
    r = subprocess.run(["sh", "-c", "exec timeout 2 %s run -m 16M -display none -kernel %s "
                        "-serial file:%s <&- >&- 2>&-" % (LODGE, guest, out)], check=False)
    assert r.returncode in (0, 124)
    assert out.read_text() == "ready\n"


def test_run_when_guest_floods_and_nobody_reads_expect_sigterm_ends_it(guest):
    with Machine(guest) as m:
        m.send("f")
        time.sleep(0.5)
        m.p.terminate()
        assert m.wait() == 0


def test_run_when_pidfile_is_held_expect_refusal_and_it_stays(guest, tmp_path):
    pid = tmp_path / "pid"
    with Machine(guest, "-pidfile", str(pid)) as m:
        m.expect("ready")
        r = lodge("run", "-kernel", guest, "-display", "none", "-pidfile", str(pid))
        assert r.returncode == 1 and "still runs" in r.stderr
        assert int(pid.read_text()) == m.p.pid
    pid.write_text("999999\n")  # a left-over is taken over
    with Machine(guest, "-pidfile", str(pid)) as m:
        m.expect("ready")
        m.send("p")
        assert m.wait() == 0
    assert not pid.exists()


# ---- a process like any other --------------------------------------------------------------

def test_process_when_running_expect_names_and_little_memory(guest):
    with Machine(guest, "-name", "herbert", "-smp", "2") as m:
        m.expect("ready")
        base = "/proc/%d/" % m.p.pid

        def names():
            found = set()
            for task in os.listdir(base + "task"):
                with open(base + "task/%s/comm" % task, encoding="ascii") as f:
                    found.add(f.read().strip())
            return found

        beside = {"engine"} if len(os.sched_getaffinity(0)) > 1 else set()
        wait_for(lambda: names() == {"lodge", "io", "control", "vcpu0", "vcpu1"} | beside)
        with open(base + "cmdline", encoding="ascii") as f:
            assert "\0herbert\0" in f.read()
        with open(base + "status", encoding="ascii") as f:
            status = f.read()
    rss = {k: int(v) for k, v in re.findall(r"^(Rss\w+|VmRSS):\s+(\d+) kB", status, re.M)}
    assert rss["VmRSS"] - rss["RssShmem"] < 30 << 10


def test_process_when_guest_halts_expect_no_cpu_used(guest):
    with Machine(guest) as m:
        m.expect("ready")
        m.send("h")
        time.sleep(0.3)
        before = cpu_seconds(m.p.pid)
        time.sleep(1)
        assert cpu_seconds(m.p.pid) - before <= 0.05


def test_process_when_input_ends_and_guest_halts_expect_no_cpu_used(guest):
    with Machine(guest, serial="mon:stdio") as m:
        m.expect("ready")
        m.send("h")
        m.p.stdin.close()
        m.p.stdin = None
        time.sleep(0.3)
        before = cpu_seconds(m.p.pid)
        time.sleep(1)
        assert cpu_seconds(m.p.pid) - before <= 0.05


def test_start_when_measured_expect_first_instruction_within_30_ms(guest, tmp_path):
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    best = 9.0
    for _ in range(15):
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        start = time.monotonic()
        with subprocess.Popen([LODGE, "run", "-m", "512M", "-display", "none", "-serial",
                               "file:" + fifo, "-kernel", guest], stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL) as p:
            wait_for(lambda r=reader: b"ready" in read_some(r))
            best = min(best, time.monotonic() - start)
            p.kill()
        os.close(reader)
    # From fork and exec to the first word on the console, so more than what is promised.
    assert best < 0.030 + 0.010, "%.1f ms" % (best * 1000)


def read_some(fd):
    try:
        return os.read(fd, 100)
    except BlockingIOError:
        return b""


# ---- character devices ---------------------------------------------------------------------

def test_serial_when_unix_socket_expect_talk_and_reconnect(guest, tmp_path):
    path = str(tmp_path / "s")
    with Machine(guest, serial="unix:%s,server=on" % path) as m:
        for round_ in range(3):
            wait_for(lambda: os.path.exists(path))
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(TIMEOUT)
                wait_for(lambda s=s: s.connect_ex(path) == 0)
                got = b""
                while round_ == 0 and b"ready" not in got:  # wait=on: nothing was lost
                    got += s.recv(100)
                s.sendall(b"abc")
                while b"abc" not in got:
                    got += s.recv(100)
        with socket.socket(socket.AF_UNIX) as s:
            wait_for(lambda: s.connect_ex(path) == 0)
            s.sendall(b"p")
            assert m.wait() == 0


def test_serial_when_pty_expect_line_and_talk(guest):
    with Machine(guest, serial="pty") as m:
        line = m.p.stdout.readline().decode()
        name = re.fullmatch(r"char device redirected to (/dev/pts/\d+) \(label serial0\)\n",
                            line).group(1)
        fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
        os.set_blocking(fd, False)
        got = b""

        def echoed():
            nonlocal got
            os.write(fd, b"abc")  # what comes before the machine has looked is lost
            time.sleep(0.1)
            got += read_some(fd)
            return b"abc" in got

        wait_for(echoed)
        os.write(fd, b"p")
        assert m.wait() == 0
        os.close(fd)


def test_serial_when_file_expect_text_in_it(guest, tmp_path):
    out = tmp_path / "out"
    with Machine(guest, "-serial", "stdio", serial="file:%s" % out) as m:
        wait_for(lambda: out.exists() and out.read_text() == "ready\n")
        m.p.terminate()
        assert m.wait() == 0


def test_debugcon_when_given_expect_no_harm(guest, tmp_path):
    out = tmp_path / "out"
    with Machine(guest, "-debugcon", "file:%s" % out) as m:
        m.expect("ready")
        m.send("p")
        assert m.wait() == 0
    assert out.read_text() == ""


# ---- background ----------------------------------------------------------------------------

def test_daemonize_when_it_works_expect_parent_0_and_a_machine(guest, tmp_path):
    pid, path = tmp_path / "pid", str(tmp_path / "s")
    r = lodge("run", "-daemonize", "-display", "none", "-m", "16M", "-kernel", guest, "-pidfile",
              str(pid), "-serial", "unix:%s,server=on,wait=off" % path)
    assert r.returncode == 0
    daemon = int(pid.read_text())
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(TIMEOUT)
        s.connect(path)
        s.sendall(b"abc")
        got = b""
        while b"abc" not in got:
            got += s.recv(100)
        os.kill(daemon, signal.SIGTERM)
    wait_for(lambda: not os.path.exists("/proc/%d" % daemon))
    wait_for(lambda: list(tmp_path.iterdir()) == [])


def test_daemonize_when_set_up_fails_expect_1_and_the_sentence(tmp_path):
    pid = tmp_path / "pid"
    r = lodge("run", "-daemonize", "-display", "none", "-kernel", "/nonexistent/k", "-pidfile",
              str(pid))
    assert r.returncode == 1 and "/nonexistent/k" in r.stderr and not pid.exists()


# ---- the terminal --------------------------------------------------------------------------

class Terminal:
    """A shell on a pseudo-terminal that runs lodge, and then tells how the terminal was left."""

    def __init__(self, guest, *args):
        words = " ".join([LODGE, "run", "-m", "16M", "-kernel", guest, *args])
        self.c = pexpect.spawn("sh", ["-c", "trap : INT; stty -a; echo BEGIN; %s; echo END $?; stty -a; "
                                      "echo DONE" % words], timeout=TIMEOUT)
        self.c.expect("BEGIN")
        self.before = self.c.before

    def end(self, code):
        self.c.expect(r"END (\d+)\r\n")
        said, got = self.c.before.decode(), int(self.c.match.group(1))
        self.c.expect("DONE")
        assert self.c.before.strip() == self.before.strip()
        self.c.wait()
        assert got == code
        return said

    def lodge_pid(self):
        out = subprocess.run(["pgrep", "-P", str(self.c.pid), "-x", "lodge"],
                             stdout=subprocess.PIPE, text=True, check=False).stdout
        return int(out)


def test_terminal_when_keys_pressed_expect_help_break_and_quit(guest):
    t = Terminal(guest)
    t.c.expect("ready")
    t.c.send("\x01h")
    t.c.expect("Ctrl-A x +end the virtual machine")
    t.c.send("\x01c")
    t.c.expect(r"\(qemu\) ")
    t.c.send("info name\r\x01c")
    t.c.expect(r"\(qemu\) ")
    t.c.send("\x01\x01z")
    t.c.expect("\x01z")
    t.c.send("\x03\x1a\x1c!")  # Ctrl-C, Ctrl-Z, Ctrl-\\ are the guest's
    t.c.expect("\x03\x1a\x1c!")
    t.c.send("\x01x")
    assert "Ctrl-A x" in t.end(0)


def test_terminal_when_guest_hangs_expect_ctrl_a_x_quits(guest):
    t = Terminal(guest)
    t.c.expect("ready")
    t.c.send("h" + "k" * 300 + "\x01x")
    t.end(0)


def test_terminal_when_guest_floods_expect_ctrl_a_x_quits(guest):
    t = Terminal(guest)
    t.c.expect("ready")
    t.c.send("f")
    t.c.expect("####")
    t.c.send("\x01x")
    t.end(0)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_terminal_when_signalled_expect_restored(guest, sig):
    t = Terminal(guest)
    t.c.expect("ready")
    os.kill(t.lodge_pid(), sig)
    t.end(0)


@pytest.mark.parametrize("sig", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE])
def test_terminal_when_process_crashes_expect_restored(guest, sig):
    t = Terminal(guest)
    t.c.expect("ready")
    os.kill(t.lodge_pid(), sig)
    t.end(128 + sig)


def test_terminal_when_stopped_and_continued_expect_given_back_and_retaken(guest):
    c = pexpect.spawn("bash", ["--norc", "-i"], timeout=TIMEOUT, env={**os.environ, "PS1": "$ "})
    c.sendline("%s run -m 16M -kernel %s" % (LODGE, guest))
    c.expect("ready\r\n")
    pid = int(subprocess.run(["pgrep", "-P", str(c.pid), "-x", "lodge"], stdout=subprocess.PIPE,
                             text=True, check=True).stdout)
    os.kill(pid, signal.SIGTSTP)
    c.expect("Stopped")
    c.sendline("stty -a | tr ' ' '\\n' | grep -c '^-icanon'; echo X")
    c.expect("0\r\nX")
    c.sendline("fg")
    c.expect("lodge run")
    c.send("again")
    c.expect("again")
    c.send("\x01x")
    c.expect("Ctrl-A x")
    c.sendline("exit")
    c.wait()


def test_terminal_when_stdio_without_mux_expect_ctrl_c_ends(guest):
    t = Terminal(guest, "-serial", "stdio")
    t.c.expect("ready")
    t.c.send("\x01x")  # here x reaches the guest, and nothing listens at isa-debug-exit
    t.c.send("\x03")
    t.end(0)


@pytest.mark.parametrize("args,sentence", [
    (["--arch", "sparc"], "--arch sparc is not there; there are amd64 and i386"),
    (["--format", "vdi"], "--format vdi is not there; there are raw and qcow2"),
    (["--size", "10M"], "--size 10M is not a size from 1G to 64T"),
])
def test_new_when_option_is_wrong_expect_1_and_the_sentence(args, sentence, tmp_path):
    r = lodge("new", "debian", *args, str(tmp_path / "x.qcow2"))
    assert r.returncode == 1 and sentence in r.stderr
    assert not (tmp_path / "x.qcow2").exists()
