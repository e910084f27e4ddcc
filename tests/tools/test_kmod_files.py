# SPDX-License-Identifier: GPL-2.0-or-later
"""What of the kernel component goes to DKMS: all modules, and every file that their sources include."""
import os
import re
import subprocess

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))


def read(path):
    with open(path) as f:
        return f.read()


def test_dkms_when_modules_are_built_expect_it_knows_all():
    built = re.search(r"^obj-m := (.*)$", read(TOP + "/kmod/Kbuild"), re.M).group(1).split()
    known = re.search(r"^for m in (.*); do$", read(TOP + "/kmod/dkms.conf"), re.M).group(1).split()
    assert sorted(known) == sorted(n[:-len(".o")] for n in built)


def test_dkms_tree_when_made_expect_every_included_file(tmp_path):
    subprocess.run(["make", "-s", "-C", TOP + "/kmod", "dkms-tree", "DESTDIR=%s" % tmp_path], check=True)
    tree, = (tmp_path / "usr/src").iterdir()
    version = re.search(r"^VERSION := (\S+)$", read(TOP + "/Makefile"), re.M).group(1)
    assert tree.name == "lodge-" + version
    assert 'PACKAGE_VERSION="%s"' % version in read(tree / "dkms.conf")
    missing = []
    for folder, _, names in os.walk(tree):
        for n in names:
            for inc in re.findall(r'^\s*#\s*include "([^"]+)"', read(os.path.join(folder, n)), re.M):
                places = (folder, tree / "kmod", tree / "src")
                if not any(os.path.exists(os.path.join(p, inc)) for p in places):
                    missing.append("%s: %s" % (n, inc))
    assert missing == []
