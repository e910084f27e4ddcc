// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where interrupt sources (GSIs) lead: pins of the controllers here, or messages; and the ioctls that make controllers
 * and drive sources.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_CREATE_IRQCHIP, KVM_SET_GSI_ROUTING, KVM_SIGNAL_MSI,
 * KVM_CAP_SPLIT_IRQCHIP); Intel SDM vol. 3A §10.11.
 * Threads: lodge_gsi: any; ioctls any.
 */
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "lodge.h"

#define MAX_ROUTES (2 * LODGE_MAX_GSI)
#define MSI_LEVEL 0x8000u

/* Never changed once it is published. By source: those of n are next[first[n]], and so on. */
struct lodge_routes {
	struct rcu_head rcu;
	u16 first[LODGE_MAX_GSI]; /* 1 and more; 0: none */
	unsigned int nr;
	struct route {
		struct kvm_irq_routing_entry e;
		u16 next;
	} route[];
};

/* ---- Sources ------------------------------------------------------------------------------------------------ */

static int send_msi(struct lodge_vm *vm, u64 addr, u32 data)
{
	struct lodge_msg m = {
		.dest = addr >> 12 & 0xff,
		.vector = data,
		.mode = data >> 8 & 7,
		.logical = addr & 4,
		.level = data & MSI_LEVEL,
	};

	return lodge_apic_send(vm, &m);
}

static int drive(struct lodge_vm *vm, const struct kvm_irq_routing_entry *e, unsigned int src,
		 bool level)
{
	unsigned int pin = e->u.irqchip.pin;
	unsigned long flags;
	int r;

	if (e->type == KVM_IRQ_ROUTING_MSI)
		return level ? send_msi(vm, e->u.msi.address_lo, e->u.msi.data) : -1;
	spin_lock_irqsave(&vm->chip_lock, flags);
	if (e->u.irqchip.irqchip == KVM_IRQCHIP_IOAPIC)
		r = lodge_ioapic_line(vm, pin, src, level);
	else
		r = lodge_pic_line(vm, pin + 8 * e->u.irqchip.irqchip, src, level);
	spin_unlock_irqrestore(&vm->chip_lock, flags);
	return r;
}

int lodge_gsi(struct lodge_vm *vm, unsigned int src, u32 gsi, bool level)
{
	const struct lodge_routes *routes;
	int r = -1;

	if (gsi >= LODGE_MAX_GSI)
		return r;
	gsi = array_index_nospec(gsi, LODGE_MAX_GSI);
	rcu_read_lock();
	routes = rcu_dereference(vm->routes);
	for (unsigned int i = routes ? routes->first[gsi] : 0; i; i = routes->route[i - 1].next) {
		int one = drive(vm, &routes->route[i - 1].e, src, level);

		if (one >= 0)
			r = max(r, 0) + one;
	}
	rcu_read_unlock();
	return r;
}

void lodge_eoi_changed(struct lodge_vm *vm)
{
	const struct lodge_routes *routes;
	DECLARE_BITMAP(wanted, LODGE_VECTORS) = {0};

	if (vm->chips)
		lodge_ioapic_wanted(vm->chips, wanted);
	rcu_read_lock();
	routes = rcu_dereference(vm->routes);
	for (unsigned int i = 0; routes && !vm->chips && i < routes->nr; i++) {
		const struct kvm_irq_routing_entry *e = &routes->route[i].e;

		if (e->gsi < vm->split_pins && (e->u.msi.data & MSI_LEVEL))
			__set_bit((u8)e->u.msi.data, wanted);
	}
	rcu_read_unlock();
	for (unsigned int i = 0; i < ARRAY_SIZE(wanted); i++)
		WRITE_ONCE(vm->eoi_wanted[i], wanted[i]);
}

/* ---- Routes -------------------------------------------------------------------------------------------------- */

/* A source leads to one message, or to one pin of each controller: what an interrupt costs is bounded. */
static bool is_other(const struct kvm_irq_routing_entry *a, const struct kvm_irq_routing_entry *b)
{
	return a->type == KVM_IRQ_ROUTING_IRQCHIP && b->type == KVM_IRQ_ROUTING_IRQCHIP &&
	       a->u.irqchip.irqchip != b->u.irqchip.irqchip;
}

static bool is_valid(const struct lodge_vm *vm, const struct lodge_routes *r,
		     const struct kvm_irq_routing_entry *e)
{
	if (e->gsi >= LODGE_MAX_GSI || e->flags)
		return false;
	for (unsigned int i = r->first[e->gsi]; i; i = r->route[i - 1].next) {
		if (!is_other(&r->route[i - 1].e, e))
			return false;
	}
	if (e->type == KVM_IRQ_ROUTING_MSI)
		return true;
	if (e->type != KVM_IRQ_ROUTING_IRQCHIP || !vm->chips)
		return false;
	if (e->u.irqchip.irqchip == KVM_IRQCHIP_IOAPIC)
		return e->u.irqchip.pin < LODGE_IOAPIC_PINS;
	return e->u.irqchip.irqchip <= KVM_IRQCHIP_PIC_SLAVE && e->u.irqchip.pin < 8;
}

static int publish(struct lodge_vm *vm, const struct kvm_irq_routing_entry *e, unsigned int nr)
{
	struct lodge_routes *new = kvzalloc(struct_size(new, route, nr), GFP_KERNEL_ACCOUNT), *old;
	unsigned long flags;

	if (!new)
		return -ENOMEM;
	new->nr = nr;
	for (unsigned int i = 0; i < nr; i++) {
		if (!is_valid(vm, new, &e[i])) {
			kvfree(new);
			return -EINVAL;
		}
		new->route[i].e = e[i];
		new->route[i].next = new->first[e[i].gsi];
		new->first[e[i].gsi] = i + 1;
	}
	spin_lock_irqsave(&vm->chip_lock, flags);
	old = rcu_dereference_protected(vm->routes, lockdep_is_held(&vm->chip_lock));
	rcu_assign_pointer(vm->routes, new);
	lodge_eoi_changed(vm);
	spin_unlock_irqrestore(&vm->chip_lock, flags);
	if (old)
		kvfree_rcu(old, rcu);
	return 0;
}

static long set_routing(struct lodge_vm *vm, struct kvm_irq_routing __user *arg)
{
	struct kvm_irq_routing head;
	struct kvm_irq_routing_entry *e;
	long r;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (!vm->has_apics || head.flags || head.nr > MAX_ROUTES)
		return -EINVAL;
	e = vmemdup_user(arg->entries, array_size(head.nr, sizeof(*e)));
	if (IS_ERR(e))
		return PTR_ERR(e);
	r = publish(vm, e, head.nr);
	kvfree(e);
	return r;
}

/* ISA's lines go to both, those above to the I/O APIC alone. */
static int default_routes(struct lodge_vm *vm)
{
	struct kvm_irq_routing_entry *e =
		kcalloc(LODGE_IOAPIC_PINS + 16, sizeof(*e), GFP_KERNEL_ACCOUNT);
	unsigned int nr = 0;
	int r;

	if (!e)
		return -ENOMEM;
	for (unsigned int n = 0; n < LODGE_IOAPIC_PINS; n++) {
		struct kvm_irq_routing_entry to = {.gsi = n, .type = KVM_IRQ_ROUTING_IRQCHIP};

		to.u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		to.u.irqchip.pin = n;
		e[nr++] = to;
		if (n >= 16)
			continue;
		to.u.irqchip.irqchip = n / 8;
		to.u.irqchip.pin = n & 7;
		e[nr++] = to;
	}
	r = publish(vm, e, nr);
	kfree(e);
	return r;
}

void lodge_routes_free(struct lodge_vm *vm)
{
	kvfree(rcu_dereference_protected(vm->routes, true));
}

/* ---- Making controllers, with vm->lock ------------------------------------------------------------------------- */

static long create_chips(struct lodge_vm *vm)
{
	struct lodge_chips *chips;

	if (vm->has_apics)
		return -EEXIST;
	if (vm->vcpu_count)
		return -EINVAL;
	chips = kzalloc(sizeof(*chips), GFP_KERNEL_ACCOUNT);
	if (!chips)
		return -ENOMEM;
	lodge_pic_init(chips);
	lodge_ioapic_init(chips);
	/* From here others see them: they stay, whatever comes, and vCPUs have APICs. */
	vm->has_apics = true;
	smp_store_release(&vm->chips, chips);
	return default_routes(vm);
}

long lodge_irq_split(struct lodge_vm *vm, u64 pins)
{
	long r = 0;

	mutex_lock(&vm->lock);
	if (pins > LODGE_MAX_GSI || vm->vcpu_count)
		r = -EINVAL;
	else if (vm->has_apics)
		r = -EEXIST;
	else
		vm->split_pins = pins;
	vm->has_apics |= !r;
	mutex_unlock(&vm->lock);
	return r;
}

/* ---- ioctls ------------------------------------------------------------------------------------------------------ */

static long chip_io(struct lodge_vm *vm, void __user *arg, bool set)
{
	struct kvm_irqchip k;
	unsigned long flags;

	if (!vm->chips)
		return -ENXIO;
	if (copy_from_user(&k, arg, sizeof(k)))
		return -EFAULT;
	if (k.chip_id > KVM_IRQCHIP_IOAPIC)
		return -EINVAL;
	k.chip_id = array_index_nospec(k.chip_id, KVM_NR_IRQCHIPS);
	spin_lock_irqsave(&vm->chip_lock, flags);
	if (set && k.chip_id == KVM_IRQCHIP_IOAPIC)
		lodge_ioapic_set(vm, &k.chip.ioapic);
	else if (set)
		lodge_pic_set(vm, k.chip_id, &k.chip.pic);
	else if (k.chip_id == KVM_IRQCHIP_IOAPIC)
		k.chip.ioapic = vm->chips->io;
	else
		k.chip.pic = vm->chips->pic[k.chip_id];
	spin_unlock_irqrestore(&vm->chip_lock, flags);
	return !set && copy_to_user(arg, &k, sizeof(k)) ? -EFAULT : 0;
}

static long line(struct lodge_vm *vm, struct kvm_irq_level __user *arg, bool status)
{
	struct kvm_irq_level l;

	if (!vm->has_apics)
		return -ENXIO;
	if (copy_from_user(&l, arg, sizeof(l)))
		return -EFAULT;
	l.status = lodge_gsi(vm, LODGE_SRC_USER, l.irq, l.level);
	return status && put_user(l.status, &arg->status) ? -EFAULT : 0;
}

static long signal_msi(struct lodge_vm *vm, void __user *arg)
{
	struct kvm_msi m;

	if (copy_from_user(&m, arg, sizeof(m)))
		return -EFAULT;
	if (!vm->has_apics || m.flags)
		return -EINVAL;
	return max(send_msi(vm, m.address_lo, m.data), 0);
}

static long create(struct lodge_vm *vm, unsigned int cmd, void __user *arg)
{
	struct kvm_pit_config cfg = {0};
	long r;

	if (cmd == KVM_CREATE_PIT2 && copy_from_user(&cfg, arg, sizeof(cfg)))
		return -EFAULT;
	mutex_lock(&vm->lock);
	r = cmd == KVM_CREATE_IRQCHIP ? create_chips(vm) : lodge_pit_create(vm, &cfg);
	mutex_unlock(&vm->lock);
	return r;
}

long lodge_irq_ioctl(struct lodge_vm *vm, unsigned int cmd, void __user *arg)
{
	switch (cmd) {
	case KVM_CREATE_IRQCHIP:
	case KVM_CREATE_PIT2:
		return create(vm, cmd, arg);
	case KVM_GET_IRQCHIP:
	case KVM_SET_IRQCHIP:
		return chip_io(vm, arg, cmd == KVM_SET_IRQCHIP);
	case KVM_IRQ_LINE:
	case KVM_IRQ_LINE_STATUS:
		return line(vm, arg, cmd == KVM_IRQ_LINE_STATUS);
	case KVM_SET_GSI_ROUTING:
		return set_routing(vm, arg);
	case KVM_SIGNAL_MSI:
		return signal_msi(vm, arg);
	case KVM_GET_PIT:
	case KVM_SET_PIT:
	case KVM_GET_PIT2:
	case KVM_SET_PIT2:
	case KVM_REINJECT_CONTROL:
		return lodge_pit_ioctl(vm, cmd, arg);
	case KVM_IRQFD:
		return lodge_irqfd(vm, arg);
	case KVM_IOEVENTFD:
		return lodge_ioeventfd(vm, arg);
	}
	return -ENOTTY;
}
