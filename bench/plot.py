# SPDX-License-Identifier: GPL-2.0-or-later
"""The chart of `make bench`, as SVG: for each line how many times as long as on the host it takes, a
dot at the median and a bar from the least to the most of the rounds, on a logarithmic axis."""
import math
from xml.sax.saxutils import escape

GROUPS = (("integer", "Integer programs"), ("fp", "FP and vectors"),
          ("stream", "Memory streams"), ("kernel", "Kernel paths"), ("small", "Small loops"))
COLOURS = ("#1f5fa8", "#d9822b", "#3a8f4d", "#8a4fa3", "#7a7a7a")  # told apart in grey as well
LEFT, RIGHT, TOP, ROW, HEAD, WIDTH = 130, 30, 58, 17, 26, 820


class Axis:
    """Positions on a logarithmic axis between two powers of ten, or of the parts 2 and 5."""

    def __init__(self, low, high):
        steps = [m * 10.0 ** e for e in range(-3, 7) for m in (1, 2, 5)]
        self.low = max([s for s in steps if s <= low] or steps[:1])
        self.high = min([s for s in steps if s >= high] or steps[-1:])
        if self.high <= self.low:
            self.high = self.low * 2
        self.ticks = [s for s in steps if self.low <= s <= self.high]

    def at(self, value):
        value = min(max(value, self.low), self.high)
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)


def values(res, who, line):
    """(median, least, most) against native, or None."""
    mid = res.ratio(who, "native", line)
    if not mid:
        return None
    base = res.median("native", line)
    samples = [v / base for v in res.get(who, line)]
    return mid, min(samples), max(samples)


def text(x, y, s, more=""):
    return '<text x="%.1f" y="%.1f" %s>%s</text>' % (x, y, more, escape(s))


def mark(axis, v, y, colour, title):
    mid, least, most = v
    return ('<g><title>%s</title><path d="M%.1f %.1fH%.1f" stroke="%s" stroke-width="2" '
            'stroke-opacity="0.45"/><circle cx="%.1f" cy="%.1f" r="4" fill="%s"/></g>' % (
                escape(title), axis.at(least), y, axis.at(most), colour, axis.at(mid), y, colour))


def grid(axis, bottom):
    out = []
    for t in axis.ticks:
        strong = t == 1
        out.append('<path d="M%.1f %dV%d" stroke="%s"/>' % (
            axis.at(t), TOP, bottom, "#555" if strong else "#e2e2e2"))
        out.append(text(axis.at(t), bottom + 16, "%g×" % t, 'text-anchor="middle" fill="#555"'))
    return out


def legend(machines, names):
    out, x = [], LEFT
    for who, colour in zip(machines, COLOURS):
        out.append('<circle cx="%d" cy="42" r="4" fill="%s"/>' % (x + 4, colour))
        label = names.get(who, who)
        out.append(text(x + 14, 46, label))
        x += 40 + 7 * len(label)
    return out


def chart(res):
    names = {"lodge": "Lodge", "qemu": "QEMU (TCG)"}
    machines = [m for m in res.samples if m != "native" and not m.endswith("/2")][:len(COLOURS)]
    rows, y = [], TOP
    found = {}
    for group, title in GROUPS:
        lines = [n for n in res.lines(group) if any(values(res, m, n) for m in machines)]
        if not lines:
            continue
        y += HEAD
        rows.append((y - 8, title, None))
        for n in lines:
            y += ROW
            rows.append((y - 8, n, [(m, values(res, m, n)) for m in machines]))
            found.update({(m, n): v for m, v in rows[-1][2] if v})
    bottom = y + 6
    axis = Axis(min([v[1] for v in found.values()] + [1]), max([v[2] for v in found.values()] + [2]))
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" '
           'font-family="sans-serif" font-size="12">' % (WIDTH, bottom + 30, WIDTH, bottom + 30),
           '<rect width="100%" height="100%" fill="#fff"/>',
           text(LEFT, 22, "Times as long as native (further left is better)",
                'font-size="15" font-weight="bold"')]
    out += legend(machines, names) + grid(axis, bottom)
    for at, label, marks in rows:
        if marks is None:
            out.append(text(8, at + 4, label, 'font-weight="bold"'))
            continue
        out.append(text(LEFT - 8, at + 4, label, 'text-anchor="end"'))
        for (who, v), colour in zip(marks, COLOURS):
            if v:
                title = "%s, %s: %.3g (%.3g to %.3g)" % (label, names.get(who, who), *v)
                out.append(mark(axis, v, at, colour, title))
    return "\n".join(out + ["</svg>"]) + "\n"
