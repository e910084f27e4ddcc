// SPDX-License-Identifier: GPL-2.0-or-later
/* What lockstep says when the tiers differ. Threads: the vCPU's own. See check.h. */
#include <stdio.h>

#include "engine/soft/check.h"
#include "engine/soft/trace.h"

static const char *const reg_names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					  "r8",	 "r9",	"r10", "r11", "r12", "r13", "r14", "r15"};

/* The first difference, for the sentence the machine ends with. */
struct first {
	char text[96];
	bool known;
};

static void differs(struct first *f, const char *what, uint64_t s1, uint64_t s2)
{
	if (f->known)
		return;
	f->known = true;
	snprintf(f->text, sizeof(f->text), "%s is %lx in tier 2, %lx in tier 1", what, s2, s1);
}

static void print_reg(struct first *f, const char *name, uint64_t before, uint64_t s1, uint64_t s2)
{
	log_print("  %-7s %016lx  %016lx  %016lx%s\n", name, before, s1, s2,
		  s1 == s2 ? "" : "  <--");
	if (s1 != s2)
		differs(f, name, s1, s2);
}

static void print_regs(const struct soft_check *c, struct first *f, uint64_t live)
{
	const struct check_regs *a = &c->after[0], *b = &c->after[1];
	uint64_t same = a->rflags & FLAGS_ARITH & ~live;

	log_print("  %-7s %-16s  %-16s  %-16s\n", "", "before", "tier 1", "tier 2");
	print_reg(f, "rip", c->before.rip, a->rip, b->rip);
	for (unsigned i = 0; i < 16; i++)
		print_reg(f, reg_names[i], c->before.gpr[i], a->gpr[i], b->gpr[i]);
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		static const char *const names[] = {"es", "cs", "ss", "ds", "fs", "gs"};

		if (a->seg[i].sel != b->seg[i].sel)
			print_reg(f, names[i], c->before.seg[i].sel, a->seg[i].sel, b->seg[i].sel);
		if (a->seg[i].base != b->seg[i].base || a->segbase[i] != b->segbase[i])
			print_reg(f, names[i], c->before.segbase[i], a->segbase[i], b->segbase[i]);
	}
	print_reg(f, "rflags", c->before.rflags, a->rflags,
		  (b->rflags & ~(FLAGS_ARITH & ~live)) | same);
	if (c->flags_in != c->before.rflags)
		log_print("  (dead flags: tier 2 began with rflags %lx)\n", c->flags_in);
	if ((a->rflags ^ b->rflags) & FLAGS_ARITH & ~live)
		log_print("  (dead flags: tier 2 ended with rflags %lx)\n", b->rflags);
}

static void print_area(const struct soft_check *c, struct first *f, unsigned from, unsigned bytes)
{
	char name[32];

	for (unsigned at = from; at < from + bytes; at += 8) {
		uint64_t v[3];

		for (unsigned i = 0; i < 3; i++)
			gp_memcpy(&v[i], c->xsave[i] + at, 8);
		if (v[1] == v[2])
			continue;
		if (at >= CHECK_YMM_AT)
			snprintf(name, sizeof(name), "ymm%u+%u", (at - CHECK_YMM_AT) / 16,
				 16 + at % 16);
		else if (at >= 160)
			snprintf(name, sizeof(name), "xmm%u+%u", (at - 160) / 16, at % 16);
		else if (at >= 32)
			snprintf(name, sizeof(name), "st%u+%u", (at - 32) / 16, at % 16);
		else
			snprintf(name, sizeof(name), "fx+%u", at);
		print_reg(f, name, v[0], v[1], v[2]);
	}
}

static void print_bytes(const char *what, const uint8_t *p, uint32_t len)
{
	char hex[2 * 64 + 1];

	if (len > 64)
		len = 64;
	for (uint32_t i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", p[i]);
	log_print("    %s %s\n", what, hex);
}

static void print_memory(const struct soft_cpu *cpu, struct first *f)
{
	const struct soft_check *c = cpu->check;
	const struct check_write *w = &c->write[c->differs_at];
	char what[64];
	uint64_t s1 = 0, s2 = 0;
	uint32_t n = w->len < 8 ? w->len : 8;

	if (!c->memory_differs)
		return;
	log_print("  guest RAM + %lx, %u bytes, differ; they were, are in tier 1, in tier 2:\n",
		  (uint64_t)(w->host - cpu->e->ram), w->len);
	print_bytes("before", c->old + w->at, w->len);
	print_bytes("tier 1", c->now + w->at, w->len);
	print_bytes("tier 2", w->host, w->len);
	gp_memcpy(&s1, c->now + w->at, n);
	gp_memcpy(&s2, w->host, n);
	snprintf(what, sizeof(what), "memory at RAM + %lx", (uint64_t)(w->host - cpu->e->ram));
	differs(f, what, s1, s2);
}

static void print_event(const struct soft_check *c, unsigned tier, struct first *f)
{
	const struct soft_event *ev = &c->event[tier];

	if (!c->raised[tier])
		return;
	if (c->raised[tier] != 1)
		log_print("  tier %u: a device, or the instruction starts again\n", tier + 1);
	else
		log_print("  tier %u: exception %u, error %x\n", tier + 1, ev->vector, ev->error);
	if (tier && (c->raised[0] != c->raised[1] || ev->vector != c->event[0].vector ||
		     ev->error != c->event[0].error))
		differs(f, "the exception", c->raised[0] == 1 ? c->event[0].vector : ~0ull,
			c->raised[1] == 1 ? ev->vector : ~0ull);
}

static void print_code(struct soft_cpu *cpu)
{
	const struct soft_check *c = cpu->check;
	const struct jit_block *jb = c->jb;
	const uint8_t *code = cpu->e->jit->rx + jb->code;
	uint32_t off[SOFT_BLOCK_OPS + 2];

	for (unsigned i = 0; i < jb->nops; i++)
		off[i] = (jb->off[i] & JIT_OFF_MASK) - jb->code;
	soft_trace_out_asm(cpu, jb->sb, code, jb->len, off, jb->len);
	soft_trace_cold(cpu, cpu->e->jit->rx + jb->cold, jb->end - jb->cold);
}

void soft_check_report(struct soft_cpu *cpu)
{
	const struct soft_check *c = cpu->check;
	const struct soft_op *ops = c->jb->sb->ops;
	unsigned end = c->stop == CHECK_NONE ? c->last : c->stop;
	struct first f = {.text = "something differs"};
	uint64_t live = soft_check_live(c);

	soft_fpu_leave(cpu);
	log_lock();
	log_print(
		"LOCKSTEP: tier 2 differs from tier 1 in the block at %016lx, mode %03x, from %lx "
		"up to %s %lx\n",
		c->jb->sb->lin, c->jb->sb->mode, ops[c->first].rip,
		c->stop == CHECK_NONE ? "and with" : "and without", ops[end].rip);
	print_regs(c, &f, live);
	if (c->fpu) {
		print_area(c, &f, 0, CHECK_FX_BYTES);
		print_area(c, &f, CHECK_YMM_AT, CHECK_YMM_BYTES);
	}
	print_event(c, 0, &f);
	print_event(c, 1, &f);
	print_memory(cpu, &f);
	print_code(cpu);
	log_unlock();
	snprintf(
		cpu->error, sizeof(cpu->error),
		"lockstep: the tiers differ after the code from %lx to %lx: %s; the trace has both "
		"states and the code",
		ops[c->first].rip, ops[end].rip, f.text);
}
