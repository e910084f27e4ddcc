#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Code that runs while the guest's SIMD registers are live must not touch them.

usage: check_nosimd.py OBJECT…         (all objects of the folders in the Makefile's NOSIMD)
       check_nosimd.py --x87 OBJECT…   (the others)
Disassembles each object and fails on any x87, MMX, SSE or AVX instruction, and on undefined
symbols of libc functions that are known to use SIMD. tools/nosimd_allow.txt lists the exceptions:
"insn OBJECT FUNCTION reason" and "sym OBJECT SYMBOL reason", both with shell wildcards.
With --x87: x87 and MMX alone, since those registers stay the guest's while devices are called (soft_fpu_aside).
"""
import fnmatch
import os
import re
import subprocess
import sys

SIMD = re.compile(r"%[xyz]mm\d|%mm\d|%st\b|\bf(?:ld|st|ist|ild|add|sub|mul|div|com|ucom|chs|abs|"
                  r"init|ninit|ldcw|nstcw|nstsw|xsave|xrstor|nsave|rstor|nclex|wait)\w*\s|"
                  r"\b(?:emms|fxsave|fxrstor|xsave\w*|xrstor\w*|(?:v?)(?:ld|st)mxcsr|vzero\w+)\b")
X87 = re.compile(r"%mm\d|%st\b|\bemms\b|\bf(?:ld|st|ild|init|ninit|ldcw)\w*\s")
FUNC = re.compile(r"^[0-9a-f]+ <([^>]+)>:")
# libc functions whose implementations use SIMD, or may.
LIBC = re.compile(r"^_*(mem(cpy|move|set|cmp|chr|rchr|mem|pcpy)|str\w+|stpcpy|\w*printf|\w*printf_chk|"
                  r"sscanf|\w*scanf|puts|fputs|fwrite|fread|qsort|bcmp|bzero|"
                  r"(sin|cos|tan|exp|log|pow|sqrt|floor|ceil|fmod|frexp|ldexp)[fl]?)(_chk)?$")


def read_allow(path):
    rules = []
    if os.path.exists(path):
        with open(path) as f:
            for line in f:
                line = line.split("#")[0].split(None, 3)
                if not line:
                    continue
                if len(line) < 4:
                    raise SystemExit("%s: an exception needs its reason: %s" % (path, line))
                rules.append(line[:3])
    return rules


def allowed(rules, kind, obj, name):
    return any(k == kind and fnmatch.fnmatch(obj, "*" + o) and fnmatch.fnmatch(name, n)
               for k, o, n in rules)


def simd_insns(obj, kind):
    """(function, instruction) for each SIMD instruction."""
    p = subprocess.run(["objdump", "-dr", "--no-show-raw-insn", obj], stdout=subprocess.PIPE,
                       text=True, check=True)
    func = "?"
    for line in p.stdout.split("\n"):
        m = FUNC.match(line)
        if m:
            func = m.group(1)
        elif "\t" in line and kind.search(line.split("\t", 1)[1] + " "):
            yield func, line.split("\t", 1)[1].strip()


def libc_symbols(obj):
    p = subprocess.run(["nm", "-u", obj], stdout=subprocess.PIPE, text=True, check=True)
    for sym in re.findall(r"U (\S+)", p.stdout):
        if LIBC.match(sym):
            yield sym


def main():
    top = os.path.dirname(os.path.abspath(__file__))
    rules = read_allow(os.path.join(top, "nosimd_allow.txt"))
    bad = 0
    if len(sys.argv) < 2:
        print("check_nosimd: no objects named", file=sys.stderr)
        return 1
    x87 = sys.argv[1] == "--x87"
    objs = sys.argv[2 if x87 else 1:]
    for obj in objs:
        for func, insn in simd_insns(obj, X87 if x87 else SIMD):
            if not allowed(rules, "insn", obj, func):
                print("%s: %s: %s" % (obj, func, insn), file=sys.stderr)
                bad += 1
        for sym in () if x87 else libc_symbols(obj):
            if not allowed(rules, "sym", obj, sym):
                print("%s: calls %s, which may use SIMD" % (obj, sym), file=sys.stderr)
                bad += 1
    print("nosimd: %d objects, %d uses of %s" % (len(objs), bad, "x87" if x87 else "SIMD"))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
