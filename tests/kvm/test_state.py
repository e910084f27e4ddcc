# SPDX-License-Identifier: GPL-2.0-or-later
"""Second-level Debian guests that are saved and go on: on KVM, under the software engine, back on KVM; with local APICs
in the kernel and without. In the first level (QEMU's AMD-V) all of it is Lodge's: `lodge save`, `lodge run -restore`.
"""
import base64
import os
import re
import shutil
import zlib

import pytest

import nested
from statefile import State
from test_svm import CPU, l2_files
from vm import TOP, WORK, bad_lines

SCRIPT = """
mkdir -m 700 /tmp/run; export XDG_RUNTIME_DIR=/tmp/run
wait_steps() {
	n=0
	until [ "$(grep -c '^@@step' $1)" -ge "$2" ]; do
		sleep 0.2
		n=$((n + 1))
		[ $n -lt 1500 ] || { echo "@@bad: no steps in $1"; return 1; }
	done
}
# The sections, which are all but memory.
show() {
	echo "@@state $1"
	dd if=/tmp/$1 bs=64k count=$(($(od -An -j24 -N4 -td4 /tmp/$1) / 65536)) 2>/dev/null | gzip -c | base64
	echo "@@end of state"
}
# A machine whose console goes to /tmp/c.NAME.
start() {
	name=$1; shift
	lodge run -name m -sandbox on,path=/tmp -display none -monitor none -serial file:/tmp/c.$name "$@" </dev/null 2>&1 &
}
keep() {
	lodge save m /tmp/$1 || echo "@@bad save $1"
	echo "@@mark $1"
	wait
}
# Name, engine: saved again before it has run.
again() {
	start again -restore /tmp/$1 -accel $2 -S
	n=0
	until lodge ps | grep -q '^m ' || [ $n = 100 ]; do sleep 0.2; n=$((n + 1)); done
	keep $1.again.$2
	show $1.again.$2
}
for chip in %s; do
	for cpus in %s; do
		t=$chip$cpus
		dd if=/dev/zero of=/tmp/disk.img bs=64k count=32 2>/dev/null
		echo "@@begin $t"
		start $t.1 -accel kvm,kernel-irqchip=$chip -cpu %s -smp $cpus -m 128M -no-reboot -kernel /l2/vmlinuz -initrd /l2/initrd \\
			-drive file=/tmp/disk.img,if=virtio,format=raw -nic user,model=virtio-net-pci -device virtio-rng-pci \\
			-append "console=ttyS0 %s lodge.cmd=state_job.sh"
		wait_steps /tmp/c.$t.1 3 && keep $t.s1
		show $t.s1
		again $t.s1 kvm,kernel-irqchip=$chip
		again $t.s1 soft
		start $t.2 -restore /tmp/$t.s1 -accel kvm,kernel-irqchip=$chip
		wait_steps /tmp/c.$t.2 3 && keep $t.s2
		start $t.3 -restore /tmp/$t.s2 -accel soft
		wait_steps /tmp/c.$t.3 3 && keep $t.s3
		show $t.s3
		again $t.s3 kvm,kernel-irqchip=$chip
		start $t.4 -restore /tmp/$t.s3 -accel kvm,kernel-irqchip=$chip
		wait
		cat /tmp/c.$t.1 /tmp/c.$t.2 /tmp/c.$t.3 /tmp/c.$t.4
		echo "@@exit $t 0"
		rm -f /tmp/*.s[123]*
	done
done
"""


def boot(chip):
    """With one and two vCPUs."""
    job = os.path.join(TOP, "tests/kvm/state_job.sh")
    files, _, folder = l2_files(job)
    try:
        # What KVM alone gives a guest would tie it to KVM.
        with nested.qemu(SCRIPT % (chip, "1 2", CPU + ",kvm=off", nested.QUICK), files, "npt=1", tag="-state-" + chip,
                         memory=1536) as l1:
            text = l1.finish(2000)
    finally:
        shutil.rmtree(folder)
    return chip, text


@pytest.fixture(scope="module", params=["split"])
def level(request):
    """The other kind is in test_state_off.py: so two emulators can share the work."""
    return boot(request.param)


def state(text, name, folder):
    """A saved machine without its memory."""
    m = re.search(r"@@state %s\n(.*?)@@end of state" % re.escape(name), text, re.S)
    assert m, "the first level saved no " + name
    path = os.path.join(folder, "state")
    with open(path, "wb") as f:
        f.write(zlib.decompress(base64.b64decode(m.group(1)), 31))
    return State(path)


# The RTC shows the host's time; virtio-net tells its driver of a new network, by an interrupt; and KVM's clock, which these
# guests do not see, is KVM's alone.
LIVE = {("mc146818", "cmos"), ("mc146818", "seen_s"), ("virtio-net", "v.generation"), ("virtio-net", "announce"),
        ("pc", "kvm_clock_ns")}


def one_more(a, b):
    """At most one interrupt more is requested."""
    a, b = int.from_bytes(a, "little"), int.from_bytes(b, "little")
    return not a & ~b and bin(b & ~a).count("1") <= 1


def differences(a, b):
    x, y = a.devices(), b.devices()
    assert x.keys() == y.keys()
    found = []
    for name, fields in x.items():
        for key, value in fields.items():
            other = y[name].get(key)
            if value == other or (fields["class"], key) in LIVE:
                continue
            if (fields["class"], key) == ("lapic", "irr") and one_more(value, other):
                continue
            found.append("%s: %s: %s and %s" % (name, key, value.hex(), other.hex()))
    for i, (c, d) in enumerate(zip(a.cpus(), b.cpus())):
        found += ["vCPU %d: %s: %s and %s" % (i, k, c[k].hex(), d[k].hex()) for k in c if c[k] != d[k]]
    return found


@pytest.mark.parametrize("cpus", [1, 2])
def test_guest_when_saved_on_kvm_and_soft_in_turns_expect_it_ends_well(level, cpus):
    chip, text = level
    m = re.search(r"@@begin %s%d\n(.*?)@@exit %s%d 0" % (chip, cpus, chip, cpus), text, re.S)
    out = m.group(1)
    assert re.findall(r"@@step (\d+)", out) == [str(i) for i in range(1, 41)]
    assert "@@bad" not in out and "@@cpus %d\n" % cpus in out
    assert "reboot: Power down" in out and bad_lines(out) == []


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("first,second", [("s1", "kvm"), ("s1", "soft"), ("s3", "kvm")])
def test_state_when_saved_again_expect_the_same(level, cpus, first, second, tmp_path):
    chip, text = level
    name = "%s%d.%s" % (chip, cpus, first)
    how = "kvm,kernel-irqchip=" + chip if second == "kvm" else second
    a, b = state(text, name, tmp_path), state(text, "%s.again.%s" % (name, how), tmp_path)
    assert differences(a, b) == []
    assert a.all("memory") == b.all("memory")
