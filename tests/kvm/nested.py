# SPDX-License-Identifier: GPL-2.0-or-later
"""A first level with hardware virtualization, on hosts without: Debian's cloud kernel with its kvm-amd on
QEMU's emulated AMD-V. In it run Lodge, linked statically, test programs, and second-level guests.

The emulator is slow and the host may be busy: every limit is many times what an idle machine takes.
"""
import os
import re
import shutil
import subprocess
import tempfile
import time

from modules import modules
from vm import TOP, WORK, kernel

BUILD = os.path.join(TOP, os.environ.get("B", "build/gcc"))
# What shortens a boot, and what Debian's kernel needs to trust an emulated clock.
QUICK = ("quiet mitigations=off nokaslr lpj=1000000 tsc=reliable cryptomgr.notests 8250.nr_uarts=2 "
         "i8042.noaux i8042.nopnp no_timer_check audit=0 apparmor=0 selinux=0 rcupdate.rcu_expedited=1 "
         "random.trust_cpu=on")

# The TSC of a busy emulator is calibrated wrongly, and limits of time then mean something else.
FIRST = QUICK.replace("tsc=reliable", "tsc=unstable clocksource=hpet")

# The first file system cannot be left behind, which processes that give up their root need: everything moves.
INIT = """#!/bin/busybox sh
if [ ! -e /moved ]; then
	/bin/busybox mkdir /new
	/bin/busybox mount -t tmpfs new /new
	/bin/busybox mv /bin /lib /lib64 /l2 /g /*.ko /new/
	/new/bin/busybox cp /init /new/
	cd /new
	/new/bin/busybox mkdir -p proc sys dev tmp run var/tmp
	/new/bin/busybox touch moved
	exec /new/bin/busybox switch_root /new /init
fi
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ LD_LIBRARY_PATH=/lib
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
ifconfig lo 127.0.0.1 2>/dev/null
%s
echo "@@L1 kernel $(uname -r)"
%s
echo "@@L1 end"
sleep 5
poweroff -f
"""


def libraries(*programs):
    """The shared libraries of these; a static one has none."""
    found = set()
    for p in programs:
        out = subprocess.run(["ldd", p], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                             check=False).stdout
        found.update(re.findall(r"(/\S+\.so\S*)", out))
    return found


def slirp():
    """What Lodge's NAT loads at run time, in a static program too."""
    for d in ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"):
        p = os.path.join(d, "libslirp.so.0")
        if os.path.exists(p):
            return [p]
    return []


def build(script, files, module_args, module="kvm_amd"):
    """The first level's initramfs: busybox, modules, Lodge (static), `files` ({name in /: path})."""
    os.makedirs(WORK, exist_ok=True)
    root = tempfile.mkdtemp(prefix="nested-", dir=WORK)
    for d in ("bin", "lib", "lib64", "proc", "sys", "dev", "tmp", "l2", "g"):
        os.mkdir(os.path.join(root, d))
    shutil.copy(kernel("busybox-amd64"), os.path.join(root, "bin/busybox"))
    os.symlink("busybox", os.path.join(root, "bin/sh"))
    load = []
    for m in modules("cloud-amd64", module) if module else ():
        name = os.path.basename(m)
        shutil.copy(m, os.path.join(root, name))
        load.append("insmod /%s %s" % (name, module_args if name.startswith("kvm-") else ""))
    programs = {"bin/lodge": os.path.join(BUILD, "lodge-static")}
    programs.update({k: v for k, v in files.items() if k.startswith("bin/")})
    for name, path in programs.items():
        subprocess.run(["strip", "-o", os.path.join(root, name), path], check=True)
    for name, path in files.items():
        if name not in programs:
            shutil.copy(path, os.path.join(root, name))
    for lib in libraries(*programs.values(), *slirp()) | set(slirp()):
        # What a static program loads wants the loader beside it.
        for where in ("lib64", "lib") if "ld-linux" in lib else ("lib",):
            shutil.copy(os.path.realpath(lib), os.path.join(root, where, os.path.basename(lib)))
    with open(os.path.join(root, "init"), "w") as f:
        f.write(INIT % ("\n".join(load), script))
    os.chmod(os.path.join(root, "init"), 0o755)
    out = root + ".cpio"
    with open(out, "w") as f:
        subprocess.run("find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet", shell=True, cwd=root,
                       stdout=f, check=True)
    shutil.rmtree(root)
    return out


def second_level(engine, cpus, cpu):
    return ("lodge run -accel %s -cpu %s -smp %d -m 128M -nographic -no-reboot -kernel /l2/vmlinuz "
            "-initrd /l2/initrd -drive file=/tmp/disk.img,if=virtio,format=raw -nic user,model=virtio-net-pci "
            "-append \"console=ttyS0 %s lodge.cmd=l2.sh\" </dev/null" % (engine, cpu, cpus, QUICK))


class Level:
    """A first level that runs; its console goes to `log`. Beside the log comes a table of seconds by its marks."""

    def __init__(self, name, cmd, log, clean=(), cwd=None):
        self.name, self.log, self.clean = name, log, clean
        self.text, self.marks, self.used = "", [], 0.0
        open(log, "w").close()
        self.start = time.monotonic()
        self.process = subprocess.Popen(cmd, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for path in self.clean:
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        with open(self.log.replace(".log", ".times"), "w") as f:
            before = 0.0
            for cpu, wall, m in self.marks:
                f.write("%8.1f %+8.1f CPU s %8.1f s  %s\n" % (cpu, cpu - before, wall, m))
                before = cpu
        print("---- " + self.log + "\n" + self.text[-8000:])
        print("---- %s: %.0f seconds of processor, %.0f in all"
              % (self.name, self.used, time.monotonic() - self.start))

    def look(self):
        """What the console has said; False: nothing more will come."""
        ended = self.process.poll() is not None
        if not ended:
            with open("/proc/%d/stat" % self.process.pid) as f:
                words = f.read().rpartition(")")[2].split()
            self.used = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
        with open(self.log, errors="replace") as f:
            self.text = f.read().replace("\r", "")
        found = re.findall(r"^@@(?:L1|begin|exit|doctor|guest|mark)\b.*\n", self.text, re.M)
        for m in found[len(self.marks):]:
            self.marks.append((self.used, time.monotonic() - self.start, m[:40].strip()))
        return not ended

    def wait_for(self, words, limit):
        """Until the console has said them."""
        end = time.monotonic() + limit
        while self.look() and words not in self.text and time.monotonic() < end:
            time.sleep(0.3)
        assert words in self.text, "%s: '%s' did not come within %d s" % (self.name, words, limit)

    def finish(self, limit):
        """To its end; what its console said."""
        self.wait_for("@@L1 end", limit)
        return self.text


# Its TSC counts instructions, 40 million a second (ips below). Linux finds 1.3 MHz by the PIT there, takes that for
# true, and is in its own eyes a machine thirty times slower, which has no time for its and its guests' timers.
BOCHS_TSC = "tsc_early_khz=40000 "

BOCHSRC = """config_interface: textconfig
display_library: rfb, options="timeout=0"
memory: guest=768, host=768
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: %smodel=%s, ips=40000000, ignore_bad_msrs=1
clock: sync=none
com1: enabled=1, mode=file, dev=%s
ata0: enabled=1
ata0-master: type=cdrom, path=%s, status=inserted
boot: cdrom
speaker: enabled=0
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
panic: action=fatal
log: %s
"""


def bochs(script, files=None, tag="", module_args="", more="", cpus=1, model="corei7_haswell_4770",
          module="kvm_intel"):
    """A Level with VT-x, or another processor's virtualization, which Bochs emulates. Its exit status says nothing; the console does."""
    assert shutil.which("bochs"), "there is no bochs: apt-get install bochs bochsbios vgabios isolinux syslinux-common xorriso"
    initrd = build(script, files or {}, module_args, module)
    d = tempfile.mkdtemp(prefix="bochs-", dir=WORK)
    cd = os.path.join(d, "cd")
    os.mkdir(cd)
    shutil.copy("/usr/lib/ISOLINUX/isolinux.bin", cd)
    shutil.copy("/usr/lib/syslinux/modules/bios/ldlinux.c32", cd)
    shutil.copy(kernel("cloud-amd64"), os.path.join(cd, "vmlinuz"))
    shutil.move(initrd, os.path.join(cd, "initrd"))
    with open(os.path.join(cd, "isolinux.cfg"), "w") as f:
        f.write("default l\nlabel l\nkernel vmlinuz\nappend initrd=initrd console=ttyS0,115200 panic=-1 "
                + ("nosmp " if cpus == 1 else "") + BOCHS_TSC + QUICK + "\n")
    iso = os.path.join(d, "l1.iso")
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", iso, "-b", "isolinux.bin", "-c", "boot.cat",
                    "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", cd], check=True)
    log = os.path.join(WORK, "nested-vmx%s.log" % tag)
    with open(os.path.join(d, "bochsrc"), "w") as f:
        f.write(BOCHSRC % ("count=%d, " % cpus if cpus > 1 else "", model, log, iso, os.path.join(d, "bochs.log")) + more)
    with open(os.path.join(d, "rc"), "w") as f:
        f.write("c\n")
    return Level("Bochs", ["bochs", "-q", "-f", "bochsrc", "-rc", "rc"], log, [d], d)


def qemu(script, files=None, module_args="", memory=1024, tag="", cpus=1, more=(), module="kvm_amd", image=None,
         append=""):
    """A Level with AMD-V, which QEMU emulates; another kernel than the usual one if `image` is one."""
    assert shutil.which("qemu-system-x86_64"), "there is no qemu-system-x86_64: apt-get install qemu-system-x86"
    initrd = build(script, files or {}, module_args, module)
    log = os.path.join(WORK, "nested-%s%s.log" % (module_args.replace("=", "-") or "default", tag))
    one = "nosmp " if cpus == 1 else ""
    cmd = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "max,+svm", "-m", str(memory),
           "-smp", str(cpus), "-display", "none", "-no-reboot", "-nodefaults", "-serial", "file:" + log,
           "-kernel", image or kernel("cloud-amd64"), "-initrd", initrd,
           "-append", "console=ttyS0 panic=-1 " + one + FIRST + append,
           *more]
    return Level("QEMU", cmd, log, [initrd])


def run(script, files=None, module_args="", limit=1500, tag=""):
    """What the first level's console said."""
    with qemu(script, files, module_args, tag=tag) as level:
        return level.finish(limit)
