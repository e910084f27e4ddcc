#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Disk requests through virtio-blk, Lodge against QEMU's TCG: same guest, same image, taking turns.

usage: bench/disk.py [--rounds N] [--seconds S] [--cache MODE] [--format raw|qcow2] [--only PART] [--lodge-only]

For each case: requests a second (the guest's clock), host CPU of the whole process for a request (/proc),
and of its threads other than the vCPU's. Ratios are Lodge / QEMU: more is better for requests, less for CPU.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(TOP, "tests/system"))
from modules import modules  # noqa: E402
from vm import kernel  # noqa: E402

KERNEL = "cloud-amd64"
TICK = os.sysconf("SC_CLK_TCK")
SCRIPT = """#!/bin/busybox sh
for m in $(cat /bin/modules); do insmod /bin/$m; done
n=0
while [ ! -b /dev/vda ] && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
disk /dev/vda %s
"""


def build_initrd(work, seconds):
    program = os.path.join(work, "disk")
    subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-static", "-o", program, os.path.join(TOP, "bench/guest/disk.c")],
                   check=True)
    mods = modules(KERNEL, "virtio_pci", "virtio_blk")
    with open(os.path.join(work, "modules"), "w") as f:
        f.write(" ".join(os.path.basename(m) for m in mods))
    with open(os.path.join(work, "rundisk"), "w") as f:
        f.write(SCRIPT % seconds)
    out = os.path.join(work, "initrd")
    subprocess.run(["sh", os.path.join(TOP, "tools/mkinitramfs.sh"), out, kernel("busybox-amd64"),
                    os.path.join(TOP, "tools/guest_init.sh"), program,
                    os.path.join(work, "modules"), os.path.join(work, "rundisk"), *mods], check=True)
    return out


def cpu_seconds(pid):
    """CPU of the process, and of its threads that run no vCPU."""
    total = other = 0.0
    for tid in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/stat" % (pid, tid)) as f:
                text = f.read()
            with open("/proc/%d/task/%s/schedstat" % (pid, tid)) as f:
                used = int(f.read().split()[0]) / 1e9
        except OSError:
            continue
        name = text[text.index("(") + 1:text.rindex(")")]
        total += used
        if not name.lower().startswith(("vcpu", "cpu ")):
            other += used
    return total, other


def run(args):
    """{case: (requests a second, CPU us a request, of that not the vCPU's)}"""
    found, before = {}, None
    p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True, errors="replace")
    for line in p.stdout:
        words = line.split()
        if words[:1] == ["begin"] and len(words) == 2:
            before = cpu_seconds(p.pid)
        elif words[:1] == ["end"] and len(words) == 4 and before:
            after = cpu_seconds(p.pid)
            n, ns = int(words[2]), int(words[3])
            found[words[1]] = (n * 1e9 / ns, (after[0] - before[0]) * 1e6 / n,
                               (after[1] - before[1]) * 1e6 / n)
        elif words[:1] == ["disk:"]:
            print(line, end="", file=sys.stderr)
    p.wait()
    return found


def commands(image, cache, fmt, initrd, append):
    common = ["-m", "256M", "-smp", "1", "-nographic", "-no-reboot", "-kernel", kernel(KERNEL),
              "-initrd", initrd, "-append", append]
    drive = "if=virtio,format=%s,file=%s,cache=%s" % (fmt, image, cache)
    lodge = os.environ.get("LODGE", os.path.join(TOP, "build/lodge") + " run").split()
    return {"lodge": [*lodge, *common, "-drive", drive],
            "qemu": ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-net", "none", "-name",
                     "disk,debug-threads=on", *common,
                     "-drive", drive + ",aio=io_uring"]}


def make_image(work, fmt, mib):
    """All of it written, so that no request allocates."""
    path = os.path.join(work, "image." + fmt)
    if fmt == "raw":
        with open(path, "wb") as f:
            for _ in range(mib):
                f.write(os.urandom(4096) * 256)
            f.flush()
            os.fsync(f.fileno())
    else:
        raw = make_image(work, "raw", mib)
        subprocess.run(["qemu-img", "convert", "-O", fmt, raw, path], check=True)
        os.unlink(raw)
    return path


def report(results):
    print("%-22s %9s %9s %6s   %7s %7s %6s   %6s %6s" %
          ("case", "lodge/s", "qemu/s", "ratio", "us cpu", "qemu", "ratio", "no vcpu", "qemu"))
    ratios, cpus = [], []
    for case in results["lodge"][0]:
        row = {w: [statistics.median(r[case][k] for r in results[w] if case in r) for k in range(3)]
               for w in results if results[w] and case in results[w][0]}
        if "qemu" not in row:
            print("%-22s %9.0f %28.1f %26.1f" % (case, *row["lodge"]))
            continue
        a, b = row["lodge"], row["qemu"]
        ratios.append(a[0] / b[0])
        cpus.append(a[1] / b[1])
        print("%-22s %9.0f %9.0f %6.2f   %7.1f %7.1f %6.2f   %6.1f %6.1f" %
              (case, a[0], b[0], ratios[-1], a[1], b[1], cpus[-1], a[2], b[2]))
    if ratios:
        print("geometric means: requests %.2f, CPU a request %.2f" %
              (statistics.geometric_mean(ratios), statistics.geometric_mean(cpus)))


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--seconds", default="1")
    ap.add_argument("--cache", default="none")
    ap.add_argument("--format", default="raw")
    ap.add_argument("--mib", type=int, default=256)
    ap.add_argument("--dir", help="where the image is made", default="/var/tmp")
    ap.add_argument("--lodge-only", action="store_true")
    o = ap.parse_args()
    work = tempfile.mkdtemp(prefix="lodge-disk-", dir=o.dir)
    try:
        initrd = build_initrd(work, o.seconds)
        image = make_image(work, o.format, o.mib)
        cmds = commands(image, o.cache, o.format, initrd,
                        "console=ttyS0 quiet cryptomgr.notests lodge.cmd=rundisk")
        if o.lodge_only:
            del cmds["qemu"]
        results = {w: [] for w in cmds}
        for n in range(o.rounds):
            for w in cmds:
                t = time.time()
                results[w].append(run(cmds[w]))
                print("round %d, %s: %d cases, %.0f s" %
                      (n + 1, w, len(results[w][-1]), time.time() - t), file=sys.stderr)
        print("virtio-blk, %s, cache=%s, %d rounds of %s s a case" %
              (o.format, o.cache, o.rounds, o.seconds))
        report(results)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
