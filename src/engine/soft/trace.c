// SPDX-License-Identifier: GPL-2.0-or-later
/* Traces of the engine. Threads: the vCPU's own. See trace.h. */
#include "engine/soft/trace.h"

#include "x86/disasm.h"

void soft_trace_insn(struct soft_cpu *cpu, uint64_t ip, const struct x86_insn *insn,
		     const uint8_t *bytes)
{
	char text[X86_DISASM_MAX], hex[3 * X86_MAX_INSN_BYTES + 1] = "";
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < insn->len; i++) {
		hex[3 * i] = digits[bytes[i] >> 4];
		hex[3 * i + 1] = digits[bytes[i] & 15];
		hex[3 * i + 2] = ' ';
		hex[3 * i + 3] = 0;
	}
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
