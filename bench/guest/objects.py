# SPDX-License-Identifier: GPL-2.0-or-later
# Python of the everyday kind: objects, dictionaries, lists, strings, integers, floats, calls.
# The first argument is how much of it.
import sys


class Cell:
    __slots__ = ("x", "y", "alive", "age")

    def __init__(self, x, y, alive):
        self.x, self.y, self.alive, self.age = x, y, alive, 0

    def step(self, neighbours):
        alive = neighbours == 3 or (self.alive and neighbours == 2)
        self.age = self.age + 1 if alive and self.alive else 0
        return alive


def life(size, rounds):
    cells = {(x, y): Cell(x, y, (x * 7 + y * 13 + x * y) % 5 < 2)
             for x in range(size) for y in range(size)}
    for _ in range(rounds):
        counts = {}
        for c in cells.values():
            if c.alive:
                for dx, dy in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
                    key = ((c.x + dx) % size, (c.y + dy) % size)
                    counts[key] = counts.get(key, 0) + 1
        for key, c in cells.items():
            c.alive = c.step(counts.get(key, 0))
    return sum(c.age + c.alive for c in cells.values())


def words(n):
    parts = ["%x" % (i * 2654435761 % 4093) for i in range(n)]
    seen = {}
    for p in parts:
        seen.setdefault(p[:2], []).append(p)
    return ",".join("%s:%d" % (k, len(set(v))) for k, v in sorted(seen.items()))


def queens(n, row=0, cols=0, d1=0, d2=0):
    if row == n:
        return 1
    total, free = 0, ~(cols | d1 | d2) & ((1 << n) - 1)
    while free:
        bit = free & -free
        free ^= bit
        total += queens(n, row + 1, cols | bit, (d1 | bit) << 1, (d2 | bit) >> 1)
    return total


def orbit(steps):
    x, y, vx, vy = 1.0, 0.0, 0.0, 1.0
    for _ in range(steps):
        r = (x * x + y * y) ** 0.5
        ax, ay = -x / (r * r * r), -y / (r * r * r)
        vx, vy = vx + ax * 0.001, vy + ay * 0.001
        x, y = x + vx * 0.001, y + vy * 0.001
    return "%.9f %.9f" % (x, y)


for i in range(int(sys.argv[1])):
    print(life(24, 3), words(3000), queens(6), orbit(2000 + i))
