// SPDX-License-Identifier: GPL-2.0-or-later
/* Traces of the engine. Threads: the vCPU's own. See trace.h. */
#include "engine/soft/trace.h"

#include "base/range.h"
#include "engine/soft/interp.h"
#include "x86/disasm.h"

#define HEX_BYTES (3 * X86_MAX_INSN_BYTES + 1)

/* "48 89 c3 " */
static void hex_of(char out[HEX_BYTES], const uint8_t *bytes, unsigned n)
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < n; i++) {
		out[3 * i] = digits[bytes[i] >> 4];
		out[3 * i + 1] = digits[bytes[i] & 15];
		out[3 * i + 2] = ' ';
	}
	out[3 * n] = 0;
}

void soft_trace_insn(struct soft_cpu *cpu, uint64_t ip, const struct x86_insn *insn,
		     const uint8_t *bytes)
{
	char text[X86_DISASM_MAX], hex[HEX_BYTES];

	hex_of(hex, bytes, insn->len);
	soft_fpu_leave(cpu);
	x86_disasm(text, sizeof(text), insn, ip);
	log_print("%04x:%016lx  %-32s %s\n", cpu->s.seg[SEG_CS].sel, ip, hex, text);
}

void soft_trace_block(struct soft_cpu *cpu, const struct soft_block *b)
{
	soft_fpu_leave(cpu);
	log_print("cpu %u: exec %04x:%016lx mode %03x ops %u ax %lx sp %lx fl %lx\n", cpu->index,
		  cpu->s.seg[SEG_CS].sel, cpu->s.rip, b->mode, b->nops, cpu->s.gpr[R_RAX],
		  cpu->s.gpr[R_RSP], cpu->s.rflags);
}

void soft_trace_event(struct soft_cpu *cpu, const struct soft_event *ev)
{
	soft_fpu_leave(cpu);
	log_print("cpu %u: vector %02x error %04x %s at %04x:%016lx cpl %u cr2 %016lx\n",
		  cpu->index, ev->vector, ev->error,
		  ev->external ? "external"
		  : ev->soft   ? "int"
			       : "exception",
		  cpu->s.seg[SEG_CS].sel, cpu->s.rip, x86_cpl(&cpu->s), cpu->s.cr2);
}

void soft_trace_fault(struct soft_cpu *cpu, gva_t lin, uint32_t error)
{
	soft_fpu_leave(cpu);
	log_print("cpu %u: page fault at %016lx error %02x (%s %s %s), cr3 %016lx\n", cpu->index,
		  lin, error, error & PF_U ? "user" : "supervisor",
		  error & PF_I	 ? "fetch"
		  : error & PF_W ? "write"
				 : "read",
		  error & PF_RSVD ? "reserved bit"
		  : error & PF_P  ? "protection"
				  : "not present",
		  cpu->s.cr3);
}

/* ---- Generated code ------------------------------------------------------------------------- */

/* The linear address of an operation: a block's CS base is that of its first one. */
static gva_t lin_of(const struct soft_block *b, const struct soft_op *op)
{
	return b->lin + (op->rip - b->ops[0].rip);
}

/* The bytes of a guest instruction as they are now; only the first may reach the second page. */
static unsigned guest_bytes(const struct soft_cpu *cpu, const struct soft_block *b,
			    const struct soft_op *op, uint8_t buf[X86_MAX_INSN_BYTES])
{
	unsigned off = (unsigned)(lin_of(b, op) & ~PAGE_MASK), n = op->len;
	unsigned first = (unsigned)min_u64(n, PAGE_BYTES - off);

	if (b->page[0] == SOFT_NO_PAGE || n > X86_MAX_INSN_BYTES ||
	    (first < n && b->page[1] == SOFT_NO_PAGE))
		return 0;
	gp_memcpy(buf, cpu->e->ram + (b->page[0] << PAGE_BITS) + off, first);
	if (first < n)
		gp_memcpy(buf + first, cpu->e->ram + (b->page[1] << PAGE_BITS), n - first);
	return n;
}

static void print_guest_op(const struct soft_cpu *cpu, const struct soft_block *b,
			   const struct soft_op *op)
{
	enum x86_mode mode = soft_decode_mode(cpu, b->mode);
	uint8_t bytes[X86_MAX_INSN_BYTES];
	char text[X86_DISASM_MAX] = "(end of the block)";
	unsigned n = guest_bytes(cpu, b, op, bytes);
	struct x86_insn insn;

	if (n && x86_decode(&insn, bytes, n, mode) == (int)n)
		x86_disasm(text, sizeof(text), &insn, op->rip);
	else if (op->len)
		snprintf(text, sizeof(text), "(overwritten)");
	log_print("  -- %016lx: %s\n", lin_of(b, op), text);
}

/* One host instruction; returns its bytes, at least 1. */
static size_t print_host_insn(const uint8_t *code, size_t left)
{
	char text[X86_DISASM_MAX], hex[HEX_BYTES];
	struct x86_insn insn;
	int len = x86_decode(&insn, code, left, X86_MODE_64);

	if (len > 0) {
		x86_disasm(text, sizeof(text), &insn, (uintptr_t)code);
	} else {
		snprintf(text, sizeof(text), ".byte 0x%02x", *code);
		len = 1;
	}
	hex_of(hex, code, (unsigned)len);
	log_print("%016lx:  %-32s %s\n", (unsigned long)(uintptr_t)code, hex, text);
	return (size_t)len;
}

void soft_trace_out_asm(struct soft_cpu *cpu, const struct soft_block *b, const uint8_t *code,
			size_t len, const uint32_t *op_off, size_t cold)
{
	uint32_t op = 0;
	bool out_of_line = false;

	soft_fpu_leave(cpu);
	log_lock();
	log_print("OUT: cpu %u %016lx mode %03x, %u guest instructions, %zu bytes\n", cpu->index,
		  b->lin, b->mode, b->nops, len);
	if (b->nops && op_off[0])
		log_print("  -- entry\n");
	for (size_t at = 0; at < len;) {
		for (; op < b->nops && op_off[op] <= at; op++)
			print_guest_op(cpu, b, &b->ops[op]);
		if (at >= cold && !out_of_line) {
			log_print("  -- out of line\n");
			out_of_line = true;
		}
		at += print_host_insn(code + at, len - at);
	}
	for (; op < b->nops; op++)
		print_guest_op(cpu, b, &b->ops[op]);
	log_unlock();
}

void soft_trace_cold(struct soft_cpu *cpu, const uint8_t *code, size_t len)
{
	soft_fpu_leave(cpu);
	log_lock();
	if (len)
		log_print("  -- out of line\n");
	for (size_t at = 0; at < len;)
		at += print_host_insn(code + at, len - at);
	log_unlock();
}
