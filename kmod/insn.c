// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lengths of the instructions that leave the guest often and have no operands, for processors that do not tell
 * where the next one is. All others are the emulator's.
 * Source: AMD APM vol. 3 appendix A (opcode maps), vol. 2 §15.7.1 (next_rip).
 * Threads: the vCPU's own; srcu is held; may sleep.
 */
#include <linux/module.h>
#include <linux/kernel.h>

#include "lodge.h"

#define MAX_BYTES 15

u64 lodge_lin_rip(struct lodge_vcpu *vcpu, u64 rip)
{
	struct kvm_segment cs;

	lodge_ops->get_seg(vcpu, LODGE_CS, &cs);
	if (lodge_long_mode(vcpu) && cs.l)
		return rip;
	return (u32)(cs.base + rip);
}

static bool is_prefix(u8 b, bool long_code)
{
	switch (b) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66:
	case 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	}
	return long_code && (b & 0xf0) == 0x40;
}

/* Bytes of the opcode at `p`, or 0. */
static unsigned int known(const u8 *p)
{
	if (p[0] == 0xf4 || p[0] == 0xcc) /* HLT, INT3 */
		return 1;
	if (p[0] != 0x0f)
		return 0;
	switch (p[1]) {
	case 0x01: /* XGETBV, XSETBV, VMMCALL, SVM's, MONITOR, MWAIT, RDTSCP: a register form each */
		return p[2] >= 0xc0 ? 3 : 0;
	case 0x06: /* CLTS */
	case 0x08: /* INVD */
	case 0x09: /* WBINVD */
	case 0x30: /* WRMSR */
	case 0x31: /* RDTSC */
	case 0x32: /* RDMSR */
	case 0x33: /* RDPMC */
	case 0xa2: /* CPUID */
		return 2;
	}
	return 0;
}

u64 lodge_insn_end(struct lodge_vcpu *vcpu)
{
	u64 lin = lodge_lin_rip(vcpu, vcpu->rip), end;
	unsigned int have = min_t(unsigned int, MAX_BYTES, PAGE_SIZE - offset_in_page(lin)), at = 0,
		     n;
	u8 bytes[MAX_BYTES + 3] = {0};
	struct kvm_segment cs;
	struct lodge_walk w;

	lodge_ops->get_seg(vcpu, LODGE_CS, &cs);
	for (unsigned int done = 0; done < MAX_BYTES; done += have, have = MAX_BYTES - done) {
		/* The guest has just run it: what cannot be read is not needed. */
		if (lodge_walk(vcpu, lin + done,
			       LODGE_FETCH | (lodge_ops->cpl(vcpu) == 3 ? LODGE_USER : 0), &w) ||
		    lodge_read_gpa(vcpu->vm, w.gpa, bytes + done, have))
			break;
	}
	while (at < MAX_BYTES && is_prefix(bytes[at], lodge_long_mode(vcpu) && cs.l))
		at++;
	n = known(bytes + at);
	if (!n || at + n > MAX_BYTES)
		return 0;
	end = vcpu->rip + at + n;
	if (lodge_long_mode(vcpu) && cs.l)
		return end;
	return cs.db ? (u32)end : (u16)end;
}
EXPORT_SYMBOL_GPL(lodge_insn_end);
