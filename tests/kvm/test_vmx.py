# SPDX-License-Identifier: GPL-2.0-or-later
"""Lodge on KVM on VT-x (EPT, unrestricted guest), which Bochs emulates: one boot of the first level serves all."""
import json
import os
import re
import shutil

import pytest

import nested
from test_svm import check_guest, l2_files, part

SCRIPT = """
dd if=/l2/pattern of=/tmp/disk.img bs=64k 2>/dev/null
dd if=/dev/zero of=/tmp/disk.img bs=64k seek=4 count=28 2>/dev/null
echo "@@doctor $(lodge doctor --json)"
echo "@@begin one"; timeout 3000 %s; echo "@@exit one $?"
echo "@@begin unit"; timeout 1000 kvm_run 2>&1; echo "@@exit unit $?"
"""


@pytest.fixture(scope="module")
def level():
    files, md5, folder = l2_files()
    files["bin/kvm_run"] = os.path.join(nested.BUILD, "tests/unit/engine/kvm_run")
    try:
        text = nested.run_bochs(SCRIPT % nested.second_level("kvm", 1, "max"), files)
    finally:
        shutil.rmtree(folder)
    return text, md5


def test_probe_when_vmx_is_there_expect_kvm_good(level):
    text, _ = level
    j = json.loads(re.search(r"@@doctor (\{.*\})", text).group(1))
    assert j["engines"]["kvm"]["usable"], j["engines"]["kvm"]


def test_engine_when_on_vmx_expect_its_unit_tests_pass(level):
    text, _ = level
    out, _ = part(text, "unit")
    assert re.search(r"\[  PASSED  \] \d+ test", out) and "FAILED" not in out


def test_linux_when_on_vmx_expect_userspace_disk_network(level):
    text, md5 = level
    check_guest(text, "one", 1, md5)
