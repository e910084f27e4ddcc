// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: any code, run by the interpreter and by the translator: registers, flags and memory
 * must be the same when it halts (every exception does). Code that does not halt in time is not
 * compared. Without x87 and SIMD, whose registers the sanitizers' runtime uses.
 * Input: mode, offset in the page, seed of the registers, code. Run: make t T=fuzz/jit
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "fuzz/jit_modes.h"

#define COMPARED 0x110000u
#define LIMIT_NS 1000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct side {
	struct mem *mem;
	struct engine *engine;
	struct vcpu *vcpu;
	struct x86_state *s;
	uint8_t *r;
	bool halted;
};

static struct side sides[2]; /* tier 1, tier 2 */

/* ---- Ending what does not halt -------------------------------------------------------------- */

static _Atomic(struct vcpu *) running;
static _Atomic unsigned runs;

static void *watch(void *arg)
{
	const struct timespec tick = {.tv_nsec = LIMIT_NS};
	unsigned seen = 0;

	for (;;) {
		struct vcpu *v = atomic_load(&running);
		unsigned now = atomic_load(&runs);

		if (v && seen == now)
			engine_soft.kick(v);
		seen = now;
		nanosleep(&tick, NULL);
	}
	return arg;
}

static void take_side(unsigned i)
{
	env_mem = sides[i].mem;
	env_engine = sides[i].engine;
	env_vcpu = sides[i].vcpu;
	S = sides[i].s;
	R = sides[i].r;
}

static void setup_once(void)
{
	pthread_t thread;

	if (sides[0].engine)
		return;
	for (unsigned i = 0; i < 2; i++) {
		env_soft =
			(struct engine_soft_options){.tier = i + 1, .warm = 1, .tb_size_mib = 16};
		if (env_setup(NULL) < 0)
			abort();
		sides[i] = (struct side){env_mem, env_engine, env_vcpu, S, R, false};
	}
	if (pthread_create(&thread, NULL, watch, NULL) != 0)
		abort();
}

/* ---- One input ------------------------------------------------------------------------------ */

static void run_side(unsigned i, const uint8_t *data, size_t size)
{
	unsigned at;
	enum engine_exit why;

	take_side(i);
	env_cr8 = 0;
	env_apic_base = 0xfee00900;
	pick_mode(data[0]);
	pick_registers(data[2] | (uint64_t)data[0] << 8);
	S->cr0 |= CR0_EM | CR0_TS;
	at = data[1] & 0x80 ? 0xfc0 + (data[1] & 0x3f) : data[1];
	S->rip += at;
	memcpy(R + A_CODE + at, data + 3, size - 3);
	memset(R + A_CODE + at + size - 3, 0xf4, 16);
	for (unsigned k = 0; k < 0x1000; k += 8)
		st_le64(R + A_DATA + k, k * 0x0123456789abcdefull);
	mem_wrote(env_mem, 0, COMPARED);
	engine_soft.state_changed(env_vcpu);
	atomic_fetch_add(&runs, 1);
	atomic_store(&running, env_vcpu);
	why = engine_soft.run(env_vcpu);
	atomic_store(&running, NULL);
	sides[i].halted = why == ENGINE_EXIT_HALT || why == ENGINE_EXIT_SHUTDOWN;
}

/*
 * Flags that the block overwrites before anyone reads them may be lost at a fault (docs/adr/0010):
 * in the frame on the stack, and in the handler's flags.
 */
static bool in_frame(uint64_t at)
{
	const struct x86_state *s = sides[0].s;
	uint64_t base = s->seg[SEG_SS].base;

	/* A 16-bit stack pointer may have wrapped inside the frame. */
	return at - (base + s->gpr[R_RSP]) < 64 || ((at - base - s->gpr[R_RSP]) & 0xffff) < 64;
}

static bool same_memory(void)
{
	const uint8_t *a = sides[0].r, *b = sides[1].r;
	uint64_t odd = (sides[0].s->seg[SEG_SS].base + sides[0].s->gpr[R_RSP]) & 1;

	if (!memcmp(a, b, COMPARED))
		return true;
	if (a[0] != b[0])
		return false;
	for (uint64_t i = odd; i + 2 <= COMPARED; i += 2) { /* a stack may be at odd addresses */
		uint16_t x = ld_le16(a + i), y = ld_le16(b + i);

		if (x != y && (!in_frame(i) || ((x ^ y) & ~FLAGS_ARITH))) {
			fprintf(stderr, "memory %06llx: %04x %04x\n", (unsigned long long)i, x, y);
			return false;
		}
	}
	return true;
}

static bool same(void)
{
	const struct x86_state *a = sides[0].s, *b = sides[1].s;
	bool ok = true;

	for (unsigned i = 0; i < 16; i++) {
		if (a->gpr[i] != b->gpr[i]) {
			fprintf(stderr, "r%u: %016llx %016llx\n", i, (unsigned long long)a->gpr[i],
				(unsigned long long)b->gpr[i]);
			ok = false;
		}
	}
	if (a->rip != b->rip || ((a->rflags ^ b->rflags) & ~(uint64_t)FLAGS_ARITH) ||
	    a->cr2 != b->cr2 || a->cr0 != b->cr0 || a->cr3 != b->cr3 || a->cr4 != b->cr4) {
		fprintf(stderr, "rip %llx %llx, rflags %llx %llx, cr2 %llx %llx\n",
			(unsigned long long)a->rip, (unsigned long long)b->rip,
			(unsigned long long)a->rflags, (unsigned long long)b->rflags,
			(unsigned long long)a->cr2, (unsigned long long)b->cr2);
		ok = false;
	}
	return same_memory() && ok;
}

/* Time, identity and random numbers differ by nature. */
static bool excluded(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++) {
		if (p[i] == 0x0f && (p[i + 1] == 0x31 || p[i + 1] == 0x33 || p[i + 1] == 0x32 ||
				     p[i + 1] == 0x01 || p[i + 1] == 0xc7))
			return true;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 4 || size > 256 || excluded(data + 3, size - 3))
		return 0;
	setup_once();
	for (unsigned i = 0; i < 2; i++) {
		run_side(i, data, size);
		if (!sides[i].halted) { /* it may have written anywhere */
			memset(sides[0].r, 0, RAM_BYTES);
			memset(sides[1].r, 0, RAM_BYTES);
			return 0;
		}
	}
	if (!same())
		abort();
	return 0;
}
