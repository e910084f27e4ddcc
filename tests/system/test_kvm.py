# SPDX-License-Identifier: GPL-2.0-or-later
"""A short part of `make check-kvm`: Lodge's KVM engine on QEMU's emulated AMD-V, with the probe, tests of the engine
and some programs of tests/guest. A minute of an idle machine."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

from vm import TOP, WORK

sys.path.insert(0, os.path.join(TOP, "tests/kvm"))
import nested  # noqa: E402
import programs  # noqa: E402
import verdicts  # noqa: E402

SOME = ("both64-basics", "both64-selfmod", "both32-selfmod", "both64-triple_fault", "pm64-interrupts", "pm64-ioapic",
        "pm64-pic", "pm64-apic", "pm64-strings", "pm64-sysfault", "pm64-tlb", "pm64-e1000", "pm64-virtio_hostile")

SCRIPT = """
LODGE_EMULATED=1 timeout 300 kvm_probe 2>&1 | grep '@@probe'
echo "@@begin unit"; timeout 300 kvm_chip 2>&1; echo "@@exit unit $?"
"""


@pytest.fixture(scope="module")
def level():
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("there is no qemu-system-x86_64, whose AMD-V this needs")
    os.makedirs(WORK, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="kvm-", dir=WORK)
    ran = [p for p in programs.chosen("svm") if p.name in SOME]
    files = programs.files(ran, folder)
    for name in ("kvm_chip", "kvm_probe"):
        files["bin/" + name] = os.path.join(nested.BUILD, "tests/unit/engine", name)
    try:
        text = nested.run(SCRIPT + programs.script("max,-xsave"), files, "npt=1", limit=800, tag="-short")
    finally:
        shutil.rmtree(folder)
    return text, ran


def test_probe_when_svm_is_there_expect_kvm_good(level):
    verdicts.check(level[0], "AMD-V of QEMU, nested paging")


def test_probe_when_on_this_host_expect_a_verdict_of_the_table():
    r = subprocess.run([os.path.join(nested.BUILD, "tests/unit/engine/kvm_probe")], stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL, text=True, timeout=300, check=True)
    verdicts.check(r.stdout)


def test_engine_when_on_hardware_expect_its_unit_tests_pass(level):
    out = re.search(r"@@begin unit\n(.*?)@@exit unit", level[0], re.S).group(1)
    assert re.search(r"\[  PASSED  \] \d+ test", out) and "FAILED" not in out


def test_programs_when_on_svm_expect_what_the_software_engine_does(level):
    text, ran = level
    assert len(ran) >= len(SOME)
    assert programs.compare("svm", text, ran) == []
