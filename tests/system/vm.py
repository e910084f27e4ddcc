# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest under `lodge run` with its console on a terminal, for the tests beside this file.

Machines may be busy: every wait here is many times what the step takes on an idle machine.
"""
import os
import re
import signal
import subprocess
import sys
import time

import pexpect

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
LODGE = os.environ.get("LODGE", os.path.join(TOP, "build/lodge") + " run").split()
WORK = os.path.join(TOP, "build/system")
BOOT_TIMEOUT = 420


def open_files(pid):
    """What a process's descriptors are, as links; those that are closed meanwhile are left out."""
    links = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            links.append(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except FileNotFoundError:
            pass
    return links


def kernel(name):
    """Path of a kernel or busybox from Debian's archive; fetched once (tools/fetch_kernels.py)."""
    r = subprocess.run([sys.executable, os.path.join(TOP, "tools/fetch_kernels.py"), "--dir",
                        os.path.join(TOP, "cache"), name],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert r.returncode == 0, r.stderr
    return r.stdout.split()[-1]


def initrd(arch="amd64", *files):
    """An initramfs as `make demo` has it, with `files` in its /bin."""
    os.makedirs(WORK, exist_ok=True)
    tag = "-".join([arch] + [os.path.basename(f) for f in files])[:80]
    out = os.path.join(WORK, "initrd-%s-%d" % (tag, os.getpid()))
    subprocess.run(["sh", os.path.join(TOP, "tools/mkinitramfs.sh"), out,
                    kernel("busybox-" + arch), os.path.join(TOP, "tools/guest_init.sh"), *files],
                   check=True)
    return out


class Vm:
    """Context manager. `text` is everything the console has shown up to the last match."""

    def __init__(self, *args, memory="256M", prefix=()):
        """`prefix`: a command that becomes the rest of its arguments, as nsenter."""
        self.args = [*prefix, *LODGE, "-m", memory, "-nographic", "-no-reboot", *args]
        self.child = None
        self.text = ""
        self.files = [args[i + 1] for i in range(len(args) - 1) if args[i] == "-initrd"]

    def __enter__(self):
        self.child = pexpect.spawn(self.args[0], self.args[1:], timeout=BOOT_TIMEOUT,
                                   encoding="utf-8", codec_errors="replace", dimensions=(50, 200))
        return self

    def __exit__(self, kind, *rest):
        if kind:
            tail = self.text + (self.child.before if isinstance(self.child.before, str) else "")
            print("---- the console's end:\n" + tail[-6000:])
        self.stop()
        for f in self.files:
            if f.startswith(WORK + os.sep):
                os.unlink(f)

    def stop(self):
        """End the process if it has not; on a busy machine that may take it a while."""
        end = time.monotonic() + 30
        if self.child.isalive():
            self.child.kill(signal.SIGTERM)
        while self.child.isalive() and time.monotonic() < end:
            time.sleep(0.02)
        if self.child.isalive():
            self.child.kill(signal.SIGKILL)
            self.child.wait()
        self.child.close()

    def expect(self, pattern, timeout=BOOT_TIMEOUT):
        self.child.expect(pattern, timeout=timeout)
        self.text += self.child.before + self.child.after
        return self.child.match

    def send(self, text):
        self.child.send(text)

    def wait_exit(self, timeout=120):
        """Exit status, once the machine has ended."""
        self.child.expect(pexpect.EOF, timeout=timeout)
        self.text += self.child.before
        self.child.wait()
        return self.child.exitstatus

    @property
    def pid(self):
        return self.child.pid


def linux(name, append, *files, arch="amd64", memory="256M", args=()):
    return Vm("-kernel", kernel(name), "-initrd", initrd(arch, *files), "-append",
              "console=ttyS0 " + append, *args, memory=memory)


def children(pid):
    """Processes that a machine has, but for the one that starts others (docs/adr/0024-starter.md)."""
    out = []
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        for child in f.read().split():
            with open("/proc/%s/comm" % child) as g:
                if g.read().strip() != "lodge-starter":
                    out.append(int(child))
    return out


BAD_LINES = re.compile(r".*(ACPI Error|ACPI BIOS Error|ACPI Exception|BUG:|WARNING:|Oops|"
                       r"general protection|soft lockup|hard LOCKUP|rcu.*stall|"
                       r"Kernel panic|unhandled|clocksource: .*unstable|"
                       r"spurious|IRQ.*nobody cared|invalid opcode).*")


def bad_lines(text):
    """Lines by which a kernel complains about its machine."""
    return [l.strip() for l in text.replace("\r", "").split("\n") if BAD_LINES.match(l)]
