// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The KVM engine with local APICs in the kernel, with real-mode guests of a few bytes on the host's /dev/kvm. Skipped
 * where there is none. Run: make t T=engine/kvm_chip
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "engine/engine.h"
#include "x86/msr.h"

#define RAM 0x100000u
#define CODE 0x1000u
#define VECTOR 0x40u
#define LVT_LINT1 0x360u
#define SVR 0xf0u

static struct mem *mem;
static struct x86_cpuid cpuid;
static struct engine *engine;
static struct vcpu *cpu[2];
static struct lodge_err err;

static struct {
	_Atomic unsigned outs, eois;
	uint64_t last;
	uint8_t eoi;
	int vector;
} seen;

static uint64_t rd(void *o, uint16_t p, unsigned s)
{
	return 0;
}
static void wr(void *o, uint16_t p, uint64_t v, unsigned s)
{
	seen.last = v;
	seen.outs++;
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
	engine_kvm.signal(cpu[c], VCPU_SIGNAL_INTR_OFF, 0);
	return seen.vector;
}
static int no_msr_rd(void *o, unsigned c, uint32_t m, uint64_t *v)
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
	seen.eoi = v;
	seen.eois++;
}

#define LOAD(at, ...)                                                       \
	do {                                                                \
		static const uint8_t code[] = {__VA_ARGS__};                \
		assert_int_equal(mem_load(mem, at, code, sizeof(code)), 0); \
	} while (0)

/* Interrupt `v` goes to 0x2000: out 0x80,al; mov dword [es:0xb0],0; iret. NMI to 0x2100: al = 2. */
static void handlers(void)
{
	uint8_t entry[4] = {0x00, 0x20, 0, 0}, nmi[4] = {0x00, 0x21, 0, 0};

	assert_int_equal(mem_load(mem, VECTOR * 4, entry, 4), 0);
	assert_int_equal(mem_load(mem, 0x30 * 4, entry, 4), 0);
	assert_int_equal(mem_load(mem, 2 * 4, nmi, 4), 0);
	LOAD(0x2000, 0xe6, 0x80, 0x66, 0x26, 0xc7, 0x06, 0xb0, 0, 0, 0, 0, 0, 0xcf);
	LOAD(0x2100, 0xb0, 0x02, 0xe6, 0x80, 0xcf);
	/* sti; 1: hlt; jmp 1b */
	LOAD(CODE, 0xfb, 0xf4, 0xeb, 0xfd);
}

/* Enabled, with LINT0 as the 8259's and LINT1 as NMI. */
static void set_lapic(unsigned i)
{
	struct engine_lapic l;

	assert_int_equal(engine_kvm.irqchip->lapic_get(cpu[i], &l), 0);
	st_le32(l.page + SVR, 0x1ff);
	st_le32(l.page + 0x350, 0x700);
	st_le32(l.page + LVT_LINT1, 0x400);
	assert_int_equal(engine_kvm.irqchip->lapic_set(cpu[i], &l), 0);
}

static int setup(void **state)
{
	const struct engine_config base = {
		.cpus = 2,
		.cpuid = &cpuid,
		.kvm = {.irqchip = ENGINE_IRQCHIP_SPLIT},
		.host = {.pio_read = rd,
			 .pio_write = wr,
			 .mmio_read = mrd,
			 .mmio_write = mwr,
			 .irq_ack = ack,
			 .apic_msr_read = no_msr_rd,
			 .apic_msr_write = no_msr_wr,
			 .cr8_read = cr8,
			 .cr8_write = cr8_wr,
			 .eoi = on_eoi},
	};
	struct engine_config cfg = base;

	memset(&seen, 0, sizeof(seen));
	if (access("/dev/kvm", R_OK | W_OK))
		return 0;
	assert_int_equal(x86_cpuid_build(&cpuid, "max", 2, &err), 0);
	mem = mem_new(RAM, 0, &err);
	cfg.mem = mem;
	engine = engine_kvm.create(&cfg, &err);
	if (!engine)
		print_error("%s\n", err.msg);
	if (!engine && strstr(err.msg, "kernel-irqchip"))
		return 0;
	assert_non_null(engine);
	assert_int_equal(mem_map(mem, 0, 0xa0000, MEM_RAM, 0), 0);
	handlers();
	for (unsigned i = 0; i < 2; i++) {
		struct x86_state *s;

		cpu[i] = engine_kvm.vcpu(engine, i);
		s = engine_kvm.state(cpu[i]);
		x86_state_reset(s, i == 0);
		s->seg[SEG_CS].sel = 0;
		s->seg[SEG_CS].base = 0;
		s->seg[SEG_ES].base = 0xfee00000;
		s->rip = CODE;
		s->gpr[R_RSP] = 0x8000;
		s->gpr[R_RAX] = 1;
		engine_kvm.state_changed(cpu[i]);
		set_lapic(i);
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

#define NEED_CHIP()                                                                          \
	do {                                                                                 \
		if (!engine || engine_kvm.irqchip->kind(engine) == ENGINE_IRQCHIP_OFF) {     \
			print_message("no /dev/kvm here, or one without a split irqchip\n"); \
			skip();                                                              \
		}                                                                            \
	} while (0)

/* ---- A vCPU that runs beside -------------------------------------------------------------------- */

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
	pthread_create(&t, NULL, runs, cpu[0]);
	usleep(20000);
	return t;
}

static void end(pthread_t t)
{
	stop = true;
	engine_kvm.kick(cpu[0]);
	pthread_join(t, NULL);
}

static void wait_for(_Atomic unsigned *count, unsigned n)
{
	for (unsigned i = 0; i < 20000 && *count < n; i++)
		usleep(500);
	assert_int_equal(*count, n);
}

static bool message(uint32_t data)
{
	return engine_kvm.irqchip->msi(engine, 0xfee00000, data);
}

/* ---- Tests -------------------------------------------------------------------------------------- */

static void message_when_halted_expect_its_handler(void **state)
{
	pthread_t t;

	NEED_CHIP();
	t = begin();
	assert_true(message(VECTOR));
	wait_for(&seen.outs, 1);
	assert_true(message(VECTOR));
	wait_for(&seen.outs, 2);
	end(t);
	/* It was perhaps still on its way to HLT. */
	for (unsigned i = 0; i < 50 && engine_kvm.state(cpu[0])->run_state != X86_HALTED; i++)
		end(begin());
	assert_int_equal(engine_kvm.state(cpu[0])->run_state, X86_HALTED);
}

static void message_when_nobody_is_meant_expect_false(void **state)
{
	NEED_CHIP();
	assert_false(engine_kvm.irqchip->msi(engine, 0xfee55000, VECTOR));
}

static void level_when_it_ends_expect_the_machine_told(void **state)
{
	const uint32_t data = VECTOR | 0xc000;
	pthread_t t;

	NEED_CHIP();
	engine_kvm.irqchip->route(engine, 5, 0xfee00000, data);
	t = begin();
	assert_true(message(data));
	wait_for(&seen.eois, 1);
	assert_int_equal(seen.eoi, VECTOR);
	/* Vectors of no pin have no end that is told of. */
	assert_true(message(0x30));
	wait_for(&seen.outs, 2);
	end(t);
	assert_int_equal(seen.eois, 1);
}

static void pic_when_it_asks_expect_its_vector(void **state)
{
	pthread_t t;

	NEED_CHIP();
	seen.vector = 0x30;
	t = begin();
	engine_kvm.signal(cpu[0], VCPU_SIGNAL_INTR_ON, 0);
	wait_for(&seen.outs, 1);
	end(t);
}

static void nmi_when_lint1_is_masked_expect_none(void **state)
{
	struct engine_lapic l;
	pthread_t t;

	NEED_CHIP();
	t = begin();
	engine_kvm.signal(cpu[0], VCPU_SIGNAL_NMI, 0);
	wait_for(&seen.outs, 1);
	assert_int_equal(seen.last & 0xff, 2);
	end(t);
	assert_int_equal(engine_kvm.irqchip->lapic_get(cpu[0], &l), 0);
	st_le32(l.page + LVT_LINT1, 0x10400);
	assert_int_equal(engine_kvm.irqchip->lapic_set(cpu[0], &l), 0);
	t = begin();
	engine_kvm.signal(cpu[0], VCPU_SIGNAL_NMI, 0);
	assert_true(message(VECTOR));
	wait_for(&seen.outs, 2);
	usleep(20000);
	end(t);
	assert_int_equal(seen.outs, 2);
}

static void registers_when_written_and_read_expect_the_same(void **state)
{
	struct engine_lapic in, out;

	NEED_CHIP();
	assert_int_equal(engine_kvm.irqchip->lapic_get(cpu[0], &in), 0);
	assert_int_equal(in.base, 0xfee00900);
	st_le32(in.page + 0x80, 0x20);
	st_le32(in.page + 0x320, 0x30000 | VECTOR);
	st_le32(in.page + 0x220, 1u << 5);
	assert_int_equal(engine_kvm.irqchip->lapic_set(cpu[0], &in), 0);
	/* The vCPU's own registers leave those alone. */
	engine_kvm.state(cpu[0]);
	engine_kvm.state_changed(cpu[0]);
	engine_kvm.kick(cpu[0]);
	assert_int_equal(engine_kvm.run(cpu[0]), ENGINE_EXIT_KICK);
	assert_int_equal(engine_kvm.irqchip->lapic_get(cpu[0], &out), 0);
	assert_int_equal(ld_le32(out.page + 0x80), 0x20);
	assert_int_equal(ld_le32(out.page + 0x320), 0x30000 | VECTOR);
	assert_int_equal(ld_le32(out.page + 0x220), 1u << 5);
	assert_int_equal(out.base, in.base);
}

/* The second processor waits for INIT and SIPI, which the kernel's APICs carry; a kick brings it out. */
static void second_cpu_when_never_started_expect_it_waits(void **state)
{
	NEED_CHIP();
	engine_kvm.kick(cpu[1]);
	assert_int_equal(engine_kvm.run(cpu[1]), ENGINE_EXIT_KICK);
	assert_int_equal(engine_kvm.state(cpu[1])->run_state, X86_WAIT_SIPI);
	assert_true(message(0x500) || true); /* INIT to the first, which is none of its business */
	assert_int_equal(engine_kvm.state(cpu[1])->run_state, X86_WAIT_SIPI);
}

/* Sent again and again, it goes by a descriptor of its own, and is the same message. */
static void way_when_the_message_stays_expect_the_kernel_sends_it(void **state)
{
	pthread_t t;
	unsigned by_way = 0;
	int way;

	NEED_CHIP();
	way = engine_kvm.irqchip->way_open(engine);
	assert_true(way >= 0);
	t = begin();
	for (unsigned n = 1; n <= 40; n++) {
		if (engine_kvm.irqchip->way_send(engine, way, 0xfee00000, VECTOR))
			by_way++;
		else
			assert_true(message(VECTOR));
		wait_for(&seen.outs, n);
		if (n == 30) /* as before a save */
			engine_kvm.irqchip->ways_settle(engine);
	}
	assert_true(by_way > 10 && by_way < 40);
	/* Another message is not the old one, at any time. */
	assert_false(engine_kvm.irqchip->way_send(engine, way, 0xfee00000, 0x30));
	end(t);
	assert_int_equal(seen.outs, 40);
	engine_kvm.irqchip->way_close(engine, way);
	assert_int_equal(engine_kvm.irqchip->way_open(engine), way);
	engine_kvm.irqchip->way_close(engine, way);
}

/* out 0x80,al; out 0x81,al; hlt; again */
static void bell_when_rung_expect_it_counted_and_no_exit(void **state)
{
	struct engine_bell b = {.pio = true, .matches = true, .size = 1, .value = 1, .addr = 0x81};
	uint64_t count;
	pthread_t t;

	NEED_CHIP();
	b.fd = eventfd(0, EFD_NONBLOCK);
	assert_true(engine_kvm.shortcuts->bell(engine, &b, true));
	assert_false(engine_kvm.shortcuts->bell(engine, &b, true)); /* it is there */
	LOAD(CODE, 0xe6, 0x81, 0xe6, 0x81, 0xe6, 0x80, 0xb0, 0x02, 0xe6, 0x81, 0xfa, 0xf4);
	t = begin();
	wait_for(&seen.outs, 2); /* 0x80, and a value that rings no bell */
	end(t);
	assert_int_equal(read(b.fd, &count, 8), 8);
	assert_int_equal(count, 2);
	assert_true(engine_kvm.shortcuts->bell(engine, &b, false));
	close(b.fd);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(message_when_halted_expect_its_handler),
		T(message_when_nobody_is_meant_expect_false),
		T(level_when_it_ends_expect_the_machine_told),
		T(pic_when_it_asks_expect_its_vector),
		T(nmi_when_lint1_is_masked_expect_none),
		T(registers_when_written_and_read_expect_the_same),
		T(way_when_the_message_stays_expect_the_kernel_sends_it),
		T(bell_when_rung_expect_it_counted_and_no_exit),
		T(second_cpu_when_never_started_expect_it_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
