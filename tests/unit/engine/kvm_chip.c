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
#include "engine/probe.h"
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
	uint64_t first, last;
	uint8_t eoi;
	int vector;
} seen;

static uint64_t rd(void *o, uint16_t p, unsigned s)
{
	return 0;
}
static void wr(void *o, uint16_t p, uint64_t v, unsigned s)
{
	seen.first = seen.outs ? seen.first : v;
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

/* A machine with such processors; false, with err, where it cannot be. */
static bool make(const char *spec)
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
	assert_int_equal(x86_cpuid_build(&cpuid, spec, 2, &err), 0);
	mem = mem_new(RAM, 0, &err);
	cfg.mem = mem;
	engine = engine_kvm.create(&cfg, &err);
	if (!engine)
		return false;
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
	return true;
}

static int setup(void **state)
{
	if (access("/dev/kvm", R_OK | W_OK) || make("max"))
		return 0;
	print_error("%s\n", err.msg);
	assert_non_null(strstr(err.msg, "kernel-irqchip"));
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

static uint32_t timer_left(void)
{
	struct engine_lapic l;

	assert_int_equal(engine_kvm.irqchip->lapic_get(cpu[0], &l), 0);
	assert_int_equal(ld_le32(l.page + 0x380), 4000000000u);
	return ld_le32(l.page + 0x390);
}

/* The guest's clock stands still: so does its timer, whoever asks; and what is loaded meanwhile waits, too. */
static void timer_when_held_expect_it_stands_still(void **state)
{
	struct engine_lapic l;
	uint32_t left;

	NEED_CHIP();
	assert_int_equal(engine_kvm.irqchip->lapic_get(cpu[0], &l), 0);
	st_le32(l.page + 0x320, 0x20000 | VECTOR); /* periodic */
	st_le32(l.page + 0x3e0, 0xb);		   /* by 1: a count a nanosecond */
	st_le32(l.page + 0x380, 4000000000u);
	st_le32(l.page + 0x390, 3000000000u);
	assert_int_equal(engine_kvm.irqchip->lapic_set(cpu[0], &l), 0);
	usleep(10000);
	left = timer_left();
	assert_true(left < 2995000000u);
	engine_kvm.irqchip->hold(engine, true);
	left = timer_left();
	usleep(10000);
	assert_int_equal(timer_left(), left);
	engine_kvm.irqchip->hold(engine, false);
	usleep(10000);
	assert_true(timer_left() <= left - 9000000u);
	engine_kvm.irqchip->hold(engine, true);
	assert_int_equal(engine_kvm.irqchip->lapic_set(cpu[0], &l), 0);
	usleep(10000);
	assert_int_equal(timer_left(), 3000000000u);
	engine_kvm.irqchip->hold(engine, false);
	usleep(10000);
	assert_true(timer_left() < 2995000000u);
}

/* Over while nobody was in the guest: the kernel keeps the interrupt to itself, so the state has to say so. */
static void timer_when_over_before_it_is_held_expect_it_is_not_lost(void **state)
{
	struct engine_lapic l, out;

	NEED_CHIP();
	assert_int_equal(engine_kvm.irqchip->lapic_get(cpu[0], &l), 0);
	st_le32(l.page + 0x320, VECTOR); /* one-shot */
	st_le32(l.page + 0x3e0, 0xb);
	st_le32(l.page + 0x380, 4000000000u);
	st_le32(l.page + 0x390, 1000000u);
	assert_int_equal(engine_kvm.irqchip->lapic_set(cpu[0], &l), 0);
	usleep(20000);
	engine_kvm.irqchip->hold(engine, true);
	assert_int_equal(engine_kvm.irqchip->lapic_get(cpu[0], &out), 0);
	assert_int_equal(ld_le32(out.page + 0x380), 4000000000u);
	assert_int_equal(ld_le32(out.page + 0x390), 1);
	/* Masked, or asked for already, it has nothing to say. */
	engine_kvm.irqchip->hold(engine, false);
	st_le32(l.page + 0x320, 0x10000 | VECTOR);
	assert_int_equal(engine_kvm.irqchip->lapic_set(cpu[0], &l), 0);
	usleep(20000);
	engine_kvm.irqchip->hold(engine, true);
	assert_int_equal(engine_kvm.irqchip->lapic_get(cpu[0], &out), 0);
	assert_int_equal(ld_le32(out.page + 0x390), 0);
	engine_kvm.irqchip->hold(engine, false);
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

static void note_late(void *opaque, bool pio, uint64_t addr, uint64_t val, unsigned size)
{
	char *log = opaque;
	size_t n = strlen(log);

	snprintf(log + n, 200 - n, "%s%llx=%llx.%u ", pio ? "port " : "", (unsigned long long)addr,
		 (unsigned long long)val, size);
}

/* out 0x84,al; mov [es:0x10],al; mov [es:0x12],ax; out 0x80,al; hlt */
static void late_when_written_expect_no_exit_and_their_order(void **state)
{
	char log[200] = "";
	pthread_t t;

	NEED_CHIP();
	if (!engine_kvm.shortcuts->late(engine, true, 0x84, 1, true))
		skip();
	assert_true(engine_kvm.shortcuts->late(engine, false, 0xb0000, 0x1000, true));
	engine_kvm.state(cpu[0])->seg[SEG_ES].base = 0xb0000;
	engine_kvm.state_changed(cpu[0]);
	LOAD(CODE, 0xe6, 0x84, 0x26, 0xa2, 0x10, 0, 0x26, 0xa3, 0x12, 0, 0xe6, 0x80, 0xfa, 0xf4);
	t = begin();
	wait_for(&seen.outs, 1);
	end(t);
	engine_kvm.shortcuts->drain(engine, note_late, log);
	assert_string_equal(log, "port 84=1.1 b0010=1.1 b0012=1.2 ");
	engine_kvm.shortcuts->drain(engine, note_late, log);
	assert_string_equal(log, "port 84=1.1 b0010=1.1 b0012=1.2 ");
	assert_true(engine_kvm.shortcuts->late(engine, true, 0x84, 1, false));
}

/* ---- What the hypervisor gives --------------------------------------------------------------------- */

/* Another machine in place of the first. */
static bool again(const char *spec)
{
	engine_kvm.destroy(engine);
	mem_free(mem);
	mem = NULL;
	return make(spec);
}

/* EAX of a leaf, as the guest sees it: mov eax,leaf; cpuid; mov dx,0x84; out dx,eax; cli; hlt */
static uint32_t guest_cpuid(uint32_t leaf)
{
	uint8_t code[] = {0x66, 0xb8, 0, 0,    0,    0,	   0x0f, 0xa2,
			  0xba, 0x84, 0, 0x66, 0xef, 0xfa, 0xf4};
	pthread_t t;

	st_le32(code + 2, leaf);
	assert_int_equal(mem_load(mem, CODE, code, sizeof(code)), 0);
	t = begin();
	wait_for(&seen.outs, 1);
	end(t);
	return (uint32_t)seen.last;
}

static void cpuid_when_kvm_is_on_expect_its_features(void **state)
{
	uint32_t f;

	NEED_CHIP();
	f = guest_cpuid(0x40000001);
	assert_true(f & 1u << X86_KVM_CLOCK);
	assert_int_equal(f & ~x86_kvm_features(), 0);
	assert_true(again("max,kvm_steal_time=off,-kvmclock"));
	f = guest_cpuid(0x40000001);
	assert_int_equal(f & (1u << X86_KVM_CLOCK | 1u << X86_KVM_STEAL_TIME), 0);
	assert_true(again("max,kvm=off"));
	assert_int_equal(guest_cpuid(0x40000001), 0);
}

/* mov ecx,msr; mov eax,val; xor edx,edx; wrmsr; out 0x80,al; cli; hlt */
static void guest_wrmsr(uint32_t msr, uint32_t val)
{
	uint8_t code[] = {0x66, 0xb9, 0,    0,	  0,	0,    0x66, 0xb8, 0,	0,   0,
			  0,	0x66, 0x31, 0xd2, 0x0f, 0x30, 0xe6, 0x80, 0xfa, 0xf4};
	pthread_t t;

	st_le32(code + 2, msr);
	st_le32(code + 8, val);
	assert_int_equal(mem_load(mem, CODE, code, sizeof(code)), 0);
	t = begin();
	wait_for(&seen.outs, 1);
	end(t);
}

/* As the machine does, in its order. */
static void machine_stops(void)
{
	engine_kvm.irqchip->hold(engine, true);
	engine_kvm.clock->stop(engine);
}

static void machine_goes_on(void)
{
	engine_kvm.clock->go(engine);
	engine_kvm.irqchip->hold(engine, false);
}

/* The machine moves the offsets, and then says that it goes on. */
static void clock_when_stopped_expect_it_stands(void **state)
{
	uint64_t first, second;

	NEED_CHIP();
	guest_wrmsr(MSR_PV_SYSTEM_TIME, 0x9001);
	assert_int_equal(engine_kvm.state(cpu[0])->pv.system_time, 0x9001);
	assert_int_not_equal(ld_le32(mem_base(mem) + 0x9000 + 24), 0); /* its scale */
	machine_stops();
	first = engine_kvm.clock->get(engine);
	assert_true(first > 0);
	usleep(300000);
	machine_goes_on();
	assert_int_equal(engine_kvm.clock->get(engine), 0);
	machine_stops();
	second = engine_kvm.clock->get(engine);
	assert_true(second >= first && second - first < 250000000);
	/* As a restored machine's. */
	engine_kvm.clock->set(engine, 5000000000000ull);
	machine_goes_on();
	machine_stops();
	second = engine_kvm.clock->get(engine);
	assert_true(second >= 5000000000000ull && second < 5001000000000ull);
}

/* rdtsc; mov dx,0x84; out dx,eax; mov eax,edx; out dx,eax; cli; hlt */
static uint64_t guest_tsc(void)
{
	const uint8_t code[] = {0x0f, 0x31, 0x66, 0x89, 0xd3, 0xba, 0x84, 0,   0x66,
				0xef, 0x66, 0x89, 0xd8, 0x66, 0xef, 0xfa, 0xf4};
	uint64_t low;
	pthread_t t;

	engine_kvm.state(cpu[0])->rip = CODE;
	engine_kvm.state(cpu[0])->run_state = X86_RUNNING;
	engine_kvm.state_changed(cpu[0]);
	assert_int_equal(mem_load(mem, CODE, code, sizeof(code)), 0);
	memset(&seen, 0, sizeof(seen));
	t = begin();
	wait_for(&seen.outs, 2);
	end(t);
	low = seen.first & 0xffffffff;
	return low | seen.last << 32;
}

static void tsc_when_the_machine_goes_on_expect_its_new_offset(void **state)
{
	const uint64_t hour = 3600 * 1000000000ull;
	uint64_t before, after;
	struct kvm_probe probe;

	NEED_CHIP();
	engine_kvm_probe(NULL, &probe);
	if (probe.verdict == KVM_NOT_HARDWARE) {
		print_message("this /dev/kvm is paravirtual, and has no TSC offsets\n");
		skip();
	}
	before = guest_tsc();
	machine_stops();
	engine_kvm.state(cpu[0])->tsc_offset += 100 * hour;
	machine_goes_on();
	assert_int_equal(engine_kvm.state(cpu[0])->tsc_offset, 100 * hour);
	after = guest_tsc();
	assert_true(after - before >= 100 * hour && after - before < 101 * hour);
}

/* A timer of half a second, one-shot: it has as long to go after the pause as before. */
static void apic_timer_when_the_machine_stops_expect_its_count_kept(void **state)
{
	struct engine_lapic l;
	uint32_t count;

	NEED_CHIP();
	assert_int_equal(engine_kvm.irqchip->lapic_get(cpu[0], &l), 0);
	st_le32(l.page + 0x3e0, 0xb); /* divided by 1 */
	st_le32(l.page + 0x320, VECTOR);
	st_le32(l.page + 0x380, 500000000);
	st_le32(l.page + 0x390, 500000000);
	assert_int_equal(engine_kvm.irqchip->lapic_set(cpu[0], &l), 0);
	machine_stops();
	assert_int_equal(engine_kvm.irqchip->lapic_get(cpu[0], &l), 0);
	count = ld_le32(l.page + 0x390);
	assert_true(count > 100000000 && count <= 500000000);
	usleep(700000);
	/* What is saved meanwhile says the same; a message of a device is in it. */
	assert_true(message(0x30));
	assert_int_equal(engine_kvm.irqchip->lapic_get(cpu[0], &l), 0);
	assert_int_equal(ld_le32(l.page + 0x390), count);
	assert_int_equal(ld_le32(l.page + 0x220) & 1, 0); /* VECTOR, in IRR */
	assert_int_equal(ld_le32(l.page + 0x210) >> 16 & 1, 1);
	machine_goes_on();
	assert_int_equal(engine_kvm.irqchip->lapic_get(cpu[0], &l), 0);
	assert_true(ld_le32(l.page + 0x390) > count - 100000000 &&
		    ld_le32(l.page + 0x390) <= count);
	assert_int_equal(ld_le32(l.page + 0x210) >> 16 & 1, 1);
}

static void registers_when_of_the_hypervisor_expect_them_both_ways(void **state)
{
	struct x86_state *s;

	NEED_CHIP();
	s = engine_kvm.state(cpu[0]);
	assert_int_equal(s->pv.poll_control, 1);
	s->pv.poll_control = 0;
	s->pv.system_time = 0x9101;
	engine_kvm.state_changed(cpu[0]);
	guest_wrmsr(MSR_PV_EOI, 0x9200 | 1);
	s = engine_kvm.state(cpu[0]);
	assert_int_equal(s->pv.poll_control, 0);
	assert_int_equal(s->pv.eoi, 0x9201);
	/* A reset takes all of it away. */
	x86_state_reset(s, true);
	s->seg[SEG_CS].base = 0;
	s->rip = CODE;
	engine_kvm.state_changed(cpu[0]);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(guest_cpuid(0), engine_kvm.cpuid(engine)->leaf[0].eax);
	s = engine_kvm.state(cpu[0]);
	assert_int_equal(s->pv.eoi, 0);
	assert_int_equal(s->pv.system_time, 0);
	assert_int_equal(s->pv.poll_control, 1);
}

static void hyperv_when_asked_for_expect_its_leaves_or_a_sentence(void **state)
{
	NEED_CHIP();
	if (!again("max,hv_relaxed,hv-time,hv_vpindex,hv_synic,hv_stimer,hv_spinlocks=0x1fff")) {
		assert_non_null(strstr(err.msg, "hv"));
		print_message("%s\n", err.msg);
		return;
	}
	assert_int_equal(guest_cpuid(0x40000001), 0x31237648);
	assert_true(again("max,hv_relaxed,hv_vpindex,hv_time"));
	guest_wrmsr(MSR_HV_GUEST_OS_ID, 0x1234);
	assert_int_equal(engine_kvm.state(cpu[0])->hv.guest_os_id, 0x1234);
	assert_true(again("max,hv_passthrough"));
	assert_true(guest_cpuid(0x40000101) & 1u << X86_KVM_CLOCK);
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
		T(timer_when_held_expect_it_stands_still),
		T(timer_when_over_before_it_is_held_expect_it_is_not_lost),
		T(way_when_the_message_stays_expect_the_kernel_sends_it),
		T(bell_when_rung_expect_it_counted_and_no_exit),
		T(late_when_written_expect_no_exit_and_their_order),
		T(cpuid_when_kvm_is_on_expect_its_features),
		T(clock_when_stopped_expect_it_stands),
		T(tsc_when_the_machine_goes_on_expect_its_new_offset),
		T(apic_timer_when_the_machine_stops_expect_its_count_kept),
		T(registers_when_of_the_hypervisor_expect_them_both_ways),
		T(hyperv_when_asked_for_expect_its_leaves_or_a_sentence),
		T(second_cpu_when_never_started_expect_it_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
