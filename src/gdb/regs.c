// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Registers for GDB.
 * Source: Debugging with GDB, G.5.7 "i386 Features" (which registers, in which order); Intel SDM vol. 1 §8.1 (x87),
 * §10.5.1 (FXSAVE), §13.4 (XSAVE area). Threads: the owner's.
 */
#include "gdb/regs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "x86/state.h"

/* ---- The XSAVE area ----------------------------------------------------------------------------- */

#define XS_FCW 0
#define XS_FSW 2
#define XS_FTW 4
#define XS_FOP 6
#define XS_FIP 8
#define XS_FCS 12
#define XS_FDP 16
#define XS_FDS 20
#define XS_MXCSR 24
#define XS_ST 32
#define XS_XMM 160
#define XS_BV 512
#define XS_YMMH 576
#define XS_X87 1u
#define XS_SSE 2u
#define XS_AVX 4u
#define FCW_INIT 0x37f
#define MXCSR_INIT 0x1f80

/* ---- The list, and its description -------------------------------------------------------------- */

static __attribute__((format(printf, 2, 3))) void say(struct gdb_regs *r, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(r->xml + r->xml_len, r->xml_cap - r->xml_len, fmt, ap);
	va_end(ap);
	if (n > 0)
		r->xml_len = min_u64(r->xml_len + (unsigned)n, r->xml_cap - 1);
}

static void add(struct gdb_regs *r, enum gdb_reg_kind kind, unsigned at, unsigned bytes,
		const char *name, const char *type)
{
	if (r->n == GDB_REGS_MAX)
		return;
	r->reg[r->n] = (struct gdb_reg){kind, (uint8_t)at, (uint8_t)bytes};
	say(r, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"/>\n", name, bytes * 8,
	    type, r->n);
	r->n++;
}

struct bit {
	const char *name;
	unsigned bit;
};

static void flags(struct gdb_regs *r, const char *id, unsigned bytes, const struct bit *b)
{
	say(r, "<flags id=\"%s\" size=\"%u\">\n", id, bytes);
	for (; b->name; b++)
		say(r, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>\n", b->name, b->bit, b->bit);
	say(r, "</flags>\n");
}

static const struct bit eflags_bits[] = {
	{"CF", 0},  {"", 1},	{"PF", 2},   {"AF", 4},	  {"ZF", 6},  {"SF", 7},
	{"TF", 8},  {"IF", 9},	{"DF", 10},  {"OF", 11},  {"NT", 14}, {"RF", 16},
	{"VM", 17}, {"AC", 18}, {"VIF", 19}, {"VIP", 20}, {"ID", 21}, {NULL, 0}};
static const struct bit mxcsr_bits[] = {{"IE", 0},  {"DE", 1},	{"ZE", 2},  {"OE", 3},	{"UE", 4},
					{"PE", 5},  {"DAZ", 6}, {"IM", 7},  {"DM", 8},	{"ZM", 9},
					{"OM", 10}, {"UM", 11}, {"PM", 12}, {"FZ", 15}, {NULL, 0}};
static const struct bit cr0_bits[] = {{"PE", 0},  {"MP", 1},  {"EM", 2},  {"TS", 3},
				      {"ET", 4},  {"NE", 5},  {"WP", 16}, {"AM", 18},
				      {"NW", 29}, {"CD", 30}, {"PG", 31}, {NULL, 0}};
static const struct bit cr4_bits[] = {
	{"VME", 0},	    {"PVI", 1},	  {"TSD", 2},	    {"DE", 3},	   {"PSE", 4},
	{"PAE", 5},	    {"MCE", 6},	  {"PGE", 7},	    {"PCE", 8},	   {"OSFXSR", 9},
	{"OSXMMEXCPT", 10}, {"UMIP", 11}, {"FSGSBASE", 16}, {"PCIDE", 17}, {"OSXSAVE", 18},
	{"SMEP", 20},	    {"SMAP", 21}, {NULL, 0}};
static const struct bit efer_bits[] = {{"SCE", 0},  {"LME", 8},	   {"LMA", 10},
				       {"NXE", 11}, {"FFXSR", 14}, {NULL, 0}};

static void core(struct gdb_regs *r)
{
	static const char *const amd64[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
					    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
	static const uint8_t amd64_at[] = {R_RAX, R_RBX, R_RCX, R_RDX, R_RSI, R_RDI, R_RBP, R_RSP,
					   8,	  9,	 10,	11,    12,    13,    14,    15};
	static const char *const i386[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
	static const char *const sel[] = {"cs", "ss", "ds", "es", "fs", "gs"};
	static const uint8_t sel_at[] = {SEG_CS, SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS};
	static const char *const x87[] = {"fctrl", "fstat", "ftag",  "fiseg",
					  "fioff", "foseg", "fooff", "fop"};
	unsigned word = r->amd64 ? 8 : 4;
	const char *integer = r->amd64 ? "int64" : "int32";
	char name[8];

	say(r, "<feature name=\"org.gnu.gdb.i386.core\">\n");
	flags(r, "i386_eflags", 4, eflags_bits);
	for (unsigned i = 0; i < (r->amd64 ? 16u : 8u); i++) {
		unsigned at = r->amd64 ? amd64_at[i] : i;

		add(r, GDB_REG_GPR, at, word, r->amd64 ? amd64[i] : i386[i],
		    at == R_RSP || at == R_RBP ? "data_ptr" : integer);
	}
	add(r, GDB_REG_IP, 0, word, r->amd64 ? "rip" : "eip", "code_ptr");
	add(r, GDB_REG_FLAGS, 0, 4, "eflags", "i386_eflags");
	for (unsigned i = 0; i < 6; i++)
		add(r, GDB_REG_SEL, sel_at[i], 4, sel[i], "int32");
	for (unsigned i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "st%u", i);
		add(r, GDB_REG_ST, i, 10, name, "i387_ext");
	}
	for (unsigned i = 0; i < ARRAY_SIZE(x87); i++)
		add(r, GDB_REG_X87, i, 4, x87[i], "int");
	say(r, "</feature>\n");
}

static void vectors(struct gdb_regs *r, bool avx)
{
	unsigned n = r->amd64 ? 16 : 8;
	char name[8];

	say(r, "<feature name=\"org.gnu.gdb.i386.sse\">\n"
	       "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>\n"
	       "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>\n"
	       "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>\n"
	       "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>\n"
	       "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>\n"
	       "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>\n"
	       "<union id=\"vec128\">\n"
	       "<field name=\"v4_float\" type=\"v4f\"/>\n"
	       "<field name=\"v2_double\" type=\"v2d\"/>\n"
	       "<field name=\"v16_int8\" type=\"v16i8\"/>\n"
	       "<field name=\"v8_int16\" type=\"v8i16\"/>\n"
	       "<field name=\"v4_int32\" type=\"v4i32\"/>\n"
	       "<field name=\"v2_int64\" type=\"v2i64\"/>\n"
	       "<field name=\"uint128\" type=\"uint128\"/>\n"
	       "</union>\n");
	flags(r, "i386_mxcsr", 4, mxcsr_bits);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "xmm%u", i);
		add(r, GDB_REG_XMM, i, 16, name, "vec128");
	}
	add(r, GDB_REG_MXCSR, 0, 4, "mxcsr", "i386_mxcsr");
	say(r, "</feature>\n");
	if (!avx)
		return;
	say(r, "<feature name=\"org.gnu.gdb.i386.avx\">\n");
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "ymm%uh", i);
		add(r, GDB_REG_YMMH, i, 16, name, "uint128");
	}
	say(r, "</feature>\n");
}

static void system_registers(struct gdb_regs *r)
{
	unsigned word = r->amd64 ? 8 : 4;
	const char *integer = r->amd64 ? "int64" : "int32";

	/* gdb 13 fails an assertion when it finds that feature without 64-bit registers. */
	say(r, "<feature name=\"%s\">\n",
	    r->amd64 ? "org.gnu.gdb.i386.segments" : "org.lodge.i386.segments");
	add(r, GDB_REG_SEGBASE, SEG_FS, word, "fs_base", integer);
	add(r, GDB_REG_SEGBASE, SEG_GS, word, "gs_base", integer);
	say(r, "</feature>\n<feature name=\"org.lodge.i386.system\">\n");
	flags(r, "i386_cr0", word, cr0_bits);
	flags(r, "i386_cr4", word, cr4_bits);
	flags(r, "i386_efer", word, efer_bits);
	if (r->amd64)
		add(r, GDB_REG_KGSBASE, 0, word, "k_gs_base", integer);
	add(r, GDB_REG_CR, 0, word, "cr0", "i386_cr0");
	add(r, GDB_REG_CR, 2, word, "cr2", integer);
	add(r, GDB_REG_CR, 3, word, "cr3", integer);
	add(r, GDB_REG_CR, 4, word, "cr4", "i386_cr4");
	add(r, GDB_REG_CR, 8, word, "cr8", integer);
	add(r, GDB_REG_EFER, 0, word, "efer", "i386_efer");
	say(r, "</feature>\n");
}

int gdb_regs_init(struct gdb_regs *r, bool amd64, bool avx)
{
	*r = (struct gdb_regs){.amd64 = amd64, .xml_cap = 32u << 10};
	r->xml = malloc(r->xml_cap);
	if (!r->xml)
		return -ENOMEM;
	say(r,
	    "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
	    "<target>\n<architecture>%s</architecture>\n",
	    amd64 ? "i386:x86-64" : "i386");
	core(r);
	vectors(r, avx);
	system_registers(r);
	say(r, "</target>\n");
	return 0;
}

void gdb_regs_free(struct gdb_regs *r)
{
	free(r->xml);
	r->xml = NULL;
}

/* ---- x87 ---------------------------------------------------------------------------------------- */

/* Is the component other than as reset? */
static bool in_use(const struct x86_state *s, unsigned part)
{
	return s->xsave[XS_BV] & part;
}

/* It is to be written: from now on its bytes count. */
static void use(struct x86_state *s, unsigned part)
{
	if (in_use(s, part))
		return;
	if (part == XS_X87) {
		memset(s->xsave, 0, XS_MXCSR);
		st_le16(s->xsave + XS_FCW, FCW_INIT);
		memset(s->xsave + XS_ST, 0, XS_XMM - XS_ST);
	} else if (part == XS_SSE) {
		memset(s->xsave + XS_XMM, 0, 16 * 16);
	} else {
		memset(s->xsave + XS_YMMH, 0, 16 * 16);
	}
	s->xsave[XS_BV] = (uint8_t)(s->xsave[XS_BV] | part);
}

/* Two bits of the tag word for what a register that is not empty holds: 0 valid, 1 zero, 2 special. */
static unsigned tag_of(const uint8_t *st)
{
	uint64_t m = ld_le64(st);
	unsigned e = ld_le16(st + 8) & 0x7fff;

	if (!e && !m)
		return 1;
	return !e || e == 0x7fff || !(m >> 63) ? 2 : 0;
}

/* The tag word of old: FXSAVE keeps a bit for each physical register that is not empty. */
static uint32_t full_tags(const uint8_t *xs)
{
	unsigned top = ld_le16(xs + XS_FSW) >> 11 & 7, tags = 0;

	for (unsigned phys = 0; phys < 8; phys++) {
		unsigned st = (phys - top) & 7;

		tags |= (xs[XS_FTW] >> phys & 1 ? tag_of(xs + XS_ST + 16 * st) : 3) << 2 * phys;
	}
	return tags;
}

static uint32_t read_x87(const struct x86_state *s, unsigned at)
{
	const uint8_t *xs = s->xsave;

	if (!in_use(s, XS_X87))
		return at == 0 ? FCW_INIT : at == 2 ? 0xffff : 0;
	switch (at) {
	case 0:
		return ld_le16(xs + XS_FCW);
	case 1:
		return ld_le16(xs + XS_FSW);
	case 2:
		return full_tags(xs);
	case 3:
		return ld_le16(xs + XS_FCS);
	case 4:
		return ld_le32(xs + XS_FIP);
	case 5:
		return ld_le16(xs + XS_FDS);
	case 6:
		return ld_le32(xs + XS_FDP);
	default:
		return ld_le16(xs + XS_FOP) & 0x7ff;
	}
}

static void write_x87(struct x86_state *s, unsigned at, uint32_t v)
{
	uint8_t *xs = s->xsave, empty = 0;

	use(s, XS_X87);
	switch (at) {
	case 0:
		st_le16(xs + XS_FCW, (uint16_t)((v & 0x1f7f) | 0x40));
		break;
	case 1:
		st_le16(xs + XS_FSW, (uint16_t)v);
		break;
	case 2:
		for (unsigned i = 0; i < 8; i++)
			empty = (uint8_t)(empty | ((v >> 2 * i & 3) != 3) << i);
		xs[XS_FTW] = empty;
		break;
	case 3:
		st_le16(xs + XS_FCS, (uint16_t)v);
		break;
	case 4:
		st_le32(xs + XS_FIP, v);
		break;
	case 5:
		st_le16(xs + XS_FDS, (uint16_t)v);
		break;
	case 6:
		st_le32(xs + XS_FDP, v);
		break;
	default:
		st_le16(xs + XS_FOP, v & 0x7ff);
	}
}

/* ---- Values ------------------------------------------------------------------------------------- */

/* Those of up to 8 bytes. */
static uint64_t read_word(const struct gdb_reg *g, const struct x86_state *s, uint8_t cr8)
{
	switch (g->kind) {
	case GDB_REG_GPR:
		return s->gpr[g->at];
	case GDB_REG_IP:
		return s->rip;
	case GDB_REG_FLAGS:
		return s->rflags;
	case GDB_REG_SEL:
		return s->seg[g->at].sel;
	case GDB_REG_X87:
		return read_x87(s, g->at);
	case GDB_REG_MXCSR:
		return in_use(s, XS_SSE | XS_AVX) || ld_le32(s->xsave + XS_MXCSR)
			       ? ld_le32(s->xsave + XS_MXCSR)
			       : MXCSR_INIT;
	case GDB_REG_SEGBASE:
		return s->seg[g->at].base;
	case GDB_REG_KGSBASE:
		return s->kernel_gs_base;
	case GDB_REG_CR:
		return g->at == 0   ? s->cr0
		       : g->at == 2 ? s->cr2
		       : g->at == 3 ? s->cr3
		       : g->at == 4 ? s->cr4
				    : cr8;
	default:
		return s->efer;
	}
}

/* Where a wider one lies, and of which part it is. */
static unsigned place(const struct gdb_reg *g, unsigned *part)
{
	*part = g->kind == GDB_REG_ST ? XS_X87 : g->kind == GDB_REG_XMM ? XS_SSE : XS_AVX;
	return (g->kind == GDB_REG_ST	 ? XS_ST
		: g->kind == GDB_REG_XMM ? XS_XMM
					 : XS_YMMH) +
	       16u * g->at;
}

static bool is_wide(const struct gdb_reg *g)
{
	return g->kind == GDB_REG_ST || g->kind == GDB_REG_XMM || g->kind == GDB_REG_YMMH;
}

void gdb_reg_read(const struct gdb_regs *r, unsigned i, const struct x86_state *s, uint8_t cr8,
		  uint8_t *out)
{
	const struct gdb_reg *g = &r->reg[i];
	uint8_t word[8];
	unsigned part, off;

	if (!is_wide(g)) {
		st_le64(word, read_word(g, s, cr8));
		memcpy(out, word, g->bytes);
		return;
	}
	off = place(g, &part);
	if (in_use(s, part))
		memcpy(out, s->xsave + off, g->bytes);
	else
		memset(out, 0, g->bytes);
}

static bool canonical(uint64_t v)
{
	return (uint64_t)((int64_t)(v << 16) >> 16) == v;
}

/* A selector: what it loads is known without tables in real mode only. */
static int write_selector(struct x86_state *s, unsigned seg, uint64_t v)
{
	if (((s->cr0 & CR0_PE) && !(s->rflags & FLAG_VM)) || v > 0xffff)
		return -EINVAL;
	s->seg[seg].sel = (uint16_t)v;
	s->seg[seg].base = v << 4;
	return 1;
}

static int write_cr(struct x86_state *s, unsigned n, uint64_t v)
{
	bool pae = (s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !(s->efer & EFER_LMA);

	if (n == 2) {
		s->cr2 = v;
		return 1;
	}
	/* The others change what the processor is in the middle of; so do the PDPTEs of PAE. */
	if (n != 3 || pae || v >> 52)
		return -EINVAL;
	s->cr3 = v;
	return 1;
}

static int write_word(const struct gdb_reg *g, struct x86_state *s, uint64_t v)
{
	const uint64_t fixed = FLAG_VM | FLAG_FIXED;

	if (!(s->efer & EFER_LMA))
		v = (uint32_t)v;
	switch (g->kind) {
	case GDB_REG_GPR:
		s->gpr[g->at] = v;
		return 1;
	case GDB_REG_IP:
		if (!canonical(v))
			return -EINVAL;
		s->rip = v;
		return 1;
	case GDB_REG_FLAGS:
		s->rflags = (s->rflags & fixed) | (v & 0x3f7fd7 & ~fixed);
		return 1;
	case GDB_REG_SEL:
		return write_selector(s, g->at, v);
	case GDB_REG_X87:
		write_x87(s, g->at, (uint32_t)v);
		return 1;
	case GDB_REG_MXCSR:
		use(s, XS_SSE);
		st_le32(s->xsave + XS_MXCSR, v & 0xffff);
		return 1;
	case GDB_REG_SEGBASE:
	case GDB_REG_KGSBASE:
		if (!canonical(v))
			return -EINVAL;
		*(g->kind == GDB_REG_KGSBASE ? &s->kernel_gs_base : &s->seg[g->at].base) = v;
		return 1;
	case GDB_REG_CR:
		return write_cr(s, g->at, v);
	default:
		return -EINVAL;
	}
}

int gdb_reg_write(const struct gdb_regs *r, unsigned i, struct x86_state *s, uint8_t cr8,
		  const uint8_t *in)
{
	const struct gdb_reg *g = &r->reg[i];
	uint8_t old[GDB_REG_BYTES], word[8] = {0};
	unsigned part, off;

	gdb_reg_read(r, i, s, cr8, old);
	if (!memcmp(old, in, g->bytes))
		return 0;
	if (is_wide(g)) {
		off = place(g, &part);
		if (part == XS_AVX && !(s->xcr0 & XS_AVX))
			return -EINVAL;
		use(s, part);
		memcpy(s->xsave + off, in, g->bytes);
		return 1;
	}
	memcpy(word, in, g->bytes);
	return write_word(g, s, ld_le64(word));
}
