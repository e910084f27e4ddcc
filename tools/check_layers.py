#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may include whom: fail on any include in src/ that docs/layers.txt does not allow.

Also: an include names its folder ("folder/file.h"), a *_int.h stays in its own folder.
Files and functions above the style's limits are reported as warnings (--sizes), never as errors.
"""
import os
import re
import sys

FILE_LINES = 1000
FUNC_LINES = 100
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def read_layers(path):
    """{folder: set of folders it may include from}"""
    layers = {}
    with open(path) as f:
        for n, line in enumerate(f, 1):
            line = line.split("#")[0].strip()
            if not line:
                continue
            if ":" not in line:
                raise SystemExit("%s:%d: expected 'folder: folders'" % (path, n))
            name, allowed = line.split(":", 1)
            layers[name.strip()] = set(allowed.split())
    for name, allowed in layers.items():
        for a in allowed - set(layers):
            raise SystemExit("%s: %s may include %s, which has no line of its own"
                             % (path, name, a))
    return layers


def layer_of(path, layers):
    """The longest folder of the table that holds this path."""
    parts = path.split("/")[:-1]
    while parts:
        if "/".join(parts) in layers:
            return "/".join(parts)
        parts.pop()
    return None


def sources(root):
    for folder, dirs, names in os.walk(root):
        dirs.sort()
        for n in sorted(names):
            if n.endswith((".c", ".h", ".S")):
                yield os.path.relpath(os.path.join(folder, n), root)


def check_include(root, path, target, layers):
    """None, or the sentence that says what is wrong with `path` including `target`."""
    if "/" not in target:
        return 'write "folder/%s"' % target
    if not os.path.exists(os.path.join(root, target)):
        return '"%s" is not in src/' % target
    if target.endswith("_int.h") and os.path.dirname(target) != os.path.dirname(path):
        return '"%s" is private to %s/' % (target, os.path.dirname(target))
    mine, theirs = layer_of(path, layers), layer_of(target, layers)
    if theirs is None:
        return "%s/ has no line in docs/layers.txt" % os.path.dirname(target)
    if mine != theirs and theirs not in layers[mine]:
        return '%s may not include "%s" (docs/layers.txt)' % (mine, target)
    return None


def check_file(root, path, layers):
    if layer_of(path, layers) is None:
        return ["src/%s: %s/ has no line in docs/layers.txt" % (path, os.path.dirname(path))]
    bad = []
    with open(os.path.join(root, path), errors="replace") as f:
        for n, line in enumerate(f, 1):
            m = INCLUDE.match(line)
            if not m:
                continue
            quote, target = m.groups()
            if quote == "<":
                if os.path.exists(os.path.join(root, target)):
                    bad.append('src/%s:%d: write "%s" with quotes' % (path, n, target))
                continue
            why = check_include(root, path, target, layers)
            if why:
                bad.append("src/%s:%d: %s" % (path, n, why))
    return bad


def report_sizes(root, path):
    """Lines over the limits; kernel style has a function's braces in column 0."""
    with open(os.path.join(root, path), errors="replace") as f:
        lines = f.read().split("\n")
    out = []
    if len(lines) > FILE_LINES:
        out.append("src/%s: %d lines" % (path, len(lines)))
    start = None
    for n, line in enumerate(lines, 1):
        if line == "{":
            start = n
        elif line.startswith("}") and start is not None:
            if n - start - 1 > FUNC_LINES:
                out.append("src/%s:%d: a function of %d lines" % (path, start, n - start - 1))
            start = None
    return out


def main():
    top = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    args = [a for a in sys.argv[1:] if a != "--sizes"]
    root = args[0] if args else os.path.join(top, "src")
    table = args[1] if len(args) > 1 else os.path.join(top, "docs/layers.txt")
    layers = read_layers(table)
    bad, large, count = [], [], 0
    for path in sources(root):
        count += 1
        bad += check_file(root, path, layers)
        large += report_sizes(root, path)
    for line in large:
        print("warning: " + line)
    for line in bad:
        print(line, file=sys.stderr)
    print("layers: %d files, %d forbidden includes, %d over the size limits"
          % (count, len(bad), len(large)))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
