// SPDX-License-Identifier: GPL-2.0-or-later
/* Set-up of the real-mode environment; see real.h. */
#include "real.h"

extern uint8_t blob[], blob_end[], real_regs[], real_idtr[], real_gdtr[], prot_idtr[], real_user[];
extern uint8_t real_stub_offset[];
void real_enter(void);

#define OFS(x) ((unsigned)((x) - blob))
struct real_regs *real_state(void)
{
	return (struct real_regs *)(REAL_BASE + OFS(real_regs));
}

static void put_dtr(uint8_t *where, uint16_t limit, uint32_t base)
{
	uint8_t *p = (uint8_t *)REAL_BASE + OFS(where);

	memcpy(p, &limit, 2);
	memcpy(p + 2, &base, 4);
}

void real_set_idt(uint16_t limit, uint32_t base)
{
	put_dtr(real_idtr, limit, base);
}

void real_init(void)
{
	uint16_t *ivt = NULL;

	gdt_set(SEL_KCODE16, REAL_BASE, 0xffff, D_CODE);
	memcpy((void *)REAL_BASE, blob, (size_t)(blob_end - blob));
	put_dtr(real_gdtr, sizeof(gdt) - 1, (uint32_t)gdt);
	put_dtr(prot_idtr, sizeof(idt) - 1, (uint32_t)idt);
	real_set_idt(0x3ff, 0);
	asm("" : "+r"(ivt)); /* address 0 is the interrupt vector table */
	for (unsigned i = 0; i < 256; i++) {
		ivt[2 * i] = (uint16_t)((unsigned)real_stub_offset + 8 * (i & 63));
		ivt[2 * i + 1] = REAL_SEG;
	}
}

struct real_regs *real_run(const void *code, const void *end)
{
	struct real_regs *r = real_state();
	uint8_t *to = (uint8_t *)REAL_BASE + REAL_CODE;

	memcpy(to, code, (size_t)((const uint8_t *)end - (const uint8_t *)code));
	r->code = REAL_CODE;
	real_enter();
	return r;
}
