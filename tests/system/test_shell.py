# SPDX-License-Identifier: GPL-2.0-or-later
"""The interactive shell of `make demo` in a real terminal, and the terminal afterwards.

Run: make t T=system/shell
"""
import os
import pty
import subprocess
import termios
import time

from pexpect.fdpexpect import fdspawn
from vm import BOOT_TIMEOUT, LODGE, TOP, initrd, kernel, linux


def command():
    return [*LODGE, "-m", "256M", "-nographic", "-no-reboot", "-kernel", kernel("cloud-amd64"),
            "-initrd", initrd(), "-append", "console=ttyS0 quiet cryptomgr.notests"]


def test_shell_when_typed_to_expect_answers():
    with linux("cloud-amd64", "quiet cryptomgr.notests") as vm:
        vm.expect(r"guest# ")
        vm.send("echo $((6 * 7))x\r")
        vm.expect(r"42x\r+\n")
        vm.expect(r"guest# ")
        vm.send("uname -m; cat /proc/sys/kernel/hostname\r")
        vm.expect(r"x86_64\r+\nlodge\r+\n")
        vm.expect(r"guest# ")
        vm.send("sleep 1000\r")
        time.sleep(2)
        vm.send("\x03")  # Ctrl-C goes to the guest, not to lodge
        vm.expect(r"guest# ")
        vm.send("seq 1 3000 | tail -n 2000 | md5sum\r")
        vm.expect(r"[0-9a-f]{32}  -")
        vm.expect(r"guest# ")
        # A long line typed at once must not lose characters.
        vm.send("echo " + "0123456789" * 20 + " | wc -c\r")
        vm.expect(r"201\r+\n")
        vm.expect(r"guest# ")
        vm.send("\x01h")  # Ctrl-A h lists the keys
        vm.expect(r"(?i)ctrl-a x")
        vm.send("\x04")  # Ctrl-D ends the shell, and the guest powers off
        assert vm.wait_exit() == 0


def test_terminal_when_lodge_quits_expect_it_restored():
    """Ctrl-A x in a terminal of our own, whose settings must be the old ones afterwards."""
    leader, follower = pty.openpty()
    before = termios.tcgetattr(follower)
    args = command()
    p = subprocess.Popen(args, stdin=follower, stdout=follower, stderr=follower, cwd=TOP)
    child = fdspawn(leader, timeout=BOOT_TIMEOUT)
    try:
        child.expect(rb"guest# ")
        assert termios.tcgetattr(follower)[3] != before[3], "the console is in raw mode"
        os.write(leader, b"\x01x")
        assert p.wait(60) == 0
        assert termios.tcgetattr(follower) == before
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
        os.close(leader)
        os.close(follower)
        os.unlink(args[args.index("-initrd") + 1])
