# SPDX-License-Identifier: GPL-2.0-or-later
"""Lodge on KVM on AMD-V, which QEMU emulates, with nested paging and without. One boot of the first level
serves all tests of a kind; its log is build/system/nested-*.log.

QEMU 7.2's AMD-V lets XSETBV through, so that KVM does not know the guest's XCR0: guests go without XSAVE.
"""
import json
import os
import re
import shutil

import pytest

import nested
import programs
import verdicts
from l2 import DISK, l2_files
from vm import TOP, bad_lines

CPU = "max,-xsave"

SCRIPT = DISK + """
echo "@@doctor $(lodge doctor --json)"
LODGE_EMULATED=1 timeout 300 kvm_probe 2>&1 | grep '@@probe'
echo "@@begin one"; timeout 3000 %s; echo "@@exit one $?"
echo "@@begin two"; timeout 4000 %s; echo "@@exit two $?"
"""

# With nested paging, which is the usual thing, more is tried.
MORE = """
echo "@@begin off"; timeout 4000 %s; echo "@@exit off $?"
echo "@@begin bios"
timeout 2000 lodge run -accel kvm -cpu max,-xsave -m 64M -bios /l2/bios.bin -boot reboot-timeout=100 \\
	-nographic -no-reboot -nic none </dev/null
echo "@@exit bios $?"
echo "@@begin bells"; timeout 3000 %s; echo "@@exit bells $?"
echo "@@begin none"; timeout 3000 %s; echo "@@exit none $?"
echo "@@begin full"; timeout 4000 %s; echo "@@exit full $?"
echo "@@begin unit"; timeout 1000 kvm_run 2>&1; timeout 300 kvm_chip 2>&1
timeout 300 kvm_full 2>&1; echo "@@exit unit $?"
echo "@@begin isa"; timeout 3000 isa -e kvm -s >/tmp/isa 2>&1
grep -A20 '^FAIL' /tmp/isa; echo "@@agree $(grep -c '^ok' /tmp/isa)"; echo "@@exit isa 0"
"""


def with_bells(how):
    """The second level with its exits counted; its disk and card ring bells, or none do."""
    cmd = nested.second_level("kvm", 1, CPU + ",kvm=off,hv_passthrough" if how == "off" else CPU)
    cmd = cmd.replace("if=virtio", "if=none,id=d").replace(
        "-nic user,model=virtio-net-pci", "-netdev user,id=n -device virtio-blk-pci,drive=d,ioeventfd=%s "
        "-device virtio-net-pci,netdev=n,ioeventfd=%s -d stats" % (how, how))
    return cmd.replace("</dev/null", "</dev/null 2>&1")


def boot(npt):
    files, md5, folder = l2_files()
    script = SCRIPT % (nested.second_level("auto", 1, CPU), nested.second_level("kvm", 2, CPU))
    ran = programs.chosen("svm", () if npt else tuple("-" + n for n in programs.PAGING))
    files.update(programs.files(ran, folder))
    files["bin/kvm_probe"] = os.path.join(nested.BUILD, "tests/unit/engine/kvm_probe")
    if npt:
        files["l2/bios.bin"] = "/usr/share/seabios/bios-256k.bin"
        files["bin/kvm_run"] = os.path.join(nested.BUILD, "tests/unit/engine/kvm_run")
        files["bin/kvm_chip"] = os.path.join(nested.BUILD, "tests/unit/engine/kvm_chip")
        files["bin/kvm_full"] = os.path.join(nested.BUILD, "tests/unit/engine/kvm_full")
        files["bin/isa"] = os.path.join(nested.BUILD, "tests/isa/isa")
        script += MORE % (nested.second_level("kvm,kernel-irqchip=off", 1, CPU), with_bells("on"), with_bells("off"),
                          nested.second_level("kvm,kernel-irqchip=on", 2, CPU))
    script += programs.script(CPU)
    try:
        text = nested.run(script, files, "npt=%d" % npt, limit=2400)
    finally:
        shutil.rmtree(folder)
    return text, md5, ran


@pytest.fixture(scope="module", params=[1, 0], ids=["npt", "shadow"])
def level(request):
    return request.param, *boot(request.param)


def part(text, name):
    m = re.search(r"@@begin %s\n(.*?)@@exit %s (\d+)" % (name, name), text, re.S)
    assert m, "the first level did not come to the end of '%s'" % name
    return m.group(1), int(m.group(2))


def check_guest(text, name, cpus, md5):
    out, code = part(text, name)
    assert code == 0
    assert "lodge: engine: KVM (/dev/kvm), because" in out
    assert "@@cpus %d\n" % cpus in out
    assert "@@disk %s\n" % md5 in out
    assert "@@written" in out and "@@net" in out and "@@timer 1" in out and "@@bad" not in out
    assert "lodge-guest: l2.sh exit 0" in out
    assert not bad_lines(out)


def test_probe_when_svm_is_there_expect_kvm_good(level):
    npt, text, _, _ = level
    j = json.loads(re.search(r"@@doctor (\{.*\})", text).group(1))
    assert j["engines"]["kvm"]["usable"], j["engines"]["kvm"]
    verdicts.check(text, "AMD-V of QEMU, nested paging" if npt else "AMD-V of QEMU, shadow paging")


def test_linux_when_one_cpu_expect_userspace_disk_network(level):
    _, text, md5, _ = level
    check_guest(text, "one", 1, md5)


def test_linux_when_two_cpus_expect_the_same(level):
    _, text, md5, _ = level
    check_guest(text, "two", 2, md5)


def test_linux_when_no_controller_is_in_the_kernel_expect_the_same(level):
    npt, text, md5, _ = level
    if not npt:
        pytest.skip("controllers in user space are tried with nested paging alone, for time's sake")
    check_guest(text, "off", 1, md5)


def test_linux_when_kvm_helps_expect_its_clock_and_fewer_exits(level):
    """kvmclock is what the guest's time goes by; notifications that ring bells are no exits; a disk's interrupts go by
    irqfd. The second guest has Hyper-V's enlightenments instead."""
    npt, text, md5, _ = level
    if not npt:
        pytest.skip("counters are compared with nested paging alone, for time's sake")
    exits = {}
    for name in ("bells", "none"):
        check_guest(text, name, 1, md5)
        out, _ = part(text, name)
        exits[name] = int(re.search(r"exits for device memory +(\d+)", out).group(1))
        sent = int(re.search(r"interrupt messages by irqfd +(\d+)", out).group(1))
        assert sent > 0
        clock = re.search(r"@@clock (\S+)", out).group(1)
        assert clock == "kvm-clock" if name == "bells" else clock.startswith("hyperv_clocksource")
    assert exits["bells"] < exits["none"] - 200, exits
    # All interrupt controllers in the kernel.
    check_guest(text, "full", 2, md5)


def test_programs_when_on_svm_expect_what_the_software_engine_does(level):
    _, text, _, ran = level
    assert programs.compare("svm", text, ran) == []


def test_seabios_when_nothing_to_boot_expect_it_says_so(level):
    """Real mode, the shadow RAM of PAM, ROM below 4 GiB."""
    npt, text, _, _ = level
    if not npt:
        pytest.skip("firmware is tried with nested paging alone, for time's sake")
    out, code = part(text, "bios")
    assert code == 0 and "SeaBIOS (version" in out and "No bootable device" in out


def test_engine_when_on_hardware_expect_its_unit_tests_pass(level):
    npt, text, _, _ = level
    if not npt:
        pytest.skip("unit tests are run with nested paging alone, for time's sake")
    out, _ = part(text, "unit")
    assert re.search(r"\[  PASSED  \] \d+ test", out) and "FAILED" not in out


def test_instructions_when_on_hardware_expect_the_known_results(level):
    npt, text, _, _ = level
    if not npt:
        pytest.skip("instructions are tried with nested paging alone, for time's sake")
    out, _ = part(text, "isa")
    with open(os.path.join(TOP, "tests/kvm/tcg_differs.txt")) as f:
        known = {l.strip() for l in f if not l.startswith("#")}
    assert set(re.findall(r"^FAIL (\w+)", out, re.M)) <= known
    assert int(re.search(r"@@agree (\d+)", out).group(1)) >= 700
