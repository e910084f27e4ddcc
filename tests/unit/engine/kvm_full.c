// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The KVM engine with all interrupt controllers in the kernel, with a real-mode guest of a few bytes on the host's
 * /dev/kvm. Skipped where there is none. Run: make t T=engine/kvm_full
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "engine/engine.h"
#include "x86/msr.h"

#define RAM 0x100000u
#define CODE 0x1000u
#define BASE 0x20u

static struct mem *mem;
static struct x86_cpuid cpuid;
static struct engine *engine;
static struct vcpu *cpu;
static struct lodge_err err;
static _Atomic unsigned outs;

static uint64_t rd(void *o, uint16_t p, unsigned s)
{
	return 0;
}
static void wr(void *o, uint16_t p, uint64_t v, unsigned s)
{
	outs++;
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
static int no_msr(void *o, unsigned c, uint32_t m, uint64_t *v)
{
	return -1;
}
static int no_msr_wr(void *o, unsigned c, uint32_t m, uint64_t v)
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
static void on_eoi(void *o, uint8_t v)
{
}

/* Interrupts BASE..BASE+15 go to 0x2000: out 0x84,al; mov al,0x20; out 0x20,al; iret. */
static void load(void)
{
	static const uint8_t handler[] = {0xe6, 0x84, 0xb0, 0x20, 0xe6, 0x20, 0xcf};
	static const uint8_t loop[] = {0xfb, 0xf4, 0xeb, 0xfd}; /* sti; 1: hlt; jmp 1b */
	const uint8_t entry[4] = {0x00, 0x20, 0, 0};

	for (unsigned v = BASE; v < BASE + 16; v++)
		assert_int_equal(mem_load(mem, v * 4, entry, 4), 0);
	assert_int_equal(mem_load(mem, 0x2000, handler, sizeof(handler)), 0);
	assert_int_equal(mem_load(mem, CODE, loop, sizeof(loop)), 0);
}

static int setup(void **state)
{
	struct engine_config cfg = {
		.cpus = 1,
		.cpuid = &cpuid,
		.kvm = {.irqchip = ENGINE_IRQCHIP_ON},
		.host = {.pio_read = rd,
			 .pio_write = wr,
			 .mmio_read = mrd,
			 .mmio_write = mwr,
			 .irq_ack = ack,
			 .apic_msr_read = no_msr,
			 .apic_msr_write = no_msr_wr,
			 .cr8_read = cr8,
			 .cr8_write = cr8_wr,
			 .eoi = on_eoi},
	};
	struct engine_lapic l;
	struct x86_state *s;

	outs = 0;
	if (access("/dev/kvm", R_OK | W_OK))
		return 0;
	assert_int_equal(x86_cpuid_build(&cpuid, "max", 1, &err), 0);
	mem = mem_new(RAM, 0, &err);
	cfg.mem = mem;
	engine = engine_kvm.create(&cfg, &err);
	if (!engine) {
		print_error("%s\n", err.msg);
		assert_non_null(strstr(err.msg, "kernel-irqchip"));
		return 0;
	}
	assert_int_equal(mem_map(mem, 0, 0xa0000, MEM_RAM, 0), 0);
	load();
	cpu = engine_kvm.vcpu(engine, 0);
	s = engine_kvm.state(cpu);
	x86_state_reset(s, true);
	s->seg[SEG_CS].sel = 0;
	s->seg[SEG_CS].base = 0;
	s->rip = CODE;
	s->gpr[R_RSP] = 0x8000;
	engine_kvm.state_changed(cpu);
	assert_int_equal(engine_kvm.irqchip->lapic_get(cpu, &l), 0);
	st_le32(l.page + 0xf0, 0x1ff);
	st_le32(l.page + 0x350, 0x700); /* LINT0: ExtINT */
	assert_int_equal(engine_kvm.irqchip->lapic_set(cpu, &l), 0);
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

#define NEED_CHIPS()                                                              \
	do {                                                                      \
		if (!engine) {                                                    \
			print_message("no /dev/kvm here, or without irqchips\n"); \
			skip();                                                   \
		}                                                                 \
	} while (0)

static _Atomic bool stop;

static void *runs(void *arg)
{
	while (!stop && engine_kvm.run(arg) == ENGINE_EXIT_KICK)
		;
	return NULL;
}

static pthread_t begin(void)
{
	pthread_t t;

	stop = false;
	pthread_create(&t, NULL, runs, cpu);
	usleep(20000);
	return t;
}

static void end(pthread_t t)
{
	stop = true;
	engine_kvm.kick(cpu);
	pthread_join(t, NULL);
}

static void wait_for(unsigned n)
{
	for (unsigned i = 0; i < 20000 && outs < n; i++)
		usleep(500);
	assert_true(outs >= n);
}

/* Both 8259s at work, all masked but those lines; the I/O APIC masked; counter 0 without interrupts. */
static struct engine_chips chips(uint16_t lines)
{
	struct engine_chips c = {.hpet_legacy = true};

	for (unsigned i = 0; i < 2; i++) {
		c.pic[i].base = (uint8_t)(BASE + 8 * i);
		c.pic[i].imr = (uint8_t) ~(lines >> 8 * i);
	}
	for (unsigned n = 0; n < ENGINE_PINS; n++)
		c.ioapic.redir[n] = 0x10000;
	for (unsigned i = 0; i < 3; i++)
		c.pit[i] = (struct engine_pit_counter){.count = 0x10000,
						       .rw = 3,
						       .mode = 3,
						       .gate = i < 2};
	return c;
}

static void line_when_driven_expect_its_interrupt(void **state)
{
	struct engine_chips c = chips(1u << 4);
	pthread_t t;

	NEED_CHIPS();
	assert_int_equal(engine_kvm.irqchip->kind(engine), ENGINE_IRQCHIP_ON);
	assert_int_equal(engine_kvm.irqchip->chips_set(engine, &c), 0);
	t = begin();
	assert_int_equal(outs, 0);
	for (unsigned n = 1; n <= 3; n++) {
		engine_kvm.irqchip->line(engine, 4, true);
		engine_kvm.irqchip->line(engine, 4, false);
		wait_for(n);
	}
	/* One that is masked waits, and is in what is saved. */
	engine_kvm.irqchip->line(engine, 5, true);
	usleep(20000);
	end(t);
	assert_int_equal(outs, 3);
	assert_int_equal(engine_kvm.irqchip->chips_get(engine, &c), 0);
	assert_int_equal(c.pic[0].latch, 1u << 5);
	assert_int_equal(c.pic[0].line & 1u << 5, 1u << 5);
}

static void timer_when_programmed_expect_ticks_and_none_while_stopped(void **state)
{
	struct engine_chips c = chips(1);
	unsigned n;
	pthread_t t;

	NEED_CHIPS();
	c.hpet_legacy = false;
	c.pit[0].mode = 2;
	c.pit[0].count = 11932; /* 100 Hz */
	assert_int_equal(engine_kvm.irqchip->chips_set(engine, &c), 0);
	t = begin();
	wait_for(3);
	end(t);
	/* The HPET takes its place. */
	engine_kvm.irqchip->hpet_legacy(engine, true);
	t = begin();
	usleep(50000);
	n = outs;
	usleep(100000);
	assert_int_equal(outs, n);
	engine_kvm.irqchip->hpet_legacy(engine, false);
	end(t);
	engine_kvm.clock->stop(engine);
	assert_int_equal(engine_kvm.irqchip->chips_get(engine, &c), 0);
	assert_int_equal(c.pit[0].mode, 2);
	assert_int_equal(c.pit[0].count, 11932);
	engine_kvm.clock->go(engine);
	n = outs;
	t = begin();
	wait_for(n + 3);
	end(t);
}

static void registers_when_written_and_read_expect_the_same(void **state)
{
	struct engine_chips in = chips(0x8f30), out;

	NEED_CHIPS();
	in.pic[0].elcr = 0x20;
	in.pic[0].isr = 2;
	in.pic[1].highest = 3;
	in.pic[1].special_mask = 1;
	in.pic[1].step = 2;
	in.pic[1].needs_icw4 = 1;
	in.pit[1].since_ns = 2000000000;
	in.ioapic.redir[10] = 0x0300000000018031ull;
	in.ioapic.redir[4] = 0x0000000000010930ull;
	in.ioapic.id = 2;
	in.ioapic.index = 0x18;
	in.pit[2] = (struct engine_pit_counter){.count = 0x1234,
						.rw = 3,
						.mode = 0,
						.gate = 1,
						.latch = 0x777,
						.latched = 2,
						.read_msb = 1,
						.low_byte = 9};
	assert_int_equal(engine_kvm.irqchip->chips_set(engine, &in), 0);
	assert_int_equal(engine_kvm.irqchip->chips_get(engine, &out), 0);
	assert_memory_equal(out.pic, in.pic, sizeof(in.pic));
	assert_memory_equal(&out.ioapic, &in.ioapic, sizeof(in.ioapic));
	for (unsigned i = 0; i < 3; i++) {
		/* Some kernels load all counters anew, some the first alone. */
		assert_true(out.pit[i].since_ns < in.pit[i].since_ns + 1500000000);
		out.pit[i].since_ns = in.pit[i].since_ns;
		assert_memory_equal(&out.pit[i], &in.pit[i], sizeof(in.pit[i]));
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(line_when_driven_expect_its_interrupt),
		T(timer_when_programmed_expect_ticks_and_none_while_stopped),
		T(registers_when_written_and_read_expect_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
