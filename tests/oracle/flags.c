// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Results and all flags of integer instructions whose flags the manuals leave undefined in part, against the real
 * processor, exactly: what one make leaves there another does not, and one form of an instruction may differ from
 * its neighbour (a rotation by a constant, by CL, in memory). The oracle meets these forms too rarely, and masks
 * some. A host of a make not seen before shows here what it does otherwise.
 * Run: make t T=oracle/flags. LODGE_SEED=S for other values, LODGE_COUNT=N for each form on each tier.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "oracle/gen_int.h"
#include "x86/disasm.h"

#define BATCH 128

enum { NO_MODRM = 0x80, ANY_REG = 0x81 }; /* instead of ModRM.reg as a part of the opcode */
enum { BYTES = 1, NOT_64 = 2, VEX = 4 };

struct form {
	uint8_t escape[2], opcode, reg, imm, flags;
	uint8_t prefix; /* F3, part of the opcode */
};

#define IMM_Z 4 /* as wide as the operand, up to 4 */
#define ALU(n)                                                                                \
	{.opcode = (n), .reg = ANY_REG, .flags = BYTES}, {.opcode = (n) + 1, .reg = ANY_REG}, \
		{.opcode = (n) + 2, .reg = ANY_REG, .flags = BYTES},                          \
		{.opcode = (n) + 3, .reg = ANY_REG},                                          \
		{.opcode = (n) + 4, .reg = NO_MODRM, .imm = 1, .flags = BYTES},               \
		{.opcode = (n) + 5, .reg = NO_MODRM, .imm = IMM_Z},                           \
		{.opcode = 0x80, .reg = (n) >> 3, .imm = 1, .flags = BYTES},                  \
		{.opcode = 0x81, .reg = (n) >> 3, .imm = IMM_Z},                              \
	{                                                                                     \
		.opcode = 0x83, .reg = (n) >> 3, .imm = 1                                     \
	}
#define SHIFT(n)                                                                            \
	{.opcode = 0xc0, .reg = (n), .imm = 1, .flags = BYTES},                             \
		{.opcode = 0xc1, .reg = (n), .imm = 1},                                     \
		{.opcode = 0xd0, .reg = (n), .flags = BYTES}, {.opcode = 0xd1, .reg = (n)}, \
		{.opcode = 0xd2, .reg = (n), .flags = BYTES},                               \
	{                                                                                   \
		.opcode = 0xd3, .reg = (n)                                                  \
	}
#define GROUP3(n)                                     \
	{.opcode = 0xf6, .reg = (n), .flags = BYTES}, \
	{                                             \
		.opcode = 0xf7, .reg = (n)            \
	}
#define WIDE(n)                                                 \
	{                                                       \
		.escape = {0x0f}, .opcode = (n), .reg = ANY_REG \
	}
#define BIT(n, r)                                                      \
	WIDE(n),                                                       \
	{                                                              \
		.escape = {0x0f}, .opcode = 0xba, .reg = (r), .imm = 1 \
	}
#define COUNT(n)                                                                \
	{                                                                       \
		.prefix = 0xf3, .escape = {0x0f}, .opcode = (n), .reg = ANY_REG \
	}
#define BMI(n, r)                                       \
	{                                               \
		.opcode = (n), .reg = (r), .flags = VEX \
	}
#define BCD(n, i)                                                                   \
	{                                                                           \
		.opcode = (n), .reg = NO_MODRM, .imm = (i), .flags = BYTES | NOT_64 \
	}

static const struct form forms[] = {
	SHIFT(0),
	SHIFT(1),
	SHIFT(2),
	SHIFT(3),
	SHIFT(4),
	SHIFT(5),
	SHIFT(6),
	SHIFT(7),
	WIDE(0xa5),
	{.escape = {0x0f}, .opcode = 0xa4, .reg = ANY_REG, .imm = 1},
	WIDE(0xad),
	{.escape = {0x0f}, .opcode = 0xac, .reg = ANY_REG, .imm = 1},
	GROUP3(4),
	GROUP3(5),
	GROUP3(6),
	GROUP3(7),
	WIDE(0xaf),
	{.opcode = 0x69, .reg = ANY_REG, .imm = IMM_Z},
	{.opcode = 0x6b, .reg = ANY_REG, .imm = 1},
	ALU(0x08),
	ALU(0x20),
	ALU(0x30),
	{.opcode = 0x84, .reg = ANY_REG, .flags = BYTES},
	{.opcode = 0x85, .reg = ANY_REG},
	{.opcode = 0xa8, .reg = NO_MODRM, .imm = 1, .flags = BYTES},
	{.opcode = 0xa9, .reg = NO_MODRM, .imm = IMM_Z},
	{.opcode = 0xf6, .reg = 0, .imm = 1, .flags = BYTES},
	{.opcode = 0xf7, .reg = 0, .imm = IMM_Z},
	WIDE(0xbc),
	WIDE(0xbd),
	COUNT(0xb8),
	COUNT(0xbc),
	COUNT(0xbd),
	BIT(0xa3, 4),
	BIT(0xab, 5),
	BIT(0xb3, 6),
	BIT(0xbb, 7),
	BCD(0x27, 0),
	BCD(0x2f, 0),
	BCD(0x37, 0),
	BCD(0x3f, 0),
	BCD(0xd4, 1),
	BCD(0xd5, 1),
	BMI(0xf2, ANY_REG),
	BMI(0xf3, 1),
	BMI(0xf3, 2),
	BMI(0xf3, 3),
	BMI(0xf5, ANY_REG),
	BMI(0xf7, ANY_REG),
};

struct score {
	uint64_t tests, differ;
	char first[512];
};

struct run {
	struct host *host;
	struct soft *soft[3]; /* by tier */
	struct x86_insn insn[BATCH];
	struct score ops[X86_OP_COUNT];
	bool amd;
};

/* ---- Making tests --------------------------------------------------------------------------- */

static unsigned put_modrm(uint64_t *s, struct oracle_test *t, const struct form *f, uint8_t *p,
			  bool mem)
{
	unsigned reg = f->reg == ANY_REG ? (unsigned)pick(s, 8) : f->reg;
	unsigned di = t->mode == X86_MODE_16 ? 5 : 7; /* [di] or [rdi] */

	*p = (uint8_t)(reg << 3 | (mem ? di : 0xc0 | pick(s, 8)));
	return 1;
}

static unsigned put_prefixes(uint64_t *s, const struct oracle_test *t, const struct form *f,
			     uint8_t *p, bool mem)
{
	unsigned n = 0;

	if (f->flags &
	    VEX) { /* BMI: no 66, W in 64-bit code alone; with memory, its own base register */
		p[n++] = 0xc4;
		p[n++] = (uint8_t)(0xe2 & ~(t->mode == X86_MODE_64 && !mem ? pick(s, 2) << 5 : 0));
		p[n++] = (uint8_t)((t->mode == X86_MODE_64 ? pick(s, 2) << 7 : 0) |
				   (t->mode == X86_MODE_64 ? pick(s, 16) : 8 | pick(s, 8)) << 3);
		return n;
	}
	if (!(f->flags & BYTES) && chance(s, 30))
		p[n++] = 0x66;
	if (f->prefix)
		p[n++] = f->prefix;
	if (t->mode == X86_MODE_64 && chance(s, 60))
		p[n++] = (uint8_t)(0x40 | (pick(s, 16) & (mem ? ~1u : ~0u)));
	for (unsigned i = 0; i < 2 && f->escape[i]; i++)
		p[n++] = f->escape[i];
	return n;
}

static bool make_test(uint64_t *s, const struct form *f, struct oracle_test *t, struct x86_insn *in)
{
	bool mem = f->reg != NO_MODRM && chance(s, 30);
	unsigned n;

	t->mode = (uint8_t)(chance(s, 60) && !(f->flags & NOT_64) ? X86_MODE_64
			    : chance(s, 60)			  ? X86_MODE_32
								  : X86_MODE_16);
	memset(t->code, 0xcc, sizeof(t->code));
	n = put_prefixes(s, t, f, t->code, mem);
	t->code[n++] = f->opcode;
	if (f->reg != NO_MODRM)
		n += put_modrm(s, t, f, t->code + n, mem);
	for (unsigned i = 0; i < f->imm; i++)
		t->code[n++] = (uint8_t)splitmix64(s); /* a few too many do no harm */
	gen_registers(s, t);
	if (t->kind == ORACLE_RUN)
		t->in.rflags &= ~(uint64_t)FLAG_TF;
	t->code_off = 0x800;
	t->in.rip = (t->mode == X86_MODE_16 ? 0 : ORACLE_CODE) + t->code_off;

	int len = oracle_decode(t, in, t->code, ORACLE_INSN_MAX);

	if (len <= 0)
		return false;
	memset(t->code + len, 0xcc, ORACLE_INSN_MAX - (unsigned)len);
	if (gen_memory_operand(in) && in->op >= X86_OP_BT && in->op <= X86_OP_BTC &&
	    in->opd[1].kind == X86_OPD_REG)
		gen_set_low(t, in->opd[1].reg, pick(s, 1024));
	if (mem)
		gen_set_low(t, R_RDI, ORACLE_DATA + ORACLE_DATA_BYTES / 2 - 128 + pick(s, 128));
	if ((in->op == X86_OP_BSF || in->op == X86_OP_BSR) && !mem && chance(s, 20))
		t->in.gpr[in->opd[1].reg] = 0;
	return true;
}

/* ---- Comparing ------------------------------------------------------------------------------ */

/* `masked`: flags not to look at. */
static bool same(const struct oracle_test *t, const struct oracle_result *s, unsigned tier,
		 uint64_t masked)
{
	const struct oracle_result *h = &t->host;
	bool fault = h->vector != VEC_DB && h->vector != VEC_BP;
	/* Tier 2 may have dropped flags that a block overwrites (docs/adr/0010). */
	uint64_t flags = tier == 2 && fault ? 0 : FLAGS_ARITH & ~masked;
	unsigned regs = t->mode == X86_MODE_64 ? 16 : 8;
	uint64_t mask = t->mode == X86_MODE_64 ? ~0ull : 0xffffffff;
	bool ok = h->vector == s->vector && !((h->s.rip ^ s->s.rip) & mask) &&
		  !((h->s.rflags ^ s->s.rflags) & flags);

	for (unsigned i = 0; i < regs; i++)
		ok = ok && !((h->s.gpr[i] ^ s->s.gpr[i]) & mask);
	return ok && !memcmp(h->data, s->data, ORACLE_DATA_BYTES);
}

static void describe(struct score *c, const struct oracle_test *t, const struct x86_insn *in,
		     const struct oracle_result *s, unsigned tier)
{
	char text[128];

	x86_disasm(text, sizeof(text), in, t->in.rip);
	snprintf(c->first, sizeof(c->first),
		 "%s in %u-bit mode, tier %u: rax %" PRIx64 " rcx %" PRIx64 " rdx %" PRIx64
		 " flags %" PRIx64 "; host: vector %u flags %" PRIx64
		 "; engine: vector %u flags %" PRIx64,
		 text,
		 t->mode == X86_MODE_64	  ? 64u
		 : t->mode == X86_MODE_32 ? 32u
					  : 16u,
		 tier, t->in.gpr[R_RAX], t->in.gpr[R_RCX], t->in.gpr[R_RDX],
		 t->in.rflags & FLAGS_ARITH, t->host.vector, t->host.s.rflags & FLAGS_ARITH,
		 s->vector, s->s.rflags & FLAGS_ARITH);
}

static void judge(struct run *r, unsigned i, unsigned tier)
{
	static struct oracle_result out;
	const struct oracle_test *t = &host_tests(r->host)[i];
	const struct x86_insn *in = &r->insn[i];
	struct score *c = &r->ops[in->op];

	/* Zen leaves some flags that are not the same twice (IDIV), and some that tier 1 does not have. */
	uint64_t masked = r->amd ? gen_undefined_flags(in, t) : 0;

	c->tests++;
	if (soft_run_test(r->soft[tier], t, false, &out) && same(t, &out, tier, masked))
		return;
	if (!c->differ++)
		describe(c, t, in, &out, tier);
}

static void run_form(struct run *r, const struct form *f, uint64_t seed, unsigned count,
		     unsigned tier)
{
	struct oracle_test *tests = host_tests(r->host);
	uint64_t s = seed;
	unsigned died;

	while (count) {
		unsigned n = 0, left = count < BATCH ? count : BATCH;

		for (unsigned tries = 0; n < left && tries < 20 * left; tries++) {
			tests[n].kind = tier == 1 ? ORACLE_STEP : ORACLE_RUN;
			n += make_test(&s, f, &tests[n], &r->insn[n]) &&
			     (tests[n].mode != X86_MODE_16 || host_has_16bit(r->host));
		}
		if (!n) /* the guest's processor does not have it */
			return;
		if (!host_run(r->host, n, &died)) {
			printf("FAIL child: opcode %02x killed it\n", f->opcode);
			exit(1);
		}
		for (unsigned i = 0; i < n; i++)
			judge(r, i, tier);
		count -= left;
	}
}

static unsigned report(const struct run *r)
{
	unsigned failed = 0;

	for (unsigned op = 0; op < X86_OP_COUNT; op++) {
		const struct score *c = &r->ops[op];
		const char *name = x86_op_name((enum x86_op)op);

		if (c->differ)
			printf("FAIL %s: %" PRIu64 " of %" PRIu64
			       " differ from this processor; %s\n",
			       name, c->differ, c->tests, c->first);
		else if (c->tests)
			printf("ok %s\n", name);
		failed += c->differ != 0;
	}
	return failed;
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);

	return v && *v ? strtoull(v, NULL, 0) : otherwise;
}

int main(void)
{
	static struct run r;
	uint64_t seed = env_number("LODGE_SEED", 20261122);
	unsigned count = (unsigned)env_number("LODGE_COUNT", 150);

	r.amd = x86_host_is_amd();
	r.host = host_start(BATCH);
	for (unsigned tier = 1; tier <= 2; tier++)
		r.soft[tier] = soft_start(tier);
	if (!r.host || !r.soft[1] || !r.soft[2])
		return 2;
	for (unsigned tier = 1; tier <= 2; tier++) {
		for (unsigned i = 0; i < ARRAY_SIZE(forms); i++)
			run_form(&r, &forms[i], seed + i * 7919, count, tier);
	}
	host_stop(r.host);
	for (unsigned tier = 1; tier <= 2; tier++)
		soft_stop(r.soft[tier]);
	return report(&r) ? 1 : 0;
}
