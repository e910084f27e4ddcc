#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run in the guest: what its kernel made of the machine. Read by test_guest_view.py.
section() { echo "@@$1"; }
section e820; dmesg | grep -o 'BIOS-e820: .*'
section dmi; for f in sys_vendor product_name bios_vendor chassis_vendor; do
	echo "$f=$(cat /sys/class/dmi/id/$f 2>&1)"; done
section pci; for d in /sys/bus/pci/devices/*; do
	echo "${d##*/} $(cat $d/vendor) $(cat $d/device) $(cat $d/class)"; done
section interrupts; cat /proc/interrupts
# Linux measures the TSC once more in its first second, under another name.
i=0
while [ $i -lt 50 ] && grep -q early /sys/devices/system/clocksource/clocksource0/current_clocksource; do
	sleep 0.2
	i=$((i + 1))
done
section clock; cat /sys/devices/system/clocksource/clocksource0/current_clocksource
cat /sys/devices/system/clocksource/clocksource0/available_clocksource
section cpu; grep -m1 '^flags' /proc/cpuinfo; grep -m1 '^bugs' /proc/cpuinfo
section vulnerabilities; grep . /sys/devices/system/cpu/vulnerabilities/*
section iomem; cat /proc/iomem
section ioports; cat /proc/ioports
section input; cat /proc/bus/input/devices
section serial; cat /proc/tty/driver/serial
section time; cat /sys/class/rtc/rtc0/name /sys/class/rtc/rtc0/since_epoch
section tables; for f in /sys/firmware/acpi/tables/*; do
	[ -f "$f" ] && { echo "table ${f##*/}"; base64 "$f"; }; done
section complaints; dmesg -r | grep -E '^<[0-3]>'
section end
