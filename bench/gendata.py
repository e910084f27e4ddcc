# SPDX-License-Identifier: GPL-2.0-or-later
"""What the real programs of `make bench` work on: text, lines, C source and SQL, the same bytes on
every machine and in every run."""
import os

MASK = (1 << 64) - 1
WORDS = 2000


class Random:
    """xorshift64 (Marsaglia 2003), so that the bytes do not depend on Python's version."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        s = self.state
        s ^= (s << 13) & MASK
        s ^= s >> 7
        s ^= (s << 17) & MASK
        self.state = s
        return (s >> 11) % n


def vocabulary(r):
    syllables = [a + b for a in "b d f g k l m n p r s t v w st pr tr".split() for b in
                 "a e i o u ai ou er an in".split()]
    return ["".join(syllables[r.below(len(syllables))] for _ in range(1 + r.below(3)))
            for _ in range(WORDS)]


def text(size):
    """Sentences of words whose frequencies fall, with repeated phrases, as in a natural text."""
    r = Random(11)
    words = vocabulary(r)
    out, length, phrases = [], 0, []
    while length < size:
        if phrases and r.below(3) == 0:
            s = phrases[r.below(len(phrases))]
        else:
            s = " ".join(words[r.below(1 + r.below(WORDS))] for _ in range(2 + r.below(12)))
            phrases = phrases[-300:] + [s]
        s = s.capitalize() + (".\n" if r.below(4) == 0 else ", " if r.below(2) else ". ")
        out.append(s)
        length += len(s)
    return "".join(out)[:size - 1] + "\n"


def lines(count):
    """Records to sort: a word, a number, a hexadecimal key."""
    r = Random(12)
    words = vocabulary(r)
    return "".join("%s %d %08x\n" % (words[r.below(WORDS)], r.below(100000), r.below(1 << 32))
                   for _ in range(count))


def expression(r, names, depth):
    if depth == 0 or r.below(5) == 0:
        return names[r.below(len(names))] if r.below(4) else str(r.below(1000))
    op = ("+", "-", "*", "&", "|", "^", "<", "==")[r.below(8)]
    return "(%s %s %s)" % (expression(r, names, depth - 1), op, expression(r, names, depth - 1))


def function(r, n):
    """One C function with locals, a loop, branches, array and struct accesses and calls."""
    names = ["a", "b", "x", "y", "i", "t->u", "t->v[i & 7]"]
    out = ["int f%d(struct s%d *t, int a, int b)\n{\n\tint x = a, y = b, i;\n" % (n, n % 10),
           "\tfor (i = 0; i < (a & 15) + %d; i++) {\n" % r.below(20)]
    for _ in range(3 + r.below(4)):
        kind, e = r.below(5), expression(r, names, 3)
        if kind == 0:
            out.append("\t\tif (%s)\n\t\t\tx += %s;\n\t\telse\n\t\t\ty ^= %s;\n" % (
                e, expression(r, names, 2), expression(r, names, 2)))
        elif kind == 1:
            out.append("\t\tt->v[(%s) & 7] = x;\n" % e)
        elif kind == 2 and n:
            out.append("\t\ty += f%d((struct s%d *)t, x, %s);\n" % (
                max(0, n - 1 - r.below(5)), max(0, n - 1) % 10, expression(r, names, 1)))
        elif kind == 3:
            out.append("\t\tswitch (x & 7) {\n%s\t\tdefault:\n\t\t\ty--;\n\t\t}\n" % "".join(
                "\t\tcase %d:\n\t\t\ty = %s;\n\t\t\tbreak;\n" % (k, expression(r, names, 1))
                for k in range(2 + r.below(5))))
        else:
            out.append("\t\tx = %s;\n" % e)
    out.append("\t}\n\tt->w[x & 15] += y;\n\treturn x + y;\n}\n\n")
    return "".join(out)


def source(functions):
    """A preprocessed C file, as cc1 gets it; a blank line ends each definition."""
    r = Random(13)
    head = "".join("struct s%d { int u; int v[8]; long w[16]; struct s%d *n; };\n" % (n, n)
                   for n in range(10))
    return head + "\n" + "".join(function(r, n) for n in range(functions))


def sql(statements):
    """Inserts, updates, queries by index and by scan, in transactions, each statement a line."""
    r = Random(14)
    words = vocabulary(r)
    out = ["CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, n INT, v REAL);",
           "CREATE TABLE o(id INTEGER PRIMARY KEY, p INT, word TEXT, q INT);",
           "CREATE INDEX p_name ON p(name);", "CREATE INDEX o_p ON o(p);"]
    for k in range(statements):
        if k % 500 == 0:
            out.append("BEGIN;")
        word, kind, n = words[r.below(WORDS)], r.below(10), r.below(100000)
        if kind < 4:
            out.append("INSERT INTO p(name, n, v) VALUES('%s', %d, %d.5);" % (word, n, n % 977))
        elif kind < 7:
            out.append("INSERT INTO o(p, word, q) VALUES(%d, '%s', %d);" % (
                1 + r.below(1 + k // 3), word, n % 50))
        elif kind == 7:
            out.append("UPDATE p SET n = n + 1 WHERE name = '%s';" % word)
        else:
            out.append("SELECT count(*), sum(n) FROM p WHERE name >= '%s' AND name < '%s';" % (
                word, word + "z"))
        if k % 500 == 499:
            out += ["COMMIT;", "SELECT p.name, sum(o.q) FROM p JOIN o ON o.p = p.id WHERE p.n < "
                    "%d GROUP BY p.name ORDER BY 2 DESC, 1 LIMIT 5;" % n,
                    "SELECT count(*) FROM o WHERE word LIKE '%%%s%%';" % word[:3]]
    return "\n".join(out) + "\n"


def write_all(folder):
    for name, data in (("text", text(3 << 20)), ("lines", lines(120000)), ("source.i", source(100)),
                       ("script.sql", sql(8000))):
        with open(os.path.join(folder, name), "w") as f:
            f.write(data)
