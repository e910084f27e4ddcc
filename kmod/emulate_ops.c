// SPDX-License-Identifier: GPL-2.0-or-later
/* Placeholder until the emulator is merged. */
#include <linux/module.h>
#include "lodge.h"
int lodge_emulate(struct lodge_vcpu *vcpu, unsigned int hints)
{
	return lodge_exit_internal(vcpu, KVM_INTERNAL_ERROR_EMULATION, vcpu->rip, 0);
}
EXPORT_SYMBOL_GPL(lodge_emulate);
int lodge_emulate_task_switch(struct lodge_vcpu *vcpu, u16 sel, unsigned int reason, bool has_error, u32 error)
{
	return lodge_emulate(vcpu, 0);
}
EXPORT_SYMBOL_GPL(lodge_emulate_task_switch);
int lodge_emulate_init(struct lodge_vcpu *vcpu)
{
	return 0;
}
void lodge_emulate_free(struct lodge_vcpu *vcpu)
{
}
void lodge_emulate_drop(struct lodge_vcpu *vcpu)
{
}
