// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CPU models: from "model,+feature,-feature" and the host to the table a guest's CPUID reads.
 * Source: Intel SDM vol. 2A CPUID; AMD APM vol. 3 appendix E.
 * Threads: building is one thread's; a built table is only read.
 */
#include "x86/cpuid.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "x86/cpuid_int.h"

enum { EAX, EBX, ECX, EDX };

/* ---- The host ------------------------------------------------------------------------------- */

static bool host_has(enum x86_feature f)
{
	const struct feature_place *p = &cpuid_places[f];
	uint32_t top = cpuid_host(p->leaf & 0xffff0000, 0).r[EAX];

	return p->leaf <= top && (cpuid_host(p->leaf, p->subleaf).r[p->reg] >> p->bit & 1);
}

bool x86_host_is_amd(void)
{
	static _Atomic int known; /* 1: no, 2: yes; CPUID costs much under a hypervisor */
	struct cpuid_regs o;
	char name[12];

	if (!known) {
		o = cpuid_host(0, 0);
		memcpy(name, &o.r[EBX], 4);
		memcpy(name + 4, &o.r[EDX], 4);
		memcpy(name + 8, &o.r[ECX], 4);
		known = memcmp(name, "AuthenticAMD", 12) && memcmp(name, "HygonGenuine", 12) ? 1
											     : 2;
	}
	return known == 2;
}

/* x87, SSE and AVX as far as the host's kernel lets programs use them. */
static uint64_t host_xcr0(void)
{
	uint32_t lo, hi;

	if (!(cpuid_host(1, 0).r[ECX] >> 27 & 1)) /* OSXSAVE */
		return 0;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return lo & 7;
}

static uint32_t host_mxcsr_mask(void)
{
	_Alignas(16) uint8_t area[512] = {0};
	uint32_t mask;

	__asm__ volatile("fxsave64 %0" : "=m"(area));
	mask = ld_le32(area + 28);
	return mask ? mask : 0xffbf;
}

/* Can the guest have it at all? */
static bool available(const struct x86_cpuid *c, enum x86_feature f)
{
	switch (cpuid_feature_policy(f)) {
	case FEAT_NEVER:
		return false;
	case FEAT_EMULATED:
		return true;
	case FEAT_EMULATED_AMD:
		return c->amd;
	default:
		break;
	}
	if (f == X86_FEAT_XSAVE && !host_xcr0())
		return false;
	if (f == X86_FEAT_AVX && host_xcr0() != 7)
		return false;
	return host_has(f);
}

/* ---- The specification ---------------------------------------------------------------------- */

/* Names compare with '-', '_' and '.' alike, up to the end of either's word. */
static bool same_name(const char *a, const char *b, size_t b_len)
{
	size_t i;

	for (i = 0; i < b_len && a[i]; i++) {
		char x = a[i] == '_' || a[i] == '.' ? '-' : a[i];
		char y = b[i] == '_' || b[i] == '.' ? '-' : b[i];

		if (x != y)
			return false;
	}
	return i == b_len && !a[i];
}

static enum x86_feature find_feature(const char *name, size_t len)
{
	if (same_name("pni", name, len))
		return X86_FEAT_SSE3;
	if (same_name("tsc-deadline-timer", name, len))
		return X86_FEAT_TSC_DEADLINE;
	for (unsigned f = 1; f < X86_FEAT_COUNT; f++) {
		if (same_name(cpuid_places[f].name, name, len))
			return (enum x86_feature)f;
	}
	return X86_FEAT_NONE;
}

static const struct cpuid_model *find_model(const char *name, size_t len)
{
	for (unsigned i = 0; i < cpuid_models_count; i++) {
		if (strlen(cpuid_models[i].name) == len && !memcmp(cpuid_models[i].name, name, len))
			return &cpuid_models[i];
	}
	return NULL;
}

/* One word of the list: "+aes", "-aes", "aes=on", "aes=off", "aes". */
struct word {
	const char *name, *val; /* val: behind "=", or NULL */
	size_t len, val_len;
	bool on;
};

static bool begins(const struct word *w, const char *with)
{
	return w->len >= strlen(with) && !memcmp(w->name, with, strlen(with));
}

static int parse_word(const char *text, size_t len, struct word *w, struct lodge_err *err)
{
	const char *eq = memchr(text, '=', len);

	*w = (struct word){.name = text, .len = len, .on = true};
	if (len && (*text == '+' || *text == '-')) {
		w->on = *text == '+';
		w->name++;
		w->len--;
	} else if (eq) {
		size_t val = len - (size_t)(eq - text) - 1;

		w->len = (size_t)(eq - text);
		w->val = eq + 1;
		w->val_len = val;
		if (val == 3 && !memcmp(eq + 1, "off", 3))
			w->on = false;
		else if ((val != 2 || memcmp(eq + 1, "on", 2)) && !begins(w, "hv"))
			return err_set(err, -EINVAL, "-cpu: \"%.*s\" must end in =on or =off",
				       (int)len, text);
	}
	return 0;
}

/* What the user asked for by name, beyond the model. */
struct wishes {
	bool on[X86_FEAT_COUNT], off[X86_FEAT_COUNT];
};

static int apply_word(struct x86_cpuid *c, struct wishes *wish, const char *text, size_t len,
		      struct lodge_err *err)
{
	enum x86_feature f;
	struct word w;
	int r = parse_word(text, len, &w, err);

	if (r < 0)
		return r;
	r = x86_hypervisor_word(&c->pv, w.name, w.len, w.on, w.val, w.val_len, err);
	if (r)
		return r < 0 ? r : 0;
	f = find_feature(w.name, w.len);
	if (f == X86_FEAT_NONE)
		return err_set(err, -EINVAL,
			       "-cpu: there is no feature \"%.*s\"; -cpu help lists them",
			       (int)w.len, w.name);
	if (w.on && !available(c, f))
		return err_set(err, -EINVAL, "-cpu: +%s is not possible: %s", cpuid_places[f].name,
			       cpuid_feature_policy(f) == FEAT_HOST
				       ? "this host's CPU does not have it"
				       : "it is not implemented for this CPU");
	c->has[f] = w.on;
	wish->on[f] = w.on;
	wish->off[f] = !w.on;
	return 0;
}

/* One dependency. Returns whether something changed, or -EINVAL. */
static int settle_one(struct x86_cpuid *c, struct wishes *wish, const struct feature_need *n,
		      struct lodge_err *err)
{
	if (!c->has[n->feature] || c->has[n->needs])
		return 0;
	if (!wish->on[n->feature]) {
		c->has[n->feature] = false;
		return 1;
	}
	if (wish->off[n->needs] || !available(c, n->needs))
		return err_set(err, -EINVAL, "-cpu: +%s needs %s, which is off",
			       cpuid_places[n->feature].name, cpuid_places[n->needs].name);
	c->has[n->needs] = wish->on[n->needs] = true;
	return 1;
}

/* Drop what rests on something absent; bring in what a feature asked for by name needs. */
static int settle(struct x86_cpuid *c, struct wishes *wish, struct lodge_err *err)
{
	bool changed;

	do {
		changed = false;
		for (unsigned i = 0; i < cpuid_feature_needs_count; i++) {
			int r = settle_one(c, wish, &cpuid_feature_needs[i], err);

			if (r < 0)
				return r;
			changed |= r > 0;
		}
	} while (changed);
	return 0;
}

static void take_model(struct x86_cpuid *c, const struct cpuid_model *m)
{
	for (unsigned f = 1; f < X86_FEAT_COUNT; f++)
		c->has[f] = m->everything ? available(c, (enum x86_feature)f)
					  : cpuid_level_has(m->level, (enum x86_feature)f);
	if (!strcmp(m->name, "qemu64"))
		c->has[X86_FEAT_SSE3] = c->has[X86_FEAT_CX16] = c->has[X86_FEAT_LAHF64] = true;
	for (size_t i = 0; m->name[i] && i < sizeof(c->model) - 1; i++)
		c->model[i] = m->name[i];
}

/* A baseline whose instructions the host lacks cannot run; one lacking a nicety just goes without.
 */
static int check_model(struct x86_cpuid *c, const struct cpuid_model *m, const struct wishes *wish,
		       struct lodge_err *err)
{
	for (unsigned f = 1; f < X86_FEAT_COUNT; f++) {
		if (!c->has[f] || available(c, (enum x86_feature)f))
			continue;
		c->has[f] = false;
		if (wish->off[f] || f == X86_FEAT_INVTSC ||
		    cpuid_feature_policy((enum x86_feature)f) != FEAT_HOST)
			continue;
		return err_set(err, -EINVAL, "-cpu %s: this host's CPU has no %s; use -cpu max",
			       m->name, cpuid_places[f].name);
	}
	return 0;
}

static int apply_list(struct x86_cpuid *c, struct wishes *wish, const char *list,
		      struct lodge_err *err)
{
	while (*list) {
		size_t len;
		int r;

		list++; /* the comma */
		len = strcspn(list, ",");
		r = apply_word(c, wish, list, len, err);
		if (r < 0)
			return r;
		list += len;
	}
	return 0;
}

int x86_cpuid_build(struct x86_cpuid *out, const char *spec, unsigned cpus, struct lodge_err *err)
{
	const struct cpuid_model *m;
	struct wishes wish = {0};
	size_t len;
	int r;

	if (!spec || !*spec)
		spec = "max";
	len = strcspn(spec, ",");
	m = find_model(spec, len);
	if (!m)
		return err_set(err, -EINVAL,
			       "-cpu: there is no model \"%.*s\"; -cpu help lists them", (int)len,
			       spec);
	memset(out, 0, sizeof(*out));
	out->amd = x86_host_is_amd();
	out->pv.kvm = X86_PV_AUTO;
	take_model(out, m);
	r = apply_list(out, &wish, spec + len, err);
	if (r == 0)
		r = check_model(out, m, &wish, err);
	if (r == 0)
		r = settle(out, &wish, err);
	if (r == 0)
		r = x86_hypervisor_settle(&out->pv, err);
	if (r < 0)
		return r;
	out->xcr0_mask =
		out->has[X86_FEAT_XSAVE] ? host_xcr0() & (out->has[X86_FEAT_AVX] ? 7 : 3) : 1;
	out->mxcsr_mask = host_mxcsr_mask();
	if (!out->has[X86_FEAT_MISALIGNSSE])
		out->mxcsr_mask &= 0xffff;
	out->tsc_hz = cpuid_measure_tsc();
	cpuid_fill_leaves(out, m, cpus ? cpus : 1);
	return 0;
}

/* A restored guest has seen its leaves: another signature than ours is KVM's, or Hyper-V's by KVM. */
static bool saw_kvm(const struct x86_cpuid *c)
{
	for (unsigned i = 0; i < c->count; i++) {
		if (c->leaf[i].leaf == X86_LEAF_HYPERVISOR)
			return memcmp(&c->leaf[i].ebx, "Lodg", 4);
	}
	return false;
}

int x86_cpuid_needs_kvm(const struct x86_cpuid *c, struct lodge_err *err)
{
	if (saw_kvm(c))
		return err_set(err, -ENOTSUP,
			       "the saved guest uses what KVM gave it (its clock, or Hyper-V's "
			       "enlightenments), which the software engine has not; use -accel kvm, "
			       "or save guests that are to run on both with -cpu ...,kvm=off");
	if (x86_hypervisor_has_hv(&c->pv))
		return err_set(err, -ENOTSUP,
			       "-cpu: enlightenments of Hyper-V (hv_...) need KVM, and this is the "
			       "software engine; leave them out, Windows runs without");
	if (c->pv.kvm == X86_PV_ON || c->pv.kvm_on)
		return err_set(err, -ENOTSUP,
			       "-cpu: KVM's paravirtual clock and hints (kvm=on) need KVM, and this "
			       "is the software engine; leave them out");
	return 0;
}

/* ---- Printing ------------------------------------------------------------------------------- */

const char *x86_feature_name(enum x86_feature f)
{
	return f > X86_FEAT_NONE && f < X86_FEAT_COUNT ? cpuid_places[f].name : "";
}

void x86_cpuid_print_features(const struct x86_cpuid *c, FILE *out)
{
	size_t column = 0;

	for (unsigned f = 1; f < X86_FEAT_COUNT; f++) {
		const char *name = cpuid_places[f].name;

		if (!c->has[f])
			continue;
		if (column && column + 1 + strlen(name) > 76) {
			fputc('\n', out);
			column = 0;
		}
		column += (size_t)fprintf(out, "%s%s", column ? " " : "  ", name);
	}
	if (column)
		fputc('\n', out);
}

void x86_cpuid_print_models(FILE *out)
{
	for (unsigned i = 0; i < cpuid_models_count; i++)
		fprintf(out, "  %-10s %s\n", cpuid_models[i].name, cpuid_models[i].about);
}
