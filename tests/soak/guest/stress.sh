# SPDX-License-Identifier: GPL-2.0-or-later
# stress-ng with --verify. usage: stress.sh SECONDS EACH [SEED [NAME …]]
# First every stressor alone (two of it, EACH seconds), then six at a time, 20 seconds each, by
# lot, for SECONDS. "@@stress NAME STATUS" for each, with the log where it is not 0.
# A single NAME with pluses, a+b+c, is a mix that is repeated for SECONDS.
# Status 3 and 4: the machine or kernel has not what it wants. Left out are those that fail on any
# machine in a root like this (io-uring, uprobe), those that may take the machine along, and zombie,
# which calls a child wrong that has not run yet: beside loadavg there are many, on the host too.
seconds=$1
each=$2
seed=${3:-1}
shift 3
# stress-ng ends stressors by SIGALRM, and with a process it could not start all processes there are.
trap : ALRM
mkdir -p /tmp/s
cd /tmp/s || exit 1
all="cpu vm mmap mmapfork mmapaddr mmapfixed mmapmany fork vfork forkheavy exec spawn pipe pipeherd
sigabrt sigchld sigfd sigfpe sigio signal signest sigpending sigpipe sigq sigrt sigsegv sigsuspend
sigtrap kill timer timerfd itimer hrtimers alarm clock nanosleep sleep futex mutex context switch
yield memcpy memrate memthrash memfd str wcs matrix matrix-3d vecmath vecwide vecshuf vecfp fma fp
fp-error trig atomic lockbus lockmix mprotect fault userfaultfd clone pthread sem sem-sysv msg mq shm
shm-sysv tsc icache funccall funcret branch jmp goto opcode nop far-branch x86syscall x86cpuid
priv-instr rdrand randlist radixsort qsort mergesort heapsort shellsort bsearch hsearch lsearch
tsearch tree list skiplist judy hash crypt zlib stack stackmmap brk madvise mremap msync munmap
mincore mlock membarrier rseq schedpolicy affinity getrandom get set sysinfo prctl ptrace
daemon dup eventfd epoll poll select splice tee vmsplice sendfile seek hdd dentry dir open link
symlink rename flock fcntl lockf chmod access inotify iomix aio aiol sock udp sockpair
sockfd procfs remap key kcmp secretmem pkey landlock seccomp bad-altstack cache prefetch
l1cache stream sparsematrix longjmp mcontend physpage personality vdso session wait
sysbadaddr usersyscall enosys env cacheline peterson dekker race-sched resched rlimit null zero
full urandom utime misaligned bitops bigheap cap chdir close copy-file dynlib enosys
getdent handle loadavg malloc mknod pagemove pidfd pthread revio rtc schedmix
shellsort sigxcpu switch sysfs tlb-shootdown tmpfs unshare vecsad vma wcs zlib"
mix=
case $* in *+*) mix=$1 && shift ;; esac
known=" $(stress-ng --stressors 2>/dev/null) "
list=
for s in ${*:-$all}; do
	case $known in *" $s "*) case " $list " in *" $s "*) ;; *) list="$list $s" ;; esac ;; esac
done
# shellcheck disable=SC2086
set -- $list
echo "@@stress-list $#"
opts="--verify --temp-path /tmp/s --no-rand-seed --vm-bytes 96M --bigheap-growth 1M --mmap-bytes 64M
	--stack-fill --hdd-bytes 8M --memthrash-method all --shm-bytes 4M --fork-max 4
	--clone-max 64 --pthread-max 64 --zombie-max 64 --iomix-bytes 8M --stream-l3-size 1M
	--copy-file-bytes 128M --forkheavy-procs 64 --mremap-bytes 16M --msync-bytes 8M
	--seek-size 4M --revio-bytes 8M --oomable"
run() { # seconds, label, stressors' options
	limit=$(($1 * 6 + 120))
	label=$2
	shift 2
	# shellcheck disable=SC2086
	timeout -s KILL $limit stress-ng $opts --timeout "$secs" "$@" >log 2>&1
	status=$?
	echo "@@stress $label $status"
	[ $status = 0 ] || grep -v 'dispatching\|setting to a\|info: .*: ' log | head -12 | sed 's/^/! /'
	rm -rf /tmp/s/* /dev/shm/* 2>/dev/null
}
now() { cut -d. -f1 /proc/uptime; }
secs=$each
for s in $list; do
	[ -z "$mix" ] && [ "$each" -gt 0 ] && run "$each" "$s" "--$s" 2
done
secs=20
end=$(($(now) + seconds))
while [ "$(now)" -lt $end ]; do
	args=
	label=
	if [ -n "$mix" ]; then
		# shellcheck disable=SC2046
		run $secs "+$mix+" $(echo "$mix" | sed 's/[^+]*/--& 1/g; s/+/ /g')
		continue
	fi
	for i in 1 2 3 4 5 6; do
		seed=$((seed * 16807 % 2147483647))
		eval "s=\${$((seed % $# + 1))}"
		case $label in *"+$s+"*) continue ;; esac
		args="$args --$s 1"
		label="$label+$s+"
	done
	# shellcheck disable=SC2086
	run $secs "$label" $args
done
echo "@@stress-end"
