# SPDX-License-Identifier: GPL-2.0-or-later
"""Lodge on KVM on VT-x (EPT, unrestricted guest), which Bochs emulates: one boot of the first level serves all."""
import json
import os
import re
import shutil

import pytest

import nested
import programs
from test_svm import check_guest, l2_files, part
from vm import TOP

SCRIPT = """
dd if=/l2/pattern of=/tmp/disk.img bs=64k 2>/dev/null
dd if=/dev/zero of=/tmp/disk.img bs=64k seek=4 count=28 2>/dev/null
echo "@@doctor $(lodge doctor --json)"
LODGE_EMULATED=1 timeout 300 kvm_probe 2>&1 | grep '@@probe'
echo "@@begin one"; timeout 3000 %s; echo "@@exit one $?"
echo "@@begin unit"; timeout 1000 kvm_run 2>&1; timeout 300 kvm_chip 2>&1; echo "@@exit unit $?"
echo "@@begin isa"; timeout 3000 isa -e kvm >/tmp/isa 2>&1
grep -A20 '^FAIL' /tmp/isa; echo "@@agree $(grep -c '^ok' /tmp/isa)"; echo "@@exit isa 0"
"""


@pytest.fixture(scope="module")
def level():
    files, md5, folder = l2_files()
    ran = programs.chosen("vmx")
    files.update(programs.files(ran, folder))
    files["bin/kvm_probe"] = os.path.join(nested.BUILD, "tests/unit/engine/kvm_probe")
    files["bin/isa"] = os.path.join(nested.BUILD, "tests/isa/isa")
    files["bin/kvm_run"] = os.path.join(nested.BUILD, "tests/unit/engine/kvm_run")
    files["bin/kvm_chip"] = os.path.join(nested.BUILD, "tests/unit/engine/kvm_chip")
    try:
        with nested.bochs(SCRIPT % nested.second_level("kvm", 1, "max") + programs.script("max"), files) as l1:
            text = l1.finish(2400)
    finally:
        shutil.rmtree(folder)
    return text, md5, ran


def test_probe_when_vmx_is_there_expect_kvm_good(level):
    text, _, _ = level
    j = json.loads(re.search(r"@@doctor (\{.*\})", text).group(1))
    assert j["engines"]["kvm"]["usable"], j["engines"]["kvm"]
    assert "@@probe /dev/kvm: verdict 0, good" in text


def test_engine_when_on_vmx_expect_its_unit_tests_pass(level):
    text, _, _ = level
    out, _ = part(text, "unit")
    assert re.search(r"\[  PASSED  \] \d+ test", out) and "FAILED" not in out


def test_linux_when_on_vmx_expect_userspace_disk_network(level):
    text, md5, _ = level
    check_guest(text, "one", 1, md5)


def test_programs_when_on_vmx_expect_what_the_software_engine_does(level):
    text, _, ran = level
    assert programs.compare("vmx", text, ran) == []


def test_instructions_when_on_vmx_expect_the_known_results(level):
    text, _, _ = level
    out, _ = part(text, "isa")
    with open(os.path.join(TOP, "tests/kvm/bochs_differs.txt")) as f:
        known = {l.strip() for l in f if not l.startswith("#")}
    assert set(re.findall(r"^FAIL (\w+)", out, re.M)) <= known
    assert int(re.search(r"@@agree (\d+)", out).group(1)) >= 900
