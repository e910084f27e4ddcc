// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whether KVM on this host runs an unmodified operating system. A device node says little, and so do the
 * processor's flags: there are kernels whose KVM is a paravirtual one, which interprets guest kernels slowly and
 * in part. So two guests of a few bytes are run in long mode at CPL 0: an SSE instruction, which such kernels
 * do not know, and a loop, which takes hardware a hundredth of an interpreter's 1 µs an instruction.
 *
 * Time is that of this thread's processor, and the best of some tries counts, so that a busy host is not taken
 * for a slow one.
 * Source: Linux, Documentation/virt/kvm/api.rst; Intel SDM 3A §4.5 (4-level paging).
 * Threads: one probe at a time.
 */
#include "engine/probe.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/range.h"
#include "engine/options.h"
#include "x86/state.h"

#define SIG_PROBE (34 + 5) /* a real-time signal that the C library does not use */
#define LIMIT_NS 5000000ll /* for the loop of 10,000 instructions, in processor time */
#define TRIES 6
#define STOP_NS 20000000ll /* it is stopped, in processor time */
#define HANG_S 3	   /* whatever it does, by the clock */

/* The guests' memory. */
#define MEM_BYTES 0x10000u
#define PML4 0x1000u
#define PDPT 0x2000u
#define PD 0x3000u
#define CODE 0x4000u

static void say(struct kvm_probe *out, enum kvm_verdict v, const char *mend, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void say(struct kvm_probe *out, enum kvm_verdict v, const char *mend, const char *fmt, ...)
{
	va_list ap;

	out->verdict = v;
	va_start(ap, fmt);
	vsnprintf(out->why, sizeof(out->why), fmt, ap);
	va_end(ap);
	snprintf(out->mend, sizeof(out->mend), "%s", mend);
}

/* ---- Without a usable device -------------------------------------------------------------------- */

static bool cpu_flag_vmx(void)
{
	uint32_t a, b, c = 0, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 5);
}

static bool cpu_flag_svm(void)
{
	uint32_t a, b, c = 0, d;

	return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & 1u << 2);
}

static bool cpu_flag_guest(void)
{
	uint32_t a, b, c = 0, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 31);
}

/* How to get virtualization where there is none: firmware, modules, the host outside. */
static const char *how_to_turn_on(void)
{
	if (cpu_flag_vmx())
		return "load the module: modprobe kvm_intel (if that fails, turn VT-x on in the "
		       "host's firmware)";
	if (cpu_flag_svm())
		return "load the module: modprobe kvm_amd (if that fails, turn SVM on in the "
		       "host's firmware)";
	if (cpu_flag_guest())
		return "this host is a virtual machine itself: turn nested virtualization on "
		       "outside";
	return "turn virtualization (VT-x, AMD-V) on in the host's firmware";
}

static void absent(const char *device, struct kvm_probe *out)
{
	const char *cpu = cpu_flag_vmx()   ? "though the processor has VT-x"
			  : cpu_flag_svm() ? "though the processor has AMD-V"
					   : "and the processor shows neither VT-x nor AMD-V";

	say(out, KVM_ABSENT, how_to_turn_on(), "there is no %s, %s", device, cpu);
}

static void forbidden(const char *device, struct kvm_probe *out)
{
	struct stat st;
	struct group *grp = stat(device, &st) ? NULL : getgrgid(st.st_gid);
	char mend[160];

	snprintf(mend, sizeof(mend), "join its group: usermod -aG %s YOUR-NAME, then log in again",
		 grp ? grp->gr_name : "kvm");
	say(out, KVM_FORBIDDEN, mend, "you may not open %s", device);
}

static void not_opened(const char *device, int err, struct kvm_probe *out)
{
	if (err == ENOENT || err == ENOTDIR)
		absent(device, out);
	else if (err == EACCES || err == EPERM)
		forbidden(device, out);
	else if (err == ENODEV || err == ENXIO)
		say(out, KVM_OFF, how_to_turn_on(), "%s is there, but no driver behind it", device);
	else
		say(out, KVM_FAILS, how_to_turn_on(), "cannot open %s: %s", device, strerror(err));
}

/* ---- A tiny guest ------------------------------------------------------------------------------- */

struct tiny {
	int dev, vm, cpu;
	size_t run_bytes;
	struct kvm_run *run;
	uint8_t *mem;
};

static void tiny_free(struct tiny *t)
{
	if (t->run)
		munmap(t->run, t->run_bytes);
	if (t->mem)
		munmap(t->mem, MEM_BYTES);
	if (t->cpu >= 0)
		close(t->cpu);
	if (t->vm >= 0)
		close(t->vm);
}

static int set_cpuid(struct tiny *t)
{
	const size_t max = 256;
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + max * sizeof(c->entries[0]));
	int r = -ENOMEM;

	if (!c)
		return r;
	c->nent = max;
	r = ioctl(t->dev, KVM_GET_SUPPORTED_CPUID, c);
	if (r == 0)
		r = ioctl(t->cpu, KVM_SET_CPUID2, c);
	r = r < 0 ? -errno : 0;
	free(c);
	return r;
}

static int tiny_new(struct tiny *t)
{
	struct kvm_userspace_memory_region region = {.memory_size = MEM_BYTES};
	void *p;
	int n;

	t->vm = ioctl(t->dev, KVM_CREATE_VM, 0);
	if (t->vm < 0)
		return -errno;
	p = mmap(NULL, MEM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	t->mem = p;
	/* The first 2 MiB of addresses are mapped to themselves. */
	st_le64(t->mem + PML4, PDPT | 3);
	st_le64(t->mem + PDPT, PD | 3);
	st_le64(t->mem + PD, 0x83);
	region.userspace_addr = (uint64_t)(uintptr_t)p;
	ioctl(t->vm, KVM_SET_TSS_ADDR, 0xfffbd000);
	if (ioctl(t->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return -errno;
	t->cpu = ioctl(t->vm, KVM_CREATE_VCPU, 0);
	n = ioctl(t->dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (t->cpu < 0 || n < (int)sizeof(struct kvm_run))
		return -errno;
	t->run_bytes = (size_t)n;
	p = mmap(NULL, t->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, t->cpu, 0);
	if (p == MAP_FAILED)
		return -errno;
	t->run = p;
	return set_cpuid(t);
}

static int long_mode(struct tiny *t)
{
	struct kvm_segment data =
		{.limit = ~0u, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
	struct kvm_segment code =
		{.limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
	struct kvm_regs regs = {.rip = CODE, .rflags = 2, .rsp = MEM_BYTES};
	struct kvm_sregs s;

	if (ioctl(t->cpu, KVM_GET_SREGS, &s) < 0)
		return -errno;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	s.cr3 = PML4;
	s.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	s.efer = EFER_LME | EFER_LMA;
	if (ioctl(t->cpu, KVM_SET_SREGS, &s) < 0 || ioctl(t->cpu, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

/* ---- Running it, and not for ever ------------------------------------------------------------- */

static void on_time(int sig)
{
	(void)sig; /* it ends KVM_RUN */
}

static bool start_timer(clockid_t clock, long long ns, timer_t *timer)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIG_PROBE};
	struct itimerspec at = {
		.it_value = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000},
		/* Again and again: the first may come when KVM_RUN has not begun. */
		.it_interval.tv_nsec = 10000000,
	};

	ev._sigev_un._tid = (int)syscall(SYS_gettid);
	if (timer_create(clock, &ev, timer) < 0)
		return false;
	return timer_settime(*timer, 0, &at, NULL) == 0;
}

static long long thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* KVM_RUN's errno; processor time in *ns. */
static int run_once(struct tiny *t, long long *ns)
{
	timer_t cpu_timer, wall_timer;
	long long start;
	int r;

	if (!start_timer(CLOCK_THREAD_CPUTIME_ID, STOP_NS, &cpu_timer))
		return EAGAIN;
	if (!start_timer(CLOCK_MONOTONIC, HANG_S * 1000000000ll, &wall_timer)) {
		timer_delete(cpu_timer);
		return EAGAIN;
	}
	start = thread_ns();
	r = ioctl(t->cpu, KVM_RUN, 0) < 0 ? errno : 0;
	*ns = thread_ns() - start;
	timer_delete(cpu_timer);
	timer_delete(wall_timer);
	return r;
}

/* NULL when it came to its HLT within LIMIT_NS, at one of the tries; else what to say. */
static const char *run_code(struct tiny *t, const uint8_t *code, size_t len)
{
	memcpy(t->mem + CODE, code, len);
	for (unsigned i = 0; i < TRIES; i++) {
		long long ns;
		int r;

		if (long_mode(t) < 0)
			return "it does not know long mode";
		r = run_once(t, &ns);
		if (r == EAGAIN)
			return "this process gets no timers";
		if (r && r != EINTR)
			return "it does not run a guest";
		if (!r && t->run->exit_reason != KVM_EXIT_HLT)
			return "it does not run all instructions";
		if (!r && ns < LIMIT_NS)
			return NULL;
	}
	return "it interprets guests, a hundred times as slowly as hardware";
}

static const char *run_guests(struct tiny *t)
{
	/* paddd xmm0, xmm1; hlt */
	static const uint8_t sse[] = {0x66, 0x0f, 0xfe, 0xc1, 0xf4};
	/* mov ecx, 5000; 1: dec ecx; jnz 1b; hlt */
	static const uint8_t loop[] = {0xb9, 0x88, 0x13, 0, 0, 0xff, 0xc9, 0x75, 0xfc, 0xf4};
	struct sigaction sa = {.sa_handler = on_time};
	const char *why;

	sigemptyset(&sa.sa_mask);
	if (sigaction(SIG_PROBE, &sa, NULL) < 0)
		return "this process has no signals";
	why = run_code(t, sse, sizeof(sse));
	if (!why)
		why = run_code(t, loop, sizeof(loop));
	/* One that is on its way comes while it does no harm. */
	sa.sa_handler = SIG_IGN;
	sigaction(SIG_PROBE, &sa, NULL);
	return why;
}

/* ---- The verdict ------------------------------------------------------------------------------ */

/* What the engine cannot be without. */
static const char *missing(int dev)
{
	static const struct {
		int cap;
		const char *name;
	} needs[] = {
		{KVM_CAP_USER_MEMORY, "memory slots"},
		{KVM_CAP_EXT_CPUID, "CPUID tables"},
		{KVM_CAP_READONLY_MEM, "read-only memory"},
		{KVM_CAP_IMMEDIATE_EXIT, "immediate exits"},
		{KVM_CAP_SET_TSS_ADDR, "the TSS address"},
		{KVM_CAP_SET_IDENTITY_MAP_ADDR, "the identity map"},
		{KVM_CAP_VCPU_EVENTS, "vCPU events"},
		{KVM_CAP_DEBUGREGS, "debug registers"},
		{KVM_CAP_XSAVE, "XSAVE"},
		{KVM_CAP_USER_NMI, "NMIs"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		if (ioctl(dev, KVM_CHECK_EXTENSION, needs[i].cap) <= 0)
			return needs[i].name;
	}
	return NULL;
}

static void probe_device(const char *device, struct tiny *t, struct kvm_probe *out)
{
	const char *why;
	int r = ioctl(t->dev, KVM_GET_API_VERSION, 0);

	if (r != KVM_API_VERSION) {
		say(out, KVM_OTHER, "give the device of KVM, " ENGINE_KVM_DEVICE,
		    "%s is not KVM's device", device);
		return;
	}
	why = missing(t->dev);
	if (why) {
		say(out, KVM_OLD, "use a newer kernel, Linux 4.12 at least",
		    "%s lacks something: %s", device, why);
		return;
	}
	r = tiny_new(t);
	if (r < 0) {
		say(out, KVM_OFF, r == -EBUSY ? "end the other hypervisor" : how_to_turn_on(),
		    "%s is there, but makes no VM: %s", device, strerror(-r));
		return;
	}
	why = run_guests(t);
	if (why)
		say(out, KVM_NOT_HARDWARE,
		    "use the software engine here, or a host with VT-x or AMD-V",
		    "%s is not hardware and cannot run an unmodified operating system: %s", device,
		    why);
}

void engine_kvm_probe(const char *device, struct kvm_probe *out)
{
	struct tiny t = {.vm = -1, .cpu = -1};

	*out = (struct kvm_probe){.verdict = KVM_GOOD};
	if (!device)
		device = ENGINE_KVM_DEVICE;
	t.dev = open(device, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (t.dev < 0) {
		not_opened(device, errno, out);
		return;
	}
	probe_device(device, &t, out);
	tiny_free(&t);
	close(t.dev);
}
