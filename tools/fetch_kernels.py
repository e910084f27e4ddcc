#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetch guest kernels and busybox from Debian's archive into cache/, and unpack what tests boot.

Nothing is installed, and the host's dpkg and APT state are not touched: APT runs with private
directories under cache/apt/ARCH, so that i386 packages can be had on an amd64 host.

usage: tools/fetch_kernels.py [--dir cache] NAME...      (--list prints the names)
Result: cache/NAME/… ; the path of the one file that matters is printed for each NAME.
A second run takes everything from cache/.
"""
import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys

# name: (architecture, package or metapackage, pattern of the real package, file wanted, kept as)
ITEMS = {
    "cloud-amd64": ("amd64", "linux-image-cloud-amd64", r"linux-image-\d.*-cloud-amd64$",
                    r"\./boot/vmlinuz-.*", "vmlinuz"),
    # Of Debian's backports, for kmod/ alone.
    "cloud-amd64-backports": ("amd64", "linux-image-cloud-amd64", r"linux-image-\d.*-cloud-amd64$",
                              r"\./boot/vmlinuz-.*", "vmlinuz"),
    "amd64": ("amd64", "linux-image-amd64", r"linux-image-\d.*-amd64$",
              r"\./boot/vmlinuz-.*", "vmlinuz"),
    "686": ("i386", "linux-image-686", r"linux-image-\d.*-686$", r"\./boot/vmlinuz-.*", "vmlinuz"),
    "686-pae": ("i386", "linux-image-686-pae", r"linux-image-\d.*-686-pae$",
                r"\./boot/vmlinuz-.*", "vmlinuz"),
    "gnumach": ("i386", "gnumach-image-1.8-486", None, r"\./boot/gnumach-.*\.gz", "gnumach.gz"),
    "memtest": ("amd64", "memtest86+", None, r"\./boot/memtest86\+x64\.bin", "memtest.bin"),
    "memtest-efi": ("amd64", "memtest86+", None, r"\./boot/memtest86\+x64\.efi", "memtest.efi"),
    "linuxboot": ("amd64", "qemu-system-data", None, r"\./usr/share/qemu/linuxboot_dma\.bin",
                  "linuxboot_dma.bin"),
    "memdisk": ("amd64", "syslinux-common", None, r"\./usr/lib/syslinux/memdisk", "memdisk"),
    "grub-floppy": ("amd64", "grub-rescue-pc", None,
                    r"\./usr/lib/grub-rescue/grub-rescue-floppy\.img", "grub.img"),
    "grub-cd": ("amd64", "grub-rescue-pc", None,
                r"\./usr/lib/grub-rescue/grub-rescue-cdrom\.iso", "grub.iso"),
    "busybox-amd64": ("amd64", "busybox-static", None, r"\./bin/busybox", "busybox"),
    "busybox-i386": ("i386", "busybox-static", None, r"\./bin/busybox", "busybox"),
}


def suite(name):
    """Where a kernel is from, if not where the host's packages are."""
    return "bookworm-backports" if name.endswith("-backports") else None


class FetchError(Exception):
    pass


def run(cmd, **kw):
    r = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       stdin=subprocess.DEVNULL, check=False, **kw)
    if r.returncode:
        raise FetchError("%s failed:\n%s" % (" ".join(cmd[:1] + cmd[-2:]), r.stdout[-3000:]))
    return r.stdout


def debian_sources(dest):
    """Copy those of the host's APT sources that are Debian's (or a mirror's), and no others."""
    found = []
    paths = ["/etc/apt/sources.list"]
    parts = "/etc/apt/sources.list.d"
    if os.path.isdir(parts):
        paths += [os.path.join(parts, n) for n in sorted(os.listdir(parts))]
    for p in paths:
        if not os.path.isfile(p) or not p.endswith((".list", ".sources")):
            continue
        with open(p) as f:
            text = f.read()
        live = "\n".join(l for l in text.splitlines() if not l.lstrip().startswith("#"))
        if re.search(r"/debian(-security)?/?(\s|$)", live):
            found.append((os.path.basename(p), text))
    if not found:
        found = [("debian.list", "deb http://deb.debian.org/debian bookworm main\n")]
    for name, text in found:
        with open(os.path.join(dest, name), "w") as f:
            f.write(text)


class Apt:
    """APT with private state for one architecture; of one suite, or of the host's."""

    def __init__(self, cache, arch, only=None):
        self.root = os.path.join(os.path.abspath(cache), "apt", arch + ("-" + only if only else ""))
        for d in ("lists/partial", "cache/archives/partial", "sources.d"):
            os.makedirs(os.path.join(self.root, d), exist_ok=True)
        status = os.path.join(self.root, "status")
        open(status, "a").close()
        if only:
            with open(os.path.join(self.root, "sources.d/only.list"), "w") as f:
                f.write("deb http://deb.debian.org/debian %s main\n" % only)
        else:
            debian_sources(os.path.join(self.root, "sources.d"))
        opts = {
            "APT::Architecture": arch, "APT::Architectures": arch,
            "Dir::State": self.root, "Dir::State::status": status,
            "Dir::State::lists": self.root + "/lists", "Dir::Cache": self.root + "/cache",
            "Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": self.root + "/sources.d",
            "Dir::Etc::preferencesparts": "/dev/null", "Acquire::Languages": "none",
            "APT::Sandbox::User": "root", "Acquire::Retries": "3",
        }
        self.opts = [x for k, v in opts.items() for x in ("-o", "%s=%s" % (k, v))]
        self.updated = False

    def update(self, force=False):
        """One list out of several may fail (a mirror in the middle of its sync): go on without."""
        if self.updated or (self.lists() and not force):
            return
        say("fetching the package lists for %s" % os.path.basename(self.root))
        self.updated = True
        try:
            run(["apt-get", *self.opts, "update", "-q"])
        except FetchError:
            if not self.lists():
                raise

    def lists(self):
        return [n for n in os.listdir(self.root + "/lists") if "_Packages" in n]

    def resolve(self, package, pattern):
        """A metapackage names the real one among its dependencies."""
        if pattern is None:
            return package
        out = run(["apt-cache", *self.opts, "depends", "--important", package])
        names = re.findall(r"Depends: (\S+)", out)
        for n in names:
            if re.match(pattern, n):
                return n
        raise FetchError("%s depends on %s: no kernel package among them" % (package, names))

    def download(self, package, dest):
        say("downloading %s" % package)
        for attempt in (1, 2):
            try:
                run(["apt-get", *self.opts, "download", "-q", package], cwd=dest)
                return
            except FetchError:
                if attempt == 2:
                    raise
                self.update(force=True)


def say(text):
    print("fetch: " + text, file=sys.stderr, flush=True)


def extract(deb, pattern, out):
    """Take the one file whose name matches from the package."""
    tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    names = subprocess.run(["tar", "-t"], stdin=tar.stdout, stdout=subprocess.PIPE, text=True,
                           check=True).stdout.split("\n")
    tar.wait()
    hits = [n for n in names if re.fullmatch(pattern, n)]
    if len(hits) != 1:
        raise FetchError("%s holds %d files like %s" % (deb, len(hits), pattern))
    tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    with open(out + ".part", "wb") as f:
        subprocess.run(["tar", "-x", "-O", hits[0]], stdin=tar.stdout, stdout=f, check=True)
    tar.wait()
    os.rename(out + ".part", out)


def fetch(cache, name, apts):
    arch, package, pattern, wanted, kept = ITEMS[name]
    folder = os.path.join(cache, name)
    result = os.path.join(folder, kept)
    if os.path.exists(result):
        return result
    key = (arch, suite(name))
    if key not in apts:
        apts[key] = Apt(cache, *key)
    apt = apts[key]
    apt.update()
    os.makedirs(folder, exist_ok=True)
    real = apt.resolve(package, pattern)
    work = os.path.join(folder, "deb")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    apt.download(real, work)
    debs = os.listdir(work)
    with open(os.path.join(folder, "package"), "w") as f:
        f.write("\n".join(debs) + "\n")
    extract(os.path.join(work, debs[0]), wanted, result)
    if kept == "busybox":
        os.chmod(result, 0o755)
    shutil.rmtree(work)
    return result


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--dir", default=os.path.join(os.path.dirname(__file__), "..", "cache"))
    ap.add_argument("--list", action="store_true")
    ap.add_argument("names", nargs="*")
    a = ap.parse_args()
    if a.list:
        print("\n".join(ITEMS))
        return 0
    unknown = [n for n in a.names if n not in ITEMS]
    if unknown:
        print("fetch: no such kernel: %s (known: %s)" % (" ".join(unknown), " ".join(ITEMS)),
              file=sys.stderr)
        return 1
    os.makedirs(a.dir, exist_ok=True)
    apts = {}
    with open(os.path.join(a.dir, ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests in parallel may want the same kernel
        for n in a.names:
            try:
                print(os.path.normpath(fetch(a.dir, n, apts)), flush=True)
            except (FetchError, OSError, subprocess.SubprocessError) as e:
                print("fetch: %s: %s\nfetch: the network or the mirror may be down; "
                      "run it again" % (n, e), file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
