#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The root of `make bench`: Debian's own programs with their libraries, and what they work on.

usage: bench/mkroot.py ROOT INITRD BUSYBOX FILE…     (files go to /bin of the root)

Packages are fetched into cache/bench (APT with private state, nothing is installed) and only what
the lines of bench/programs/real.c run is taken from them, libraries by what the binaries name as
needed. ROOT is what the native runs are in; INITRD is the same tree as an initramfs.
"""
import os
import re
import shutil
import subprocess
import sys

import gendata

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(TOP, "tools"))
import fetch_kernels  # noqa: E402  (APT with private state)

PACKAGES = ("gzip xz-utils zstd coreutils cpp-12 perl-base python3.11-minimal sqlite3 "
            "libpython3.11-minimal libc6 libgcc-s1 libstdc++6 zlib1g liblzma5 libzstd1 liblz4-1 "
            "libssl3 libisl23 libmpc3 libmpfr6 libgmp10 libcrypt1 libexpat1 libsqlite3-0 "
            "libreadline8 libtinfo6").split()
PROGRAMS = {"bin/gzip": "bin/gzip", "usr/bin/xz": "bin/xz", "usr/bin/zstd": "bin/zstd",
            "usr/bin/sort": "bin/sort", "usr/bin/perl": "bin/perl",
            "usr/bin/python3.11": "bin/python3", "usr/bin/sqlite3": "bin/sqlite3",
            "usr/lib/gcc/x86_64-linux-gnu/12/cc1": "bin/cc1"}
PERL_LIB = "usr/lib/x86_64-linux-gnu/perl-base/strict.pm"
PYTHON_LIB = "usr/lib/python3.11"
ENCODINGS = ("__init__.py", "aliases.py", "ascii.py", "latin_1.py", "utf_8.py")
LIBRARY_FOLDERS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
LOADER = "lib64/ld-linux-x86-64.so.2"


def fetch(cache):
    """Unpack PACKAGES into cache/tree, once; returns the tree and the packages' file names."""
    tree, stamp = os.path.join(cache, "tree"), os.path.join(cache, "packages")
    if os.path.exists(stamp):
        with open(stamp) as f:
            have = f.read().split("\n")
        if have[0] == " ".join(PACKAGES):
            return tree, have[1:]
    shutil.rmtree(cache, ignore_errors=True)
    debs = os.path.join(cache, "debs")
    os.makedirs(debs)
    apt = fetch_kernels.Apt(os.path.join(TOP, "cache"), "amd64")
    apt.update()
    fetch_kernels.say("downloading %d packages for the benchmark" % len(PACKAGES))
    for attempt in (1, 2):
        try:
            fetch_kernels.run(["apt-get", *apt.opts, "download", "-q", *PACKAGES], cwd=debs)
            break
        except fetch_kernels.FetchError:
            if attempt == 2:
                raise
            apt.update(force=True)
    names = sorted(os.listdir(debs))
    for n in names:
        subprocess.run(["dpkg-deb", "-x", os.path.join(debs, n), tree], check=True)
    shutil.rmtree(debs)
    with open(stamp, "w") as f:
        f.write("\n".join([" ".join(PACKAGES)] + names))
    return tree, names


def needed(path):
    out = subprocess.run(["objdump", "-p", path], stdout=subprocess.PIPE, check=True).stdout
    return re.findall(r"^ +NEEDED +(\S+)$", out.decode(), re.M)


def find_library(tree, name):
    for folder in LIBRARY_FOLDERS:
        path = os.path.join(tree, folder, name)
        if os.path.exists(path):
            return os.path.realpath(path)
    raise fetch_kernels.FetchError("no package of bench/mkroot.py holds the library " + name)


def copy_libraries(tree, root, binaries):
    done, todo = set(), [n for b in binaries for n in needed(b)]
    while todo:
        name = todo.pop()
        if name in done:
            continue
        done.add(name)
        source = find_library(tree, name)
        where = LOADER if name == os.path.basename(LOADER) else LIBRARY_FOLDERS[0] + "/" + name
        install(source, os.path.join(root, where))
        todo += needed(source)
    install(find_library(tree, os.path.basename(LOADER)), os.path.join(root, LOADER))


def install(source, dest, mode=0o755):
    os.makedirs(os.path.dirname(dest), exist_ok=True)
    shutil.copyfile(source, dest)
    os.chmod(dest, mode)


def python_library(tree, root):
    """Compiled beforehand, as installing the package does, and not checked against the source."""
    source = os.path.join(tree, PYTHON_LIB)
    for folder, _, files in os.walk(source):
        for n in files:
            if folder.endswith("/encodings") and n not in ENCODINGS:
                continue
            rel = os.path.relpath(os.path.join(folder, n), source)
            dest = os.path.join(root, PYTHON_LIB, rel)
            install(os.path.join(folder, n), dest, 0o644)
    python = os.path.join(root, "bin/python3")
    loader = [os.path.join(root, LOADER), "--library-path",
              os.path.join(root, LIBRARY_FOLDERS[0]), python]
    subprocess.run(loader + ["-E", "-S", "-s", "-m", "compileall", "-q", "--invalidation-mode",
                             "unchecked-hash", os.path.join(root, PYTHON_LIB)],
                   env={"PYTHONHOME": os.path.join(root, "usr")}, check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make(root, busybox, files, cache):
    tree, _ = fetch(cache)
    shutil.rmtree(root, ignore_errors=True)
    for d in ("bin", "proc", "sys", "dev", "tmp", "root", "etc", "bench"):
        os.makedirs(os.path.join(root, d))
    for source, dest in PROGRAMS.items():
        install(os.path.realpath(os.path.join(tree, source)), os.path.join(root, dest))
    install(busybox, os.path.join(root, "bin/busybox"))
    os.symlink("busybox", os.path.join(root, "bin/sh"))
    for f in files:
        install(f, os.path.join(root, "bin", os.path.basename(f)))
    install(os.path.join(TOP, "bench/init.sh"), os.path.join(root, "init"))
    dynamic = [os.path.join(root, d) for d in PROGRAMS.values()] + \
        [os.path.join(root, "bin", os.path.basename(f)) for f in files]
    copy_libraries(tree, root, dynamic)
    install(os.path.join(tree, PERL_LIB), os.path.join(root, PERL_LIB), 0o644)
    python_library(tree, root)
    guest = os.path.join(TOP, "bench/guest")
    for n in os.listdir(guest):
        install(os.path.join(guest, n), os.path.join(root, "bench", n), 0o644)
    gendata.write_all(os.path.join(root, "bench"))
    key = subprocess.run([next(f for f in files if "crypto" in f), "keygen"], check=True,
                         stdout=subprocess.PIPE).stdout
    with open(os.path.join(root, "bench/key.pem"), "wb") as f:
        f.write(key)


def pack(root, initrd):
    """Not compressed: unpacking a copy is cheaper for the guest than inflating it."""
    with open(initrd + ".part", "wb") as f:
        subprocess.run("find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet",
                       shell=True, cwd=root, stdout=f, check=True)
    os.rename(initrd + ".part", initrd)


def main():
    if len(sys.argv) < 4:
        print(__doc__, file=sys.stderr)
        return 2
    root, initrd, busybox = sys.argv[1:4]
    try:
        make(root, busybox, sys.argv[4:], os.path.join(TOP, "cache/bench"))
        pack(root, initrd)
    except (fetch_kernels.FetchError, OSError, subprocess.CalledProcessError) as e:
        print("bench: cannot make the guest's root: %s" % e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
