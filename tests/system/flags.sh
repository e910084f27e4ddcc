#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run in the guest by test_variants.py.
grep -m1 '^flags' /proc/cpuinfo | sed 's/^flags[^:]*/@@flags/'
echo "@@works $(seq 0 999 | awk '{ s += $1 } END { print s }')"
