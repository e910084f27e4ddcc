# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules of a Debian kernel in cache/, from the very package its image is of, in the order to load."""
import fcntl
import os
import re
import shutil
import subprocess
import sys

from vm import TOP, kernel

sys.path.insert(0, os.path.join(TOP, "tools"))
import fetch_kernels  # noqa: E402

# What of lib/modules is kept, below kernel/.
KEEP = ("drivers/ata", "drivers/virtio", "drivers/net", "drivers/nvme", "drivers/scsi",
        "drivers/block", "drivers/cdrom", "fs/ext4",
        "fs/jbd2", "fs/isofs", "fs/fat", "fs/nls", "fs/mbcache.ko", "lib", "crypto", "arch/x86/crypto",
        "drivers/usb/storage", "drivers/usb/core", "drivers/usb/common", "block",
        "drivers/gpu/drm/drm.ko", "drivers/gpu/drm/drm_kms_helper.ko",
        "drivers/gpu/drm/drm_vram_helper.ko", "drivers/gpu/drm/drm_ttm_helper.ko",
        "drivers/gpu/drm/ttm", "drivers/gpu/drm/tiny/bochs.ko",
        "drivers/gpu/drm/drm_shmem_helper.ko", "drivers/gpu/drm/virtio", "drivers/media/cec/core",
        "drivers/media/rc/rc-core.ko", "drivers/acpi/button.ko", "drivers/input", "drivers/hid", "drivers/usb/host", "drivers/char/hw_random", "drivers/char/virtio_console.ko", "fs/9p", "fs/netfs",
        "fs/fscache", "fs/fuse", "arch/x86/kvm", "virt/lib", "net/9p", "net/vmw_vsock", "net/core")


def folder(name):
    """cache/NAME-modules: the modules of that kernel; fetched once."""
    cache = os.path.join(TOP, "cache")
    out = os.path.join(cache, name + "-modules")
    kernel(name)
    with open(os.path.join(cache, ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Fetched by another list: more is added, and nothing taken from a test that reads it now.
        stamp = os.path.join(out, "keep")
        have = set()
        if os.path.exists(stamp):
            with open(stamp) as f:
                have = set(f.read().split())
        if have >= set(KEEP):
            return out
        with open(os.path.join(cache, name, "package")) as f:
            package, version, arch = f.read().strip()[:-len(".deb")].split("_")
        work = out + ".part"
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
        apt = fetch_kernels.Apt(cache, arch)
        apt.update()
        apt.download("%s=%s" % (package, version.replace("%3a", ":")), work)
        deb = os.path.join(work, os.listdir(work)[0])
        tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", work, "--wildcards",
                        *["./lib/modules/*/kernel/" + k for k in KEEP]], stdin=tar.stdout,
                       stderr=subprocess.DEVNULL, check=False)
        tar.wait()
        os.unlink(deb)
        shutil.copytree(work, out, dirs_exist_ok=True)
        shutil.rmtree(work)
        with open(stamp, "w") as f:
            f.write(" ".join(sorted(have | set(KEEP))))
    return out


def info(path):
    """Depends and soft dependencies of a module, from its .modinfo section."""
    with open(path, "rb") as f:
        data = f.read()
    found = []
    for m in re.finditer(rb"\0(?:depends=([^\0]*)|softdep=pre: ([^\0]*))(?=\0)", data):
        found += re.split(r"[ ,]+", (m.group(1) or m.group(2) or b"").decode())
    return [n for n in found if n]


def modules(name, *wanted):
    """Paths of modules `wanted` of kernel `name` and of all they need, those first."""
    where = {}
    for top, _, files in os.walk(folder(name)):
        for n in files:
            if n.endswith(".ko"):
                where[n[:-3].replace("-", "_")] = os.path.join(top, n)
    order, seen = [], set()

    def visit(n, needed):
        n = n.replace("-", "_")
        if n in seen:
            return
        seen.add(n)
        if n not in where:
            # Built into the kernel, or an alias that a soft dependency names.
            assert not needed, "kernel %s has no module %s" % (name, n)
            return
        for d in info(where[n]):
            visit(d, False)
        order.append(where[n])

    for n in wanted:
        visit(n, True)
    return order
