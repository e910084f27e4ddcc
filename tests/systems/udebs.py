# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of Debian's mirror that an installer loads itself from, on a loopback port.

It has an index of its own, of only those components that an installation onto one ext4 disk needs: that keeps
it short, and independent of what a mirror that is behind does not have just now. A component of programs
that is missing is packed anew out of the Debian package with the same programs. Everything else is a
redirection to the mirror.
"""
import contextlib
import functools
import gzip
import hashlib
import http.server
import lzma
import os
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request

MIRROR = "http://deb.debian.org/debian"
SUITE = "udebs"  # what the index is called here
ROOTS = ("base-installer", "bootstrap-base", "apt-setup-udeb", "clock-setup", "finish-install",
         "grub-installer", "partman-auto", "partman-basicfilesystems", "partman-ext3", "pkgsel",
         "tzsetup-udeb", "user-setup-udeb")
MODULES = ("ext4-modules", "scsi-modules")
# Asked for, and of no use on one empty disk.
NEEDLESS = {"ntfs-3g-udeb", "os-prober-udeb"}
PACK = {"e2fsprogs-udeb": ("e2fsprogs", "libext2fs2t64", "libext2fs2", "libcom-err2", "libss2")}


class Missing(Exception):
    """The mirror's index does not have a component that is needed."""


def fetch(path):
    with urllib.request.urlopen(MIRROR + "/" + path, timeout=60) as r:
        return r.read()


def there(path):
    try:
        with urllib.request.urlopen(urllib.request.Request(MIRROR + "/" + path, method="HEAD"),
                                    timeout=60):
            return True
    except urllib.error.HTTPError:
        return False


def paragraphs(text):
    """Each paragraph of a file of packages: name to value, the first line of each."""
    for p in text.strip().split("\n\n"):
        yield dict(re.findall(r"^([A-Z][A-Za-z0-9-]*): (.*)$", p, re.M)), p


def names(field):
    """The alternatives of each relation, without versions."""
    return [[a.split("(")[0].split("[")[0].strip() for a in r.split("|")]
            for r in field.split(",") if r.strip()]


def in_initrd(initrd):
    """What the installer's initramfs holds already, and its kernel's version."""
    with gzip.open(initrd) as f:
        data = f.read()
    status = subprocess.run(["cpio", "-i", "--quiet", "--to-stdout", "var/lib/dpkg/status"],
                            input=data, stdout=subprocess.PIPE, check=True).stdout.decode()
    have = set()
    for p, _ in paragraphs(status):
        have |= {p["Package"]} | {a for r in names(p.get("Provides", "")) for a in r}
    (version,) = {m for h in have for m in re.findall(r"^kernel-image-(.+)-di$", h)}
    return have, version


def needed(index, have, version):
    """ROOTS and MODULES with all that they depend on, as name to paragraph."""
    of, providers = {}, {}
    for p, text in paragraphs(index):
        if p.get("Kernel-Version", version) != version:
            continue
        of[p["Package"]] = (p, text)
        for r in names(p.get("Provides", "")):
            providers.setdefault(r[0], []).append(p["Package"])
    todo = list(ROOTS) + ["%s-%s-di" % (m, version) for m in MODULES]
    out = {}
    while todo:
        n = todo.pop()
        if n in out:
            continue
        if n not in of:
            raise Missing(n)
        out[n] = of[n]
        for alternatives in names(of[n][0].get("Depends", "")):
            can = [c for a in alternatives for c in ([a] if a in of else providers.get(a, []))]
            if not (have | set(out) | NEEDLESS) & set(alternatives + can) and can:
                todo.append(can[0])
    return out


def packages_of(codename, wanted):
    index = lzma.decompress(fetch("dists/%s/main/binary-amd64/Packages.xz" % codename)).decode()
    return [p for p, _ in paragraphs(index) if p["Package"] in wanted]


def version_of(name, codename):
    """The newest version of one Debian package."""
    (p,) = packages_of(codename, (name,))
    return p["Version"]


def pack(name, old, folder, codename):
    """A component made of the programs and libraries of Debian's packages; returns its paragraph."""
    tree = os.path.join(folder, "tree")
    for p in packages_of(codename, PACK[name]):
        deb = os.path.join(folder, os.path.basename(p["Filename"]))
        with open(deb, "wb") as f:
            f.write(fetch(p["Filename"]))
        subprocess.run(["dpkg-deb", "-x", deb, tree], check=True)
        os.unlink(deb)
    for useless in ("usr/share", "usr/libexec", "usr/lib/systemd", "usr/lib/udev", "etc/cron.d"):
        shutil.rmtree(os.path.join(tree, useless), ignore_errors=True)
    os.makedirs(os.path.join(tree, "DEBIAN"))
    with open(os.path.join(tree, "DEBIAN/control"), "w", encoding="ascii") as f:
        f.write("Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: tests\n"
                "Section: debian-installer\nDescription: repacked\n" % (name, old["Version"]))
    path = "pool/%s_repacked_amd64.udeb" % name
    os.makedirs(os.path.join(folder, "pool"), exist_ok=True)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, os.path.join(folder, path)],
                   check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    with open(os.path.join(folder, path), "rb") as f:
        data = f.read()
    return ("Package: %s\nVersion: %s\nArchitecture: amd64\nPriority: %s\nSection: debian-installer\n"
            "Depends: %s\nFilename: %s\nSize: %d\nMD5sum: %s\nSHA256: %s\nDescription: repacked" %
            (name, old["Version"], old["Priority"], old.get("Depends", ""), path, len(data),
             hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest()))


def make(folder, initrd, codename):
    """Index and packed components, in `folder`; returns the first thing that the mirror lacks, or None."""
    index = lzma.decompress(fetch("dists/%s/main/debian-installer/binary-amd64/Packages.xz" %
                                  codename)).decode()
    out = []
    try:
        components = needed(index, *in_initrd(initrd))
    except Missing as e:
        return str(e)
    for name, (p, text) in sorted(components.items()):
        if there(p["Filename"]):
            out.append(text)
        elif name in PACK:
            out.append(pack(name, p, folder, codename))
        else:
            return p["Filename"]
    packages = gzip.compress(("\n\n".join(out) + "\n").encode())
    path = "main/debian-installer/binary-amd64/Packages.gz"
    top = os.path.join(folder, "dists", SUITE)
    os.makedirs(os.path.join(top, os.path.dirname(path)))
    with open(os.path.join(top, path), "wb") as f:
        f.write(packages)
    with open(os.path.join(top, "Release"), "w", encoding="ascii") as f:
        f.write("Origin: Debian\nLabel: Debian\nSuite: %s\nCodename: %s\nArchitectures: amd64\n"
                "Components: main\nMD5Sum:\n %s %d %s\nSHA256:\n %s %d %s\n" %
                (SUITE, SUITE, hashlib.md5(packages).hexdigest(), len(packages), path,
                 hashlib.sha256(packages).hexdigest(), len(packages), path))
    return None


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        path = self.path.removeprefix("/debian/")
        if path.startswith("dists/%s/" % SUITE) or path.startswith("pool/") and \
                "/" not in path[len("pool/"):]:
            self.path = "/" + path
            super().do_GET()
        else:
            self.send_response(302)
            self.send_header("Location", MIRROR + "/" + path)
            self.send_header("Content-Length", "0")
            self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def served(folder):
    """The port on the host's loopback; a guest behind NAT has it at 10.0.2.2."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(
            Handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
