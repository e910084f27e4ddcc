# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that has nothing to do: no CPU time, little memory, the process as people see it.

Run: make t T=system/idle
"""
import os
import re
import signal
import time

from vm import TOP, linux


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status_mib(pid, name):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"^%s:\s+(\d+) kB" % name, f.read(), re.M).group(1)) / 1024


def test_idle_when_guest_halts_expect_no_cpu_time_and_little_memory():
    script = os.path.join(TOP, "tests/system/idle.sh")
    with linux("cloud-amd64", "quiet cryptomgr.notests lodge.cmd=idle.sh", script,
               args=("-name", "sleepy")) as vm:
        vm.expect(r"@@idle")
        time.sleep(5)  # late work of the boot
        before = cpu_seconds(vm.pid)
        time.sleep(10)
        used = cpu_seconds(vm.pid) - before
        assert used < 1.0, "an idle guest used %.2f s of CPU time in 10 s" % used

        # Guest RAM is shared memory (a memfd) and does not count.
        beyond = status_mib(vm.pid, "RssAnon") + status_mib(vm.pid, "RssFile")
        assert beyond <= 64, "%.1f MiB beyond the guest's RAM" % beyond
        assert status_mib(vm.pid, "RssShmem") <= 256

        tasks = "/proc/%d/task" % vm.pid
        names = {open("%s/%s/comm" % (tasks, t)).read().strip() for t in os.listdir(tasks)}
        assert {"vcpu0", "io"} <= names
        os.kill(vm.pid, signal.SIGTERM)
        assert vm.wait_exit() == 0
