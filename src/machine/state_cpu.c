// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vCPUs and CPUID as saved state: field by field, by the tables devices have.
 *
 * The TSC is saved as the guest's own count, since offsets mean something on one host only. What comes from a
 * file is checked as if the processor would load it: no engine sees a state it could not have made.
 *
 * Source: Intel SDM vol. 3A §2.5 (control registers), §13.4 (XSAVE area), vol. 1 §3.3.7.1 (canonical addresses).
 * Saved state: version 2 of vCPUs (1 had no interrupt on its way and no MSRs of hypervisors), 1 of CPUID.
 * Threads: with every vCPU parked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "bus/device.h"
#include "machine/vm_int.h"

/* ---- vCPUs -------------------------------------------------------------------------------------- */

struct cpu_state {
	struct device dev; /* first */
	uint64_t tsc;	   /* the guest's, when it stopped */
	const struct x86_cpuid *id;
	struct x86_state s;
};

#define SEG_FIELDS(m)                                                                        \
	STATE_FIELD(struct cpu_state, m.base), STATE_FIELD(struct cpu_state, m.limit),       \
		STATE_FIELD(struct cpu_state, m.sel), STATE_FIELD(struct cpu_state, m.attr), \
		STATE_FIELD(struct cpu_state, m.unusable)

static const struct state_field cpu_fields[] = {
	STATE_FIELD(struct cpu_state, tsc),
	STATE_ARRAY(struct cpu_state, s.gpr),
	STATE_FIELD(struct cpu_state, s.rip),
	STATE_FIELD(struct cpu_state, s.rflags),
	STATE_EACH(struct cpu_state, s.seg, base),
	STATE_EACH(struct cpu_state, s.seg, limit),
	STATE_EACH(struct cpu_state, s.seg, sel),
	STATE_EACH(struct cpu_state, s.seg, attr),
	STATE_EACH(struct cpu_state, s.seg, unusable),
	SEG_FIELDS(s.ldtr),
	SEG_FIELDS(s.tr),
	STATE_FIELD(struct cpu_state, s.gdtr.base),
	STATE_FIELD(struct cpu_state, s.gdtr.limit),
	STATE_FIELD(struct cpu_state, s.idtr.base),
	STATE_FIELD(struct cpu_state, s.idtr.limit),
	STATE_FIELD(struct cpu_state, s.cr0),
	STATE_FIELD(struct cpu_state, s.cr2),
	STATE_FIELD(struct cpu_state, s.cr3),
	STATE_FIELD(struct cpu_state, s.cr4),
	STATE_FIELD(struct cpu_state, s.efer),
	STATE_ARRAY(struct cpu_state, s.dr),
	STATE_FIELD(struct cpu_state, s.xcr0),
	STATE_ARRAY(struct cpu_state, s.pdpte),
	STATE_FIELD(struct cpu_state, s.star),
	STATE_FIELD(struct cpu_state, s.lstar),
	STATE_FIELD(struct cpu_state, s.cstar),
	STATE_FIELD(struct cpu_state, s.sfmask),
	STATE_FIELD(struct cpu_state, s.kernel_gs_base),
	STATE_FIELD(struct cpu_state, s.sysenter_cs),
	STATE_FIELD(struct cpu_state, s.sysenter_esp),
	STATE_FIELD(struct cpu_state, s.sysenter_eip),
	STATE_FIELD(struct cpu_state, s.tsc_aux),
	STATE_FIELD(struct cpu_state, s.pat),
	STATE_FIELD(struct cpu_state, s.misc_enable),
	STATE_FIELD(struct cpu_state, s.debugctl),
	STATE_FIELD(struct cpu_state, s.mtrr_def_type),
	STATE_ARRAY(struct cpu_state, s.mtrr_fixed),
	STATE_EACH(struct cpu_state, s.mtrr_var, base),
	STATE_EACH(struct cpu_state, s.mtrr_var, mask),
	STATE_FIELD(struct cpu_state, s.spec_ctrl),
	STATE_FIELD(struct cpu_state, s.mcg_status),
	STATE_FIELD(struct cpu_state, s.mcg_ctl),
	STATE_FIELD(struct cpu_state, s.tsc_adjust),
	STATE_FIELD(struct cpu_state, s.hwcr),
	STATE_FIELD(struct cpu_state, s.syscfg),
	STATE_FIELD(struct cpu_state, s.run_state),
	STATE_FIELD(struct cpu_state, s.nmi_pending),
	STATE_FIELD(struct cpu_state, s.nmi_blocked),
	STATE_FIELD(struct cpu_state, s.int_shadow),
	STATE_FIELD(struct cpu_state, s.init_pending),
	STATE_FIELD(struct cpu_state, s.sipi_pending),
	STATE_FIELD(struct cpu_state, s.sipi_vector),
	STATE_FIELD_SINCE(struct cpu_state, s.irq_taken, 2),
	STATE_FIELD_SINCE(struct cpu_state, s.irq_vector, 2),
	STATE_BUFFER(struct cpu_state, s.xsave),
	STATE_FIELD_SINCE(struct cpu_state, s.pv.system_time, 2),
	STATE_FIELD_SINCE(struct cpu_state, s.pv.wall_clock, 2),
	STATE_FIELD_SINCE(struct cpu_state, s.pv.steal_time, 2),
	STATE_FIELD_SINCE(struct cpu_state, s.pv.eoi, 2),
	STATE_FIELD_SINCE(struct cpu_state, s.pv.poll_control, 2),
	STATE_FIELD_SINCE(struct cpu_state, s.hv.guest_os_id, 2),
	STATE_FIELD_SINCE(struct cpu_state, s.hv.hypercall, 2),
	STATE_FIELD_SINCE(struct cpu_state, s.hv.reference_tsc, 2),
	STATE_FIELD_SINCE(struct cpu_state, s.hv.runtime, 2),
	STATE_FIELD_SINCE(struct cpu_state, s.hv.apic_assist, 2),
	STATE_FIELD_SINCE(struct cpu_state, s.hv.scontrol, 2),
	STATE_FIELD_SINCE(struct cpu_state, s.hv.siefp, 2),
	STATE_FIELD_SINCE(struct cpu_state, s.hv.simp, 2),
	STATE_ARRAY_SINCE(struct cpu_state, s.hv.sint, 2),
	STATE_ARRAY_SINCE(struct cpu_state, s.hv.stimer, 2),
	STATE_END,
};

#define FLAGS_KNOWN 0x3f7fd7u
#define CR0_KNOWN                                                                                  \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
#define CR4_KNOWN                                                                                 \
	(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | \
	 CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE |        \
	 CR4_SMEP | CR4_SMAP)
#define EFER_KNOWN (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_FFXSR | EFER_AUTOIBRS)
#define SEG_KNOWN 0xf0ffu

static bool canonical(uint64_t va)
{
	return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

static bool bool_ok(const bool *b)
{
	return *(const uint8_t *)b <= 1;
}

static bool seg_ok(const struct x86_seg *g)
{
	return !(g->attr & ~SEG_KNOWN) && bool_ok(&g->unusable) && canonical(g->base);
}

static bool segments_ok(const struct x86_state *s)
{
	bool ok = seg_ok(&s->ldtr) && seg_ok(&s->tr);

	for (unsigned i = 0; i < SEG_COUNT; i++)
		ok &= seg_ok(&s->seg[i]);
	return ok && canonical(s->gdtr.base) && canonical(s->idtr.base);
}

/* Modes as MOV to CR0, CR4 and EFER keep them. */
static bool modes_ok(const struct x86_state *s)
{
	bool pg = s->cr0 & CR0_PG, lme = s->efer & EFER_LME, lma = s->efer & EFER_LMA;

	if (s->cr0 & ~(uint64_t)CR0_KNOWN || s->cr4 & ~(uint64_t)CR4_KNOWN ||
	    s->efer & ~(uint64_t)EFER_KNOWN || (pg && !(s->cr0 & CR0_PE)) ||
	    ((s->cr0 & CR0_NW) && !(s->cr0 & CR0_CD)))
		return false;
	if (lma != (lme && pg) || (lma && !(s->cr4 & CR4_PAE)) || ((s->cr4 & CR4_PCIDE) && !lma))
		return false;
	if (s->rflags & ~(uint64_t)FLAGS_KNOWN || !(s->rflags & FLAG_FIXED) ||
	    ((s->rflags & FLAG_VM) && !(s->cr0 & CR0_PE)))
		return false;
	return !lma ||
	       (!(s->rflags & FLAG_VM) && (~s->seg[SEG_CS].attr & (SEG_ATTR_L | SEG_ATTR_DB)));
}

/* What the host's own XRSTOR and LDMXCSR would refuse. */
static bool xsave_ok(const struct x86_state *s, const struct x86_cpuid *id)
{
	uint64_t rest = 0;

	for (unsigned i = 520; i < 576; i += 8)
		rest |= ld_le64(s->xsave + i);
	return !(ld_le32(s->xsave + 24) & ~id->mxcsr_mask) && !rest &&
	       !(ld_le64(s->xsave + 512) & ~(id->xcr0_mask | 3));
}

static bool bools_ok(const struct x86_state *s)
{
	return bool_ok(&s->nmi_pending) && bool_ok(&s->nmi_blocked) && bool_ok(&s->init_pending) &&
	       bool_ok(&s->sipi_pending) && bool_ok(&s->irq_taken);
}

/* Where an interrupt is delivered, one can be. */
static bool irq_ok(const struct x86_state *s)
{
	return !s->irq_taken ||
	       ((s->rflags & FLAG_IF) && !s->int_shadow && s->run_state == X86_RUNNING);
}

static bool pat_ok(uint64_t pat)
{
	for (unsigned i = 0; i < 8; i++, pat >>= 8) {
		unsigned type = pat & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

static int cpu_post_load(struct device *dev)
{
	struct cpu_state *c = container_of(dev, struct cpu_state, dev);
	const struct x86_state *s = &c->s;

	if (!bools_ok(s) || !irq_ok(s) || !segments_ok(s) || !modes_ok(s) || !xsave_ok(s, c->id) ||
	    !pat_ok(s->pat))
		return -EINVAL;
	if (s->run_state > X86_SHUTDOWN || s->int_shadow & ~(X86_SHADOW_STI | X86_SHADOW_SS) ||
	    !(s->xcr0 & 1) || s->xcr0 & ~(c->id->xcr0_mask | 1) ||
	    ((s->xcr0 & 4) && !(s->xcr0 & 2)) || s->dr[6] >> 32 || s->dr[7] >> 32)
		return -EINVAL;
	return canonical(s->rip) && canonical(s->lstar) && canonical(s->cstar) &&
			       canonical(s->kernel_gs_base) && canonical(s->sysenter_esp) &&
			       canonical(s->sysenter_eip)
		       ? 0
		       : -EINVAL;
}

static const struct device_class cpu_class = {
	.name = "cpu", .version = 2, .fields = cpu_fields, .post_load = cpu_post_load};

/* The host's XSAVE, which engines use, has more than the guest may have: what a restore would refuse goes. */
static void tidy_xsave(struct x86_state *s, const struct x86_cpuid *id)
{
	uint64_t bv = ld_le64(s->xsave + 512) & (id->xcr0_mask | 3);

	st_le64(s->xsave + 512, bv);
	st_le32(s->xsave + 28, 0); /* MXCSR_MASK is the processor's */
	if (!(bv & 4))
		memset(s->xsave + 576, 0, sizeof(s->xsave) - 576);
}

long vm_cpu_save(struct vm *vm, unsigned cpu, uint8_t *buf, size_t cap)
{
	struct vcpu *v = vm->cpus[cpu].vcpu;
	struct cpu_state *c = aligned_alloc(64, align_up(sizeof(*c), 64));
	struct x86_state *s;
	long n;

	if (!c)
		return -ENOMEM;
	memset(c, 0, sizeof(*c));
	if (vm->ops->settle)
		vm->ops->settle(v);
	s = vm->ops->state(v);
	c->dev.cls = &cpu_class;
	c->s = *s;
	tidy_xsave(&c->s, vm->ops->cpuid ? vm->ops->cpuid(vm->engine) : &vm->cpuid);
	c->tsc = vm_host_tsc(vm) + s->tsc_offset;
	n = device_save(&c->dev, buf, cap);
	/* The machine may go on: what was taken out of the engine is signalled again. */
	if (s->init_pending)
		vm->ops->signal(v, VCPU_SIGNAL_INIT, 0);
	if (s->sipi_pending)
		vm->ops->signal(v, VCPU_SIGNAL_SIPI, s->sipi_vector);
	s->init_pending = s->sipi_pending = false;
	free(c);
	return n;
}

int vm_cpu_load(struct vm *vm, unsigned cpu, const uint8_t *buf, size_t len, struct lodge_err *err)
{
	struct vcpu *v = vm->cpus[cpu].vcpu;
	struct cpu_state *c = aligned_alloc(64, align_up(sizeof(*c), 64));
	struct x86_state *s;
	int r;

	if (!c)
		return err_set(err, -ENOMEM, "no memory for a vCPU's state");
	memset(c, 0, sizeof(*c));
	c->dev.cls = &cpu_class;
	c->id = &vm->cpuid;
	x86_state_reset(&c->s, cpu == 0); /* for what an older version does not say */
	r = device_load(&c->dev, buf, len, err);
	if (!r) {
		s = vm->ops->state(v);
		*s = c->s;
		s->tsc_offset = c->tsc - vm_host_tsc(vm);
		s->init_pending = s->sipi_pending = false;
		vm->ops->state_changed(v);
		if (c->s.init_pending)
			vm->ops->signal(v, VCPU_SIGNAL_INIT, 0);
		if (c->s.sipi_pending)
			vm->ops->signal(v, VCPU_SIGNAL_SIPI, c->s.sipi_vector);
	}
	free(c);
	return r;
}

/* ---- CPUID -------------------------------------------------------------------------------------- */

/* Features go by their names: their numbers may change. */
#define NAMES_BYTES 2048u

struct cpuid_state {
	struct device dev; /* first */
	struct x86_cpuid id;
	uint32_t count;
	uint8_t amd;
	char names[NAMES_BYTES]; /* "fpu,vme,..." */
};

static const struct state_field cpuid_fields[] = {
	STATE_BUFFER(struct cpuid_state, id.model),
	STATE_FIELD(struct cpuid_state, count),
	STATE_EACH(struct cpuid_state, id.leaf, leaf),
	STATE_EACH(struct cpuid_state, id.leaf, subleaf),
	STATE_EACH(struct cpuid_state, id.leaf, eax),
	STATE_EACH(struct cpuid_state, id.leaf, ebx),
	STATE_EACH(struct cpuid_state, id.leaf, ecx),
	STATE_EACH(struct cpuid_state, id.leaf, edx),
	STATE_FIELD(struct cpuid_state, amd),
	STATE_FIELD(struct cpuid_state, id.phys_bits),
	STATE_FIELD(struct cpuid_state, id.virt_bits),
	STATE_FIELD(struct cpuid_state, id.tsc_hz),
	STATE_FIELD(struct cpuid_state, id.xcr0_mask),
	STATE_FIELD(struct cpuid_state, id.mxcsr_mask),
	STATE_FIELD(struct cpuid_state, id.arch_caps),
	STATE_BUFFER(struct cpuid_state, names),
	STATE_END,
};

static int cpuid_post_load(struct device *dev)
{
	const struct cpuid_state *c = container_of(dev, struct cpuid_state, dev);

	return c->count > X86_CPUID_LEAVES || c->amd > 1 || c->names[NAMES_BYTES - 1] ||
			       c->id.model[sizeof(c->id.model) - 1]
		       ? -EINVAL
		       : 0;
}

static const struct device_class cpuid_class = {
	.name = "cpuid", .version = 1, .fields = cpuid_fields, .post_load = cpuid_post_load};

long vm_cpuid_save(const struct x86_cpuid *id, uint8_t *buf, size_t cap)
{
	struct cpuid_state *c = calloc(1, sizeof(*c));
	size_t used = 0;
	long n;

	if (!c)
		return -ENOMEM;
	c->dev.cls = &cpuid_class;
	c->id = *id;
	/* What is behind them is whatever was there. */
	memset(c->id.leaf + id->count, 0, (X86_CPUID_LEAVES - id->count) * sizeof(id->leaf[0]));
	c->count = id->count;
	c->amd = id->amd;
	for (unsigned f = 1; f < X86_FEAT_COUNT && used < NAMES_BYTES; f++) {
		if (id->has[f])
			used += (size_t)snprintf(c->names + used, NAMES_BYTES - used, "%s%s",
						 used ? "," : "",
						 x86_feature_name((enum x86_feature)f));
	}
	n = used < NAMES_BYTES ? device_save(&c->dev, buf, cap) : -ENOSPC;
	free(c);
	return n;
}

static enum x86_feature feature_called(const char *name, size_t len)
{
	for (unsigned f = 1; f < X86_FEAT_COUNT; f++) {
		const char *n = x86_feature_name((enum x86_feature)f);

		if (strlen(n) == len && !memcmp(n, name, len))
			return (enum x86_feature)f;
	}
	return X86_FEAT_NONE;
}

static int take_names(const char *names, const struct x86_cpuid *here, bool *has,
		      struct lodge_err *err)
{
	while (*names) {
		size_t len = strcspn(names, ",");
		enum x86_feature f = feature_called(names, len);

		if (f == X86_FEAT_NONE || !here->has[f])
			return err_set(err, -EINVAL,
				       "the saved guest uses the processor feature %.*s, which "
				       "this host does not give it",
				       (int)min_u64(len, 32), names);
		has[f] = true;
		names += len + (names[len] == ',');
	}
	return 0;
}

/* Beyond that, a guest's clock would run noticeably wrong; two measurements of one TSC differ less. */
#define TSC_PPM 1000u

static bool tsc_differs(uint64_t a, uint64_t b)
{
	uint64_t diff = a > b ? a - b : b - a;

	return diff > b / 1000000 * TSC_PPM;
}

int vm_cpuid_load(struct x86_cpuid *id, const uint8_t *buf, size_t len, struct lodge_err *err)
{
	struct cpuid_state *c = calloc(1, sizeof(*c));
	const struct x86_cpuid *s;
	int r;

	if (!c)
		return err_set(err, -ENOMEM, "no memory for CPUID");
	c->dev.cls = &cpuid_class;
	s = &c->id;
	r = device_load(&c->dev, buf, len, err);
	if (!r)
		r = take_names(c->names, id, c->id.has, err);
	if (!r && (c->amd != id->amd || s->phys_bits > id->phys_bits ||
		   s->virt_bits != id->virt_bits || s->xcr0_mask & ~id->xcr0_mask ||
		   s->mxcsr_mask & ~id->mxcsr_mask || !(s->xcr0_mask & 1)))
		r = err_set(err, -EINVAL,
			    "the guest was saved on a processor that this host's does not match "
			    "(maker, address width or registers)");
	if (!r) {
		c->id.count = c->count;
		c->id.amd = c->amd;
		/* An engine may be able to scale: vm_restore() asks. */
		c->id.host_tsc_hz = tsc_differs(s->tsc_hz, id->tsc_hz) ? id->tsc_hz : 0;
		*id = c->id;
	}
	free(c);
	return r;
}
