// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sentences for a guest that cannot go on: what happened, registers, the bytes at the instruction.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_EXIT_INTERNAL_ERROR, KVM_TRANSLATE).
 * Threads: kvm_report on the vCPU's own; kvm_break on any.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/range.h"
#include "engine/kvm/kvm_int.h"

#define INSN_BYTES 15u

/* The bytes at the instruction: the kernel's, or what memory has there. How many. */
static unsigned insn_bytes(struct kvm_cpu *cpu, uint8_t *buf)
{
	const struct kvm_run *run = cpu->run;
	struct kvm_translation tr = {
		.linear_address = cpu->s.seg[SEG_CS].base + cpu->s.rip,
	};
	unsigned n = 0;

	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
	    run->emulation_failure.suberror == KVM_INTERNAL_ERROR_EMULATION &&
	    run->emulation_failure.ndata >= 3 &&
	    (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) {
		n = run->emulation_failure.insn_size;
		n = n < INSN_BYTES ? n : INSN_BYTES;
		memcpy(buf, run->emulation_failure.insn_bytes, n);
		return n;
	}
	if (ioctl(cpu->fd, KVM_TRANSLATE, &tr) < 0 || !tr.valid)
		return 0;
	while (n < INSN_BYTES && (n == 0 || ((tr.physical_address + n) & ~PAGE_MASK)) &&
	       mem_read(cpu->e->cfg.mem, tr.physical_address + n, buf + n, 1) == 0)
		n++;
	return n;
}

__attribute__((format(printf, 3, 4))) static void add(struct kvm_cpu *cpu, size_t *used,
						      const char *fmt, ...)
{
	size_t room = sizeof(cpu->error) - *used;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(cpu->error + *used, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		*used += (size_t)n < room ? (size_t)n : room - 1;
}

void kvm_report(struct kvm_cpu *cpu, const char *fmt, ...)
{
	const struct x86_state *s = &cpu->s;
	uint8_t insn[INSN_BYTES];
	char text[256];
	unsigned bytes;
	size_t used = 0;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cpu->where = WHERE_KERNEL;
	if (kvm_fetch(cpu) < 0) {
		add(cpu, &used, "vCPU %u: %s", cpu->index, text);
		return;
	}
	add(cpu, &used,
	    "vCPU %u: %s [CS:RIP %04x:%llx RSP %llx FL %llx CR0 %llx CR3 %llx CR4 %llx "
	    "EFER %llx; code",
	    cpu->index, text, s->seg[SEG_CS].sel, (unsigned long long)s->rip,
	    (unsigned long long)s->gpr[R_RSP], (unsigned long long)s->rflags,
	    (unsigned long long)s->cr0, (unsigned long long)s->cr3, (unsigned long long)s->cr4,
	    (unsigned long long)s->efer);
	bytes = insn_bytes(cpu, insn);
	for (unsigned i = 0; i < bytes; i++)
		add(cpu, &used, " %02x", insn[i]);
	add(cpu, &used, "%s]", bytes ? "" : " not mapped");
}

void kvm_break(struct kvm_engine *e, const char *fmt, ...)
{
	va_list ap;

	if (atomic_load(&e->broken))
		return;
	va_start(ap, fmt);
	vsnprintf(e->broken_msg, sizeof(e->broken_msg), fmt, ap);
	va_end(ap);
	atomic_store(&e->broken, true);
	for (unsigned i = 0; e->cpus && i < e->cfg.cpus; i++) {
		if (e->cpus[i])
			kvm_poke(e->cpus[i]);
	}
}
