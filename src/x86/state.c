// SPDX-License-Identifier: GPL-2.0-or-later
/* Reset states of a virtual CPU. Source: Intel SDM 3A §9.1, table 9-1. */
#include "x86/state.h"

#include <string.h>

#include "base/bytes.h"

static struct x86_seg real_seg(uint16_t sel, uint64_t base, uint16_t attr)
{
	return (struct x86_seg){ .base = base, .limit = 0xffff, .sel = sel, .attr = attr };
}

static void reset_execution(struct x86_state *s, bool bsp)
{
	const uint16_t data = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_WRITE | SEG_ATTR_ACCESSED;

	memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[R_RDX] = 0x600;
	s->rip = 0xfff0;
	s->rflags = FLAG_FIXED;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->seg[i] = real_seg(0, 0, data);
	s->seg[SEG_CS] = real_seg(0xf000, 0xffff0000, data | SEG_ATTR_CODE);
	s->ldtr = real_seg(0, 0, SEG_ATTR_P | 2);
	s->tr = real_seg(0, 0, SEG_ATTR_P | 11);
	s->gdtr = s->idtr = (struct x86_dtable){ .base = 0, .limit = 0xffff };
	s->cr2 = s->cr3 = s->cr4 = 0;
	s->efer = 0;
	memset(s->dr, 0, sizeof(s->dr));
	s->dr[6] = 0xffff0ff0;
	s->dr[7] = 0x400;
	s->run_state = bsp ? X86_RUNNING : X86_WAIT_SIPI;
	s->nmi_pending = false;
	s->nmi_blocked = false;
	s->int_shadow = false;
	s->init_pending = false;
	s->sipi_pending = false;
	s->irq_taken = false;
	s->irq_vector = 0;
	s->smi_seen = false;
}

void x86_state_reset(struct x86_state *s, bool bsp)
{
	memset(s, 0, sizeof(*s));
	reset_execution(s, bsp);
	s->cr0 = CR0_ET | CR0_NW | CR0_CD;
	s->xcr0 = 1;
	s->pat = 0x0007040600070406ull;
	s->misc_enable = 1;
	s->pv.poll_control = 1;
	for (unsigned i = 0; i < X86_HV_SINTS; i++)
		s->hv.sint[i] = X86_HV_SINT_MASKED;
	st_le16(s->xsave, 0x37f);       /* FCW as after FNINIT: what software may rely on */
	st_le32(s->xsave + 24, 0x1f80); /* MXCSR */
}

void x86_state_init_ipi(struct x86_state *s, bool bsp)
{
	uint64_t cache_bits = s->cr0 & (CR0_CD | CR0_NW);

	reset_execution(s, bsp);
	s->cr0 = CR0_ET | cache_bits;
	s->sysenter_cs = s->sysenter_esp = s->sysenter_eip = 0;
}
