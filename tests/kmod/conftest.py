# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel component (`make check-kmod`); its tests use the helpers of tests/kvm and tests/system."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
for other in ("../system", "../kvm"):
    sys.path.insert(0, os.path.join(HERE, other))
