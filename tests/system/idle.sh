#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run in the guest by test_idle.py: do nothing for a while.
echo "@@idle"
sleep 600
