// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A processor's state as text, for `-d cpu_reset`. Threads: the vCPU's own, or none runs.
 */
#include <inttypes.h>

#include "base/log.h"
#include "base/range.h"
#include "machine/vm_int.h"

static void dump_gprs(const struct x86_state *s)
{
	static const char *const names[16] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP",
					      "RSI", "RDI", "R8 ", "R9 ", "R10", "R11",
					      "R12", "R13", "R14", "R15"};

	for (unsigned i = 0; i < 16; i += 4)
		log_print("%s=%016" PRIx64 " %s=%016" PRIx64 " %s=%016" PRIx64 " %s=%016" PRIx64
			  "\n",
			  names[i], s->gpr[i], names[i + 1], s->gpr[i + 1], names[i + 2],
			  s->gpr[i + 2], names[i + 3], s->gpr[i + 3]);
	log_print("RIP=%016" PRIx64 " RFL=%08" PRIx64 " CPL=%u\n", s->rip, s->rflags, x86_cpl(s));
}

static void dump_segs(const struct x86_state *s)
{
	const struct {
		const char *name;
		const struct x86_seg *seg;
	} segs[] = {
		{"ES ", &s->seg[SEG_ES]}, {"CS ", &s->seg[SEG_CS]}, {"SS ", &s->seg[SEG_SS]},
		{"DS ", &s->seg[SEG_DS]}, {"FS ", &s->seg[SEG_FS]}, {"GS ", &s->seg[SEG_GS]},
		{"LDT", &s->ldtr},	  {"TR ", &s->tr},
	};

	for (size_t i = 0; i < ARRAY_SIZE(segs); i++)
		log_print("%s=%04x %016" PRIx64 " %08x %04x%s\n", segs[i].name, segs[i].seg->sel,
			  segs[i].seg->base, segs[i].seg->limit, segs[i].seg->attr,
			  segs[i].seg->unusable ? " unusable" : "");
	log_print("GDT=     %016" PRIx64 " %08x\n", s->gdtr.base, s->gdtr.limit);
	log_print("IDT=     %016" PRIx64 " %08x\n", s->idtr.base, s->idtr.limit);
}

void vm_cpu_dump(struct vm *vm, unsigned cpu, const char *why)
{
	const struct x86_state *s = vm->ops->state(vm->cpus[cpu].vcpu);

	if (!log_on(LOG_CPU_RESET))
		return;
	log_print("cpu %u: %s\n", cpu, why);
	dump_gprs(s);
	dump_segs(s);
	log_print("CR0=%08" PRIx64 " CR2=%016" PRIx64 " CR3=%016" PRIx64 " CR4=%08" PRIx64
		  " EFER=%04" PRIx64 "\n",
		  s->cr0, s->cr2, s->cr3, s->cr4, s->efer);
}
