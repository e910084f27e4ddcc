// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The KVM engine with real-mode guests of a few bytes, on the host's /dev/kvm; real mode runs even where an
 * operating system would not. Skipped where there is none. Run: make t T=engine/kvm_run
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "engine/engine.h"
#include "engine/probe.h"
#include "x86/msr.h"

#define RAM 0x100000u
#define ROM 0x10000u
#define CODE 0x1000u

static struct mem *mem;
static struct x86_cpuid cpuid;
static struct engine *engine;
static struct vcpu *cpu[2];
static struct lodge_err err;

/* What the guest did. */
static struct {
	char log[1024];
	size_t used;
	int vector;
	uint64_t in;
	uint8_t cr8;
	bool quiet;
} seen;

__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
	va_list ap;

	if (seen.quiet)
		return;
	va_start(ap, fmt);
	seen.used += (size_t)vsnprintf(seen.log + seen.used, sizeof(seen.log) - seen.used, fmt, ap);
	va_end(ap);
	assert_true(seen.used < sizeof(seen.log));
}

static uint64_t pio_read(void *o, uint16_t port, unsigned size)
{
	note("in%u %x;", size, port);
	return seen.in++;
}

static void pio_write(void *o, uint16_t port, uint64_t val, unsigned size)
{
	note("out%u %x=%llx;", size, port, (unsigned long long)val);
}

static uint64_t mmio_read(void *o, unsigned c, gpa_t gpa, unsigned size)
{
	note("rd%u %llx;", size, (unsigned long long)gpa);
	return 0x5a;
}

static void mmio_write(void *o, unsigned c, gpa_t gpa, uint64_t val, unsigned size)
{
	note("wr%u %llx=%llx;", size, (unsigned long long)gpa, (unsigned long long)val);
}

static int irq_ack(void *o, unsigned c)
{
	int v = seen.vector;

	seen.vector = -1;
	engine_kvm.signal(cpu[c], VCPU_SIGNAL_INTR_OFF, 0);
	return v;
}

static int msr_read(void *o, unsigned c, uint32_t msr, uint64_t *val)
{
	*val = msr == MSR_APIC_BASE ? 0xfee00900 - (c ? 0x100 : 0) : 0;
	return 0;
}

static int msr_write(void *o, unsigned c, uint32_t msr, uint64_t val)
{
	note("msr %x=%llx;", msr, (unsigned long long)val);
	return 0;
}

static uint8_t cr8_read(void *o, unsigned c)
{
	return seen.cr8;
}

static void cr8_write(void *o, unsigned c, uint8_t val)
{
	seen.cr8 = val;
}

static void ferr(void *o, bool level)
{
}

static int setup(void **state)
{
	struct engine_config cfg = {
		.cpus = 2,
		.cpuid = &cpuid,
		.host = {.pio_read = pio_read,
			 .pio_write = pio_write,
			 .mmio_read = mmio_read,
			 .mmio_write = mmio_write,
			 .irq_ack = irq_ack,
			 .apic_msr_read = msr_read,
			 .apic_msr_write = msr_write,
			 .cr8_read = cr8_read,
			 .cr8_write = cr8_write,
			 .ferr = ferr},
	};

	if (access("/dev/kvm", R_OK | W_OK))
		return 0;
	memset(&seen, 0, sizeof(seen));
	seen.vector = -1;
	assert_int_equal(x86_cpuid_build(&cpuid, "max", 2, &err), 0);
	mem = mem_new(RAM, ROM, &err);
	assert_non_null(mem);
	cfg.mem = mem;
	engine = engine_kvm.create(&cfg, &err);
	if (!engine)
		print_error("%s\n", err.msg);
	assert_non_null(engine);
	assert_int_equal(mem_map(mem, 0, 0xa0000, MEM_RAM, 0), 0);
	assert_int_equal(mem_map(mem, 0xf0000, ROM, MEM_ROM, RAM), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct x86_state *s;

		cpu[i] = engine_kvm.vcpu(engine, i);
		s = engine_kvm.state(cpu[i]);
		x86_state_reset(s, i == 0);
		s->seg[SEG_CS].sel = 0;
		s->seg[SEG_CS].base = 0;
		s->rip = CODE;
		s->gpr[R_RSP] = 0x8000;
		engine_kvm.state_changed(cpu[i]);
	}
	return 0;
}

static int teardown(void **state)
{
	if (engine)
		engine_kvm.destroy(engine);
	engine = NULL;
	mem_free(mem);
	mem = NULL;
	return 0;
}

#define NEED_KVM()                                           \
	do {                                                 \
		if (!engine) {                               \
			print_message("no /dev/kvm here\n"); \
			skip();                              \
		}                                            \
	} while (0)

#define LOAD(at, ...)                                                       \
	do {                                                                \
		static const uint8_t code[] = {__VA_ARGS__};                \
		assert_int_equal(mem_load(mem, at, code, sizeof(code)), 0); \
	} while (0)

/* Guests that spin do so with IF = 1: Bochs' VT-x does not leave a guest for interrupts otherwise. */

/* Until something that is no kick. */
static enum engine_exit run(unsigned i)
{
	enum engine_exit e;

	do {
		e = engine_kvm.run(cpu[i]);
	} while (e == ENGINE_EXIT_KICK);
	if (e == ENGINE_EXIT_ERROR)
		print_error("%s\n", engine_kvm.error(cpu[i]));
	return e;
}

static void port_when_accessed_expect_the_machine_asked(void **state)
{
	NEED_KVM();
	seen.in = 0x41;
	/* mov al,7; out 0x80,al; mov dx,0x3f8; in al,dx; in ax,dx; out dx,eax; hlt */
	LOAD(CODE, 0xb0, 7, 0xe6, 0x80, 0xba, 0xf8, 3, 0xec, 0xed, 0x66, 0xef, 0xf4);
	assert_int_equal(run(0), ENGINE_EXIT_HALT);
	assert_string_equal(seen.log, "out1 80=7;in1 3f8;in2 3f8;out4 3f8=42;");
	assert_int_equal(engine_kvm.state(cpu[0])->rip, CODE + 12);
	assert_false(engine_kvm.has_work(cpu[0]));
}

static void string_port_when_repeated_expect_each_access(void **state)
{
	uint8_t got[4];

	NEED_KVM();
	seen.in = 0x10;
	/* cld; mov dx,0x1f0; mov di,0x3000; mov cx,3; rep insb; mov si,0x3001; mov cx,2; rep outsb; hlt */
	LOAD(CODE, 0xfc, 0xba, 0xf0, 1, 0xbf, 0, 0x30, 0xb9, 3, 0, 0xf3, 0x6c, 0xbe, 1, 0x30, 0xb9,
	     2, 0, 0xf3, 0x6e, 0xf4);
	assert_int_equal(run(0), ENGINE_EXIT_HALT);
	assert_string_equal(seen.log, "in1 1f0;in1 1f0;in1 1f0;out1 1f0=11;out1 1f0=12;");
	assert_int_equal(mem_read(mem, 0x3000, got, 3), 0);
	assert_memory_equal(got, "\x10\x11\x12", 3);
}

static void memory_when_device_or_rom_expect_the_bus_asked(void **state)
{
	NEED_KVM();
	/* mov ax,0xb800; mov ds,ax; mov al,[4]; mov [6],al; mov ax,0xf000; mov ds,ax; mov al,[8]; mov [9],al; out 0x80,al; hlt */
	LOAD(CODE, 0xb8, 0, 0xb8, 0x8e, 0xd8, 0xa0, 4, 0, 0xa2, 6, 0, 0xb8, 0, 0xf0, 0x8e, 0xd8,
	     0xa0, 8, 0, 0xa2, 9, 0, 0xe6, 0x80, 0xf4);
	LOAD(0xf0008, 0x77);
	assert_int_equal(run(0), ENGINE_EXIT_HALT);
	assert_string_equal(seen.log, "rd1 b8004;wr1 b8006=5a;wr1 f0009=77;out1 80=77;");
}

static void map_when_changed_expect_the_guest_sees_it(void **state)
{
	uint8_t b = 0;

	NEED_KVM();
	/* mov ax,0xf000; mov ds,ax; mov byte [0],0x12; hlt; mov byte [0],0x34; hlt */
	LOAD(CODE, 0xb8, 0, 0xf0, 0x8e, 0xd8, 0xc6, 6, 0, 0, 0x12, 0xf4, 0xc6, 6, 0, 0, 0x34, 0xf4);
	assert_int_equal(run(0), ENGINE_EXIT_HALT);
	assert_string_equal(seen.log, "wr1 f0000=12;");
	/* As a chipset that makes the shadow writable. */
	assert_int_equal(mem_map(mem, 0xf0000, 0x8000, MEM_RAM, 0xf0000), 0);
	engine_kvm.state(cpu[0])->run_state = X86_RUNNING;
	assert_int_equal(run(0), ENGINE_EXIT_HALT);
	assert_string_equal(seen.log, "wr1 f0000=12;");
	assert_int_equal(mem_read(mem, 0xf0000, &b, 1), 0);
	assert_int_equal(b, 0x34);
}

static void interrupt_when_enabled_expect_its_handler(void **state)
{
	NEED_KVM();
	/* sti; 1: hlt; jmp 1b */
	LOAD(CODE, 0xfb, 0xf4, 0xeb, 0xfd);
	/* handler: mov al,9; out 0x80,al; iret; vector 0x21 */
	LOAD(0x2000, 0xb0, 9, 0xe6, 0x80, 0xcf);
	LOAD(0x21 * 4, 0, 0x20, 0, 0);
	assert_int_equal(run(0), ENGINE_EXIT_HALT);
	assert_false(engine_kvm.has_work(cpu[0]));
	seen.vector = 0x21;
	engine_kvm.signal(cpu[0], VCPU_SIGNAL_INTR_ON, 0);
	assert_true(engine_kvm.has_work(cpu[0]));
	assert_int_equal(run(0), ENGINE_EXIT_HALT);
	assert_string_equal(seen.log, "out1 80=9;");
	assert_int_equal(seen.vector, -1);
}

static void interrupt_when_disabled_expect_it_waits(void **state)
{
	NEED_KVM();
	/* mov al,1; out 0x80,al; sti; nop; mov al,2; out 0x80,al; cli; hlt */
	LOAD(CODE, 0xb0, 1, 0xe6, 0x80, 0xfb, 0x90, 0xb0, 2, 0xe6, 0x80, 0xfa, 0xf4);
	LOAD(0x2000, 0xb0, 9, 0xe6, 0x80, 0xcf);
	LOAD(0x21 * 4, 0, 0x20, 0, 0);
	seen.vector = 0x21;
	engine_kvm.signal(cpu[0], VCPU_SIGNAL_INTR_ON, 0);
	assert_int_equal(run(0), ENGINE_EXIT_HALT);
	/* Before CLI; a KVM that interprets looks a little later than a processor. */
	if (strcmp(seen.log, "out1 80=1;out1 80=2;out1 80=9;"))
		assert_string_equal(seen.log, "out1 80=1;out1 80=9;out1 80=2;");
}

static void *kick_later(void *arg)
{
	usleep(20000);
	engine_kvm.kick(arg);
	return NULL;
}

static void kick_when_the_guest_spins_expect_it_out(void **state)
{
	pthread_t t;

	NEED_KVM();
	LOAD(CODE, 0xfb, 0xeb, 0xfe); /* sti; jmp . */
	pthread_create(&t, NULL, kick_later, cpu[0]);
	assert_int_equal(engine_kvm.run(cpu[0]), ENGINE_EXIT_KICK);
	pthread_join(t, NULL);
	assert_int_equal(engine_kvm.state(cpu[0])->rip, CODE + 1);
	/* One that comes before is not lost. */
	engine_kvm.kick(cpu[0]);
	assert_int_equal(engine_kvm.run(cpu[0]), ENGINE_EXIT_KICK);
}

static void *run_once(void *arg)
{
	return engine_kvm.run(arg) == ENGINE_EXIT_KICK ? arg : NULL;
}

/* Whichever thread ran it last is the one to be kicked. */
static void kick_when_another_thread_ran_it_between_expect_it_out(void **state)
{
	pthread_t t;
	void *was;

	NEED_KVM();
	LOAD(CODE, 0xfb, 0xeb, 0xfe); /* sti; jmp . */
	engine_kvm.kick(cpu[0]);
	assert_int_equal(engine_kvm.run(cpu[0]), ENGINE_EXIT_KICK);
	engine_kvm.kick(cpu[0]);
	pthread_create(&t, NULL, run_once, cpu[0]);
	pthread_join(t, &was);
	assert_ptr_equal(was, cpu[0]);
	pthread_create(&t, NULL, kick_later, cpu[0]);
	assert_int_equal(engine_kvm.run(cpu[0]), ENGINE_EXIT_KICK);
	pthread_join(t, NULL);
}

static _Atomic unsigned kicks;
static _Atomic bool stop;

static void *run_and_count(void *arg)
{
	while (!stop) {
		if (engine_kvm.run(arg) == ENGINE_EXIT_KICK)
			kicks++;
	}
	return NULL;
}

static void spins_and_asks(void)
{
	LOAD(CODE, 0xfb, 0xeb, 0xfe);			  /* sti; jmp . */
	LOAD(CODE + 0x100, 0xfb, 0xe4, 0x60, 0xeb, 0xfc); /* sti; 1: in al,0x60; jmp 1b */
}

static void kicks_when_many_expect_none_lost(void **state)
{
	pthread_t t;

	NEED_KVM();
	seen.quiet = true;
	spins_and_asks();
	for (unsigned round = 0; round < 2; round++) {
		engine_kvm.state(cpu[0])->rip = CODE + round * 0x100;
		engine_kvm.state_changed(cpu[0]);
		stop = false;
		kicks = 0;
		pthread_create(&t, NULL, run_and_count, cpu[0]);
		for (unsigned i = 0; i < 1000; i++) {
			unsigned before = kicks;

			engine_kvm.kick(cpu[0]);
			for (unsigned wait = 0; kicks == before && wait < 20000; wait++)
				usleep(wait < 100 ? 1 : 500);
			assert_true(kicks != before);
		}
		stop = true;
		engine_kvm.kick(cpu[0]);
		pthread_join(t, NULL);
	}
}

static void alarm_when_due_expect_a_kick(void **state)
{
	struct timespec ts;
	uint64_t now;

	NEED_KVM();
	LOAD(CODE, 0xfb, 0xeb, 0xfe);
	engine_kvm.kick(cpu[0]); /* so that the thread is known */
	assert_int_equal(engine_kvm.run(cpu[0]), ENGINE_EXIT_KICK);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	assert_true(engine_kvm.alarm(cpu[0], now + 5000000));
	assert_int_equal(engine_kvm.run(cpu[0]), ENGINE_EXIT_KICK);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	assert_true((uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec >= now + 5000000);
}

static void access_when_kicked_in_it_expect_the_instruction_done(void **state)
{
	NEED_KVM();
	seen.in = 0x33;
	LOAD(CODE, 0xe4, 0x60, 0xf4); /* in al,0x60; hlt */
	/* The kick is there when the access comes out. */
	engine_kvm.signal(cpu[0], VCPU_SIGNAL_INTR_OFF, 0);
	assert_int_equal(run(0), ENGINE_EXIT_HALT);
	assert_int_equal(engine_kvm.state(cpu[0])->gpr[R_RAX] & 0xff, 0x33);
}

static void ap_when_init_and_sipi_come_expect_it_starts(void **state)
{
	NEED_KVM();
	LOAD(0x4000, 0xb0, 0x44, 0xe6, 0x80, 0xf4);
	assert_int_equal(run(1), ENGINE_EXIT_HALT);
	assert_false(engine_kvm.has_work(cpu[1]));
	engine_kvm.signal(cpu[1], VCPU_SIGNAL_INIT, 0);
	engine_kvm.signal(cpu[1], VCPU_SIGNAL_SIPI, 4);
	assert_int_equal(run(1), ENGINE_EXIT_HALT);
	assert_string_equal(seen.log, "out1 80=44;");
	assert_int_equal(engine_kvm.state(cpu[1])->seg[SEG_CS].sel, 0x400);
	assert_int_equal(engine_kvm.state(cpu[1])->rip, 5);
	/* A second SIPI means nothing. */
	engine_kvm.signal(cpu[1], VCPU_SIGNAL_SIPI, 4);
	assert_int_equal(run(1), ENGINE_EXIT_HALT);
	assert_string_equal(seen.log, "out1 80=44;");
}

static void state_when_written_and_read_expect_it_back(void **state)
{
	struct x86_state *s, before;

	NEED_KVM();
	LOAD(CODE, 0xf4);
	s = engine_kvm.state(cpu[0]);
	s->gpr[R_RBX] = 0x1234;
	s->gpr[R_R15] = 0xdeadbeefcafef00dull;
	s->dr[0] = 0x1111;
	s->sysenter_eip = 0xabc;
	s->lstar = 0xffffffff81000000ull;
	s->seg[SEG_DS].base = 0x3330;
	s->seg[SEG_DS].sel = 0x333;
	st_le64(s->xsave + 512, 3);
	s->xsave[160] = 0x99; /* xmm0 */
	st_le32(s->xsave + 24, 0x1fa0);
	engine_kvm.state_changed(cpu[0]);
	before = *s;
	assert_int_equal(run(0), ENGINE_EXIT_HALT);
	s = engine_kvm.state(cpu[0]);
	assert_int_equal(s->rip, CODE + 1);
	assert_memory_equal(s->gpr, before.gpr, sizeof(s->gpr));
	assert_int_equal(s->dr[0], 0x1111);
	assert_int_equal(s->sysenter_eip, 0xabc);
	assert_int_equal(s->lstar, 0xffffffff81000000ull);
	assert_int_equal(s->seg[SEG_DS].base, 0x3330);
	assert_int_equal(s->xsave[160], 0x99);
	assert_int_equal(ld_le32(s->xsave + 24), 0x1fa0);
	assert_int_equal(s->cr0, before.cr0);
	assert_int_equal(s->run_state, X86_HALTED);
}

static void a20_when_closed_expect_the_first_megabyte_again(void **state)
{
	NEED_KVM();
	mem_set_a20(mem, false);
	/* mov ax,0xffff; mov ds,ax; mov al,[0x3010]; out 0x80,al; hlt: 0x103000 is 0x3000 */
	LOAD(CODE, 0xb8, 0xff, 0xff, 0x8e, 0xd8, 0xa0, 0x10, 0x30, 0xe6, 0x80, 0xf4);
	LOAD(0x3000, 0x66);
	assert_int_equal(run(0), ENGINE_EXIT_HALT);
	assert_string_equal(seen.log, "out1 80=66;");
	mem_set_a20(mem, true);
}

/* Where KVM interprets kernels it gives up on SSE, and that is told with registers and bytes; hardware goes on. */
static void instruction_when_kvm_gives_up_expect_a_full_report(void **state)
{
	static const uint64_t tables[] = {0x2003, 0x3003, 0x83};
	struct kvm_probe probe;
	struct x86_state *s;

	NEED_KVM();
	engine_kvm_probe(NULL, &probe);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(mem_load(mem, 0x1000 + i * 0x1000, &tables[i], 8), 0);
	LOAD(0x8000, 0x66, 0x0f, 0xfe, 0xc1, 0xf4); /* paddd xmm0,xmm1; hlt */
	s = engine_kvm.state(cpu[0]);
	s->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	s->cr3 = 0x1000;
	s->cr4 = CR4_PAE | CR4_OSFXSR;
	s->efer = EFER_LME | EFER_LMA;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->seg[i] = (struct x86_seg){.limit = ~0u,
					     .sel = 16,
					     .attr = i == SEG_CS ? 0xa09b : 0xc093};
	s->rip = 0x8000;
	engine_kvm.state_changed(cpu[0]);
	if (probe.verdict == KVM_GOOD) {
		assert_int_equal(run(0), ENGINE_EXIT_HALT);
		return;
	}
	assert_int_equal(engine_kvm.run(cpu[0]), ENGINE_EXIT_ERROR);
	print_message("%s\n", engine_kvm.error(cpu[0]));
	assert_non_null(strstr(engine_kvm.error(cpu[0]), "internal error"));
	assert_non_null(strstr(engine_kvm.error(cpu[0]), ":8000 "));
	assert_non_null(strstr(engine_kvm.error(cpu[0]), "code 66 0f fe c1"));
}

static void pages_when_asked_first_expect_all_written(void **state)
{
	uint64_t bits[1];

	NEED_KVM();
	assert_int_equal(mem_take_dirty(mem, RAM, 0x4000, bits), 4);
}

/*
 * Once somebody has asked: those that the guest, or a device, has written since, and no others; but code that is met
 * for the first time may be among them, since the kernel maps it for writing at once.
 */
static void pages_when_written_expect_those_alone(void **state)
{
	/* mov [0x3008], al; mov [0x5fff], al; hlt; mov [0x6000], al; hlt */
	static const uint8_t code[] = {0xa2, 0x08, 0x30, 0xa2, 0xff, 0x5f,
				       0xf4, 0xa2, 0x00, 0x60, 0xf4};
	uint64_t bits[3];

	NEED_KVM();
	assert_int_equal(mem_load(mem, CODE, code, sizeof(code)), 0);
	mem_take_dirty(mem, 0, 0xa0000, bits);
	mem_take_dirty(mem, 0, 0xa0000, bits);
	assert_int_equal(mem_take_dirty(mem, 0, 0xa0000, bits), 0);
	assert_int_equal(run(0), ENGINE_EXIT_HALT);
	(void)mem_take_dirty(mem, 0, 0xa0000, bits);
	assert_int_equal(bits[0] & ~(1ull << (CODE >> 12)), 1u << 3 | 1u << 5);
	assert_int_equal(bits[1] | bits[2], 0);
	engine_kvm.state(cpu[0])->run_state = X86_RUNNING;
	engine_kvm.state_changed(cpu[0]);
	assert_int_equal(run(0), ENGINE_EXIT_HALT);
	mem_wrote(mem, 0x9000, 1);
	/* A slot that goes leaves what it has noted. */
	assert_int_equal(mem_map(mem, 0x8000, 0x1000, MEM_MMIO, 0), 0);
	assert_int_equal(mem_take_dirty(mem, 0, 0x8000, bits), 1);
	assert_int_equal(bits[0], 1u << 6);
	assert_int_equal(mem_take_dirty(mem, 0, 0xa0000, bits), 1);
	assert_int_equal(bits[0], 1u << 9);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(port_when_accessed_expect_the_machine_asked),
		T(string_port_when_repeated_expect_each_access),
		T(memory_when_device_or_rom_expect_the_bus_asked),
		T(map_when_changed_expect_the_guest_sees_it),
		T(interrupt_when_enabled_expect_its_handler),
		T(interrupt_when_disabled_expect_it_waits),
		T(kick_when_the_guest_spins_expect_it_out),
		T(kick_when_another_thread_ran_it_between_expect_it_out),
		T(kicks_when_many_expect_none_lost),
		T(alarm_when_due_expect_a_kick),
		T(access_when_kicked_in_it_expect_the_instruction_done),
		T(ap_when_init_and_sipi_come_expect_it_starts),
		T(state_when_written_and_read_expect_it_back),
		T(a20_when_closed_expect_the_first_megabyte_again),
		T(instruction_when_kvm_gives_up_expect_a_full_report),
		T(pages_when_asked_first_expect_all_written),
		T(pages_when_written_expect_those_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
