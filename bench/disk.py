#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Disk requests through virtio-blk, Lodge against QEMU's TCG: same guest, same image, taking turns.

usage: bench/disk.py [--rounds N] [--seconds S] [--cache MODE] [--format raw|qcow2] [--lodge-only]
       bench/disk.py --convert [--rounds N] [--mib N]

For each case: requests a second (the guest's clock), host CPU of the whole process for a request (/proc),
and of its threads other than the vCPU's. Ratios are Lodge / QEMU: more is better for requests, less for CPU.

--convert: `lodge img convert` against `qemu-img convert`, taking turns, of an image with programs, libraries, random
bytes and zeros; medians of seconds and of CPU seconds, ratios QEMU / Lodge: more is better.
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


def make_mixed(work, mib):
    """What is on disks: three quarters files of this host, some random bytes, the rest zeros."""
    path, left = os.path.join(work, "mixed.raw"), (mib << 20) * 3 // 4
    with open(path, "wb") as out:
        for folder, _, names in os.walk("/usr/lib"):
            for name in sorted(names):
                file = os.path.join(folder, name)
                if left <= 0 or os.path.islink(file) or not os.path.isfile(file):
                    continue
                with open(file, "rb") as f:
                    left -= out.write(f.read(left))
        out.write(os.urandom((mib << 20) // 16))
        out.truncate(mib << 20)
    return path


CONVERT = {"raw to raw": ([], "raw", "raw"), "raw to qcow2": ([], "raw", "qcow2"),
           "qcow2 to raw": ([], "qcow2", "raw"), "raw to qcow2 -c": (["-c"], "raw", "qcow2"),
           "raw to qcow2 -c zstd": (["-c", "-o", "compression_type=zstd"], "raw", "qcow2"),
           "qcow2 -c to raw": ([], "packed", "raw")}


def convert_once(args):
    """Seconds, and CPU seconds, of one command."""
    before, t = os.times(), time.monotonic()
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL)
    took, after = time.monotonic() - t, os.times()
    return (took, after.children_user + after.children_system -
            before.children_user - before.children_system)


def bench_convert(work, rounds, mib):
    raw, out = make_mixed(work, mib), os.path.join(work, "out")
    tools = {"lodge": [os.path.join(TOP, "build/lodge"), "img"], "qemu": ["qemu-img"]}
    src = {"raw": raw, "qcow2": raw + ".qcow2", "packed": raw + ".packed"}
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, src["qcow2"]], check=True)
    subprocess.run(["qemu-img", "convert", "-c", "-O", "qcow2", raw, src["packed"]], check=True)
    print("convert, %d MiB, %d rounds" % (mib, rounds))
    print("%-22s %8s %8s %6s   %8s %8s %6s   %6s" %
          ("case", "lodge s", "qemu s", "ratio", "cpu s", "qemu", "ratio", "size"))
    for case, (options, kind, fmt) in CONVERT.items():
        runs, size = {w: [] for w in tools}, {}
        for n in range(rounds):
            for w in sorted(tools, reverse=n % 2):
                subprocess.run(["sync"], check=True)
                runs[w].append(convert_once([*tools[w], "convert", *options, "-f",
                                             "raw" if kind == "raw" else "qcow2", "-O", fmt, src[kind], out]))
                size[w] = os.stat(out).st_blocks
                os.unlink(out)
        (a, ac), (b, bc) = [[statistics.median(r[k] for r in runs[w]) for k in range(2)] for w in ("lodge", "qemu")]
        print("%-22s %8.2f %8.2f %6.2f   %8.2f %8.2f %6.2f   %6.3f" %
              (case, a, b, b / a, ac, bc, bc / ac, size["lodge"] / size["qemu"]), flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--seconds", default="1")
    ap.add_argument("--cache", default="none")
    ap.add_argument("--format", default="raw")
    ap.add_argument("--mib", type=int, default=256)
    ap.add_argument("--dir", help="where the image is made", default="/var/tmp")
    ap.add_argument("--lodge-only", action="store_true")
    ap.add_argument("--convert", action="store_true", help="lodge img convert against qemu-img")
    o = ap.parse_args()
    work = tempfile.mkdtemp(prefix="lodge-disk-", dir=o.dir)
    try:
        if o.convert:
            bench_convert(work, o.rounds, o.mib)
            return
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
