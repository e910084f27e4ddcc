// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * All interrupt controllers in the kernel (kernel-irqchip=on): 8259 pair, I/O APIC and 8254 beside the local APICs, and
 * port 0x61 with the 8254. Devices drive lines (KVM_IRQ_LINE); which pins a line reaches is in the routes.
 *
 * What the kernel's 8254 does not say or take: the phase of counter 0 (it begins anew when it is set; with some kernels
 * all do), BCD.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2, KVM_GET_IRQCHIP, KVM_GET_PIT2,
 * KVM_IRQ_LINE); <asm/kvm.h>.
 * Threads: with the VM lock held.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/range.h"
#include "engine/kvm/kvm_int.h"

#define ISA_LINES 16u
#define CASCADE 2u
#define TIMER_PIN 2u   /* of the I/O APIC, where ISA's line 0 goes */
#define SPEAKER_ON 2u  /* kvm_pit_state2.flags: KVM_PIT_FLAGS_SPEAKER_DATA_ON, Linux 5.19 */
#define WORD_SECOND 4u /* kvm_pit_channel_state.read_state: the high byte of two is next */
#define RW_BOTH 3u

/* ---- Making them --------------------------------------------------------------------------------- */

int kvm_full_create(struct kvm_engine *e, struct lodge_err *err)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};

	if (ioctl(e->vm, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP) <= 0 ||
	    ioctl(e->vm, KVM_CHECK_EXTENSION, KVM_CAP_PIT2) <= 0 ||
	    ioctl(e->vm, KVM_CHECK_EXTENSION, KVM_CAP_PIT_STATE2) <= 0 ||
	    ioctl(e->vm, KVM_CREATE_IRQCHIP, 0) < 0 || ioctl(e->vm, KVM_CREATE_PIT2, &pit) < 0)
		return err_set(err, -ENOTSUP,
			       "kernel-irqchip=on: this host's KVM does not have it; leave the "
			       "option out, or say kernel-irqchip=off");
	return 0;
}

/* Where each line goes: ISA's to the 8259s and the I/O APIC, those above to that alone. */
void kvm_full_routes(struct kvm_engine *e)
{
	for (unsigned n = 0; n < KVM_PINS; n++) {
		if (n < ISA_LINES && n != CASCADE)
			kvm_route_pin(e, n, n < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
				      n & 7);
		if (n != CASCADE)
			kvm_route_pin(e, n, KVM_IRQCHIP_IOAPIC, n ? n : TIMER_PIN);
	}
	kvm_routes_tell(e);
}

void kvm_full_line(struct engine *engine, unsigned n, bool level)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;
	struct kvm_irq_level l = {.irq = n, .level = level};

	if (n < KVM_PINS && n != CASCADE && ioctl(e->vm, KVM_IRQ_LINE, &l) < 0)
		kvm_break(e, "KVM does not take interrupt line %u: %s", n, strerror(errno));
}

/* ---- 8259s ---------------------------------------------------------------------------------------- */

static void pic_in(struct engine_pic *p, const struct kvm_pic_state *k)
{
	*p = (struct engine_pic){
		.line = k->last_irr,
		.latch = (uint8_t)(k->irr & ~k->elcr),
		.elcr = k->elcr,
		.imr = k->imr,
		.isr = k->isr,
		.base = k->irq_base,
		.highest = k->priority_add & 7,
		.step = k->init_state,
		.needs_icw4 = k->init4,
		.read_isr = k->read_reg_select,
		.poll = k->poll,
		.special_mask = k->special_mask,
		.auto_eoi = k->auto_eoi,
		.auto_rotate = k->rotate_on_auto_eoi,
		.sfnm = k->special_fully_nested_mode,
	};
}

static void pic_out(struct kvm_pic_state *k, const struct engine_pic *p)
{
	const uint8_t mask = k->elcr_mask;

	*k = (struct kvm_pic_state){
		.last_irr = p->line,
		.irr = (uint8_t)((p->latch & ~p->elcr) | (p->line & p->elcr)),
		.imr = p->imr,
		.isr = p->isr,
		.priority_add = p->highest,
		.irq_base = p->base,
		.read_reg_select = p->read_isr,
		.poll = p->poll,
		.special_mask = p->special_mask,
		.init_state = p->step,
		.auto_eoi = p->auto_eoi,
		.rotate_on_auto_eoi = p->auto_rotate,
		.special_fully_nested_mode = p->sfnm,
		.init4 = p->needs_icw4,
		.elcr = p->elcr,
		.elcr_mask = mask,
	};
}

/* ---- I/O APIC -------------------------------------------------------------------------------------- */

#define RTE_LEVEL (1ull << 15)
#define RTE_STATUS (1ull << 12) /* delivery status: nothing waits at ours */

static void ioapic_in(struct engine_ioapic *p, const struct kvm_ioapic_state *k)
{
	p->lines = k->irr & ((1u << KVM_PINS) - 1);
	p->index = (uint8_t)k->ioregsel;
	p->id = (uint8_t)k->id;
	for (unsigned n = 0; n < KVM_PINS; n++)
		p->redir[n] = k->redirtbl[n].bits & ~RTE_STATUS;
}

static void ioapic_out(struct kvm_ioapic_state *k, const struct engine_ioapic *p)
{
	k->irr = 0;
	k->ioregsel = p->index;
	k->id = p->id;
	/* Edges have gone out when they came. */
	for (unsigned n = 0; n < KVM_PINS; n++) {
		k->redirtbl[n].bits = p->redir[n];
		k->irr |= p->redir[n] & RTE_LEVEL ? p->lines & 1u << n : 0;
	}
}

/* ---- 8254 ------------------------------------------------------------------------------------------ */

static uint64_t mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* When counter 0 was loaded the kernel does not say: then it is as if that were now. */
static void counter_in(struct engine_pit_counter *c, const struct kvm_pit_channel_state *k,
		       bool first, uint64_t now)
{
	uint64_t at = first ? now : (uint64_t)k->count_load_time;

	*c = (struct engine_pit_counter){
		.count = k->count ? k->count : 0x10000,
		.since_ns = now > at ? now - at : 0,
		.latch = k->latched_count,
		.latched = k->count_latched,
		.status = k->status,
		.has_status = k->status_latched,
		.rw = k->rw_mode,
		.mode = k->mode,
		.bcd = k->bcd,
		.gate = k->gate,
		.read_msb = k->read_state == WORD_SECOND || k->read_state == 2,
		.write_msb = k->write_state == WORD_SECOND || k->write_state == 2,
		.low_byte = k->write_latch,
	};
}

/* Which byte is next, in the kernel's words. */
static uint8_t byte_state(uint8_t rw, bool msb)
{
	return rw != RW_BOTH ? rw : msb ? WORD_SECOND : RW_BOTH;
}

static void counter_out(struct kvm_pit_channel_state *k, const struct engine_pit_counter *c,
			uint64_t now)
{
	*k = (struct kvm_pit_channel_state){
		.count = c->count,
		.latched_count = c->latch,
		.count_latched = c->latched,
		.status_latched = c->has_status,
		.status = c->status,
		.read_state = byte_state(c->rw, c->read_msb),
		.write_state = byte_state(c->rw, c->write_msb),
		.write_latch = c->low_byte,
		.rw_mode = c->rw,
		.mode = c->mode,
		.bcd = c->bcd,
		.gate = c->gate,
		.count_load_time = (int64_t)(now - min_u64(c->since_ns, now)),
	};
}

/* ---- All of it -------------------------------------------------------------------------------------- */

static int get_chip(const struct kvm_engine *e, unsigned id, struct kvm_irqchip *k)
{
	memset(k, 0, sizeof(*k));
	k->chip_id = id;
	return ioctl(e->vm, KVM_GET_IRQCHIP, k);
}

int kvm_full_get(struct engine *engine, struct engine_chips *out)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;
	struct kvm_pit_state2 pit;
	struct kvm_irqchip k;

	for (unsigned i = 0; i < 2; i++) {
		if (get_chip(e, KVM_IRQCHIP_PIC_MASTER + i, &k) < 0)
			return -errno;
		pic_in(&out->pic[i], &k.chip.pic);
	}
	if (get_chip(e, KVM_IRQCHIP_IOAPIC, &k) < 0)
		return -errno;
	ioapic_in(&out->ioapic, &k.chip.ioapic);
	/* While the machine stands still, what it was then. */
	if (e->stopped)
		pit = e->frozen_pit;
	else if (ioctl(e->vm, KVM_GET_PIT2, &pit) < 0)
		return -errno;
	for (unsigned i = 0; i < 3; i++)
		counter_in(&out->pit[i], &pit.channels[i], !i,
			   e->stopped ? e->frozen_ns : mono_ns());
	out->speaker = pit.flags & SPEAKER_ON;
	return 0;
}

int kvm_full_set(struct engine *engine, const struct engine_chips *in)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;
	struct kvm_pit_state2 pit = {.flags = 0};
	struct kvm_irqchip k;

	for (unsigned i = 0; i < 2; i++) {
		if (get_chip(e, KVM_IRQCHIP_PIC_MASTER + i, &k) < 0)
			return -errno;
		pic_out(&k.chip.pic, &in->pic[i]);
		if (ioctl(e->vm, KVM_SET_IRQCHIP, &k) < 0)
			return -errno;
	}
	if (get_chip(e, KVM_IRQCHIP_IOAPIC, &k) < 0)
		return -errno;
	ioapic_out(&k.chip.ioapic, &in->ioapic);
	if (ioctl(e->vm, KVM_SET_IRQCHIP, &k) < 0)
		return -errno;
	for (unsigned i = 0; i < 3; i++)
		counter_out(&pit.channels[i], &in->pit[i], mono_ns());
	pit.flags =
		(in->hpet_legacy ? KVM_PIT_FLAGS_HPET_LEGACY : 0) | (in->speaker ? SPEAKER_ON : 0);
	e->frozen_pit = pit;
	e->frozen_ns = mono_ns();
	if (ioctl(e->vm, KVM_SET_PIT2, &pit) == 0)
		return 0;
	/* Older kernels know nothing of the speaker. */
	pit.flags &= ~SPEAKER_ON;
	return ioctl(e->vm, KVM_SET_PIT2, &pit) < 0 ? -errno : 0;
}

void kvm_full_hpet_legacy(struct engine *engine, bool on)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;
	struct kvm_pit_state2 pit;

	if (ioctl(e->vm, KVM_GET_PIT2, &pit) < 0)
		return;
	pit.flags &= ~(uint32_t)KVM_PIT_FLAGS_HPET_LEGACY;
	pit.flags |= on ? KVM_PIT_FLAGS_HPET_LEGACY : 0;
	(void)!ioctl(e->vm, KVM_SET_PIT2, &pit);
}

/* The timer would tick on while the machine stands still: it is set anew when that goes on. */
void kvm_full_stop(struct kvm_engine *e)
{
	e->frozen_ns = mono_ns();
	(void)!ioctl(e->vm, KVM_GET_PIT2, &e->frozen_pit);
}

void kvm_full_go(struct kvm_engine *e)
{
	(void)!ioctl(e->vm, KVM_SET_PIT2, &e->frozen_pit);
}
