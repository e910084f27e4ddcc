// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * HMP: registers, memory, addresses, instructions. Source: QEMU's human monitor: formats of x and xp, of
 * "info registers" (which programs read), names. Threads: the control thread's.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/keyval.h"
#include "base/range.h"
#include "control/hmp_int.h"
#include "x86/cpuid.h"
#include "x86/disasm.h"
#include "x86/state.h"

/* ---- Registers ---------------------------------------------------------------------------------- */

/* In the order in which they are shown. */
static const struct {
	const char *name;
	uint8_t n;
} gprs[] = {
	{"RAX", 0},  {"RBX", 3},  {"RCX", 1},  {"RDX", 2},  {"RSI", 6},	 {"RDI", 7},
	{"RBP", 5},  {"RSP", 4},  {"R8 ", 8},  {"R9 ", 9},  {"R10", 10}, {"R11", 11},
	{"R12", 12}, {"R13", 13}, {"R14", 14}, {"R15", 15},
};

static void put_gprs(struct hmp *h, const struct x86_state *s)
{
	static const char flags[] = "ODSZAPC";
	static const uint32_t bits[] = {FLAG_OF, FLAG_DF, FLAG_SF, FLAG_ZF,
					FLAG_AF, FLAG_PF, FLAG_CF};
	char shown[8] = "";

	for (size_t i = 0; i < ARRAY_SIZE(gprs); i++)
		mon_buf_printf(h->out, "%s=%016" PRIx64 "%s", gprs[i].name, s->gpr[gprs[i].n],
			       i % 4 == 3 ? "\n" : " ");
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		shown[i] = s->rflags & bits[i] ? flags[i] : '-';
	mon_buf_printf(h->out, "RIP=%016" PRIx64 " RFL=%08" PRIx64 " [%s] CPL=%u HLT=%d\n", s->rip,
		       s->rflags, shown, x86_cpl(s), s->run_state == X86_HALTED);
}

static void put_seg(struct hmp *h, const char *name, const struct x86_seg *sg)
{
	mon_buf_printf(h->out, "%s=%04x %016" PRIx64 " %08x %08x%s\n", name, sg->sel, sg->base,
		       sg->limit, (unsigned)sg->attr << 8, sg->unusable ? " unusable" : "");
}

static void put_system(struct hmp *h, const struct x86_state *s)
{
	put_seg(h, "ES ", &s->seg[SEG_ES]);
	put_seg(h, "CS ", &s->seg[SEG_CS]);
	put_seg(h, "SS ", &s->seg[SEG_SS]);
	put_seg(h, "DS ", &s->seg[SEG_DS]);
	put_seg(h, "FS ", &s->seg[SEG_FS]);
	put_seg(h, "GS ", &s->seg[SEG_GS]);
	put_seg(h, "LDT", &s->ldtr);
	put_seg(h, "TR ", &s->tr);
	mon_buf_printf(h->out, "GDT=     %016" PRIx64 " %08x\nIDT=     %016" PRIx64 " %08x\n",
		       s->gdtr.base, s->gdtr.limit, s->idtr.base, s->idtr.limit);
	mon_buf_printf(h->out,
		       "CR0=%08" PRIx64 " CR2=%016" PRIx64 " CR3=%016" PRIx64 " CR4=%08" PRIx64
		       "\n",
		       s->cr0, s->cr2, s->cr3, s->cr4);
	for (unsigned i = 0; i < 4; i++)
		mon_buf_printf(h->out, "DR%u=%016" PRIx64 "%s", i, s->dr[i], i == 3 ? "\n" : " ");
	mon_buf_printf(h->out, "DR6=%016" PRIx64 " DR7=%016" PRIx64 "\nEFER=%016" PRIx64 "\n",
		       s->dr[6], s->dr[7], s->efer);
}

/* FXSAVE's layout: SDM vol. 1 table 10-2. */
static void put_fpu(struct hmp *h, const struct x86_state *s)
{
	const uint8_t *x = s->xsave;
	unsigned fsw = ld_le16(x + 2);

	mon_buf_printf(h->out, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", ld_le16(x), fsw,
		       fsw >> 11 & 7, x[4], ld_le32(x + 24));
	for (unsigned i = 0; i < 8; i++)
		mon_buf_printf(h->out, "FPR%u=%016" PRIx64 " %04x%s", i, ld_le64(x + 32 + 16 * i),
			       ld_le16(x + 40 + 16 * i), i & 1 ? "\n" : " ");
	for (unsigned i = 0; i < 16; i++)
		mon_buf_printf(h->out, "XMM%02u=%016" PRIx64 "%016" PRIx64 "%s", i,
			       ld_le64(x + 168 + 16 * i), ld_le64(x + 160 + 16 * i),
			       i & 1 ? "\n" : " ");
}

static int put_registers(struct hmp *h, unsigned cpu)
{
	struct x86_state s;
	int r = vm_ctl_registers(h->vm, cpu, &s, &h->err);

	if (r)
		return r;
	mon_buf_printf(h->out, "\nCPU#%u\n", cpu);
	put_gprs(h, &s);
	put_system(h, &s);
	put_fpu(h, &s);
	return 0;
}

int hmp_registers(struct hmp *h, char **word)
{
	struct vm_ctl_info info;
	int r = 0;

	if (!word[0])
		return put_registers(h, h->m->cpu);
	if (strcmp(word[0], "-a"))
		return err_set(&h->err, -EINVAL, "write it as: info registers [-a]");
	vm_ctl_info(h->vm, &info);
	for (unsigned i = 0; i < info.cpus && !r; i++)
		r = put_registers(h, i);
	return r;
}

static int cpu(struct hmp *h, char **word)
{
	struct vm_ctl_info info;
	uint64_t n;

	vm_ctl_info(h->vm, &info);
	if (parse_u64(word[0], &n) || n >= info.cpus)
		return err_set(&h->err, -EINVAL,
			       "there is no processor %.20s; there are %u, from 0 on", word[0],
			       info.cpus);
	h->m->cpu = (unsigned)n;
	return 0;
}

/* ---- Addresses ---------------------------------------------------------------------------------- */

static bool is_called(const char *name, size_t len, const char *shown)
{
	size_t i = 0;

	for (; i < len && shown[i] && shown[i] != ' '; i++) {
		if (tolower((unsigned char)shown[i]) != tolower((unsigned char)name[i]))
			return false;
	}
	return i == len && (!shown[i] || shown[i] == ' ');
}

/* $rip and its kin: *end is behind it. */
static int register_value(struct hmp *h, const char *name, char **end, uint64_t *out)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
	struct x86_state s;
	int r = vm_ctl_registers(h->vm, h->m->cpu, &s, &h->err);

	if (r)
		return r;
	*end = (char *)(uintptr_t)(name + len);
	for (size_t i = 0; i < ARRAY_SIZE(gprs); i++) {
		*out = s.gpr[gprs[i].n];
		if (is_called(name, len, gprs[i].name))
			return 0;
	}
	*out = s.seg[SEG_CS].base + s.rip;
	if (is_called(name, len, "RIP") || is_called(name, len, "PC"))
		return 0;
	*out = s.cr3;
	if (is_called(name, len, "CR3"))
		return 0;
	return err_set(&h->err, -EINVAL,
		       "there is no register '$%.*s' here; there are $rax to "
		       "$r15, $rip, $cr3",
		       (int)min_u64(len, 20), name);
}

/* Numbers and registers with + and - between them. */
static int address(struct hmp *h, const char *text, uint64_t *out)
{
	const char *at = text;
	bool minus = false;

	*out = 0;
	for (;;) {
		char *end = NULL;
		uint64_t v = 0;

		if (*at == '$') {
			int r = register_value(h, at + 1, &end, &v);

			if (r)
				return r;
		} else {
			if (!isdigit((unsigned char)*at))
				break;
			errno = 0;
			v = strtoull(at, &end, 0);
			if (errno)
				break;
		}
		*out += minus ? 0 - v : v;
		if (!*end)
			return 0;
		if (*end != '+' && *end != '-')
			break;
		minus = *end == '-';
		at = end + 1;
	}
	return err_set(&h->err, -EINVAL, "'%.60s' is no address: a number, or $register, or a sum",
		       text);
}

/* ---- Examining ---------------------------------------------------------------------------------- */

#define COUNT_MAX 65536u
#define LINE_BYTES 16u

struct format {
	uint64_t count;
	char kind;
	unsigned size;
};

static int read_format(struct hmp *h, struct format *f)
{
	const char *p = h->format;
	char *end;

	*f = (struct format){.count = 1, .kind = 'x', .size = 4};
	if (!p)
		return 0;
	if (isdigit((unsigned char)*p)) {
		f->count = strtoull(p, &end, 10);
		p = end;
	}
	for (; *p; p++) {
		static const char sizes[] = "bhwg";
		const char *s = strchr(sizes, *p);

		if (s)
			f->size = 1u << (s - sizes);
		else if (strchr("xduoci", *p))
			f->kind = *p;
		else
			return err_set(&h->err, -EINVAL,
				       "'/%.20s': a format is a number, one of xduoci, one of bhwg",
				       h->format);
	}
	if (f->count > COUNT_MAX)
		return err_set(&h->err, -EINVAL, "that is too much: %u at most", COUNT_MAX);
	if (f->kind == 'c')
		f->size = 1;
	return 0;
}

static void put_value(struct hmp *h, const struct format *f, const uint8_t *p)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < f->size; i++)
		v |= (uint64_t)p[i] << 8 * i;
	switch (f->kind) {
	case 'd':
		mon_buf_printf(h->out, " %" PRId64,
			       (int64_t)(v << (64 - 8 * f->size)) >> (64 - 8 * f->size));
		break;
	case 'u':
		mon_buf_printf(h->out, " %" PRIu64, v);
		break;
	case 'o':
		mon_buf_printf(h->out, " 0%" PRIo64, v);
		break;
	case 'c':
		mon_buf_printf(h->out, isprint((int)v) ? " '%c'" : " '\\x%02x'", (int)v);
		break;
	default:
		mon_buf_printf(h->out, " 0x%0*" PRIx64, (int)(2 * f->size), v);
	}
}

static int put_values(struct hmp *h, const struct format *f, bool physical, uint64_t addr)
{
	uint64_t left = f->count * f->size;

	while (left) {
		uint8_t buf[LINE_BYTES];
		size_t n = (size_t)min_u64(left, LINE_BYTES);
		int r = vm_ctl_memory(h->vm, h->m->cpu, physical, addr, buf, n, &h->err);

		if (r)
			return r;
		mon_buf_printf(h->out, "%016" PRIx64 ":", addr);
		for (size_t i = 0; i < n; i += f->size)
			put_value(h, f, buf + i);
		mon_buf_puts(h->out, "\n");
		addr += n;
		left -= n;
	}
	return 0;
}

static enum x86_mode mode_of(const struct x86_state *s)
{
	enum x86_mode maker = x86_host_is_amd() ? 0 : X86_MODE_INTEL;

	if ((s->efer & EFER_LMA) && (s->seg[SEG_CS].attr & SEG_ATTR_L))
		return maker | X86_MODE_64;
	return maker | (s->seg[SEG_CS].attr & SEG_ATTR_DB ? X86_MODE_32 : X86_MODE_16);
}

/* Bytes at an address, as many as there are up to the end of its page and what can be had behind it. */
static size_t read_code(struct hmp *h, bool physical, uint64_t addr, uint8_t *buf, int *r)
{
	size_t page = 4096 - (size_t)(addr & 4095), n = min_u64(page, X86_MAX_INSN_BYTES);
	struct lodge_err none;

	*r = vm_ctl_memory(h->vm, h->m->cpu, physical, addr, buf, n, &h->err);
	if (!*r && n < X86_MAX_INSN_BYTES &&
	    !vm_ctl_memory(h->vm, h->m->cpu, physical, addr + n, buf + n, X86_MAX_INSN_BYTES - n,
			   &none))
		n = X86_MAX_INSN_BYTES;
	return n;
}

static int put_code(struct hmp *h, const struct format *f, bool physical, uint64_t addr)
{
	struct x86_state s;
	int r = vm_ctl_registers(h->vm, h->m->cpu, &s, &h->err);

	for (uint64_t i = 0; i < f->count && !r; i++) {
		uint8_t code[X86_MAX_INSN_BYTES];
		char text[X86_DISASM_MAX];
		struct x86_insn insn;
		size_t n = read_code(h, physical, addr, code, &r);
		int len;

		if (r)
			break;
		len = x86_decode(&insn, code, n, mode_of(&s));
		if (len > 0)
			x86_disasm(text, sizeof(text), &insn, addr);
		mon_buf_printf(h->out, "0x%016" PRIx64 ": ", addr);
		for (int k = 0; k < (len > 0 ? len : 1); k++)
			mon_buf_printf(h->out, " %02x", code[k]);
		mon_buf_printf(h->out, "%*s%s\n", 3 * (len > 0 && len < 10 ? 10 - len : 1), "",
			       len > 0 ? text : "(bad)");
		addr += len > 0 ? (unsigned)len : 1;
	}
	return r;
}

static int examine(struct hmp *h, char **word, bool physical)
{
	struct format f;
	uint64_t addr = 0;
	int r = read_format(h, &f);

	if (!r)
		r = address(h, word[0], &addr);
	if (r)
		return r;
	return f.kind == 'i' ? put_code(h, &f, physical, addr) : put_values(h, &f, physical, addr);
}

static int x(struct hmp *h, char **word)
{
	return examine(h, word, false);
}

static int xp(struct hmp *h, char **word)
{
	return examine(h, word, true);
}

static int gva2gpa(struct hmp *h, char **word)
{
	uint64_t lin = 0, gpa = 0;
	int r = address(h, word[0], &lin);

	if (!r)
		r = vm_ctl_translate(h->vm, h->m->cpu, lin, &gpa, &h->err);
	if (!r)
		mon_buf_printf(h->out, "gpa: %#" PRIx64 "\n", gpa);
	return r;
}

static int gpa2hva(struct hmp *h, char **word)
{
	const void *p;
	uint64_t gpa = 0;
	int r = address(h, word[0], &gpa);

	if (r)
		return r;
	p = vm_ctl_host_address(h->vm, gpa);
	if (!p)
		return err_set(&h->err, -EFAULT,
			       "there is no memory at physical address 0x%" PRIx64, gpa);
	mon_buf_printf(h->out, "Host virtual address for 0x%" PRIx64 " is %p\n", gpa, p);
	return 0;
}

/* ---- Into a file -------------------------------------------------------------------------------- */

static int save(struct hmp *h, char **word, bool physical)
{
	struct mon_memory what = {.cpu = h->m->cpu, .physical = physical, .path = word[2]};
	int r = address(h, word[0], &what.addr);

	if (!r)
		r = address(h, word[1], &what.bytes);
	return r ? r : mon_save_memory(h->m, &what, &h->err);
}

static int memsave(struct hmp *h, char **word)
{
	return save(h, word, false);
}

static int pmemsave(struct hmp *h, char **word)
{
	return save(h, word, true);
}

static int nmi(struct hmp *h, char **word)
{
	(void)word;
	vm_ctl_nmi(h->vm);
	return 0;
}

static int wakeup(struct hmp *h, char **word)
{
	(void)word;
	return err_set(&h->err, -ENOTSUP, "wake-up from suspend is not supported by this guest");
}

const struct hmp_command hmp_look_commands[] = {
	{"cpu", NULL, "N", "the processor whose registers and addresses are meant", 1, 1, cpu},
	{"x", NULL, "/FORMAT ADDRESS",
	 "memory at a linear address; a format is a number, one of xduoci, one of bhwg", 1, 1, x},
	{"xp", NULL, "/FORMAT ADDRESS", "memory at a physical address", 1, 1, xp},
	{"gva2gpa", NULL, "ADDRESS", "the physical address of a linear one", 1, 1, gva2gpa},
	{"gpa2hva", NULL, "ADDRESS", "where this process has a physical address", 1, 1, gpa2hva},
	{"memsave", NULL, "ADDRESS SIZE FILE", "memory at a linear address into a file", 3, 3,
	 memsave},
	{"pmemsave", NULL, "ADDRESS SIZE FILE", "memory at a physical address into a file", 3, 3,
	 pmemsave},
	{"nmi", NULL, "", "an NMI for all processors", 0, 0, nmi},
	{"system_wakeup", NULL, "", "refused: there is no sleep state", 0, 0, wakeup},
	{NULL, NULL, NULL, NULL, 0, 0, NULL},
};
