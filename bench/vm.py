# SPDX-License-Identifier: GPL-2.0-or-later
"""Virtual machines for bench/run.py: start one, read its console, weigh the process."""
import collections
import os
import re
import select
import signal
import subprocess
import time

RAM = "1G"
KERNEL_ARGS = "console=ttyS0 quiet panic=-1"

# What lodge-bench says of a line; host_seconds is the same time by the host's clock.
Row = collections.namedtuple("Row", "name group seconds count checksum host_seconds")


class BenchError(Exception):
    pass


def lodge_command(path, args=()):
    return [path, "run", "-m", RAM, "-display", "none", "-no-reboot", *args]


def qemu_command(args=()):
    """QEMU's own translator; its RAM is a memfd as Lodge's, so that both can be weighed alike."""
    return ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-display", "none",
            "-no-reboot", "-nodefaults", "-m", RAM,
            "-object", "memory-backend-memfd,id=ram,size=" + RAM,
            "-machine", "pc,memory-backend=ram", *args]


class Vm:
    """A running VM whose standard output is a serial port or the debug console."""

    def __init__(self, cmd):
        self.cmd = cmd
        self.text = b""
        self.times = []  # (length of the text so far, when it had come)
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
            self.times.append((len(self.text), time.monotonic()))
        return time.monotonic() - self.start

    def lines(self):
        """[(when it had come, line)] of the whole lines so far."""
        out, at = [], 0
        times = iter(self.times)
        length, when = next(times, (0, self.start))
        while (end := self.text.find(b"\n", at)) >= 0:
            while length <= end:
                length, when = next(times)
            out.append((when, self.text[at:end].decode(errors="replace").rstrip("\r")))
            at = end + 1
        return out

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


def first_instruction(base, kernel, idle=2.0):
    """(Seconds from the start of the process to the guest's first byte, CPU share in HLT)."""
    vm = Vm(base + ["-kernel", kernel, "-serial", "none", "-debugcon", "stdio"])
    try:
        first = vm.wait_for(b"!", 60)
        if not idle:
            return first, None
        time.sleep(0.5)
        return first, cpu_share(vm, idle)
    finally:
        vm.end()


def boot(base, kernel, initrd, idle=5.0):
    """Boot to a shell, leave it alone; returns (boot seconds, bytes beyond RAM, CPU share)."""
    vm = Vm(linux(base, kernel, initrd))
    try:
        took = vm.wait_for(b"bench-init: first line", 300)
        vm.wait_for(b"guest# ", 300)
        if not idle:
            return took, vm.memory_beyond_ram(), None
        time.sleep(2)
        cpu = cpu_share(vm, idle)
        return took, vm.memory_beyond_ram(), cpu
    finally:
        vm.end()


def parse(lines, by_clock=True):
    """(rows, names of skipped lines, message of a failure or None) of lodge-bench's output, which is
    [(when, line)]."""
    rows, skipped, failed = [], [], None
    started = done = None
    for when, line in lines:
        words = line.split()
        if len(words) < 2 or words[0] != "bench:":
            continue
        if words[1] == "run":
            started, done = when, None
        elif words[1] == "done":
            done = when
        elif words[1] == "skip":
            skipped.append(words[2])
        elif words[1] == "failed:":
            failed = line
        elif len(words) == 6 and re.fullmatch("[0-9a-f]{16}", words[5]):
            host = done - started if by_clock and done and started else None
            rows.append(Row(words[1], words[2], int(words[3]) * 1e-9, int(words[4]), words[5],
                            host))
    return rows, skipped, failed


def programs_in_guest(base, kernel, initrd, args, timeout=3600):
    """Run lodge-bench in a guest; what came before an error is in the rows all the same."""
    vm = Vm(linux(base, kernel, initrd, "bench.run=" + ",".join(args)))
    error = None
    try:
        vm.wait_for(b"bench: (end|failed)", timeout)
    except BenchError as e:
        error = str(e)
    finally:
        vm.end()
    rows, skipped, failed = parse(vm.lines())
    return rows, skipped, failed or error


def programs_on_host(root, program, args, cpus):
    """In the guest's root, on so many processors as the guest has."""
    use = set(sorted(os.sched_getaffinity(0))[-cpus:])
    r = subprocess.run([program, "--root", root, *args], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, check=False,
                       preexec_fn=lambda: os.sched_setaffinity(0, use))
    rows, skipped, failed = parse([(None, x) for x in r.stdout.split("\n")], by_clock=False)
    if r.returncode and not failed:
        failed = "lodge-bench on the host: status %d" % r.returncode
    return rows, skipped, failed
