# SPDX-License-Identifier: GPL-2.0-or-later
"""Virtual machines for bench/run.py: start one, read its console, weigh the process."""
import os
import re
import select
import signal
import subprocess
import time

RAM = "512M"
KERNEL_ARGS = "console=ttyS0 quiet panic=-1"


class BenchError(Exception):
    pass


def lodge_command(path):
    return [path, "run", "-m", RAM, "-display", "none", "-no-reboot"]


def qemu_command():
    """QEMU's own translator; its RAM is a memfd as Lodge's, so that both can be weighed alike."""
    return ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-display", "none",
            "-no-reboot", "-nodefaults", "-m", RAM,
            "-object", "memory-backend-memfd,id=ram,size=" + RAM,
            "-machine", "pc,memory-backend=ram"]


class Vm:
    """A running VM whose standard output is a serial port or the debug console."""

    def __init__(self, cmd):
        self.cmd = cmd
        self.text = b""
        self.start = time.monotonic()
        self.proc = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, close_fds=False)

    def wait_for(self, pattern, timeout):
        """Read on until `pattern` has come; returns when, in seconds since the start."""
        end = self.start + timeout
        out = self.proc.stdout.fileno()
        while not re.search(pattern, self.text):
            ready = select.select([out], [], [], max(0, end - time.monotonic()))[0]
            data = os.read(out, 65536) if ready else b""
            if not data:
                why = "ended" if ready else "did not come so far in %d s" % timeout
                raise BenchError("%s %s; it said:\n%s" % (
                    self.cmd[0], why, self.text[-2000:].decode(errors="replace")))
            self.text += data
        return time.monotonic() - self.start

    def end(self):
        """Ask it to go, and see that it does. Its exit status is not always 0: QEMU's reset."""
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
        try:
            self.proc.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.communicate()

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.proc.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_beyond_ram(self):
        """Bytes resident outside the guest's RAM, by the kernel's own count."""
        total, ram = 0, False
        with open("/proc/%d/smaps" % self.proc.pid) as f:
            for line in f:
                head = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)", line)
                if head:
                    ram = re.match(r"/memfd:(lodge-ram|memory-backend-memfd)", head.group(1))
                elif line.startswith("Rss:") and not ram:
                    total += int(line.split()[1]) * 1024
        return total


def linux(base, kernel, initrd, extra=""):
    return base + ["-kernel", kernel, "-initrd", initrd, "-serial", "stdio",
                   "-append", (KERNEL_ARGS + " " + extra).strip()]


def cpu_share(vm, seconds):
    c0, t0 = vm.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    return (vm.cpu_seconds() - c0) / (time.monotonic() - t0)


def first_instruction(base, kernel, seconds=2.0):
    """(Seconds from the start of the process to the guest's first byte, CPU share in HLT)."""
    vm = Vm(base + ["-kernel", kernel, "-serial", "none", "-debugcon", "stdio"])
    try:
        first = vm.wait_for(b"!", 60)
        time.sleep(0.5)
        return first, cpu_share(vm, seconds)
    finally:
        vm.end()


def boot_and_idle(base, kernel, initrd, seconds=5.0):
    """Boot to a shell and leave it alone; returns (boot seconds, bytes beyond RAM, CPU share)."""
    vm = Vm(linux(base, kernel, initrd))
    try:
        boot = vm.wait_for(b"bench-init: first line", 300)
        vm.wait_for(b"guest# ", 300)
        time.sleep(2)
        cpu = cpu_share(vm, seconds)
        return boot, vm.memory_beyond_ram(), cpu
    finally:
        vm.end()


def parse_programs(text):
    """[(name, group, nanoseconds, checksum)] of a lodge-bench run."""
    return [(n, g, int(ns), c) for n, g, ns, c in re.findall(
        r"^bench: (\S+) (\S+) (\d+) ([0-9a-f]{16})\s*$", text, re.M)]


def programs_in_guest(base, kernel, initrd, args):
    """Run lodge-bench in a guest. The guest's clock is held against this one."""
    vm = Vm(linux(base, kernel, initrd, "bench.run=" + args))
    try:
        t0 = vm.wait_for(b"bench: begin", 300)
        wall = vm.wait_for(b"bench: end", 1800) - t0
    finally:
        vm.end()
    return parse_programs(vm.text.decode(errors="replace").replace("\r", "")), wall


def programs_on_host(path, args):
    """On one processor, as the guests have one."""
    cpu = {max(os.sched_getaffinity(0))}
    r = subprocess.run([path] + args.split(","), stdout=subprocess.PIPE, text=True, check=True,
                       preexec_fn=lambda: os.sched_setaffinity(0, cpu))
    return parse_programs(r.stdout)
