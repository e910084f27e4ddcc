# SPDX-License-Identifier: GPL-2.0-or-later
"""Long tests of whole systems (`make check-systems`); they use tests/system/vm.py."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))
