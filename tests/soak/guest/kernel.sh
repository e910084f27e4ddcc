# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel patches its own code: static keys, ftrace, kprobes, modules, processors that come and
# go, while both processors are busy in the patched functions. Guest only. usage: kernel.sh ROUNDS
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null || mount -t tracefs tracefs /sys/kernel/debug
t=/sys/kernel/tracing
say() { echo "@@kernel $*"; }
: >/tmp/go
busy() { # many system calls and processes until /tmp/go has gone
	n=0
	while [ -e /tmp/go ]; do
		cat /proc/self/stat /proc/meminfo >/dev/null
		[ "$(echo "$n" | tr 0-9 a-j | tr a-j 0-9)" = $n ] || say "busy: wrong at $n"
		n=$((n + 1))
	done
	say "busy $n"
}
busy &
busy &
stress-ng -q --pipe 1 --get 1 --fault 1 --hdd 1 --hdd-bytes 4M --temp-path /tmp --timeout 0 &
stress=$!
say "tracers $(cat $t/available_tracers)"
round=0
while [ $round -lt "${1:-3}" ]; do
	round=$((round + 1))
	for i in 1 0 1 0 1 0; do
		echo $i >/proc/sys/kernel/sched_schedstats
		usleep 20000
	done
	if grep -qw function $t/available_tracers; then
		for tracer in function function_graph nop function nop; do
			echo $tracer >$t/current_tracer || say "failed: tracer $tracer"
			usleep 300000
			[ $tracer = nop ] || say "$tracer $([ "$(head -40 $t/trace | wc -l)" -gt 20 ] && echo traced || echo EMPTY)"
		done
		echo 'vfs_*' >$t/set_ftrace_filter
		echo function >$t/current_tracer
		usleep 200000
		head -500 $t/trace | grep -q vfs_ || say "failed: no vfs_ in the trace"
		echo nop >$t/current_tracer
		echo >$t/set_ftrace_filter
	fi
	if [ -e $t/kprobe_events ]; then
		for f in do_sys_openat2 kernel_clone handle_mm_fault __x64_sys_getpid; do
			echo "p:soak_$(echo $f | tr -c 'a-z0-9\n' _) $f" >>$t/kprobe_events 2>/dev/null || say "no probe at $f"
		done
		echo 'r:soak_ret vfs_write' >>$t/kprobe_events
		echo 1 >$t/events/kprobes/enable
		usleep 500000
		echo 0 >$t/events/kprobes/enable # a trace that grows may be read for ever
		say "kprobes $(grep -c soak_ $t/trace | awk '{ print ($1 > 10 ? "hit" : "NOT HIT") }')"
		echo >$t/kprobe_events
	fi
	for e in sched/sched_switch syscalls/sys_enter_openat kmem/mm_page_alloc irq/irq_handler_entry timer/hrtimer_start; do
		if [ -e $t/events/$e/enable ]; then
			echo 1 >$t/events/$e/enable
			usleep 50000
			echo 0 >$t/events/$e/enable
		fi
	done
	echo >$t/trace
	for m in libcrc32c crc32-pclmul lz4_compress zsmalloc zram loop; do
		insmod /soak/modules/$m.ko || say "failed: insmod $m"
	done
	for m in loop zram zsmalloc lz4_compress crc32_pclmul libcrc32c; do
		rmmod $m || say "failed: rmmod $m"
	done
	if [ -e /sys/devices/system/cpu/cpu1/online ]; then
		for i in 0 1 0 1; do
			echo $i >/sys/devices/system/cpu/cpu1/online || say "failed: cpu1 online $i"
			usleep 100000
		done
	fi
	say "round $round"
done
# The kernel's own cipher tests, by every instruction set it knows (the module refuses to stay).
insmod /soak/modules/tcrypt.ko mode=0 2>/dev/null
rm /tmp/go
kill $stress
wait
say "done"
