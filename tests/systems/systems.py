# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole systems from firmware on, for the tests beside this file."""
import os
import sys

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
sys.path.insert(0, os.path.join(TOP, "tests/system"))
from vm import Vm  # noqa: E402

WORK = os.path.join(TOP, "build/systems")


class Machine(Vm):
    """A PC with firmware; `-no-reboot` is left out, since installers restart."""

    def __init__(self, *args, memory="512M"):
        super().__init__(*args, memory=memory)
        self.args.remove("-no-reboot")
