# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs of tests/guest and tests/isa for a first level: all in one boot, and what they said."""
import base64
import copy
import fnmatch
import os
import re
import subprocess
import sys
import zlib

from vm import TOP

sys.path.insert(0, os.path.join(TOP, "tests"))
import run as runner  # noqa: E402

LIMIT = 240  # seconds of the first level's clock, for one program

# One line of /g/list is a program's name, then its options. A console is a file: the emulated serial line is slow.
SCRIPT = """
echo "@@begin guests"
while read name image args; do
	timeout %d lodge run -accel kvm -cpu %s %s -m 128M -display none -monitor none -nic none -no-reboot \\
		-serial stdio -device isa-debug-exit,iobase=0xf4,iosize=4 -kernel /g/$image $args \\
		</dev/null >/tmp/out 2>/tmp/err
	code=$?
	echo "@@guest $name $code $(cut -d. -f1 /proc/uptime)"
	sed 's/^/@@err /' /tmp/err | grep -v 'engine: KVM' | head -5
	grep -E '^(FAIL|skip) ' /tmp/out | head -20
	{ echo "== $name"; grep '^ok ' /tmp/out | tr -d '\\r'; } >>/tmp/oks
done </g/list
echo "@@oklog"; gzip -c /tmp/oks | base64; echo "@@end of oklog"
echo "@@exit guests 0"
"""


# With shadow paging, those that have to do with memory.
PAGING = ("paging", "paging32", "paging_pae", "tlb", "kernel_hot", "modes", "real", "vm86", "task_paging", "selfmod", "vga", "copies",
          "crossing", "restart", "copy_loop", "sysfault", "syscall", "smp", "smp_lock", "basics")

# Several processors that wait for each other, where all of them take turns on one.
SLOW = ("pm64-smp_code", "pm64-smp_order", "pm64-virtio_hostile")


class Program:
    """An image, its options, the exit status it is to end with."""

    def __init__(self, rel, args, expect):
        self.rel, self.args = rel, args
        self.status = {"pass": 33, "reset": 0, "off": 0}[expect]
        self.name = self.run_name = rel[len("guest/"):].replace("/", "-")
        self.path = os.path.join(TOP, "build", rel + ".elf")


def programs():
    """All of tests/guest, as tests/run.py has them."""
    here = os.getcwd()
    os.chdir(TOP)
    try:
        found = []
        for job in runner.guest_jobs():
            if not job.name.startswith("guest/"):
                continue
            base = job.name.replace("both32/", "both/").replace("both64/", "both/")
            args, expect = runner.guest_header("tests/%s.c" % base)
            found.append(Program(job.name, args, expect))
        return found
    finally:
        os.chdir(here)


def options(p):
    """Those that make sense for another engine, with files where the first level has them."""
    out, args = [], list(p.args)
    while args:
        a = args.pop(0)
        if a == "-accel":
            a = args.pop(0)
            if a.startswith("kvm"):
                out.append("-accel " + a)
        else:
            out.append(re.sub(r"build/guest/\w+/(\w+)\.elf", "/g/" + p.name, a))
    return " ".join(out + (["-append slow"] if p.name in SLOW else []))


def files(chosen, folder):
    """{name in /: path} for nested.build()."""
    path = os.path.join(folder, "list")
    with open(path, "w") as f:
        f.write("".join("%s %s %s\n" % (p.run_name, p.name, options(p)) for p in chosen))
    found = {"g/list": path}
    for p in chosen:
        if "g/" + p.name in found:
            continue
        stripped = os.path.join(folder, p.name)
        subprocess.run(["strip", "--strip-debug", "-o", stripped, p.path], check=True)
        found["g/" + p.name] = stripped
    return found


# ---- What they said ----------------------------------------------------------------------------

# Programs that are run a second time, with interrupt controllers where they are not by default.
CHIPS = ("pm64-apic", "pm64-pic", "pm64-ioapic", "pm64-x2apic", "pm64-interrupts", "pm64-pit")
OTHER = "off"


def differs(*where):
    """[(program, check)] of programs_differ.txt; check "-": not run."""
    found = []
    with open(os.path.join(TOP, "tests/kvm/programs_differ.txt")) as f:
        for line in f:
            words = line.split(None, 2)
            if words and words[0] != "#" and words[0] in where:
                found.append((words[1], words[2].strip()))
    return found


def chosen(where, ends=()):
    """Those to be run there, some twice; only those whose names end so, if asked."""
    leave = [p for p, check in differs(where, "any") if check == "-"]
    found = []
    for p in programs():
        if p.name in leave or (ends and not p.name.endswith(ends)):
            continue
        found.append(p)
        if p.name in CHIPS:
            again = copy.copy(p)
            again.run_name = "%s+%s" % (p.name, OTHER)
            again.args = p.args + ["-accel", "kvm,kernel-irqchip=" + OTHER]
            found.append(again)
    return found


def ok_names(text):
    # A number in brackets is how often; it need not be the same. A disk may be the program's file, which is stripped.
    return {re.sub(r" \(\d+( cases)?\)$|\d+ (?=sectors$)", "", n) for n in re.findall(r"^ok ([^:\r\n]*)", text, re.M)}


def on_software(p):
    """The checks that pass on the software engine."""
    cmd = runner.guest_cmd(p.path, [a for a in p.args if "kernel-irqchip" not in a and a != "-accel"])
    r = subprocess.run(cmd, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                       timeout=LIMIT, check=False)
    return ok_names(r.stdout.decode(errors="replace"))


on_software_known = {}  # of each program, once a run


def compare(where, text, ran):
    """Sentences about what is otherwise than on the software engine, and is not known to be."""
    m = re.search(r"@@oklog\n(.*?)@@end of oklog", text, re.S)
    assert m, "the first level did not come to the end of the programs"
    log = zlib.decompress(base64.b64decode(m.group(1)), 31).decode(errors="replace")
    said = dict(re.findall(r"^== (\S+)\n(.*?)(?=^== |\Z)", log, re.M | re.S))
    known, wrong, soft = differs(where, "any"), [], on_software_known
    for p in ran:
        if p.name not in soft:
            soft[p.name] = on_software(p)
        missing = soft[p.name] - ok_names(said.get(p.run_name, ""))
        patterns = [c for prog, c in known if fnmatch.fnmatchcase(p.name, prog)]
        if p.run_name.endswith("+off"):
            patterns = [c for prog, c in differs(where + "+off") if fnmatch.fnmatchcase(p.name, prog)]
        for name in sorted(missing):
            if not any(fnmatch.fnmatchcase(name, c.replace("[", "[[]")) for c in patterns):
                wrong.append("%s: %s" % (p.run_name, name))
    return wrong


def script(cpu):
    return SCRIPT % (LIMIT, cpu, "")
