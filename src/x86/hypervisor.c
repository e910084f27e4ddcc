// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Words of -cpu that name features of hypervisors, as QEMU spells them.
 * Source: see x86/hypervisor.h; QEMU documentation, system/i386/kvm-pv and hyperv.
 * Threads: no shared state.
 */
#include "x86/hypervisor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"

#define BIT(n) (1u << (n))

static const struct {
	const char *name;
	uint32_t bits;
} kvm_names[] = {
	{"kvmclock", BIT(X86_KVM_CLOCK_OLD) | BIT(X86_KVM_CLOCK) | BIT(X86_KVM_CLOCK_STABLE)},
	{"kvm-nopiodelay", BIT(X86_KVM_NOPIODELAY)},
	{"kvm-steal-time", BIT(X86_KVM_STEAL_TIME)},
	{"kvm-pv-eoi", BIT(X86_KVM_PV_EOI)},
	{"kvm-pv-unhalt", BIT(X86_KVM_PV_UNHALT)},
	{"kvm-pv-tlb-flush", BIT(X86_KVM_PV_TLB_FLUSH)},
	{"kvm-pv-ipi", BIT(X86_KVM_PV_IPI)},
	{"kvm-poll-control", BIT(X86_KVM_POLL_CONTROL)},
	{"kvm-pv-sched-yield", BIT(X86_KVM_PV_SCHED_YIELD)},
	{"kvmclock-stable-bit", BIT(X86_KVM_CLOCK_STABLE)},
};

/* What QEMU has and guests of ours are not given. */
static const char *const kvm_missing[] = {"kvm-asyncpf",	"kvm-asyncpf-int",
					  "kvm-asyncpf-vmexit", "kvm-mmu",
					  "kvm-hint-dedicated", "kvm-msi-ext-dest-id"};

static const struct {
	const char *name;
	uint32_t needs;
} hv_names[X86_HV_COUNT] = {
	[X86_HV_RELAXED] = {"hv-relaxed", 0},
	[X86_HV_VAPIC] = {"hv-vapic", 0},
	[X86_HV_TIME] = {"hv-time", 0},
	[X86_HV_RESET] = {"hv-reset", 0},
	[X86_HV_VPINDEX] = {"hv-vpindex", 0},
	[X86_HV_RUNTIME] = {"hv-runtime", 0},
	[X86_HV_SYNIC] = {"hv-synic", BIT(X86_HV_VPINDEX)},
	[X86_HV_STIMER] = {"hv-stimer", BIT(X86_HV_SYNIC) | BIT(X86_HV_TIME)},
	[X86_HV_STIMER_DIRECT] = {"hv-stimer-direct", BIT(X86_HV_STIMER)},
	[X86_HV_FREQUENCIES] = {"hv-frequencies", 0},
	[X86_HV_TLBFLUSH] = {"hv-tlbflush", BIT(X86_HV_VPINDEX)},
	[X86_HV_IPI] = {"hv-ipi", BIT(X86_HV_VPINDEX)},
};

/* hv_x and hv-x are the same. */
static bool same(const char *name, const char *w, size_t len)
{
	if (strlen(name) != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (w[i] != name[i] && !(w[i] == '_' && name[i] == '-'))
			return false;
	}
	return true;
}

const char *x86_kvm_feature_name(unsigned bit)
{
	for (size_t i = ARRAY_SIZE(kvm_names); i-- > 0;) {
		if (kvm_names[i].bits >> bit & 1)
			return kvm_names[i].name;
	}
	return NULL;
}

const char *x86_hyperv_name(enum x86_hyperv f)
{
	return hv_names[f].name;
}

uint32_t x86_kvm_features(void)
{
	uint32_t all = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kvm_names); i++)
		all |= kvm_names[i].bits;
	return all;
}

static void print_name(FILE *out, size_t *column, const char *name)
{
	if (*column + 1 + strlen(name) > 76) {
		fputc('\n', out);
		*column = 0;
	}
	*column += (size_t)fprintf(out, "%s%s", *column ? " " : "  ", name);
}

void x86_hypervisor_print(FILE *out)
{
	size_t column = 0;

	print_name(out, &column, "kvm");
	for (size_t i = 0; i < ARRAY_SIZE(kvm_names); i++)
		print_name(out, &column, kvm_names[i].name);
	for (unsigned i = 0; i < X86_HV_COUNT; i++)
		print_name(out, &column, hv_names[i].name);
	print_name(out, &column, "hv-spinlocks=N");
	print_name(out, &column, "hv-passthrough");
	fputc('\n', out);
}

static int kvm_word(struct x86_hypervisor *h, const char *name, size_t len, bool on,
		    struct lodge_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(kvm_names); i++) {
		uint32_t bits = kvm_names[i].bits;

		if (!same(kvm_names[i].name, name, len))
			continue;
		h->kvm_on = on ? h->kvm_on | bits : h->kvm_on & ~bits;
		h->kvm_off = on ? h->kvm_off & ~bits : h->kvm_off | bits;
		return 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kvm_missing); i++) {
		if (same(kvm_missing[i], name, len))
			return !on ? 1
				   : err_set(err, -EINVAL,
					     "-cpu: %s is a feature of KVM that guests are not "
					     "given; leave it out",
					     kvm_missing[i]);
	}
	return 0;
}

static int spinlocks(struct x86_hypervisor *h, bool on, const char *val, size_t len,
		     struct lodge_err *err)
{
	char text[16] = "";
	char *end = text;
	unsigned long long n = 0;

	h->hv_spinlocks = on;
	if (!on || !val)
		return on ? err_set(err, -EINVAL,
				    "-cpu: hv_spinlocks= wants how often a guest tries: "
				    "hv_spinlocks=0x1fff")
			  : 1;
	if (len < sizeof(text)) {
		memcpy(text, val, len);
		n = strtoull(text, &end, 0);
	}
	/* Fewer than QEMU takes would keep the guest in the hypervisor. */
	if (*end || end == text || n < 0xfff || n > UINT32_MAX)
		return err_set(err, -EINVAL,
			       "-cpu: hv_spinlocks=%.*s is not a number of at least 0xfff",
			       (int)min_u64(len, 40), val);
	h->hv_spin = (uint32_t)n;
	return 1;
}

static int hyperv_word(struct x86_hypervisor *h, const char *name, size_t len, bool on,
		       const char *val, size_t val_len, struct lodge_err *err)
{
	if (len < 3 || memcmp(name, "hv", 2) || (name[2] != '_' && name[2] != '-'))
		return 0;
	if (same("hv-spinlocks", name, len))
		return spinlocks(h, on, val, val_len, err);
	if (same("hv-passthrough", name, len)) {
		h->hv_passthrough = on;
		return 1;
	}
	for (unsigned i = 0; i < X86_HV_COUNT; i++) {
		if (!same(hv_names[i].name, name, len))
			continue;
		h->hv = on ? h->hv | BIT(i) : h->hv & ~BIT(i);
		return 1;
	}
	return !on ? 1
		   : err_set(err, -EINVAL,
			     "-cpu: \"%.*s\" is not among the enlightenments of Hyper-V that "
			     "guests "
			     "can be given: hv_relaxed, vapic, spinlocks=, time, vpindex, synic, "
			     "stimer, stimer_direct, runtime, reset, frequencies, ipi, tlbflush; "
			     "or "
			     "hv_passthrough for all",
			     (int)min_u64(len, 40), name);
}

int x86_hypervisor_word(struct x86_hypervisor *h, const char *name, size_t len, bool on,
			const char *val, size_t val_len, struct lodge_err *err)
{
	int r;

	if (same("kvm", name, len)) {
		h->kvm = on ? X86_PV_ON : X86_PV_OFF;
		return 1;
	}
	r = kvm_word(h, name, len, on, err);
	return r ? r : hyperv_word(h, name, len, on, val, val_len, err);
}

int x86_hypervisor_settle(struct x86_hypervisor *h, struct lodge_err *err)
{
	if (h->kvm == X86_PV_OFF && h->kvm_on)
		return err_set(err, -EINVAL, "-cpu: kvm=off and %s=on do not go together",
			       x86_kvm_feature_name((unsigned)__builtin_ctz(h->kvm_on)));
	for (unsigned i = 0; i < X86_HV_COUNT; i++) {
		uint32_t lacks = h->hv >> i & 1 ? hv_names[i].needs & ~h->hv : 0;

		if (lacks)
			return err_set(err, -EINVAL, "-cpu: %s needs %s", hv_names[i].name,
				       hv_names[__builtin_ctz(lacks)].name);
	}
	return 0;
}
