// SPDX-License-Identifier: GPL-2.0-or-later
/* Which engine runs a machine. Threads: main. */
#include "machine/engines.h"

#include <errno.h>
#include <stdio.h>

#include "engine/engine.h"

static int take_soft(struct vm_config *cfg, struct vm_engine_choice *out, const char *why,
		     struct lodge_err *err)
{
	if (cfg->kvm.irqchip == ENGINE_IRQCHIP_SPLIT || cfg->kvm.irqchip == ENGINE_IRQCHIP_ON)
		return err_set(err, -ENOTSUP,
			       "kernel-irqchip=%s is KVM's, and this would be the software engine, "
			       "because %s; leave the option out",
			       cfg->kvm.irqchip == ENGINE_IRQCHIP_ON ? "on" : "split", why);
	cfg->engine = &engine_soft;
	snprintf(out->line, sizeof(out->line), "software (%s), because %s",
		 engine_soft_tier_name(&cfg->soft), why);
	return 0;
}

static void take_kvm(struct vm_config *cfg, struct vm_engine_choice *out, bool asked)
{
	cfg->engine = &engine_kvm;
	snprintf(out->line, sizeof(out->line), "KVM (%s), because %s",
		 cfg->kvm.device ? cfg->kvm.device : ENGINE_KVM_DEVICE,
		 asked ? "you asked for it" : "this host has it");
}

int vm_choose_engine(struct vm_config *cfg, const struct vm_engine_wish *wish,
		     struct vm_engine_choice *out, struct lodge_err *err)
{
	bool may_soft = wish->soft || wish->any || !wish->kvm;
	bool may_kvm = wish->kvm || wish->any || !wish->soft;
	struct kvm_probe probe;

	out->line[0] = '\0';
	if (!may_kvm)
		return take_soft(cfg, out, "you asked for it", err);
	if (wish->soft_properties && may_soft)
		return take_soft(cfg, out, "you gave properties that only this engine has", err);
	engine_kvm_probe(cfg->kvm.device, &probe);
	if (probe.verdict == KVM_GOOD) {
		take_kvm(cfg, out, wish->kvm);
		return 0;
	}
	if (!may_soft)
		return err_set(err, -ENOTSUP, "-accel kvm: %s; %s", probe.why, probe.mend);
	return take_soft(cfg, out, probe.why, err);
}

void vm_probe_kvm(struct kvm_probe *out)
{
	engine_kvm_probe(NULL, out);
}
