# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine as Linux sees it: memory map, ACPI, SMBIOS, PCI, interrupts, clocks, CPU.

Run: make t T=system/guest_view
"""
import base64
import os
import re
import struct
import subprocess
import time

import pytest

from vm import TOP, bad_lines, linux


@pytest.fixture(scope="module")
def facts():
    script = os.path.join(TOP, "tests/system/facts.sh")
    with linux("cloud-amd64", "cryptomgr.notests lodge.cmd=facts.sh", script) as vm:
        vm.expect(r"lodge-guest: running facts.sh")
        vm.expect(r"@@end")
        booted = time.time()
        assert vm.wait_exit() == 0
    out = {"console": vm.text, "when": booted}
    for part in vm.text.replace("\r", "").split("@@")[1:]:
        name, _, body = part.partition("\n")
        out[name.strip()] = body
    return out


def test_memory_map_when_256m_expect_e820_of_a_pc(facts):
    ranges = re.findall(r"\[mem (0x\w+)-(0x\w+)\] (\w+)", facts["e820"])
    usable = [(int(a, 16), int(b, 16)) for a, b, kind in ranges if kind == "usable"]
    assert usable[0][0] == 0 and 0x9f000 <= usable[0][1] + 1 <= 0xa0000
    assert usable[1][0] == 0x100000
    assert (256 << 20) - (2 << 20) < usable[-1][1] + 1 <= 256 << 20
    spans = sorted((int(a, 16), int(b, 16)) for a, b, _ in ranges)
    assert all(x[1] < y[0] for x, y in zip(spans, spans[1:])), "no two ranges overlap"


def tables(facts):
    found, name = {}, None
    for line in facts["tables"].split("\n"):
        if line.startswith("table "):
            name = line[6:].strip()
            found[name] = ""
        elif name:
            found[name] += line.strip()
    return {n: base64.b64decode(t) for n, t in found.items()}


def test_acpi_tables_when_read_by_linux_expect_all_with_right_sums(facts):
    found = tables(facts)
    assert {"APIC", "DSDT", "FACP", "HPET"} <= set(found)
    for name, data in found.items():
        if name == "FACS":
            continue
        assert data[:4] == name[:4].encode()
        assert struct.unpack_from("<I", data, 4)[0] == len(data)
        assert sum(data) & 0xff == 0, name


def test_acpi_tables_when_disassembled_expect_no_complaint(facts, tmp_path):
    for name, data in tables(facts).items():
        (tmp_path / (name + ".dat")).write_bytes(data)
    r = subprocess.run(["iasl", "-d", "DSDT.dat"], cwd=tmp_path, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, check=False)
    assert r.returncode == 0, r.stdout
    text = (tmp_path / "DSDT.dsl").read_text()
    for name in ("_PRT", "_S5", "PNP0A03"):
        assert name in text
    # A power button: either a device, or the fixed one (FADT flags bit 4 clear).
    fixed = not struct.unpack_from("<I", tables(facts)["FACP"], 112)[0] >> 4 & 1
    assert fixed != ("PNP0C0C" in text)
    r = subprocess.run(["iasl", "DSDT.dsl"], cwd=tmp_path, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, check=False)
    assert re.search(r"Compilation successful. 0 Errors", r.stdout), r.stdout


def test_smbios_when_read_by_linux_expect_names(facts):
    dmi = dict(l.split("=", 1) for l in facts["dmi"].strip().split("\n"))
    assert dmi["sys_vendor"] and "No such file" not in dmi["sys_vendor"]
    assert dmi["product_name"] and dmi["bios_vendor"]


def test_pci_when_scanned_expect_440fx_and_piix(facts):
    assert "0000:00:00.0 0x8086 0x1237 0x060000" in facts["pci"]
    assert "0000:00:01.0 0x8086 0x7000 0x060100" in facts["pci"]
    assert "0x8086 0x7113 0x068000" in facts["pci"]


def test_interrupts_when_booted_expect_apic_timer_and_serial(facts):
    local = re.search(r"^\s*LOC:\s+(\d+)", facts["interrupts"], re.M)
    assert local and int(local.group(1)) > 10
    assert re.search(r"IO-APIC\s+4-edge\s+ttyS0", facts["interrupts"])
    assert re.search(r"IO-APIC\s+\d+-\w+\s+acpi", facts["interrupts"])
    for name in ("ERR", "MIS"):
        m = re.search(r"^\s*%s:\s+(\d+)" % name, facts["interrupts"], re.M)
        assert m and int(m.group(1)) == 0


def test_clock_when_booted_expect_tsc_and_the_others(facts):
    current, available = facts["clock"].strip().split("\n")[:2]
    assert current == "tsc"
    assert {"tsc", "hpet", "acpi_pm"} <= set(available.split())


def test_rtc_when_read_expect_the_hosts_time(facts):
    epoch = int(facts["time"].strip().split("\n")[1])
    assert abs(epoch - facts["when"]) < 300


def test_cpu_when_max_expect_the_hosts_features(facts):
    flags = set(facts["cpu"].split("\n")[0].split(":")[1].split())
    with open("/proc/cpuinfo") as f:
        host = set(re.search(r"^flags\s*:(.*)$", f.read(), re.M).group(1).split())
    wanted = {"fpu", "sse2", "ssse3", "sse4_1", "sse4_2", "avx", "avx2", "fma", "bmi1", "bmi2",
              "aes", "pclmulqdq", "popcnt", "movbe", "f16c", "adx", "sha_ni", "rdrand", "cx16",
              "xsave", "xsaveopt", "rdtscp"}
    assert (wanted & host) - flags == set()
    assert {"lm", "nx", "pae", "apic", "syscall", "hypervisor"} <= flags


def test_vulnerabilities_when_booted_expect_no_costly_work_arounds(facts):
    text = facts["vulnerabilities"]
    assert re.search(r"meltdown:\s*Not affected", text)
    assert "Retpoline" not in text and "PTI" not in text
    assert not re.search(r":\s*Vulnerable", text)


def test_devices_when_probed_expect_keyboard_mouse_and_uart(facts):
    assert "AT Translated Set 2 keyboard" in facts["input"]
    assert re.search(r"0: uart:16550A port:000003F8 irq:4", facts["serial"])
    assert re.search(r"0cf8-0cff : PCI conf1", facts["ioports"])
    assert re.search(r"fec00000-\w+ : IOAPIC 0", facts["iomem"])
    assert re.search(r"fed00000-\w+ : HPET 0", facts["iomem"])
    assert re.search(r"fee00000-\w+ : Local APIC", facts["iomem"])


def test_kernel_log_when_booted_expect_no_complaints(facts):
    assert bad_lines(facts["console"]) == []
    assert facts["complaints"].strip() == ""
