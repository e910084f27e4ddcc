# SPDX-License-Identifier: GPL-2.0-or-later
"""A C program of so many functions on standard output, always the same: usage: gen_c.py FUNCTIONS"""
import random
import sys

random.seed(2024)
N = int(sys.argv[1])
VARS = "abcd"


def expr(depth):
    if depth <= 0 or random.random() < 0.2:
        return random.choice(list(VARS) + [str(random.randint(1, 9999)), "t[%s & 63]" %
                                           random.choice(VARS)])
    k = random.random()
    if k < 0.6:
        return "(%s %s %s)" % (expr(depth - 1), random.choice("+ - * ^ & |".split()), expr(depth - 1))
    if k < 0.7:
        return "(%s >> %d)" % (expr(depth - 1), random.randint(1, 13))
    if k < 0.8:
        return "(%s / ((%s & 31) + 1))" % (expr(depth - 1), expr(depth - 2))
    if k < 0.9:
        return "(%s < %s ? %s : %s)" % tuple(expr(depth - 2) for _ in range(4))
    return "(unsigned)((double)(%s) * 0.%d)" % (expr(depth - 2), random.randint(1, 99999))


def statement(depth, i):
    k = random.random()
    if depth > 0 and k < 0.2:
        return "if (%s > %s) { %s } else { %s }" % (expr(2), expr(2), statement(depth - 1, i),
                                                    statement(depth - 1, i))
    if depth > 0 and k < 0.35:
        return "for (unsigned i%d = 0; i%d < %d; i%d++) { %s }" % (
            depth, depth, random.randint(2, 9), depth, statement(depth - 1, i))
    if depth > 0 and k < 0.45:
        return "switch (%s & 7) { %s default: break; }" % (expr(1), " ".join(
            "case %d: %s break;" % (n, statement(0, i)) for n in range(random.randint(3, 8))))
    if k < 0.55 and i:
        return "%s += f%d(%s, %s);" % (random.choice(VARS), max(0, i - random.randint(1, 4)) // 3 * 2 if
                                       i < 3 else random.randint(0, i // 3), expr(1), expr(1))
    if k < 0.7:
        return "t[%s & 63] = %s;" % (expr(1), expr(2))
    return "%s = %s;" % (random.choice(VARS), expr(3))


print("#ifdef __STDC_HOSTED__\n#if __STDC_HOSTED__\n#include <stdio.h>\n#include <string.h>\n"
      "#include <math.h>\n#endif\n#endif")
print("static unsigned t[64];\nstatic int depth;")
for i in range(N):
    print("unsigned f%d(unsigned a, unsigned b);" % i)
for i in range(N):
    print("unsigned f%d(unsigned a, unsigned b)\n{\n\tunsigned c = %s, d = %d;\n"
          "\tif (++depth > 6) { depth--; return a ^ b; }" % (i, "a + b", random.randint(1, 999)))
    for _ in range(random.randint(3, 9)):
        print("\t" + statement(2, i))
    print("\tdepth--;\n\treturn a + b * 3 + c * 5 + d * 7;\n}")
print("#if __STDC_HOSTED__\nint main(void)\n{\n\tunsigned s = 0;\n\tdouble x = 1;\n"
      "\tfor (unsigned i = 0; i < 20; i++) {")
for i in range(N):
    print("\t\ts = s * 31 + f%d(i, s);" % i)
print("\t\tx = sin(x) * s + sqrt(x * x + i);\n\t}\n\tfor (int i = 0; i < 64; i++)\n\t\ts = s * 33 + t[i];\n"
      "\tprintf(\"%u %a\\n\", s, x);\n\treturn 0;\n}\n#endif")
