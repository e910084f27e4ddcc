#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetch what builds modules for a Debian kernel in cache/: headers, Kbuild, of the very version of its image.

Nothing is installed: the packages are unpacked into cache/NAME-headers/, and the one absolute path in them is
made a relative one.

usage: tools/fetch_headers.py [--dir cache] [NAME]      (default: cloud-amd64)
Result: the folder for KDIR= is printed.
"""
import argparse
import fcntl
import glob
import os
import re
import shutil
import subprocess
import sys

import fetch_kernels as fk

STAMP = "package"


def packages(apt, image, version, arch):
    """Headers of this image and all they need that is built from the same source, each with its version."""
    flavour = image.replace("linux-image-", "linux-headers-", 1)
    names = [flavour]
    out = fk.run(["apt-cache", *apt.opts, "depends", "--important", "%s=%s" % (flavour, version)])
    for n in re.findall(r"Depends: (\S+)", out):
        if re.match(r"linux-(headers-.*-common|kbuild-)", n):
            names.append(n)
    return ["%s=%s" % (n, version) for n in names]


def localize(arch_dir):
    """The one absolute path, as dpkg would have made it true: relative, so that cache/ can be anywhere."""
    path = os.path.join(arch_dir, "Makefile")
    with open(path) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(text.replace("/usr/src/", "$(dir $(lastword $(MAKEFILE_LIST)))../"))


def fetch(cache, name):
    fk.fetch(cache, name, {})
    folder = os.path.realpath(os.path.join(cache, name + "-headers"))
    stamp = os.path.join(folder, STAMP)
    with open(os.path.join(cache, name, "package")) as f:
        package = f.read().strip()
    image, version, arch = package[:-len(".deb")].split("_")
    kdir = os.path.join(folder, "usr/src", image.replace("linux-image-", "linux-headers-", 1))
    if os.path.exists(stamp):
        with open(stamp) as f:
            if f.read().strip() == package:
                return kdir
    version = version.replace("%3a", ":")
    apt = fk.Apt(cache, arch, fk.suite(name))
    apt.update()
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for p in packages(apt, image, version, arch):
        apt.download(p, folder)
    for deb in glob.glob(os.path.join(folder, "*.deb")):
        subprocess.run(["dpkg-deb", "-x", deb, folder], check=True)
        os.unlink(deb)
    localize(kdir)
    with open(stamp, "w") as f:
        f.write(package + "\n")
    return kdir


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--dir", default=os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "cache"))
    ap.add_argument("name", nargs="?", default="cloud-amd64")
    a = ap.parse_args()
    os.makedirs(a.dir, exist_ok=True)
    with open(os.path.join(a.dir, ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            print(fetch(a.dir, a.name))
        except (fk.FetchError, OSError, subprocess.SubprocessError) as e:
            print("fetch: %s headers: %s\nfetch: the network or the mirror may be down; run it again" % (a.name, e),
                  file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
