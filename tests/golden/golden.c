// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Golden files of generated code: each block of blocks.s is translated, and what comes out is
 * compared with tests/golden/NAME.golden, so that a change of the translator is a readable diff.
 * Nothing is run. Addresses in the code memory are labels, and what generated code reads of the
 * vCPU goes by its field's name; a -cpu model without AVX makes them the same on every host.
 *
 * Run: make t T=golden/golden, or build/gcc/tests/golden/golden [-w] [NAME...] in the top folder.
 * -w (make golden) rewrites the files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "engine/engine.h"
#include "engine/soft/exclusive.h"
#include "engine/soft/jit_xlat.h"
#include "x86/disasm.h"

#define RAM_BYTES (8u << 20)
#define PML4 0x1000u
#define PDPT 0x2000u
#define PD 0x3000u
#define CODE 0x400000u
#define FOLDER "tests/golden/"
#define MAX_LABELS 256

struct record {
	uint32_t mode, off, name_len, code_len;
};

extern const uint8_t __start_golden_blocks[], __stop_golden_blocks[];

/* ---- A machine that never runs -------------------------------------------------------------- */

struct machine {
	struct mem *mem;
	struct x86_cpuid cpuid;
	struct engine *engine;
	struct soft_cpu *cpu;
};

static void tables(uint8_t *ram)
{
	st_le64(ram + PML4, PDPT | 0x63);
	st_le64(ram + PDPT, PD | 0x63);
	for (uint64_t i = 0; i < 4; i++)
		st_le64(ram + PD + 8 * i, i << 21 | 0xe3);
}

static struct x86_seg flat(uint16_t sel, uint16_t attr)
{
	return (struct x86_seg){.sel = sel, .limit = 0xffffffff, .attr = attr};
}

static void set_state(struct x86_state *s, const struct record *r)
{
	x86_state_reset(s, true);
	s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP;
	s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	s->xcr0 = 7;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->seg[i] = flat(0x18, 0xc093);
	s->seg[SEG_CS] = flat(0x10, r->mode == 64 ? 0xa09b : 0xc09b);
	if (r->mode == 64) {
		s->cr0 |= CR0_PG;
		s->cr3 = PML4;
		s->efer = EFER_LME | EFER_LMA;
	}
	s->rip = CODE + r->off;
}

static struct machine *machine_new(const struct record *r, const uint8_t *code)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct lodge_err err = {"out of memory"};
	struct engine_config cfg = {.cpus = 1, .soft = {.tier = 2, .warm = 1}};

	if (!m)
		return NULL;
	m->mem = mem_new(RAM_BYTES, 0, &err);
	if (!m->mem || x86_cpuid_build(&m->cpuid, "qemu64", 1, &err) < 0 ||
	    mem_map(m->mem, 0, RAM_BYTES, MEM_RAM, 0) < 0)
		goto fail;
	tables(mem_base(m->mem));
	memset(mem_base(m->mem) + CODE, 0xcc, 0x2000);
	memcpy(mem_base(m->mem) + CODE + r->off, code, r->code_len);
	m->cpuid.amd = true; /* whatever the host is */
	cfg.cpuid = &m->cpuid;
	cfg.mem = m->mem;
	m->engine = engine_soft.create(&cfg, &err);
	if (!m->engine)
		goto fail;
	m->cpu = (struct soft_cpu *)engine_soft.vcpu(m->engine, 0);
	m->cpu->e->thunks->fop_on_error = m->cpu->e->thunks->fdp_on_error = false;
	m->cpu->e->thunks->no_selectors = false;
	set_state(&m->cpu->s, r);
	engine_soft.state_changed((struct vcpu *)m->cpu);
	return m;
fail:
	fprintf(stderr, "golden: %s\n", err.msg);
	exit(2);
}

static void machine_free(struct machine *m)
{
	engine_soft.destroy(m->engine);
	mem_free(m->mem);
	free(m);
}

/* ---- Names ---------------------------------------------------------------------------------- */

struct name {
	const char *name;
	size_t off, bytes, count, stride;
};

#define FIELD(n, f)                                                                      \
	{                                                                                \
		n, offsetof(struct soft_cpu, f), sizeof(((struct soft_cpu *)0)->f), 1, 0 \
	}
#define ARRAY(n, f, k)                                                                    \
	{                                                                                 \
		n, offsetof(struct soft_cpu, f), sizeof(((struct soft_cpu *)0)->f[0]), k, \
			sizeof(((struct soft_cpu *)0)->f[0])                              \
	}

static const struct name names[] = {
	ARRAY("gpr", s.gpr, 16),
	FIELD("rip", s.rip),
	FIELD("rflags", s.rflags),
	ARRAY("seg", s.seg, SEG_COUNT),
	FIELD("cr4", s.cr4),
	FIELD("efer", s.efer),
	FIELD("star", s.star),
	FIELD("kernel_gs_base", s.kernel_gs_base),
	FIELD("xsave", s.xsave),
	ARRAY("segbase", segbase, SEG_COUNT),
	ARRAY("seg_room.read", seg_room[0], SEG_COUNT),
	ARRAY("seg_room.write", seg_room[1], SEG_COUNT),
	FIELD("self", self),
	FIELD("tlb", tlb),
	FIELD("tlb_gen", tlb_gen),
	FIELD("tlb_wgen", tlb_wgen),
	FIELD("mode", mode),
	FIELD("view", view),
	FIELD("super_gen", super_gen),
	FIELD("space_gen", space_gen),
	ARRAY("view_space", view_space, SOFT_VIEWS),
	FIELD("jit_kicked", jit_kicked),
	FIELD("code_key", code_key),
	FIELD("requests", requests),
	FIELD("jit_tmp", jit_tmp),
	ARRAY("jit_save", jit_save, 3),
	FIELD("hflags", hflags),
	FIELD("jit_stop", jit_stop),
	ARRAY("jit_jc", jit_jc, 1u << SOFT_JIT_JC_BITS),
	ARRAY("tlb.read", views[0].ent[SOFT_READ], SOFT_TLB_ENTRIES),
	ARRAY("tlb.write", views[0].ent[SOFT_WRITE], SOFT_TLB_ENTRIES),
	ARRAY("tlb.exec", views[0].ent[SOFT_EXEC], SOFT_TLB_ENTRIES),
	FIELD("space_base", space_base),
	FIELD("jit_ret", jit_ret),
	FIELD("stats", stats),
};

static void field_name(char *buf, size_t size, uint64_t off)
{
	size_t n = 0;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t at = off - names[i].off;
		uint64_t index = names[i].stride ? at / names[i].stride : 0;

		if (at >= names[i].bytes * names[i].count)
			continue;
		at -= index * names[i].stride;
		n = (size_t)snprintf(buf, size, "%s", names[i].name);
		if (names[i].stride)
			n += (size_t)snprintf(buf + n, size - n, "[%u]", (unsigned)index);
		if (at)
			snprintf(buf + n, size - n, "+%u", (unsigned)at);
		return;
	}
	snprintf(buf, size, "vcpu+0x%x", (unsigned)off);
}

static const char *stub_name(const struct jit_cache *jc, uint32_t off)
{
	const struct {
		const char *name;
		uint32_t off;
	} stubs[] = {
		{"stub_op", jc->stub_op},
		{"stub_op_parked", jc->stub_op_parked},
		{"stub_exit", jc->stub_exit},
		{"stub_exit_parked", jc->stub_exit_parked},
		{"stub_indirect", jc->stub_indirect},
		{"stub_recheck", jc->stub_recheck},
		{"stub_miss_read", jc->stub_miss[SOFT_READ]},
		{"stub_miss_write", jc->stub_miss[SOFT_WRITE]},
		{"miss_read", jc->miss[SOFT_VIEW_SUPER][SOFT_READ]},
		{"miss_write", jc->miss[SOFT_VIEW_SUPER][SOFT_WRITE]},
	};

	for (unsigned i = 0; i < sizeof(stubs) / sizeof(stubs[0]); i++) {
		if (stubs[i].off == off)
			return stubs[i].name;
	}
	return "somewhere";
}

/* ---- Writing -------------------------------------------------------------------------------- */

struct listing {
	FILE *out;
	struct machine *m;
	const struct jit_block *jb;
	uint32_t cold, cold_end; /* what is out of line */
	unsigned nlabels;
	uint32_t label[MAX_LABELS]; /* targets inside, ascending */
};

/* Where a relative branch goes, as an offset in the code memory. */
static bool branch_target(const struct x86_insn *in, uint32_t next, uint32_t *to)
{
	if (in->nopds < 1 || in->opd[0].kind != X86_OPD_REL)
		return false;
	*to = next + (uint32_t)in->imm;
	return true;
}

/* The same for an address that is loaded. */
static bool lea_target(const struct x86_insn *in, uint32_t next, uint32_t *to)
{
	if (in->op != X86_OP_LEA || in->base != X86_REG_RIP)
		return false;
	*to = next + (uint32_t)in->disp;
	return true;
}

static int decode_host(const struct listing *l, uint32_t at, struct x86_insn *in)
{
	const struct jit_cache *jc = l->m->cpu->e->jit;

	return x86_decode(in, jc->rx + at, X86_MAX_INSN_BYTES, X86_MODE_64);
}

static void add_label(struct listing *l, uint32_t at)
{
	unsigned i = 0;

	while (i < l->nlabels && l->label[i] < at)
		i++;
	if ((i < l->nlabels && l->label[i] == at) || l->nlabels == MAX_LABELS)
		return;
	memmove(&l->label[i + 1], &l->label[i], (l->nlabels - i) * sizeof(l->label[0]));
	l->label[i] = at;
	l->nlabels++;
}

static bool inside(const struct listing *l, uint32_t at)
{
	return at - l->jb->code < l->jb->len || at - l->cold < l->cold_end - l->cold;
}

static void find_labels(struct listing *l, uint32_t at, uint32_t end)
{
	struct x86_insn in;
	uint32_t to;
	int len;

	for (; at < end; at += (uint32_t)len) {
		len = decode_host(l, at, &in);
		if (len <= 0)
			return;
		if ((branch_target(&in, at + (uint32_t)len, &to) ||
		     lea_target(&in, at + (uint32_t)len, &to)) &&
		    inside(l, to))
			add_label(l, to);
	}
}

static int label_at(const struct listing *l, uint32_t at)
{
	for (unsigned i = 0; i < l->nlabels; i++) {
		if (l->label[i] == at)
			return (int)i + 1;
	}
	return 0;
}

static void print_branch(const struct listing *l, const char *text, uint32_t to)
{
	int mnemonic = (int)strcspn(text, " ");

	if (label_at(l, to))
		fprintf(l->out, "\t%.*s L%d\n", mnemonic, text, label_at(l, to));
	else
		fprintf(l->out, "\t%.*s %s\n", mnemonic, text, stub_name(l->m->cpu->e->jit, to));
}

/* "gs:[0x1230]" becomes "gs:[hflags]". */
static void print_gs(const struct listing *l, const struct x86_insn *in, const char *text)
{
	char field[64], number[32];
	const char *at;

	field_name(field, sizeof(field), (uint32_t)in->disp);
	snprintf(number, sizeof(number), "0x%llx]", (unsigned long long)(uint32_t)in->disp);
	at = strstr(text, number);
	if (!at) {
		fprintf(l->out, "\t%s\n", text);
		return;
	}
	fprintf(l->out, "\t%.*s%s%s\n", (int)(at - text), text, field, at + strlen(number) - 1);
}

/* What a miss stub takes in r10: the slot (from r11 on) and the operand's bytes. */
static bool miss_argument(const struct listing *l, const struct x86_insn *in, uint32_t next)
{
	const struct jit_cache *jc = l->m->cpu->e->jit;
	struct x86_insn jump;
	uint32_t to;
	int len;

	if (in->op != X86_OP_MOV || in->nopds != 2 || in->opd[1].kind != X86_OPD_IMM)
		return false;
	len = decode_host(l, next, &jump);
	if (len <= 0 || !branch_target(&jump, next + (uint32_t)len, &to) ||
	    (to != jc->miss[SOFT_VIEW_SUPER][SOFT_READ] &&
	     to != jc->miss[SOFT_VIEW_SUPER][SOFT_WRITE]))
		return false;
	fprintf(l->out, "\tmov r10d, slot+0x%x; %u bytes\n",
		(unsigned)in->imm & ((1u << JIT_MISS_SIZE) - 1),
		(unsigned)(in->imm >> JIT_MISS_SIZE) + 1);
	return true;
}

static uint32_t print_host(const struct listing *l, uint32_t at)
{
	char text[X86_DISASM_MAX];
	struct x86_insn in;
	uint32_t to;
	int len = decode_host(l, at, &in);

	if (label_at(l, at))
		fprintf(l->out, "L%d:\n", label_at(l, at));
	if (len <= 0) {
		fprintf(l->out, "\t.byte 0x%02x\n", l->m->cpu->e->jit->rx[at]);
		return at + 1;
	}
	x86_disasm(text, sizeof(text), &in, at);
	if (branch_target(&in, at + (uint32_t)len, &to))
		print_branch(l, text, to);
	else if (lea_target(&in, at + (uint32_t)len, &to))
		fprintf(l->out, "\tlea r%u, [L%d]\n", in.opd[0].reg, label_at(l, to));
	else if (miss_argument(l, &in, at + (uint32_t)len))
		;
	else if (in.seg == SEG_GS && in.seg_override)
		print_gs(l, &in, text);
	else if (in.base == X86_REG_RIP && (uint32_t)(at + (uint32_t)len + in.disp) == l->cold - 8)
		fprintf(l->out, "\tmov r%u, [block]\n", in.opd[0].reg);
	else
		fprintf(l->out, "\t%s\n", text);
	return at + (uint32_t)len;
}

static void print_guest(const struct listing *l, const struct soft_op *op, enum x86_mode mode)
{
	const uint8_t *p = mem_base(l->m->mem) + op->rip;
	char text[X86_DISASM_MAX];
	struct x86_insn in;
	int len = op->flags & SOFT_OP_END ? 0 : x86_decode(&in, p, 15, mode);

	if (len <= 0) {
		fprintf(l->out, "\n; %06x  (on)\n", (unsigned)op->rip);
		return;
	}
	x86_disasm(text, sizeof(text), &in, op->rip);
	fprintf(l->out, "\n; %06x  %s ", (unsigned)op->rip, text);
	for (int i = 0; i < len; i++)
		fprintf(l->out, " %02x", p[i]);
	fprintf(l->out, "\n");
}

static void print_block(struct listing *l, const struct record *r, const char *name)
{
	const struct jit_block *jb = l->jb;
	uint32_t at = jb->code;

	fprintf(l->out, "; %s, %u-bit code\n", name, r->mode);
	find_labels(l, jb->code, jb->code + jb->len);
	find_labels(l, l->cold, l->cold_end);
	for (unsigned i = 0; i < jb->nops; i++) {
		uint32_t end =
			i + 1 < jb->nops ? jb->off[i + 1] & JIT_OFF_MASK : jb->code + jb->len;

		print_guest(l, &jb->sb->ops[i], r->mode == 64 ? X86_MODE_64 : X86_MODE_32);
		while (at < end)
			at = print_host(l, at);
	}
	fprintf(l->out, "\n; out of line\n");
	for (at = l->cold; at < l->cold_end;) {
		if (at == jb->pad)
			fprintf(l->out, "pad:\n");
		at = print_host(l, at);
	}
}

/* The listing of one block as text; the caller frees it. */
static char *translate(const struct record *r, const char *name, const uint8_t *code)
{
	struct machine *m = machine_new(r, code);
	struct listing l = {.m = m};
	const struct jit_cache *jc;
	struct soft_block *b;
	char *text = NULL;
	size_t size;

	m->cpu->e->no_splits = strstr(name, "dear"); /* whatever the host is */
	jc = m->cpu->e->jit;
	l.cold = ((uint32_t)jc->cold.used + 8 + JIT_ALIGN - 1) & ~(JIT_ALIGN - 1);
	soft_enter(m->cpu);
	b = soft_find_block(m->cpu);
	l.jb = jit_translate(m->cpu, b);
	soft_block_ops(m->cpu, b, m->cpu->s.rip);
	soft_leave(m->cpu);
	l.out = open_memstream(&text, &size);
	if (!l.out)
		exit(2);
	if (l.jb) {
		l.cold_end = l.jb->end;
		print_block(&l, r, name);
	} else {
		fprintf(l.out, "; %s: not translated\n", name);
	}
	fclose(l.out);
	machine_free(m);
	return text;
}

/* ---- Comparing ------------------------------------------------------------------------------ */

static bool put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	bool ok = f && fputs(text, f) >= 0;

	if (f && fclose(f) != 0)
		ok = false;
	if (!ok)
		perror(path);
	return ok;
}

static bool same_as_file(const char *path, const char *text)
{
	static char was[256 << 10];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(was, 1, sizeof(was) - 1, f) : 0;

	was[n] = 0;
	if (f)
		fclose(f);
	return f && !strcmp(was, text);
}

static void show_diff(const char *path, const char *text)
{
	char tmp[] = "/tmp/lodge-golden-XXXXXX", cmd[512];
	int fd = mkstemp(tmp);

	if (fd < 0)
		return;
	close(fd);
	fflush(stdout);
	snprintf(cmd, sizeof(cmd), "diff -u %s %s", path, tmp);
	if (put_file(tmp, text) && system(cmd) < 0)
		perror("diff");
	unlink(tmp);
}

static bool check(const struct record *r, bool rewrite)
{
	const char *name = (const char *)(r + 1);
	char path[256], *text = translate(r, name, (const uint8_t *)name + r->name_len);
	bool ok;

	snprintf(path, sizeof(path), FOLDER "%s.golden", name);
	ok = rewrite ? put_file(path, text) : same_as_file(path, text);
	if (ok) {
		printf("ok %s\n", name);
	} else {
		printf("FAIL %s: differs from %s; `make golden` rewrites it\n", name, path);
		show_diff(path, text);
	}
	free(text);
	return ok;
}

static bool wanted(const char *name, char **names_wanted)
{
	if (!*names_wanted)
		return true;
	while (*names_wanted && strncmp(name, *names_wanted, strlen(*names_wanted)) != 0)
		names_wanted++;
	return *names_wanted;
}

int main(int argc, char **argv)
{
	bool rewrite = argc > 1 && !strcmp(argv[1], "-w");
	const uint8_t *at = __start_golden_blocks;
	unsigned failed = 0;

	while (at < __stop_golden_blocks) {
		const struct record *r = (const struct record *)(const void *)at;
		size_t bytes = sizeof(*r) + r->name_len + r->code_len;

		if (wanted((const char *)(r + 1), argv + 1 + rewrite))
			failed += !check(r, rewrite);
		at += (bytes + 7) & ~(size_t)7;
	}
	return failed ? 1 : 0;
}
