// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The KVM engine on a kernel that misbehaves: exits that no one expects, calls that fail, a device that goes away.
 * The kernel is this file: ioctl() below is what the engine calls. Needs no /dev/kvm. Run: make t T=engine/kvm_bad
 */
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "engine/engine.h"

#define RAM 0x100000u
#define RUN_BYTES 0x3000u

/* ---- A kernel --------------------------------------------------------------------------------- */

static struct {
	unsigned calls, fail_at; /* the nth call fails, 0: none; */
	int fail_errno;
	unsigned long fail_what; /* or each of these, 0: none */
	unsigned vcpus, runs;
	int run_errno;
	unsigned eintrs;
	void (*exit)(struct kvm_run *run); /* what a run ends by */
	struct kvm_run *run;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_guest_debug debug;
	struct kvm_debugregs dr;
	bool caps;
	long lacks[4]; /* capabilities, 0: no more */
	unsigned long tsc_khz;
	unsigned page; /* of the ring of late writes */
} k;

static int kvm_run_call(void)
{
	k.runs++;
	if (k.eintrs) {
		k.eintrs--;
		errno = EINTR;
		return -1;
	}
	if (k.run_errno) {
		errno = k.run_errno;
		return -1;
	}
	k.run->if_flag = 0;
	k.exit(k.run);
	return 0;
}

static int new_fd(const char *name, size_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

/* struct kvm_run is shared with the engine by a mapping of its own. */
static int new_vcpu(void)
{
	int fd = new_fd("vcpu", RUN_BYTES);

	k.run = mmap(NULL, RUN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(k.run, MAP_FAILED);
	return fd;
}

static int answer(unsigned long what, void *p)
{
	struct kvm_msrs *msrs = p;

	switch (what) {
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_CREATE_VM:
		return new_fd("vm", 4096);
	case KVM_CREATE_VCPU:
		return new_vcpu();
	case KVM_GET_VCPU_MMAP_SIZE:
		return RUN_BYTES;
	case KVM_CHECK_EXTENSION:
		if ((long)p == KVM_CAP_MAX_VCPUS || (long)p == KVM_CAP_SREGS2)
			return 0;
		for (unsigned i = 0; i < 4 && k.lacks[i]; i++) {
			if ((long)p == k.lacks[i])
				return 0;
		}
		if ((long)p == KVM_CAP_COALESCED_MMIO)
			return k.page ? (int)k.page : 64;
		return k.caps ? 64 : 0;
	case KVM_GET_SUPPORTED_CPUID:
		((struct kvm_cpuid2 *)p)->nent = 0;
		return 0;
	case KVM_GET_MSRS:
	case KVM_SET_MSRS:
		return (int)msrs->nmsrs;
	case KVM_GET_REGS:
		*(struct kvm_regs *)p = k.regs;
		return 0;
	case KVM_SET_REGS:
		k.regs = *(struct kvm_regs *)p;
		return 0;
	case KVM_GET_SREGS:
		*(struct kvm_sregs *)p = k.sregs;
		return 0;
	case KVM_SET_SREGS:
		k.sregs = *(struct kvm_sregs *)p;
		return 0;
	case KVM_SET_GUEST_DEBUG:
		k.debug = *(struct kvm_guest_debug *)p;
		return 0;
	case KVM_GET_DEBUGREGS:
		*(struct kvm_debugregs *)p = k.dr;
		return 0;
	case KVM_SET_DEBUGREGS:
		k.dr = *(struct kvm_debugregs *)p;
		return 0;
	case KVM_TRANSLATE:
		((struct kvm_translation *)p)->physical_address =
			((struct kvm_translation *)p)->linear_address;
		((struct kvm_translation *)p)->valid = 1;
		return 0;
	case KVM_GET_TSC_KHZ:
		return 3000000;
	case KVM_SET_TSC_KHZ:
		k.tsc_khz = (unsigned long)p;
		return 0;
	case KVM_RUN:
		return kvm_run_call();
	default:
		return 0;
	}
}

/* In place of the C library's. */
int ioctl(int fd, unsigned long what, ...)
{
	va_list ap;
	void *p;

	va_start(ap, what);
	p = va_arg(ap, void *);
	va_end(ap);
	if ((what >> 8 & 0xff) != KVMIO)
		return (int)syscall(SYS_ioctl, fd, what, p);
	k.calls++;
	if (k.calls == k.fail_at || (k.fail_what && what == k.fail_what)) {
		errno = k.fail_errno;
		return -1;
	}
	return answer(what, p);
}

/* ---- The machine ------------------------------------------------------------------------------ */

static uint64_t rd(void *o, uint16_t p, unsigned s)
{
	return 0;
}
static void wr(void *o, uint16_t p, uint64_t v, unsigned s)
{
}
static uint64_t mrd(void *o, unsigned c, gpa_t g, unsigned s)
{
	return 0;
}
static void mwr(void *o, unsigned c, gpa_t g, uint64_t v, unsigned s)
{
}
static int ack(void *o, unsigned c)
{
	return -1;
}
static int msr_rd(void *o, unsigned c, uint32_t m, uint64_t *v)
{
	return -1;
}
static int msr_wr(void *o, unsigned c, uint32_t m, uint64_t v)
{
	return -1;
}
static uint8_t cr8(void *o, unsigned c)
{
	return 0;
}
static void cr8_wr(void *o, unsigned c, uint8_t v)
{
}
static void eoi(void *o, uint8_t v)
{
}

static struct mem *mem;
static struct x86_cpuid cpuid;
static struct engine *engine;
static struct vcpu *cpu;
static struct lodge_err err;

static struct engine *create(void)
{
	const struct engine_config cfg = {
		.cpus = 1,
		.cpuid = &cpuid,
		.mem = mem,
		.kvm = {.device = "/dev/null", .irqchip = ENGINE_IRQCHIP_SPLIT},
		.host = {.pio_read = rd,
			 .pio_write = wr,
			 .mmio_read = mrd,
			 .mmio_write = mwr,
			 .irq_ack = ack,
			 .apic_msr_read = msr_rd,
			 .apic_msr_write = msr_wr,
			 .cr8_read = cr8,
			 .cr8_write = cr8_wr,
			 .eoi = eoi},
	};

	return engine_kvm.create(&cfg, &err);
}

static int setup(void **state)
{
	memset(&k, 0, sizeof(k));
	k.caps = true;
	k.fail_errno = ENOMEM;
	assert_int_equal(x86_cpuid_build(&cpuid, "qemu64", 1, &err), 0);
	mem = mem_new(RAM, 0, &err);
	assert_non_null(mem);
	assert_int_equal(mem_map(mem, 0, RAM, MEM_RAM, 0), 0);
	engine = create();
	assert_non_null(engine);
	cpu = engine_kvm.vcpu(engine, 0);
	x86_state_reset(engine_kvm.state(cpu), true);
	engine_kvm.state(cpu)->rip = 0x1234;
	engine_kvm.state(cpu)->seg[SEG_CS].base = 0;
	engine_kvm.state_changed(cpu);
	memcpy(mem_base(mem) + 0x1234, "\x0f\x0b\x90", 3);
	return 0;
}

static int teardown(void **state)
{
	if (engine)
		engine_kvm.destroy(engine);
	engine = NULL;
	mem_free(mem);
	if (k.run)
		munmap(k.run, RUN_BYTES);
	return 0;
}

static const char *run_error(void)
{
	assert_int_equal(engine_kvm.run(cpu), ENGINE_EXIT_ERROR);
	assert_true(strlen(engine_kvm.error(cpu)) > 20);
	return engine_kvm.error(cpu);
}

/* ---- A debugger's points ------------------------------------------------------------------------ */

static const uint8_t *ram(uint64_t at)
{
	return mem_base(mem) + at;
}

/* The sixth breakpoint's byte, as the guest meets it. */
static void exit_at_int3(struct kvm_run *run)
{
	assert_int_equal(*ram(0x5000), 0xcc);
	assert_int_equal(*ram(0x6000), 0xcc);
	assert_int_equal(*ram(0x1000), 0);
	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch = (struct kvm_debug_exit_arch){.exception = VEC_BP, .pc = 0x6000};
}

static void breakpoints_when_more_than_registers_expect_int3_while_it_runs(void **state)
{
	struct engine_point p[6];
	struct engine_stop stop;

	for (unsigned i = 0; i < 6; i++)
		p[i] = (struct engine_point){ENGINE_POINT_BREAK, (i + 1) * 0x1000, 0,
					     (i + 1) * 0x1000};
	assert_int_equal(engine_kvm.debug(engine, p, 6, &err), 0);
	engine_kvm.debug_cpu(cpu, 0);
	assert_int_equal(*ram(0x5000), 0);
	k.exit = exit_at_int3;
	assert_int_equal(engine_kvm.run(cpu), ENGINE_EXIT_DEBUG);
	stop = engine_kvm.debug_stop(cpu);
	assert_int_equal(stop.kind, ENGINE_STOP_BREAK);
	assert_int_equal(stop.lin, 0x6000);
	/* Registers for four of them, and nothing is left of the others. */
	assert_true(k.debug.control & KVM_GUESTDBG_USE_HW_BP);
	assert_true(k.debug.control & KVM_GUESTDBG_USE_SW_BP);
	assert_int_equal(k.debug.arch.debugreg[0], 0x1000);
	assert_int_equal(k.debug.arch.debugreg[3], 0x4000);
	assert_int_equal(*ram(0x5000), 0);
	assert_int_equal(*ram(0x6000), 0);
}

static void breakpoint_when_the_vcpu_stands_there_expect_a_register(void **state)
{
	struct engine_point p[5];

	for (unsigned i = 0; i < 5; i++)
		p[i] = (struct engine_point){ENGINE_POINT_BREAK, i < 4 ? i * 0x1000 : 0x1234, 0, 0};
	assert_int_equal(engine_kvm.debug(engine, p, 5, &err), 0);
	engine_kvm.debug_cpu(cpu, ENGINE_DEBUG_PASS);
	k.run_errno = EIO;
	assert_int_equal(engine_kvm.run(cpu), ENGINE_EXIT_ERROR);
	assert_int_equal(k.debug.arch.debugreg[0], 0x1234);
	assert_true(k.regs.rflags & FLAG_RF);
}

static void breakpoints_when_nothing_is_mapped_expect_four_at_most(void **state)
{
	struct engine_point p[5];

	for (unsigned i = 0; i < 5; i++)
		p[i] = (struct engine_point){ENGINE_POINT_BREAK, i * 0x1000, 0, GPA_NONE};
	assert_int_equal(engine_kvm.debug(engine, p, 4, &err), 0);
	assert_int_equal(engine_kvm.debug(engine, p, 5, &err), -ENOSPC);
	for (unsigned i = 0; i < 5; i++)
		p[i] = (struct engine_point){ENGINE_POINT_WRITE, i * 0x1000, 4, GPA_NONE};
	assert_int_equal(engine_kvm.debug(engine, p, 5, &err), -ENOSPC);
	assert_int_equal(engine_kvm.debug(engine, p, 4, &err), 0);
}

/* Of its own it gets what it would have got: INT3, then a trap with its bit in DR6, then the test ends. */
static void exit_own(struct kvm_run *run)
{
	run->exit_reason = k.runs == 3 ? 4711 : KVM_EXIT_DEBUG;
	run->debug.arch = (struct kvm_debug_exit_arch){.exception = k.runs == 1 ? VEC_BP : VEC_DB,
						       .pc = 0x1234,
						       .dr6 = DR6_FIXED | DR6_BS};
	if (k.runs == 2)
		assert_true(k.debug.control & KVM_GUESTDBG_INJECT_BP);
	if (k.runs == 3)
		assert_true(k.debug.control & KVM_GUESTDBG_INJECT_DB);
}

static void exceptions_when_the_guests_own_expect_them_given_back(void **state)
{
	struct engine_point p = {ENGINE_POINT_BREAK, 0x9000, 0, 0x9000};

	assert_int_equal(engine_kvm.debug(engine, &p, 1, &err), 0);
	engine_kvm.debug_cpu(cpu, 0);
	k.exit = exit_own;
	assert_int_equal(engine_kvm.run(cpu), ENGINE_EXIT_ERROR);
	assert_int_equal(k.runs, 3);
	assert_true(k.dr.dr6 & DR6_BS);
}

/* ---- Exits ------------------------------------------------------------------------------------ */

static void exit_unknown(struct kvm_run *run)
{
	run->exit_reason = 4711;
}

static void exit_when_unknown_expect_its_number_and_registers(void **state)
{
	const char *e;

	k.exit = exit_unknown;
	e = run_error();
	assert_non_null(strstr(e, "4711"));
	assert_non_null(strstr(e, ":1234 "));
	assert_non_null(strstr(e, "code 0f 0b 90"));
}

static void exit_internal(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = 0xffffffff;
	run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run->emulation_failure.insn_size = 255; /* more than there are */
	memset(run->emulation_failure.insn_bytes, 0xd9, sizeof(run->emulation_failure.insn_bytes));
}

static void exit_when_internal_error_expect_instruction_bytes(void **state)
{
	const char *e;

	k.exit = exit_internal;
	e = run_error();
	assert_non_null(strstr(e, "internal error 1"));
	assert_non_null(strstr(e, "code d9 d9"));
	assert_non_null(strstr(e, "-accel soft"));
}

static void exit_odd_error(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = 0xffffffff;
}

static void exit_no_entry(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = 0x80000021;
}

static void exit_port_outside(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_IO;
	run->io.size = 4;
	run->io.count = 0x40000000;
	run->io.data_offset = 0x1000;
}

static void exit_port_of_three(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_IO;
	run->io.size = 3;
	run->io.count = 1;
}

static void exit_memory_too_long(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = 0xd0000000;
	run->mmio.len = 0x80000000;
}

static void exits_when_impossible_expect_a_sentence_each(void **state)
{
	static const struct {
		void (*exit)(struct kvm_run *run);
		const char *says;
	} cases[] = {
		{exit_odd_error, "internal error 4294967295: no reason named"},
		{exit_no_entry, "0x80000021"},
		{exit_port_outside, "port access"},
		{exit_port_of_three, "3 bytes"},
		{exit_memory_too_long, "2147483648 bytes"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		k.exit = cases[i].exit;
		assert_non_null(strstr(run_error(), cases[i].says));
	}
}

/* ---- Calls that fail ---------------------------------------------------------------------------- */

static void run_when_it_fails_expect_what_to_do(void **state)
{
	k.run_errno = ENODEV; /* the device has gone */
	assert_non_null(strstr(run_error(), "KVM_RUN fails: No such device"));
	k.run_errno = EFAULT;
	assert_non_null(strstr(run_error(), "out of memory"));
	k.run_errno = EIO;
	assert_non_null(strstr(run_error(), "-accel soft"));
}

/* Not even the registers can be had. */
static void everything_when_gone_expect_a_sentence_still(void **state)
{
	k.run_errno = EIO;
	k.fail_what = KVM_GET_REGS;
	k.fail_errno = EIO;
	assert_non_null(strstr(run_error(), "KVM_RUN fails"));
	assert_int_equal(engine_kvm.run(cpu), ENGINE_EXIT_ERROR);
}

static void interrupted_calls_when_many_expect_they_are_made_again(void **state)
{
	k.eintrs = 1000;
	k.exit = exit_unknown;
	run_error();
	assert_int_equal(k.runs, 1001);
}

static void slot_when_it_fails_expect_the_machine_ends(void **state)
{
	const char *e;

	k.fail_what = KVM_SET_USER_MEMORY_REGION;
	k.exit = exit_unknown;
	assert_int_equal(mem_map(mem, 0xf0000, 0x1000, MEM_ROM, 0), 0);
	e = run_error();
	assert_non_null(strstr(e, "cannot map the guest's memory"));
	assert_non_null(strstr(e, "Cannot allocate memory"));
	assert_int_equal(k.runs, 0);
	/* For good, and whatever else goes wrong. */
	k.fail_what = 0;
	assert_int_equal(mem_map(mem, 0xf0000, 0x1000, MEM_RAM, 0xf0000), 0);
	assert_int_equal(engine_kvm.run(cpu), ENGINE_EXIT_ERROR);
}

static void state_when_refused_expect_a_sentence(void **state)
{
	static const unsigned long calls[] = {KVM_SET_SREGS,	   KVM_SET_REGS,
					      KVM_SET_XSAVE,	   KVM_SET_DEBUGREGS,
					      KVM_SET_VCPU_EVENTS, KVM_SET_MP_STATE};

	k.exit = exit_unknown;
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		engine_kvm.state_changed(cpu);
		k.fail_what = calls[i];
		assert_non_null(strstr(run_error(), "vCPU 0: Cannot allocate memory"));
		assert_int_equal(k.runs, 0);
	}
}

static void pages_when_the_log_fails_expect_all_written(void **state)
{
	uint64_t bits[RAM / 4096 / 64];

	mem_take_dirty(mem, 0, RAM, bits);
	mem_take_dirty(mem, 0, RAM, bits);
	assert_int_equal(mem_take_dirty(mem, 0, RAM, bits), 0);
	k.fail_what = KVM_GET_DIRTY_LOG;
	assert_int_equal(mem_take_dirty(mem, 0, RAM, bits), RAM / 4096);
	assert_int_equal(mem_take_dirty(mem, 0, RAM, bits), RAM / 4096);
}

/* ---- What old kernels have not ------------------------------------------------------------------- */

static void again(void)
{
	engine_kvm.destroy(engine);
	if (k.run)
		munmap(k.run, RUN_BYTES);
	engine = create();
	assert_non_null(engine);
	cpu = engine_kvm.vcpu(engine, 0);
}

static void short_ways_when_the_kernel_has_none_expect_false(void **state)
{
	const struct engine_bell b = {.addr = 0xe0000000};

	k.lacks[0] = KVM_CAP_IOEVENTFD;
	k.lacks[1] = KVM_CAP_IRQFD;
	again();
	assert_false(engine_kvm.shortcuts->bell(engine, &b, true));
	assert_true(engine_kvm.irqchip->way_open(engine) < 0);
	/* Its ring would be outside of what it maps. */
	assert_false(engine_kvm.shortcuts->late(engine, false, 0xa0000, 0x20000, true));
	k.page = 2;
	k.lacks[0] = KVM_CAP_COALESCED_PIO;
	again();
	assert_true(engine_kvm.shortcuts->bell(engine, &b, true));
	assert_true(engine_kvm.shortcuts->late(engine, false, 0xa0000, 0x20000, true));
	assert_false(engine_kvm.shortcuts->late(engine, true, 0x80, 1, true));
}

/* A guest that was saved where the TSC has 2 GHz. */
static void tsc_when_another_than_the_hosts_expect_it_scaled_or_not(void **state)
{
	const struct x86_cpuid *id;

	cpuid.tsc_hz = 2000000000;
	cpuid.host_tsc_hz = 3000000000;
	again();
	id = engine_kvm.cpuid(engine);
	assert_int_equal(k.tsc_khz, 2000000);
	assert_int_equal(x86_tsc_scale(id, 3000000000000000ull), 2000000000000000ull);
	k.fail_what = KVM_SET_TSC_KHZ;
	again();
	assert_int_equal(engine_kvm.cpuid(engine)->tsc_guest_khz, 0);
	k.fail_what = 0;
	k.lacks[0] = KVM_CAP_TSC_CONTROL;
	again();
	id = engine_kvm.cpuid(engine);
	assert_int_equal(id->tsc_guest_khz, 0);
	assert_int_equal(x86_tsc_scale(id, 5), 5);
}

static void short_ways_when_they_fail_expect_the_long_one(void **state)
{
	const struct engine_bell b = {.addr = 0xe0000000};
	int way = engine_kvm.irqchip->way_open(engine);

	assert_true(way >= 0);
	k.fail_what = KVM_IOEVENTFD;
	assert_false(engine_kvm.shortcuts->bell(engine, &b, true));
	k.fail_what = KVM_IRQFD;
	for (unsigned i = 0; i < 40; i++)
		assert_false(engine_kvm.irqchip->way_send(engine, way, 0xfee00000, 0x40));
	k.fail_what = 0;
	assert_true(engine_kvm.irqchip->way_send(engine, way, 0xfee00000, 0x40));
	engine_kvm.irqchip->way_close(engine, way);
}

static unsigned late_writes;
static uint64_t late_last;

static void on_late(void *opaque, bool pio, uint64_t addr, uint64_t val, unsigned size)
{
	late_writes++;
	late_last = addr + val + size;
}

/* A ring that says what no kernel would. */
static void late_writes_when_the_ring_is_nonsense_expect_an_end(void **state)
{
	struct kvm_coalesced_mmio_ring *r;

	k.page = 2;
	again();
	r = (void *)((uint8_t *)k.run + 2 * 4096);
	late_writes = 0;
	r->first = 0xffffff00;
	r->last = 3;
	r->coalesced_mmio[0] =
		(struct kvm_coalesced_mmio){.phys_addr = 0xa0000, .len = 1, .data = {5}};
	r->coalesced_mmio[1].len = 3;
	r->coalesced_mmio[2].len = 4711;
	engine_kvm.shortcuts->drain(engine, on_late, NULL);
	assert_int_equal(r->first, 3);
	assert_int_equal(late_writes, 1);
	assert_int_equal(late_last, 0xa0006);
	/* An end that is never reached ends, too. */
	r->last = 0xfffffff0;
	engine_kvm.shortcuts->drain(engine, on_late, NULL);
	assert_int_equal(late_writes, 2);
}

/* Each call of set-up fails once: a sentence, or a machine that does without. */
static void setup_when_the_nth_call_fails_expect_a_sentence_or_a_machine(void **state)
{
	unsigned all, failed = 0;

	engine_kvm.destroy(engine);
	k.calls = 0;
	engine = create();
	assert_non_null(engine);
	all = k.calls;
	for (unsigned n = 1; n <= all; n++) {
		engine_kvm.destroy(engine);
		memset(&err, 0, sizeof(err));
		k.calls = 0;
		k.fail_at = n;
		engine = create();
		if (!engine) {
			assert_true(strlen(err.msg) > 20);
			failed++;
		}
		k.fail_at = 0;
		if (!engine)
			engine = create();
		assert_non_null(engine);
	}
	assert_in_range(failed, 6, all);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(breakpoints_when_more_than_registers_expect_int3_while_it_runs),
		T(breakpoint_when_the_vcpu_stands_there_expect_a_register),
		T(breakpoints_when_nothing_is_mapped_expect_four_at_most),
		T(exceptions_when_the_guests_own_expect_them_given_back),
		T(exit_when_unknown_expect_its_number_and_registers),
		T(exit_when_internal_error_expect_instruction_bytes),
		T(exits_when_impossible_expect_a_sentence_each),
		T(run_when_it_fails_expect_what_to_do),
		T(everything_when_gone_expect_a_sentence_still),
		T(interrupted_calls_when_many_expect_they_are_made_again),
		T(slot_when_it_fails_expect_the_machine_ends),
		T(state_when_refused_expect_a_sentence),
		T(pages_when_the_log_fails_expect_all_written),
		T(short_ways_when_the_kernel_has_none_expect_false),
		T(tsc_when_another_than_the_hosts_expect_it_scaled_or_not),
		T(short_ways_when_they_fail_expect_the_long_one),
		T(late_writes_when_the_ring_is_nonsense_expect_an_end),
		T(setup_when_the_nth_call_fails_expect_a_sentence_or_a_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
