# SPDX-License-Identifier: GPL-2.0-or-later
"""What a second-level Debian guest needs in the first level."""
import hashlib
import os
import subprocess
import tempfile

from modules import modules
from vm import TOP, WORK, kernel

DISK = """
dd if=/l2/pattern of=/tmp/disk.img bs=64k 2>/dev/null
dd if=/dev/zero of=/tmp/disk.img bs=64k seek=4 count=28 2>/dev/null
"""


def pattern(folder):
    data = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(8192))
    path = os.path.join(folder, "pattern")
    with open(path, "wb") as f:
        f.write(data)
    return path, hashlib.md5(data).hexdigest()


def l2_files(*more):
    """`more` goes into its /bin. What the first level needs for a second one; the disk's checksum; a folder to remove."""
    os.makedirs(WORK, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="l2-", dir=WORK)
    path, md5 = pattern(folder)
    initrd = os.path.join(folder, "initrd")
    # In the order of their names: that of loading.
    mods = []
    for i, m in enumerate(modules("cloud-amd64", "virtio_pci", "virtio_blk", "virtio_net")):
        link = os.path.join(folder, "%02d-%s" % (i, os.path.basename(m)))
        os.symlink(m, link)
        mods.append(link)
    subprocess.run(["sh", os.path.join(TOP, "tools/mkinitramfs.sh"), initrd, kernel("busybox-amd64"),
                    os.path.join(TOP, "tools/guest_init.sh"), os.path.join(TOP, "tests/kvm/l2.sh"), *more, *mods],
                   check=True)
    files = {"l2/vmlinuz": kernel("cloud-amd64"), "l2/initrd": initrd, "l2/pattern": path}
    return files, md5, folder
