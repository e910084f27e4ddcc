#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The root of `make soak`: Debian's node, Java, Perl, Python, gcc, stress-ng and what they need.

usage: tests/soak/mkroot.py ROOT INITRD

Packages with all they depend on come through APT with private state under cache/ (nothing is
installed on the host). ROOT is where the native runs are; INITRD is the same tree as an initramfs.
The kernel's modules come from the package of the kernel the guest boots.
"""
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
sys.path.insert(0, os.path.join(TOP, "tools"))
import fetch_kernels  # noqa: E402  (APT with private state)

PACKAGES = ("nodejs openjdk-17-jre-headless perl python3 gcc libc6-dev stress-ng sqlite3 openssl "
            "busybox-static kmod").split()
# Whole packages that nothing of the soak calls: the graphics behind stress-ng's GPU stressor.
UNUSED = re.compile(r"libllvm|libgl1-mesa|fonts-|fontconfig|libx11-|libz3|shared-mime|perl-doc|"
                    r"ca-certificates|openssh|libicu-dev|dpkg-dev|node-.*-dev")
PRUNE = ("usr/share/doc usr/share/man usr/share/locale usr/share/info usr/share/lintian "
         "usr/share/fonts usr/share/X11 usr/share/bug usr/lib/x86_64-linux-gnu/dri "
         "usr/lib/debug usr/share/icons usr/share/i18n usr/share/zoneinfo "
         "usr/share/gdb usr/share/stress-ng usr/share/nodejs/corepack "
         "usr/bin/x86_64-linux-gnu-lto-dump-12 usr/lib/gcc/x86_64-linux-gnu/12/lto1 usr/lib/x86_64-linux-gnu/libasan.so.8.0.0 "
         "usr/lib/jvm/java-17-openjdk-amd64/lib/ct.sym").split()
# As on an installed system: these folders are links into /usr.
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
MODULES = ("libcrc32c", "tcrypt", "loop", "crc32-pclmul", "zram", "lz4_compress", "zsmalloc")
LIMIT_MB = 900


def packages(cache):
    """Folder of the packages, downloaded once."""
    apt = fetch_kernels.Apt(cache, "amd64")
    apt.update()
    archives = os.path.join(apt.root, "cache/archives")
    fetch_kernels.say("downloading the packages of the soak's root")
    cmd = ["apt-get", *apt.opts, "install", "-y", "-q", "--download-only",
           "--no-install-recommends", *PACKAGES]
    try:
        fetch_kernels.run(cmd)
    except fetch_kernels.FetchError:
        apt.update(force=True)
        fetch_kernels.run(cmd)
    names = re.findall(r"^Inst (\S+)", fetch_kernels.run(
        ["apt-get", *apt.opts, "install", "-s", "-q", "--no-install-recommends", *PACKAGES]), re.M)
    wanted = {n.split(":")[0] for n in names if not UNUSED.match(n)}
    debs = [os.path.join(archives, d) for d in sorted(os.listdir(archives))
            if d.endswith(".deb") and d.split("_")[0] in wanted]
    return apt, debs


def unpack(deb, root):
    """Into the links of MERGED, which dpkg-deb -x would replace by folders."""
    tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "--keep-directory-symlink", "-C", root], stdin=tar.stdout,
                   check=True)
    if tar.wait():
        raise fetch_kernels.FetchError("cannot unpack " + deb)


def add_modules(apt, cache, root):
    """Some modules of the guest's kernel, from the very package its image is of."""
    kept = os.path.join(cache, "soak-modules")
    with open(os.path.join(cache, "cloud-amd64/package")) as f:
        package = f.read().strip()
    name, version = package.split("_")[:2]
    stamp = os.path.join(kept, package)
    if not os.path.exists(stamp):
        shutil.rmtree(kept, ignore_errors=True)
        os.makedirs(kept)
        fetch_kernels.run(["apt-get", *apt.opts, "download", "-q",
                           "%s=%s" % (name, version.replace("%3a", ":"))], cwd=kept)
        unpack(os.path.join(kept, os.listdir(kept)[0]), kept)
        open(stamp, "a").close()
    for folder, _, files in os.walk(os.path.join(kept, "lib/modules")):
        for n in files:
            if n.split(".ko")[0].replace("_", "-") in [m.replace("_", "-") for m in MODULES]:
                os.makedirs(os.path.join(root, "soak/modules"), exist_ok=True)
                shutil.copy(os.path.join(folder, n), os.path.join(root, "soak/modules", n))


def make(root):
    cache = os.path.join(TOP, "cache")
    for name in ("cloud-amd64", "busybox-amd64"):
        subprocess.run([sys.executable, os.path.join(TOP, "tools/fetch_kernels.py"), "--dir", cache,
                        name], check=True, stdout=subprocess.DEVNULL)
    apt, debs = packages(cache)
    shutil.rmtree(root, ignore_errors=True)
    for d in ("proc", "sys", "dev", "tmp", "root", "etc", "run", "var/tmp", "soak"):
        os.makedirs(os.path.join(root, d))
    for d in MERGED:
        os.makedirs(os.path.join(root, "usr", d))
        os.symlink("usr/" + d, os.path.join(root, d))
    for deb in debs:
        unpack(deb, root)
    for p in PRUNE:
        path = os.path.join(root, p)
        (shutil.rmtree if os.path.isdir(path) else lambda x: os.path.exists(x) and os.unlink(x))(
            path)
    if not os.path.lexists(os.path.join(root, "usr/bin/sh")):
        os.symlink("busybox", os.path.join(root, "usr/bin/sh"))
    with open(os.path.join(root, "etc/passwd"), "w") as f:
        f.write("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    with open(os.path.join(root, "etc/group"), "w") as f:
        f.write("root:x:0:\nnogroup:x:65534:\n")
    add_modules(apt, cache, root)
    add_scripts(root)


def add_scripts(root):
    source = os.path.join(TOP, "tests/soak/guest")
    for n in os.listdir(source):
        dest = os.path.join(root, "init" if n == "init.sh" else "soak/" + n)
        shutil.copyfile(os.path.join(source, n), dest)
        os.chmod(dest, 0o755)


def pack(root, initrd):
    """Not compressed: unpacking a copy is cheaper for the guest than inflating it."""
    with open(initrd + ".part", "wb") as f:
        subprocess.run("find . -path './proc/*' -prune -o -path './tmp/*' -prune -o -print | "
                       "LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet",
                       shell=True, cwd=root, stdout=f, check=True)
    size = os.path.getsize(initrd + ".part") >> 20
    if size > LIMIT_MB:
        raise fetch_kernels.FetchError("the root has %d MB: more than a guest of 2 GB takes" % size)
    os.rename(initrd + ".part", initrd)


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        make(sys.argv[1])
        pack(sys.argv[1], sys.argv[2])
    except (fetch_kernels.FetchError, OSError, subprocess.CalledProcessError) as e:
        print("soak: cannot make the guest's root: %s" % e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
