#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Saves and restores at random moments of Debian's boot, from its first instruction to power-off.

A guest boots, mounts a disk, writes and checks files, talks to the network, and powers off; meanwhile it
is saved at random moments, its process ends, and another goes on from the file. Every boot must end
as if nothing had been: power-off, files whole, the clock never back, a clean kernel log.

Run: tests/system/save_rounds.py --rounds 200 [--seed N] (some minutes); a seed replays the moments.
"""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

import pexpect

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from modules import modules  # noqa: E402
from qmp import Qmp, wait_for  # noqa: E402
from vm import BOOT_TIMEOUT, LODGE, Vm, bad_lines, initrd, kernel  # noqa: E402

JOB = r"""#!/bin/busybox sh
for m in $(cat /bin/modlist); do insmod /bin/$m || echo "FAIL insmod $m"; done
watch() {
	last=0
	while [ ! -e /done ]; do
		read up rest </proc/uptime
		now=${up%.*}${up#*.}
		[ "$now" -ge "$last" ] || echo "FAIL clock went from $last to $now"
		[ "$((now - last))" -lt 3000 ] || [ $last = 0 ] || echo "FAIL clock jumped from $last to $now"
		last=$now
	done
}
watch &
n=0
while [ ! -b /dev/DISK ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
mkdir -p /mnt
mount -t ext4 /dev/DISK /mnt || echo "FAIL mount"
(cd /mnt && md5sum -c sums) || echo "FAIL sums"
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up || echo "FAIL ifconfig"
for i in 1 2 3; do
	dd if=/dev/urandom of=/mnt/new$i bs=64k count=16 conv=fsync 2>/dev/null
	(cd /mnt && md5sum new$i >>newsums)
	echo 3 >/proc/sys/vm/drop_caches
	(cd /mnt && md5sum -c newsums >/dev/null) || echo "FAIL newsums"
	# A frame may be lost, as the network's other side is a new one after a restore.
	ping -c 1 -W 2 10.0.2.2 >/dev/null || ping -c 3 -W 3 10.0.2.2 >/dev/null || echo "FAIL ping"
	echo "loop $i"
done
umount /mnt || echo "FAIL umount"
touch /done
wait
echo JOB-DONE
"""

KINDS = {
    # kernel, modules, disk, options
    "virtio": ("cloud-amd64", ("virtio_blk", "virtio_net"), "vda",
               ["-drive", "file={disk},format=raw,if=virtio", "-nic", "user,model=virtio-net-pci"]),
    "piix": ("amd64", ("ata_piix", "sd_mod", "e1000"), "sda",
             ["-drive", "file={disk},format=raw,if=ide", "-nic", "user,model=e1000"]),
    "ahci": ("amd64", ("ahci", "sd_mod", "8139cp"), "sda",
             ["-device", "ahci,id=sata", "-drive", "file={disk},format=raw,if=none,id=d",
              "-device", "ide-hd,bus=sata.0,drive=d", "-nic", "user,model=rtl8139"]),
    "nvme": ("amd64", ("nvme", "virtio_net"), "nvme0n1",
             ["-drive", "file={disk},format=raw,if=none,id=d", "-device", "nvme,drive=d,serial=1",
              "-nic", "user,model=virtio-net-pci"]),
}


class Boot:
    """One boot, in as many processes as it takes."""

    def __init__(self, folder, name, kind, smp, tiers, rng, say=lambda text: None):
        self.folder, self.name, self.kind, self.smp = folder, name, kind, smp
        self.tiers, self.rng, self.say = tiers, rng, say
        self.state = os.path.join(folder, "state")
        self.disk = os.path.join(folder, "disk.img")
        self.text, self.child, self.saves = "", None, []
        self.initrd = None

    def prepare(self):
        name, mods, disk, _ = KINDS[self.kind]
        tree = os.path.join(self.folder, "tree")
        os.makedirs(tree, exist_ok=True)
        with open(os.path.join(tree, "big"), "wb") as f:
            f.write(os.urandom(1 << 20))
        with open(os.path.join(tree, "sums"), "wb") as f:
            subprocess.run(["md5sum", "big"], cwd=tree, stdout=f, check=True)
        with open(self.disk, "wb") as f:
            f.truncate(32 << 20)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, self.disk], check=True)
        paths = modules(name, *(["virtio_pci"] if "virtio" in str(mods) else []), *(["crc32c_generic", "ext4"] if name == "amd64" else []), *mods)
        job = os.path.join(self.folder, "savejob")
        with open(job, "w") as f:
            f.write(JOB.replace("DISK", disk))
        with open(os.path.join(self.folder, "modlist"), "w") as f:
            f.write(" ".join(os.path.basename(p) for p in paths))
        self.initrd = initrd("amd64", job, os.path.join(self.folder, "modlist"), *paths)

    def spawn(self, args):
        tier = self.rng.choice(self.tiers)
        self.child = pexpect.spawn(LODGE[0], [*LODGE[1:], "-accel", "soft,tier=%d" % tier,
                                                "-sandbox", "on,path=" + self.folder, *args],
                                   timeout=BOOT_TIMEOUT, encoding="utf-8", codec_errors="replace",
                                   dimensions=(50, 200))
        return tier

    def begin(self):
        name, _, _, options = KINDS[self.kind]
        return self.spawn(["-m", "256M", "-smp", str(self.smp), "-name", self.name, "-nographic",
                           "-no-reboot", "-kernel", kernel(name), "-initrd", self.initrd, "-append",
                           "console=ttyS0 cryptomgr.notests panic=-1 lodge.cmd=savejob",
                           *[o.format(disk=self.disk) for o in options]])

    def read(self, seconds):
        """What the console says in that time; False: the process has ended."""
        end = time.monotonic() + seconds
        while True:
            try:
                self.text += self.child.read_nonblocking(65536, max(end - time.monotonic(), 0.001))
            except pexpect.TIMEOUT:
                return True
            except pexpect.EOF:
                return False
            if time.monotonic() >= end:
                return True

    def save(self):
        """Save, end, and restore in a new process; False: it had powered off first."""
        try:
            q = Qmp(wait_for(self.name))
            ms = q.save(self.state)["total-time"]
            q("quit")
            q.close()
        except (OSError, AssertionError) as e:
            self.read(10)
            if "Power down" in self.text or "powered off" in str(e):
                return False
            raise
        while self.read(5) and self.child.isalive():
            pass
        self.child.close()
        assert self.child.exitstatus == 0, "the saved machine's process: %s" % self.child.exitstatus
        self.saves.append(ms)
        return True

    def finish(self):
        end = time.monotonic() + BOOT_TIMEOUT
        while self.read(1):
            assert time.monotonic() < end, "the guest does not end"
        self.child.close()

    def check(self):
        assert self.child.exitstatus == 0, "exit status %s" % self.child.exitstatus
        assert "FAIL" not in self.text, re.findall(r"FAIL.*", self.text)
        assert "JOB-DONE" in self.text and "reboot: Power down" in self.text
        assert bad_lines(self.text) == []
        stamps = [float(t) for t in re.findall(r"^\[ *(\d+\.\d+)\]", self.text.replace("\r", ""), re.M)]
        # Lines of two processors may be out of order by a little.
        assert all(b > a - 0.5 for a, b in zip(stamps, stamps[1:])), "the kernel's clock went back"
        r = subprocess.run(["e2fsck", "-fn", self.disk], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, check=False)
        assert r.returncode == 0, r.stdout

    def close(self):
        if self.child and self.child.isalive():
            self.child.terminate(force=True)
        if self.initrd:
            os.unlink(self.initrd)


def one_boot(seed, number, most, kinds, folder, say=print):
    """A boot with up to `most` rounds: how many there were, and how long each save took, in ms."""
    rng = random.Random("%s-%d" % (seed, number))
    kind = kinds[number % len(kinds)]
    smp = rng.choice([1, 2])
    pace = rng.choice([0.05, 0.3, 1.0])
    work = tempfile.mkdtemp(prefix="boot", dir=folder)
    boot = Boot(work, "rounds%d-%d" % (os.getpid(), number), kind, smp, [1, 2, 2], rng)
    try:
        boot.prepare()
        tier = boot.begin()
        while len(boot.saves) < most:
            wait = rng.random() * pace
            if not boot.read(wait) or not boot.save():
                break
            tier = boot.spawn(["-restore", boot.state, "-nographic"])
        boot.finish()
        boot.check()
        say("boot %d (%s, %d CPUs, up to %.2f s apart, at last tier %d): %d rounds, saves of %d to %d ms"
            % (number, kind, smp, pace, tier, len(boot.saves), min(boot.saves, default=0),
               max(boot.saves, default=0)))
    except BaseException:
        print("---- seed %s, boot %d (%s, %d CPUs), round %d; the console's end:\n%s"
              % (seed, number, kind, smp, len(boot.saves), boot.text[-5000:]))
        raise
    finally:
        boot.close()
        shutil.rmtree(work, ignore_errors=True)
    return boot.saves


def rounds(seed, count, per_boot, kinds, folder, say=print, first=0):
    done, number = [], first
    while len(done) < count:
        done += one_boot(seed, number, min(per_boot, count - len(done)), kinds, folder, say)
        number += 1
    return done


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--rounds", type=int, default=200)
    p.add_argument("--per-boot", type=int, default=25, help="rounds of a boot at most")
    p.add_argument("--seed", default=None)
    p.add_argument("--first", type=int, default=0, help="begin with this boot: for a replay")
    p.add_argument("--kinds", default="virtio,piix,nvme,ahci")
    p.add_argument("--dir", default=None, help="folder for disks and states")
    a = p.parse_args()
    seed = a.seed or "%08x" % random.SystemRandom().getrandbits(32)
    print("seed %s" % seed, flush=True)
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="lodge-run"))
    start = time.monotonic()
    saves = rounds(seed, a.rounds, a.per_boot, a.kinds.split(","), a.dir,
                   lambda t: print(t, flush=True), a.first)
    print("%d rounds passed in %.0f s; a save took %d ms in the middle, %d at most"
          % (len(saves), time.monotonic() - start, sorted(saves)[len(saves) // 2], max(saves)))


if __name__ == "__main__":
    main()
