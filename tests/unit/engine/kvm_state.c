// SPDX-License-Identifier: GPL-2.0-or-later
/* struct x86_state to KVM's structures and back. Run: make t T=engine/kvm_state */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "engine/kvm/kvm_int.h"
#include "x86/msr.h"

static uint64_t seed;

static uint64_t rnd(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return seed ^ seed >> 29;
}

static void fill_seg(struct x86_seg *s)
{
	*s = (struct x86_seg){0};
	s->base = rnd();
	s->limit = (uint32_t)rnd();
	s->sel = (uint16_t)rnd();
	s->attr = (uint16_t)(rnd() & 0xf0ff);
	s->unusable = rnd() & 1;
}

/* Anything that the structure can hold. `bv`: XSTATE_BV. */
static void fill(struct x86_state *s, uint64_t bv)
{
	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = rnd();
	s->rip = rnd();
	s->rflags = rnd() | FLAG_FIXED;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		fill_seg(&s->seg[i]);
	fill_seg(&s->ldtr);
	fill_seg(&s->tr);
	s->gdtr.base = rnd();
	s->gdtr.limit = (uint16_t)rnd();
	s->idtr.base = rnd();
	s->idtr.limit = (uint16_t)rnd();
	/* PAE paging, where PDPTEs count. */
	s->cr0 = CR0_PE | CR0_PG | (rnd() & 0x1e);
	s->cr2 = rnd();
	s->cr3 = rnd();
	s->cr4 = CR4_PAE | (rnd() & 0xf);
	s->efer = EFER_NXE;
	for (unsigned i = 0; i < 4; i++) {
		s->dr[i] = rnd();
		s->pdpte[i] = rnd();
	}
	s->dr[6] = rnd();
	s->dr[7] = rnd();
	s->xcr0 = 7;
	uint64_t *msrs[] = {&s->star, &s->lstar, &s->cstar, &s->sfmask, &s->kernel_gs_base, &s->sysenter_cs,
			    &s->sysenter_esp, &s->sysenter_eip, &s->tsc_aux, &s->pat, &s->misc_enable, &s->debugctl,
			    &s->spec_ctrl, &s->mcg_status, &s->mcg_ctl, &s->tsc_adjust, &s->hwcr, &s->syscfg,
			    &s->mtrr_def_type};
	for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
		*msrs[i] = rnd();
	for (unsigned i = 0; i < X86_MTRR_FIXED; i++)
		s->mtrr_fixed[i] = rnd();
	for (unsigned i = 0; i < X86_MTRR_VAR; i++) {
		s->mtrr_var[i].base = rnd();
		s->mtrr_var[i].mask = rnd();
	}
	s->nmi_pending = rnd() & 1;
	s->nmi_blocked = rnd() & 1;
	s->irq_taken = rnd() & 1;
	s->irq_vector = s->irq_taken ? (uint8_t)rnd() : 0;
	s->int_shadow = (uint8_t)(rnd() & 3);
	for (unsigned i = 0; i < 416; i++)
		s->xsave[i] = (uint8_t)rnd();
	memset(s->xsave + 28, 0, 4);
	st_le64(s->xsave + 512, bv);
	for (unsigned i = 576; i < 832; i++)
		s->xsave[i] = (uint8_t)rnd();
}

/* Padding may differ. */
static void same_seg(const struct x86_seg *a, const struct x86_seg *b)
{
	assert_int_equal(a->base, b->base);
	assert_int_equal(a->limit, b->limit);
	assert_int_equal(a->sel, b->sel);
	assert_int_equal(a->attr, b->attr);
	assert_int_equal(a->unusable, b->unusable);
}

#define SAME(first, end)                                                                           \
	assert_memory_equal((char *)a + offsetof(struct x86_state, first),                         \
			    (char *)b + offsetof(struct x86_state, first),                         \
			    offsetof(struct x86_state, end) - offsetof(struct x86_state, first))

static void same_state(struct x86_state *a, struct x86_state *b)
{
	SAME(gpr, seg);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		same_seg(&a->seg[i], &b->seg[i]);
	same_seg(&a->ldtr, &b->ldtr);
	same_seg(&a->tr, &b->tr);
	assert_int_equal(a->gdtr.base, b->gdtr.base);
	assert_int_equal(a->gdtr.limit, b->gdtr.limit);
	assert_int_equal(a->idtr.base, b->idtr.base);
	assert_int_equal(a->idtr.limit, b->idtr.limit);
	SAME(cr0, run_state);
	assert_int_equal(a->run_state, b->run_state);
	assert_int_equal(a->nmi_pending, b->nmi_pending);
	assert_int_equal(a->nmi_blocked, b->nmi_blocked);
	assert_int_equal(a->int_shadow, b->int_shadow);
	assert_int_equal(a->irq_taken, b->irq_taken);
	assert_int_equal(a->irq_vector, b->irq_vector);
	assert_memory_equal(a->xsave, b->xsave, sizeof(a->xsave));
}

static void state_when_sent_to_kvm_and_back_expect_it_unchanged(void **state)
{
	struct kvm_image *im = malloc(sizeof(*im));
	struct x86_state a, b;

	for (seed = 1; seed < 2000; seed += 17) {
		fill(&a, 7);
		kvm_image_of_state(im, &a, 7);
		/* What KVM's structures do not hold stays as it is. */
		memset(&b, 0, sizeof(b));
		b.run_state = a.run_state;
		b.tsc_offset = a.tsc_offset;
		kvm_state_of_image(&b, im);
		same_state(&a, &b);
	}
	free(im);
}

static void segment_when_converted_expect_the_manuals_bits(void **state)
{
	struct kvm_image *im = malloc(sizeof(*im));
	struct x86_state s;

	x86_state_reset(&s, true);
	s.seg[SEG_CS] = (struct x86_seg){.base = 0, .limit = 0xffffffff, .sel = 0x33, .attr = 0xa0fb};
	kvm_image_of_state(im, &s, 7);
	assert_int_equal(im->sregs.cs.type, 11);
	assert_int_equal(im->sregs.cs.s, 1);
	assert_int_equal(im->sregs.cs.dpl, 3);
	assert_int_equal(im->sregs.cs.present, 1);
	assert_int_equal(im->sregs.cs.l, 1);
	assert_int_equal(im->sregs.cs.db, 0);
	assert_int_equal(im->sregs.cs.g, 1);
	assert_int_equal(im->sregs.tr.type, 11);
	assert_int_equal(im->sregs.ldt.type, 2);
	assert_int_equal(im->regs.rdx, 0x600);
	free(im);
}

static void vectors_when_initial_expect_them_written_out(void **state)
{
	struct kvm_image *im = malloc(sizeof(*im));
	const uint8_t *x = (const uint8_t *)im->xsave.region;
	struct x86_state s;

	seed = 5;
	fill(&s, 0); /* rubbish that XSTATE_BV says is not there */
	kvm_image_of_state(im, &s, 7);
	assert_int_equal(ld_le16(x), 0x37f);
	assert_int_equal(ld_le64(x + 160), 0);
	assert_int_equal(ld_le64(x + 576), 0);
	assert_int_equal(ld_le32(x + 24), ld_le32(s.xsave + 24));
	assert_int_equal(ld_le64(x + 512), 7);
	/* A host without AVX is not told of it. */
	fill(&s, 7);
	kvm_image_of_state(im, &s, 3);
	assert_int_equal(ld_le64(x + 512), 3);
	assert_int_equal(ld_le64(x + 576), 0);
	free(im);
}

static void nmi_when_on_its_way_expect_it_pending(void **state)
{
	struct kvm_image *im = malloc(sizeof(*im));
	struct x86_state s;

	x86_state_reset(&s, true);
	kvm_image_of_state(im, &s, 7);
	im->ev.nmi.injected = 1;
	im->ev.nmi.masked = 1;
	kvm_state_of_image(&s, im);
	assert_true(s.nmi_pending);
	assert_false(s.nmi_blocked);
	free(im);
}

/* INT n runs again; an interrupt would not come again. */
static void interrupt_when_on_its_way_expect_it_kept(void **state)
{
	struct kvm_image *im = malloc(sizeof(*im));
	struct x86_state s;

	x86_state_reset(&s, true);
	kvm_image_of_state(im, &s, 7);
	assert_int_equal(im->ev.interrupt.injected, 0);
	im->ev.interrupt.injected = 1;
	im->ev.interrupt.nr = 0xec;
	kvm_state_of_image(&s, im);
	assert_true(s.irq_taken);
	assert_int_equal(s.irq_vector, 0xec);
	im->ev.interrupt.soft = 1;
	kvm_state_of_image(&s, im);
	assert_false(s.irq_taken);
	free(im);
}

static void pdptes_when_not_pae_paging_expect_none_sent(void **state)
{
	struct kvm_image *im = malloc(sizeof(*im));
	struct x86_state s;

	seed = 9;
	fill(&s, 7);
	kvm_image_of_state(im, &s, 7);
	assert_int_equal(im->sregs.flags, KVM_SREGS2_FLAGS_PDPTRS_VALID);
	s.efer |= EFER_LMA | EFER_LME;
	kvm_image_of_state(im, &s, 7);
	assert_int_equal(im->sregs.flags, 0);
	free(im);
}

static void msrs_when_listed_expect_each_once(void **state)
{
	for (unsigned i = 0; i < kvm_msr_count(); i++) {
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(kvm_msr_index(i), kvm_msr_index(j));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(state_when_sent_to_kvm_and_back_expect_it_unchanged),
		cmocka_unit_test(segment_when_converted_expect_the_manuals_bits),
		cmocka_unit_test(vectors_when_initial_expect_them_written_out),
		cmocka_unit_test(nmi_when_on_its_way_expect_it_pending),
		cmocka_unit_test(interrupt_when_on_its_way_expect_it_kept),
		cmocka_unit_test(pdptes_when_not_pae_paging_expect_none_sent),
		cmocka_unit_test(msrs_when_listed_expect_each_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
