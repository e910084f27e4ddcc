// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The right to use an I/O port: IOPL and the TSS bitmap.
 * Source: Intel SDM vol. 1 §19.5 (I/O protection), 3A §7.2.1; I/O breakpoints: 3B §17.2.4.
 * Threads: the vCPU's own.
 */
#include "engine/soft/sys_int.h"

/* DR7.R/Wn = 2 under CR4.DE watches ports; the trap comes after the instruction. */
static void note_io_breakpoints(struct soft_cpu *cpu, uint16_t port, unsigned size)
{
	static const uint8_t lens[4] = {1, 2, 8, 4};
	const uint64_t *dr = cpu->s.dr;

	for (unsigned i = 0; i < 4; i++) {
		unsigned rw_len = (unsigned)(dr[7] >> (16 + 4 * i)) & 0xf;
		uint64_t len = lens[rw_len >> 2], first = dr[i] & ~(len - 1);

		if (!(dr[7] >> (2 * i) & 3) || (rw_len & 3) != 2)
			continue;
		if (first < (uint64_t)port + size && port < first + len)
			cpu->pending_dr6 |= 1u << i;
	}
}

static void check_right(struct soft_cpu *cpu, uint16_t port, unsigned size)
{
	const struct x86_seg *tr = &cpu->s.tr;
	unsigned type = tr->attr & SEG_ATTR_TYPE;
	uint32_t at, bits;

	if (!(cpu->s.cr0 & CR0_PE) || (!sys_vm86(cpu) && x86_cpl(&cpu->s) <= sys_iopl(cpu)))
		return;
	if ((type != DESC_TSS32 && type != DESC_TSS32_BUSY) || tr->limit < 0x67)
		soft_raise_err(cpu, VEC_GP, 0);
	at = (uint32_t)soft_ld_sys(cpu,
				   sys_lma(cpu) ? tr->base + 0x66 : (uint32_t)(tr->base + 0x66), 2);
	at += port / 8u;
	if (at + 1 > tr->limit) /* two bytes are read always */
		soft_raise_err(cpu, VEC_GP, 0);
	bits = (uint32_t)soft_ld_sys(cpu, sys_lma(cpu) ? tr->base + at : (uint32_t)(tr->base + at),
				     2);
	if (bits >> (port & 7) & ((1u << size) - 1))
		soft_raise_err(cpu, VEC_GP, 0);
}

void soft_io_check(struct soft_cpu *cpu, uint16_t port, unsigned size)
{
	check_right(cpu, port, size);
	if ((cpu->s.dr[7] & 0xff) && (cpu->s.cr4 & CR4_DE))
		note_io_breakpoints(cpu, port, size);
}
