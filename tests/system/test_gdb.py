# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's gdb debugs guests: a Debian kernel on two vCPUs, and code in 16-, 32- and 64-bit mode.

Run: make t T=system/gdb
"""
import os
import re
import socket
import subprocess
import time

import pexpect
import pytest
from vm import Vm, initrd, kernel, open_files

APPEND = "console=ttyS0 quiet cryptomgr.notests nokaslr"
NAMES = ("start_kernel", "vfs_read", "jiffies", "linux_banner", "machine_power_off")
TIERS = {"s1": ("-accel", "soft,tier=1"), "s2": ("-accel", "soft")}
PROMPT = r"\(gdb\) "


class Gdb:
    """A gdb at its prompt."""

    def __init__(self, target, *more, limit=90):
        self.limit = limit
        self.child = pexpect.spawn("gdb", ["-nx", "-q", *more], encoding="utf-8", timeout=limit,
                                   env={**os.environ, "TERM": "dumb"}, dimensions=(200, 300))
        self.child.expect(PROMPT)
        for line in ("set pagination off", "set confirm off", "set width 0", "set style enabled off",
                     "set remotetimeout %d" % (limit / 2), "target remote " + str(target)):
            self.do(line)

    def do(self, line):
        self.child.sendline(line)
        self.child.expect_exact(line)
        self.child.expect(r"\r\n" + "(.*?)" + PROMPT, timeout=self.limit)
        return self.child.match.group(1)

    def number(self, what):
        text = self.do("printf \"<%%lx>\\n\", (unsigned long)(%s)" % what)
        return int(re.search(r"<([0-9a-f]+)>", text).group(1), 16)

    def step(self):
        self.do("stepi")

    def end(self):
        self.child.close(force=True)


def find_symbols():
    """Where the kernel has its functions, from a guest of the same command line: the package has no map."""
    out = {}
    with Vm("-kernel", kernel("cloud-amd64"), "-initrd", initrd(), "-append", APPEND) as vm:
        vm.expect("guest# ")
        vm.send("grep -E ' (%s)$' /proc/kallsyms; echo DO''NE\r" % "|".join(NAMES))
        vm.expect("DONE")
        for addr, name in re.findall(r"([0-9a-f]{16}) \w (\w+)\r", vm.text):
            out[name] = int(addr, 16)
    assert set(out) == set(NAMES)
    return out


@pytest.fixture(scope="module")
def symbols():
    return find_symbols()


def wait_for_socket(path):
    end = time.monotonic() + 60
    while not os.path.exists(path):
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("tier", sorted(TIERS))
def test_gdb_when_it_debugs_a_debian_kernel_expect_stops_values_and_a_clean_end(tier, symbols, tmp_path):
    sock = str(tmp_path / "gdb")
    with Vm("-kernel", kernel("cloud-amd64"), "-initrd", initrd(), "-append", APPEND + " lodge.report",
            "-smp", "2", "-gdb", "unix:" + sock, "-S", *TIERS[tier]) as vm:
        wait_for_socket(sock)
        g = Gdb(sock)
        assert "not started" in g.do("info threads")
        # A breakpoint before there is memory at its address, met once paging is on.
        g.do("hbreak *%#x" % symbols["start_kernel"])
        assert "hit Breakpoint 1" in g.do("continue")
        assert g.number("$pc") == symbols["start_kernel"]
        assert "PG" in g.do("info registers cr0") and "LMA" in g.do("info registers efer")
        assert g.number("$gs_base") > 0xffff800000000000
        assert "Linux version 6." in g.do("x/s %#x" % symbols["linux_banner"])
        # The guest's memory has no breakpoint in it, and steps go one instruction at a time.
        code = g.do("x/16xb %#x" % symbols["start_kernel"])
        at = [g.number("$pc")]
        for _ in range(6):
            g.do("stepi")
            at.append(g.number("$pc"))
        assert len(set(at)) > 4
        g.do("delete")
        assert g.do("x/16xb %#x" % symbols["start_kernel"]) == code
        # A function many call, with the second vCPU started, whoever comes first.
        g.do("break *%#x" % symbols["vfs_read"])
        assert "hit Breakpoint 2" in g.do("continue")
        threads = g.do("info threads")
        assert threads.count("CPU#") == 2 and "not started" not in threads
        here = int(re.search(r"\* (\d)", threads).group(1))
        g.do("thread %d" % (3 - here))
        assert g.number("$pc") != symbols["vfs_read"]
        g.do("thread %d" % here)
        assert g.number("$pc") == symbols["vfs_read"]
        for _ in range(5):
            assert "hit Breakpoint 2" in g.do("continue")
        g.do("delete")
        # Every tick writes jiffies, by one more.
        g.do("watch *(unsigned long *)%#x" % symbols["jiffies"])
        g.do("continue")
        for _ in range(3):
            seen = g.do("continue")
            old = int(re.search(r"Old value = (\d+)", seen).group(1))
            new = int(re.search(r"New value = (\d+)", seen).group(1))
            assert old < new < old + 500
        g.do("delete")
        g.do("rwatch *(unsigned long *)%#x" % symbols["jiffies"])
        assert "Value = " in g.do("continue")
        g.do("delete")
        # Registers and memory are written, and a monitor command is carried out.
        g.do("set $xmm3.v2_int64[1] = 0x1122334455667788")
        assert g.number("$xmm3.v2_int64[1]") == 0x1122334455667788
        assert "paused (debug)" in g.do("monitor info status")
        assert "debugger has stopped" in g.do("monitor cont")
        g.do("break *%#x" % symbols["machine_power_off"])
        assert "Breakpoint" in g.do("continue")
        g.do("delete")
        assert "exited normally" in g.do("continue")
        g.end()
        assert vm.wait_exit() == 0
        assert "reboot: Power down" in vm.text


def test_gdb_when_interrupted_and_detached_expect_the_guest_to_go_on(symbols, tmp_path):
    sock = str(tmp_path / "gdb")
    with Vm("-kernel", kernel("cloud-amd64"), "-initrd", initrd(), "-append", APPEND, "-gdb",
            "unix:" + sock) as vm:
        vm.expect("guest# ")
        g = Gdb(sock)
        g.child.sendline("continue")
        g.child.expect("Continuing")
        vm.send("echo one$((1 + 1))\r")
        vm.expect("one2")
        g.child.sendintr()
        g.child.expect("received signal SIGINT")
        g.child.expect(PROMPT)
        banner = symbols["linux_banner"]
        # It stands still.
        vm.send("echo two$((1 + 1))\r")
        with pytest.raises(pexpect.TIMEOUT):
            vm.expect("two2", timeout=1.5)
        # A physical address, the same bytes by both ways.
        assert "Linux version" in g.do("x/s %#x" % banner)
        g.do("maint packet Qqemu.PhyMemMode:1")
        assert "Linux version" in g.do("x/s %#x" % (banner - 0xffffffff80000000))
        g.do("maint packet Qqemu.PhyMemMode:0")
        g.do("break *%#x" % symbols["vfs_read"])
        g.do("detach")
        vm.expect("two2")
        # One that dies leaves nothing behind.
        g.do("target remote " + sock)
        g.do("break *%#x" % symbols["vfs_read"])
        g.child.sendline("continue")
        g.child.expect("Continuing")
        g.child.kill(9)
        g.end()
        vm.send("cat /proc/uptime; echo three$((1 + 1))\r")
        vm.expect("three2")
        vm.send("poweroff -f\r")
        assert vm.wait_exit() == 0


# ---- Bare metal: a BIOS of our own ---------------------------------------------------------------

SOURCE = r"""
	.code16
	.org 0
start:	cli
	xorw	%ax, %ax
	movw	%ax, %ss
	movw	$0x7000, %sp
	movw	%cs:words - start, %bx
real:	incw	%bx
	pushw	%bx
	movw	%ax, %ds
	movw	%bx, 0x500
	lgdtl	%cs:gdtr - start
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$8, $0xf0000 + prot - start
	.code32
prot:	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movl	$0x12345678, %ecx
prot2:	movl	%ecx, 0x504
	movl	$0x2003, 0x1000
	movl	$0x3003, 0x2000
	movl	$0x83, 0x3000
	movl	%cr4, %eax
	orl	$0x620, %eax
	movl	%eax, %cr4
	movl	$0x1000, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax
	movl	%eax, %cr0
	ljmpl	$24, $0xf0000 + long - start
	.code64
long:	movabsq	$0x123456789abcdef0, %r9
	movl	$1000, %ecx
loop:	incq	0x508
	decl	%ecx
	jnz	loop
done:	movq	%r9, %xmm1
	lock incl 0x510
	movl	$64, %ecx
	movl	$0x600, %edi
	movb	$0x5a, %al
string:	rep stosb
after:	movl	$0x604, %eax
	outw	%ax, %dx
	movl	$1, %eax
	movl	$0xf4, %edx
	outb	%al, %dx
	hlt
words:	.word	0x41
	.balign 8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdtr:	.word	31
	.long	0xf0000 + gdt - start
	.org 0xfff0
	.code16
	ljmp	$0xf000, $0
	.org 0xffff
	.byte	0
"""


def make_bios(folder):
    """The image, and where its labels are."""
    d = str(folder)
    with open(d + "/b.S", "w") as f:
        f.write(SOURCE)
    subprocess.run(["gcc", "-c", "-o", d + "/b.o", d + "/b.S"], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", d + "/b.o", d + "/bios"], check=True)
    out = subprocess.run(["nm", d + "/b.o"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return d + "/bios", {name: int(at, 16) for at, name in re.findall(r"([0-9a-f]+) t (\w+)", out)}


@pytest.fixture(scope="module")
def bios(tmp_path_factory):
    return make_bios(tmp_path_factory.mktemp("bios"))


def walk_modes(g, at):
    """From the reset vector to the end, with every kind of point."""
    f000 = 0xf0000
    # 16 bits, in ROM, where gdb does not know CS's base: it stops, and goes on from there.
    assert g.number("$cs") == 0xf000 and g.number("$pc") == 0xfff0
    g.step()
    assert g.number("$pc") == 0
    g.do("break *%#x" % (f000 + at["real"]))
    assert "SIGTRAP" in g.do("continue") and g.number("$pc") == at["real"]
    assert g.number("$rbx") == 0x41
    g.do("set $rbx = 0x77")
    g.step()
    assert g.number("$rbx") == 0x78
    g.do("delete")
    g.do("watch *(unsigned short *)0x500")
    g.do("continue")
    assert g.number("*(unsigned short *)0x500") == 0x78
    g.do("delete")
    # 32 bits
    g.do("break *%#x" % (f000 + at["prot2"]))
    assert "Breakpoint" in g.do("continue")
    assert g.number("$pc") == f000 + at["prot2"] and g.number("$rcx") == 0x12345678
    g.step()
    assert g.number("*(unsigned int *)0x504") == 0x12345678
    # 64 bits: code in the middle of a loop, after 1,000 rounds of it
    g.do("break *%#x" % (f000 + at["done"]))
    assert "Breakpoint" in g.do("continue")
    assert g.number("$r9") == 0x123456789abcdef0
    assert g.number("*(unsigned long *)0x508") == 1000
    g.step()
    assert g.number("$xmm1.v2_int64[0]") == 0x123456789abcdef0
    # each access, with the address of the first byte touched
    g.do("awatch *(unsigned int *)0x510")
    assert "access (read/write) watchpoint" in g.do("continue")
    assert g.number("*(unsigned int *)0x510") == 1
    assert g.number("$pc") == f000 + at["done"] + 5 + 8
    g.do("delete")
    # inside a repeated string instruction: as many bytes as are written so far
    g.do("watch *(unsigned char *)0x620")
    g.do("continue")
    assert g.number("$pc") == f000 + at["string"] and g.number("$rcx") == 31
    assert g.number("*(unsigned char *)0x620") == 0x5a
    assert g.number("*(unsigned char *)0x621") == 0
    g.do("delete")
    g.do("tbreak *%#x" % (f000 + at["after"]))
    g.do("continue")
    assert g.number("$rcx") == 0
    # ROM is written by the debugger, and what is executed is the new code: movl $0x611, %eax
    g.do("set *(unsigned short *)%#x = 0x611" % (f000 + at["after"] + 1))
    g.step()
    assert g.number("$rax") == 0x611
    assert "exited" in g.do("continue")


@pytest.mark.parametrize("tier", sorted(TIERS))
def test_gdb_when_code_goes_from_real_to_long_mode_expect_stops_in_each(tier, bios, tmp_path):
    path, at = bios
    sock = str(tmp_path / "gdb")
    with Vm("-bios", path, "-gdb", "unix:" + sock, "-S", "-device", "isa-debug-exit,iobase=0xf4",
            *TIERS[tier]) as vm:
        wait_for_socket(sock)
        g = Gdb(sock)
        walk_modes(g, at)
        g.end()
        assert vm.wait_exit() == 3


def test_gdb_when_the_processor_has_no_long_mode_expect_i386(bios, tmp_path):
    path, at = bios
    sock = str(tmp_path / "gdb")
    with Vm("-bios", path, "-gdb", "unix:" + sock, "-S", "-cpu", "max,lm=off") as vm:
        wait_for_socket(sock)
        g = Gdb(sock)
        assert "i386" in g.do("show architecture")
        g.do("break *%#x" % (0xf0000 + at["prot2"]))
        g.do("continue")
        assert g.number("$eip") == 0xf0000 + at["prot2"] and g.number("$ecx") == 0x12345678
        assert "killed" in g.do("kill")
        g.end()
        assert vm.wait_exit() == 0


# ---- Clients that mean no good -------------------------------------------------------------------

def packet(data):
    return b"$" + data + b"#%02x" % (sum(data) % 256)


def test_stub_when_clients_are_hostile_expect_the_guest_unharmed(tmp_path):
    sock = str(tmp_path / "gdb")
    with Vm("-kernel", kernel("cloud-amd64"), "-initrd", initrd(), "-append", APPEND, "-gdb",
            "unix:" + sock) as vm:
        vm.expect("guest# ")

        def client():
            s = socket.socket(socket.AF_UNIX)
            end = time.monotonic() + 60
            while s.connect_ex(sock):
                assert time.monotonic() < end
                time.sleep(0.05)
            s.settimeout(30)
            return s

        attacks = [
            b"", b"$", b"$m0,ffff", b"\x03" * 5000, b"$" * 5000, b"-" * 50000, b"+" * 5000,
            b"$" + b"A" * 200000 + b"#00", packet(b"m0,ffffffffffffffff"),
            packet(b"mffffffffffffffff,ffff"), packet(b"X0,ffffffffffffffff:"),
            packet(b"Z0,,"), packet(b"Z2,0,ffffffffffffffff"), packet(b"vCont;"),
            packet(b"vCont;s:ffffffffffff"), packet(b"Hgffffffff"), packet(b"qXfer:features:read:target.xml:ffffffffffffffff,1"),
            packet(b"p99999999"), packet(b"P10="), packet(b"G" + b"f" * 3000), packet(b"Gzz"), packet(b"qRcmd,zz"),
            bytes(range(256)) * 40,
        ]
        for a in attacks:
            s = client()
            try:
                s.sendall(a)
            except OSError:
                pass
            s.close()
        # one that reads nothing
        s = client()
        s.setblocking(False)
        try:
            for _ in range(20000):
                s.send(packet(b"m0,1000"))
        except BlockingIOError:
            pass
        s.close()
        vm.send("echo alive$((1 + 1))\r")
        vm.expect("alive2")
        vm.send("poweroff -f\r")
        assert vm.wait_exit() == 0


def listening(pid):
    """Addresses and ports on which a process takes TCP connections."""
    inodes = set()
    for to in open_files(pid):
        if to.startswith("socket:["):
            inodes.add(to[8:-1])
    out = set()
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(path) as f:
            for line in f.readlines()[1:]:
                w = line.split()
                if w[3] == "0A" and w[9] in inodes:
                    addr, port = w[1].split(":")
                    out.add((addr, int(port, 16)))
    return out


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.parametrize("how", ["tcp:127.0.0.1:%d", "tcp::%d", "tcp:localhost:%d,server=on,wait=off", "-s"])
def test_gdb_when_it_comes_by_tcp_expect_loopback_only_and_a_session(how):
    """-s is tcp::1234, and without an address this host alone is meant."""
    port = 1234 if how == "-s" else free_port()
    if how == "-s":
        with socket.socket() as s:
            if not s.connect_ex(("127.0.0.1", port)):
                pytest.skip("port 1234 of this host is taken")
    with Vm("-kernel", kernel("cloud-amd64"), "-initrd", initrd(), "-append", APPEND, "-S",
            *(["-s"] if how == "-s" else ["-gdb", how % port])) as vm:
        vm.expect("engine: ")
        end = time.monotonic() + 60
        while not (on := listening(vm.pid)):
            assert time.monotonic() < end
            time.sleep(0.02)
        assert {p for _, p in on} == {port}
        assert {a for a, _ in on} <= {"0100007F", "00000000000000000000000001000000"}, on
        g = Gdb("localhost:%d" % port)
        assert "not started" not in g.do("info threads").split("\n")[0]
        pc = g.number("$pc")
        g.do("stepi")
        assert g.number("$pc") != pc
        # One at a time: another is hung up, and the first goes on.
        with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            s.settimeout(3)
            try:
                s.sendall(b"$?#3f")
                assert s.recv(100) == b""
            except (socket.timeout, ConnectionError):
                pass
        g.do("stepi")
        g.do("detach")
        vm.expect("guest# ")
        # Somebody comes again, and a damaged packet is no reason to go.
        with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            s.settimeout(20)
            s.sendall(b"$?#00")
            assert s.recv(1) == b"-"
            s.sendall(b"$?#3f")
            assert s.recv(100).startswith(b"+")
        g.end()
        vm.send("echo a''live\r")
        vm.expect("alive")
