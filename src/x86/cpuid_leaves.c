// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The leaves a guest sees, from the chosen features.
 * Source: Intel SDM vol. 2A CPUID; AMD APM vol. 3 appendix E.4. Hypervisor leaf 4000_0010 (TSC and
 * bus frequency) is the convention VMware began.
 * Threads: any.
 *
 * Topology: one package of N cores with one thread each; the APIC id is the vCPU's number.
 */
#include <string.h>

#include "base/clock.h"
#include "base/range.h"
#include "x86/cpuid_int.h"
#include "x86/msr.h"

enum { EAX, EBX, ECX, EDX };

#define MAX_BASIC_INTEL 0x16u
#define MAX_BASIC_AMD 0xdu
#define MAX_EXT_INTEL 0x80000008u
#define MAX_EXT_AMD 0x80000021u
#define MAX_HYPERVISOR_LEAF 0x40000010u
#define GUEST_PHYS_BITS 40
#define GUEST_VIRT_BITS 48
/* What the local APIC's timer counts, told to guests that do not want to measure it. */
#define APIC_BUS_KHZ 1000000u

/* Leaf 1 EDX bits that AMD repeats in 8000_0001 EDX. */
#define AMD_MIRRORED 0x0183f3ffu

/* AMD bits that say a work-around is not needed, and have no name of their own here. */
#define AMD_8_XSAVEERPTR (1u << 2)
#define AMD_8_IBRS (1u << 14)
#define AMD_8_IBRS_ALWAYS_ON (1u << 16)
#define AMD_8_IBRS_PREFERRED (1u << 18)
#define AMD_8_IBRS_SAME_MODE (1u << 19)
#define AMD_8_SSB_NO (1u << 26)
#define AMD_8_BTC_NO (1u << 29)
#define AMD_21_NO_NESTED_BP (1u << 0)
#define AMD_21_LFENCE_SERIALIZING (1u << 2)
#define AMD_21_NULL_CLEARS_BASE (1u << 6)
#define AMD_21_SRSO_NO (1u << 29)
#define AMD_21_ECX_TSA_SQ_NO (1u << 1)
#define AMD_21_ECX_TSA_L1_NO (1u << 2)
#define AMD_1_CMP_LEGACY (1u << 1)
#define INTEL_7_SPEC_CTRL (1u << 26)
/* EBX: FDP is set by unmasked exceptions only; FCS and FDS are stored as 0. */
#define INTEL_7_X87_POINTERS (1u << 6 | 1u << 13)

static struct cpuid_regs ask_host(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs o;

	__asm__ volatile("cpuid"
			 : "=a"(o.r[EAX]), "=b"(o.r[EBX]), "=c"(o.r[ECX]), "=d"(o.r[EDX])
			 : "a"(leaf), "c"(subleaf));
	return o;
}

/* In a VM each CPUID goes to whoever runs it, and a model asks for the same few leaves 400 times. */
struct cpuid_regs cpuid_host(uint32_t leaf, uint32_t subleaf)
{
	static _Thread_local struct {
		uint32_t leaf, subleaf;
		struct cpuid_regs regs;
	} known[16];
	static _Thread_local unsigned count;
	struct cpuid_regs o;

	for (unsigned i = 0; i < min_u64(count, ARRAY_SIZE(known)); i++) {
		if (known[i].leaf == leaf && known[i].subleaf == subleaf)
			return known[i].regs;
	}
	o = ask_host(leaf, subleaf);
	known[count % ARRAY_SIZE(known)].leaf = leaf;
	known[count % ARRAY_SIZE(known)].subleaf = subleaf;
	known[count++ % ARRAY_SIZE(known)].regs = o;
	return o;
}

/* ---- Building blocks ------------------------------------------------------------------------ */

static struct x86_cpuid_leaf *add(struct x86_cpuid *c, uint32_t leaf, uint32_t subleaf)
{
	/* The table is sized for all there is: the last one is overwritten rather than beyond. */
	unsigned i = c->count < X86_CPUID_LEAVES ? c->count++ : X86_CPUID_LEAVES - 1;

	c->leaf[i] = (struct x86_cpuid_leaf){.leaf = leaf, .subleaf = subleaf};
	return &c->leaf[i];
}

static void add_regs(struct x86_cpuid *c, uint32_t leaf, uint32_t subleaf, struct cpuid_regs o)
{
	struct x86_cpuid_leaf *l = add(c, leaf, subleaf);

	l->eax = o.r[EAX];
	l->ebx = o.r[EBX];
	l->ecx = o.r[ECX];
	l->edx = o.r[EDX];
}

static uint32_t *leaf_reg(struct x86_cpuid_leaf *l, unsigned reg)
{
	uint32_t *const regs[] = {&l->eax, &l->ebx, &l->ecx, &l->edx};

	return regs[reg];
}

/* Set the bits of every feature that lives in this leaf. */
static void add_features(const struct x86_cpuid *c, struct x86_cpuid_leaf *l)
{
	for (unsigned f = 1; f < X86_FEAT_COUNT; f++) {
		const struct feature_place *p = &cpuid_places[f];

		if (c->has[f] && p->leaf == l->leaf && p->subleaf == l->subleaf)
			*leaf_reg(l, p->reg) |= 1u << p->bit;
	}
}

static unsigned log2_up(unsigned n)
{
	unsigned bits = 0;

	while (1u << bits < n)
		bits++;
	return bits;
}

/* ---- Basic leaves --------------------------------------------------------------------------- */

static void leaf_1(struct x86_cpuid *c, const struct cpuid_model *m, unsigned cpus)
{
	struct x86_cpuid_leaf *l = add(c, 1, 0);
	uint32_t logical = cpus > 255 ? 255 : cpus;

	l->eax = c->amd ? m->amd : m->intel;
	if (!l->eax)
		l->eax = cpuid_host(1, 0).r[EAX];
	l->ebx = logical << 16 | 8u << 8; /* CLFLUSH: 64 bytes */
	add_features(c, l);
	if (cpus == 1)
		l->edx &= ~(1u << 28);
}

/* Cache leaves (4 and 8000_001D have one format): the host's, shared as the guest's topology says.
 */
static void cache_leaves(struct x86_cpuid *c, uint32_t leaf, unsigned cpus, bool cores_field)
{
	uint32_t last = 0;

	for (uint32_t sub = 0; sub < 5; sub++) {
		struct cpuid_regs o = cpuid_host(leaf, sub);
		uint32_t type = o.r[EAX] & 0x1f, level = o.r[EAX] >> 5 & 7;
		uint32_t sharing = level >= 3 ? (1u << log2_up(cpus)) - 1 : 0;
		uint32_t cores = (1u << log2_up(cpus)) - 1;

		if (!type)
			break;
		o.r[EAX] = (o.r[EAX] & 0x3fff) | (sharing > 0xfff ? 0xfff : sharing) << 14;
		if (cores_field)
			o.r[EAX] |= (cores > 0x3f ? 0x3f : cores) << 26;
		add_regs(c, leaf, sub, o);
		last = sub + 1;
	}
	add(c, leaf, last);
}

static void leaf_7(struct x86_cpuid *c)
{
	struct x86_cpuid_leaf *l = add(c, 7, 0);

	add_features(c, l);
	/* The host executes x87 instructions, in whatever model. */
	if (!c->amd && cpuid_host(0, 0).r[EAX] >= 7)
		l->ebx |= cpuid_host(7, 0).r[EBX] & INTEL_7_X87_POINTERS;
	if (!c->amd && c->has[X86_FEAT_ARCH_CAPABILITIES])
		l->edx |= INTEL_7_SPEC_CTRL;
}

/* Extended topology: SMT level of one thread, core level of all vCPUs. EDX is filled on query. */
static void leaf_b(struct x86_cpuid *c, unsigned cpus)
{
	struct x86_cpuid_leaf *smt = add(c, 0xb, 0);

	smt->ebx = 1;
	smt->ecx = 1u << 8;

	struct x86_cpuid_leaf *core = add(c, 0xb, 1);

	core->eax = log2_up(cpus);
	core->ebx = cpus;
	core->ecx = 2u << 8 | 1;
}

/* XSAVE: sizes that depend on XCR0 are filled on query. */
static void leaf_d(struct x86_cpuid *c)
{
	struct x86_cpuid_leaf *l = add(c, 0xd, 0);

	if (!c->has[X86_FEAT_XSAVE])
		return;
	l->eax = (uint32_t)c->xcr0_mask;
	l->ebx = l->ecx = c->xcr0_mask & 4 ? 832 : 576;
	add_features(c, add(c, 0xd, 1));
	if (!(c->xcr0_mask & 4))
		return;
	l = add(c, 0xd, 2);
	l->eax = 256;
	l->ebx = 576;
}

/*
 * TSC frequency by the crystal's, as a fraction by continued fractions. Linux multiplies the crystal's kHz by the
 * numerator in 32 bits, as real processors' small ones allow: so that has to fit.
 */
void cpuid_tsc_ratio(uint64_t hz, uint32_t *num, uint32_t *den)
{
	uint64_t a = hz, b = APIC_BUS_KHZ * 1000ull;
	uint64_t n[2] = {0, 1}, d[2] = {1, 0};

	while (b) {
		uint64_t q = a / b, r = a % b;
		uint64_t next_n = q * n[1] + n[0], next_d = q * d[1] + d[0];

		if (next_n > UINT32_MAX / APIC_BUS_KHZ || next_d > UINT32_MAX)
			break;
		n[0] = n[1];
		d[0] = d[1];
		n[1] = next_n;
		d[1] = next_d;
		a = b;
		b = r;
	}
	*num = (uint32_t)n[1];
	*den = d[1] ? (uint32_t)d[1] : 1;
}

static void basic_leaves(struct x86_cpuid *c, const struct cpuid_model *m, unsigned cpus)
{
	struct cpuid_regs vendor = cpuid_host(0, 0);

	vendor.r[EAX] = c->amd ? MAX_BASIC_AMD : MAX_BASIC_INTEL;
	add_regs(c, 0, 0, vendor);
	leaf_1(c, m, cpus);
	if (!c->amd) {
		add_regs(c, 2, 0, cpuid_host(2, 0));
		cache_leaves(c, 4, cpus, true);
	}
	add(c, 6, 0)->eax = 4; /* ARAT: the APIC timer never stops */
	leaf_7(c);
	leaf_b(c, cpus);
	leaf_d(c);
	if (!c->amd) {
		struct x86_cpuid_leaf *l = add(c, 0x15, 0);

		/* The crystal is the APIC timer's clock; TSC = crystal * EBX / EAX. */
		cpuid_tsc_ratio(c->tsc_hz, &l->ebx, &l->eax);
		l->ecx = APIC_BUS_KHZ * 1000;
		add(c, 0x16, 0)->eax = (uint32_t)(c->tsc_hz / 1000000);
	}
}

/* ---- Hypervisor leaves ---------------------------------------------------------------------- */

static void hypervisor_leaves(struct x86_cpuid *c)
{
	static const char signature[12] = {'L', 'o', 'd', 'g', 'e', 'L',
					   'o', 'd', 'g', 'e', ' ', ' '};
	struct x86_cpuid_leaf *l;

	if (!c->has[X86_FEAT_HYPERVISOR])
		return;
	l = add(c, 0x40000000, 0);
	l->eax = MAX_HYPERVISOR_LEAF;
	memcpy(&l->ebx, signature, 4);
	memcpy(&l->ecx, signature + 4, 4);
	memcpy(&l->edx, signature + 8, 4);
	l = add(c, MAX_HYPERVISOR_LEAF, 0);
	l->eax = (uint32_t)(c->tsc_hz / 1000);
	l->ebx = APIC_BUS_KHZ;
}

/* ---- Extended leaves ------------------------------------------------------------------------ */

static void leaf_ext1(struct x86_cpuid *c, unsigned cpus)
{
	struct x86_cpuid_leaf *l = add(c, 0x80000001, 0);

	add_features(c, l);
	if (!c->amd)
		return;
	l->eax = c->leaf[1].eax;
	l->edx |= c->leaf[1].edx & AMD_MIRRORED;
	if (cpus > 1)
		l->ecx |= AMD_1_CMP_LEGACY;
}

static void leaves_brand(struct x86_cpuid *c, const char *brand)
{
	char text[48] = {0};

	for (unsigned i = 0; brand && brand[i] && i < sizeof(text) - 1; i++)
		text[i] = brand[i];
	for (unsigned i = 0; i < 3; i++) {
		struct cpuid_regs o = cpuid_host(0x80000002 + i, 0);

		if (brand)
			memcpy(o.r, text + 16 * i, 16);
		add_regs(c, 0x80000002 + i, 0, o);
	}
}

static void leaf_ext8(struct x86_cpuid *c, unsigned cpus)
{
	struct x86_cpuid_leaf *l = add(c, 0x80000008, 0);

	l->eax = (uint32_t)c->virt_bits << 8 | c->phys_bits;
	add_features(c, l);
	if (!c->amd)
		return;
	l->ebx |= cpuid_host(0x80000008, 0).r[EBX] & AMD_8_XSAVEERPTR;
	l->ebx |= AMD_8_SSB_NO | AMD_8_BTC_NO;
	if (c->has[X86_FEAT_ARCH_CAPABILITIES])
		l->ebx |= AMD_8_IBRS | AMD_8_IBRS_ALWAYS_ON | AMD_8_IBRS_PREFERRED |
			  AMD_8_IBRS_SAME_MODE;
	l->ecx = log2_up(cpus) << 12 | ((cpus - 1) & 0xff);
}

static void leaves_amd(struct x86_cpuid *c, unsigned cpus)
{
	struct x86_cpuid_leaf *l;

	if (c->has[X86_FEAT_TOPOEXT]) {
		cache_leaves(c, 0x8000001d, cpus, false);
		add(c, 0x8000001e, 0); /* EAX and EBX are filled on query; node 0 of 1 */
	}
	l = add(c, 0x80000021, 0);
	add_features(c, l);
	l->eax |= AMD_21_NO_NESTED_BP | AMD_21_LFENCE_SERIALIZING | AMD_21_NULL_CLEARS_BASE |
		  AMD_21_SRSO_NO;
	l->ecx = AMD_21_ECX_TSA_SQ_NO | AMD_21_ECX_TSA_L1_NO;
}

static void extended_leaves(struct x86_cpuid *c, const struct cpuid_model *m, unsigned cpus)
{
	struct cpuid_regs vendor = cpuid_host(0, 0);

	vendor.r[EAX] = c->amd ? MAX_EXT_AMD : MAX_EXT_INTEL;
	if (!c->amd) /* Intel leaves the name out here */
		vendor.r[EBX] = vendor.r[ECX] = vendor.r[EDX] = 0;
	add_regs(c, 0x80000000, 0, vendor);
	leaf_ext1(c, cpus);
	leaves_brand(c, m->brand);
	if (c->amd)
		add_regs(c, 0x80000005, 0, cpuid_host(0x80000005, 0));
	add_regs(c, 0x80000006, 0, cpuid_host(0x80000006, 0));
	add_features(c, add(c, 0x80000007, 0));
	leaf_ext8(c, cpus);
	if (c->amd)
		leaves_amd(c, cpus);
}

void cpuid_fill_leaves(struct x86_cpuid *c, const struct cpuid_model *m, unsigned cpus)
{
	c->count = 0;
	c->phys_bits = GUEST_PHYS_BITS;
	c->virt_bits = GUEST_VIRT_BITS;
	c->arch_caps = 0;
	if (c->has[X86_FEAT_ARCH_CAPABILITIES])
		c->arch_caps = ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_SKIP_L1DFL |
			       ARCH_CAP_SSB_NO | ARCH_CAP_MDS_NO | ARCH_CAP_PSCHANGE_MC_NO |
			       ARCH_CAP_TAA_NO | ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO |
			       ARCH_CAP_PSDP_NO | ARCH_CAP_BHI_NO | ARCH_CAP_PBRSB_NO |
			       ARCH_CAP_GDS_NO | ARCH_CAP_RFDS_NO | ARCH_CAP_ITS_NO;
	basic_leaves(c, m, cpus);
	hypervisor_leaves(c);
	extended_leaves(c, m, cpus);
}
