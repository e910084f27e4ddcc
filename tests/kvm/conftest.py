# SPDX-License-Identifier: GPL-2.0-or-later
"""The KVM engine under emulated processors (`make check-kvm`); they use tests/system's helpers."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))
