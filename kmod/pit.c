// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The 8254, and port 0x61 with its speaker gate. Counter 0 drives interrupt source 0.
 *
 * A tick that comes while the one before still waits is kept, and comes when that is acknowledged, so that guests which
 * count ticks keep their time (KVM_REINJECT_CONTROL). BCD counts as binary. Gates of counters 0 and 1 are high.
 * Source: Intel 8254 data sheet; Linux, Documentation/virt/kvm/api.rst (KVM_CREATE_PIT2, KVM_GET_PIT2).
 * Threads: pit->lock; tick: interrupt context.
 */
#include <linux/hrtimer.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat/compat.h"
#include "lodge.h"

#define HZ_OF_PIT 1193182u
#define LEAST_PERIOD 200000u /* ns, as lapic_timer.c's */
#define LATE_MOST 1000	     /* ticks that are kept */
#define SPEAKER_ON 2u	     /* of kvm_pit_state2.flags */
#define NO_MODE 0xff	     /* as KVM says it before the first control word */

/* Of kvm_pit_channel_state: which byte is next. */
enum { BYTE_LOW = 1, BYTE_HIGH, WORD_LOW, WORD_HIGH };

struct lodge_pit {
	struct lodge_vm *vm;
	struct mutex lock;
	struct kvm_pit_state2 s;
	bool has_speaker, keeps;
	struct hrtimer timer;
	u64 period; /* ns; 0: one-shot */
	atomic_t late;
};

/* ---- Counting ---------------------------------------------------------------------------------------------- */

static u64 ticks(const struct kvm_pit_channel_state *c)
{
	return mul_u64_u32_div(ktime_get_ns() - c->count_load_time, HZ_OF_PIT, NSEC_PER_SEC);
}

static u16 count_of(const struct kvm_pit_channel_state *c)
{
	u64 t = ticks(c);
	u32 n = c->count;

	switch (c->mode) {
	case 2:
		return n - (u32)(t % n);
	case 3: /* by two; an odd count is one less */
		return n - (u32)(t * 2 % n);
	}
	return n - (u32)t;
}

static bool out_of(const struct kvm_pit_channel_state *c)
{
	u64 t = ticks(c);
	u32 n = c->count;

	switch (c->mode) {
	case 0:
	case 1:
		return t >= n;
	case 2:
		return t % n != n - 1;
	case 3:
		return t % n < (n + 1) / 2;
	}
	return t != n;
}

/* ---- Interrupts of counter 0 -------------------------------------------------------------------------------- */

static int pulse(struct lodge_pit *pit)
{
	int r = lodge_gsi(pit->vm, LODGE_SRC_PIT, 0, true);

	lodge_gsi(pit->vm, LODGE_SRC_PIT, 0, false);
	return r;
}

static enum hrtimer_restart tick(struct hrtimer *timer)
{
	struct lodge_pit *pit = container_of(timer, struct lodge_pit, timer);
	u64 period = READ_ONCE(pit->period), over = 1;
	int taken;

	if (period)
		over = hrtimer_forward_now(timer, ns_to_ktime(period));
	/* Those that are masked are nobody's; one that finds another waiting is late. */
	taken = pulse(pit);
	if (taken > 0)
		over--;
	if (READ_ONCE(pit->keeps) && taken >= 0 && atomic_read(&pit->late) < LATE_MOST)
		atomic_add(min_t(u64, over, LATE_MOST), &pit->late);
	return period ? HRTIMER_RESTART : HRTIMER_NORESTART;
}

/* Its interrupt was taken. */
void lodge_pit_acked(struct lodge_vm *vm)
{
	struct lodge_pit *pit = READ_ONCE(vm->chips->pit);

	if (pit && atomic_dec_if_positive(&pit->late) >= 0)
		pulse(pit);
}

static void start(struct lodge_pit *pit)
{
	struct kvm_pit_channel_state *c = &pit->s.channels[0];
	u64 ns = div_u64((u64)c->count * NSEC_PER_SEC, HZ_OF_PIT);
	bool periodic = c->mode == 2 || c->mode == 3;

	hrtimer_cancel(&pit->timer);
	atomic_set(&pit->late, 0);
	c->count_load_time = ktime_get_ns();
	/* Modes 1 and 5 wait for a gate that never rises; with the HPET in its place it is not heard. */
	if ((pit->s.flags & KVM_PIT_FLAGS_HPET_LEGACY) || c->mode == 1 || c->mode >= 5)
		return;
	ns = max_t(u64, ns, LEAST_PERIOD);
	WRITE_ONCE(pit->period, periodic ? ns : 0);
	hrtimer_start(&pit->timer, ns_to_ktime(ns), HRTIMER_MODE_REL);
}

static void load(struct lodge_pit *pit, unsigned int n, u16 val)
{
	struct kvm_pit_channel_state *c = &pit->s.channels[n];

	c->count = val ? val : 0x10000;
	c->count_load_time = ktime_get_ns();
	if (!n)
		start(pit);
}

/* ---- Ports --------------------------------------------------------------------------------------------------- */

static void latch_count(struct kvm_pit_channel_state *c)
{
	if (c->count_latched)
		return;
	c->latched_count = count_of(c);
	c->count_latched = c->rw_mode;
}

static void latch_status(struct kvm_pit_channel_state *c)
{
	if (c->status_latched)
		return;
	c->status = (u8)out_of(c) << 7 | c->rw_mode << 4 | (c->mode & 7) << 1 | c->bcd;
	c->status_latched = 1;
}

static void command(struct lodge_pit *pit, u8 val)
{
	unsigned int n = val >> 6, rw = val >> 4 & 3;
	struct kvm_pit_channel_state *c;

	if (n == 3) {
		for (n = 0; n < 3; n++) {
			if (!(val >> (n + 1) & 1))
				continue;
			if (!(val & 0x20))
				latch_count(&pit->s.channels[n]);
			if (!(val & 0x10))
				latch_status(&pit->s.channels[n]);
		}
		return;
	}
	c = &pit->s.channels[n];
	if (!rw) {
		latch_count(c);
		return;
	}
	c->rw_mode = c->read_state = c->write_state = rw;
	c->mode = (val >> 1 & 7) > 5 ? (val >> 1 & 3) : (val >> 1 & 7);
	c->bcd = val & 1;
	c->count_latched = 0;
	/* Until it has a count it stands still. */
	if (!n)
		hrtimer_cancel(&pit->timer);
}

static void write_count(struct lodge_pit *pit, unsigned int n, u8 val)
{
	struct kvm_pit_channel_state *c = &pit->s.channels[n];

	if (c->write_state == WORD_LOW) {
		c->write_latch = val;
		c->write_state = WORD_HIGH;
	} else if (c->write_state == WORD_HIGH) {
		c->write_state = WORD_LOW;
		load(pit, n, c->write_latch | val << 8);
	} else {
		load(pit, n, c->write_state == BYTE_HIGH ? val << 8 : val);
	}
}

static u8 read_count(struct kvm_pit_channel_state *c)
{
	u16 val = c->count_latched ? c->latched_count : count_of(c);
	u8 was = c->count_latched ? c->count_latched : c->read_state;

	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	if (c->count_latched)
		c->count_latched = was == WORD_LOW ? BYTE_HIGH : 0;
	else if (was == WORD_LOW || was == WORD_HIGH)
		c->read_state = was ^ WORD_LOW ^ WORD_HIGH;
	return was == BYTE_HIGH || was == WORD_HIGH ? val >> 8 : val;
}

static void speaker(struct lodge_pit *pit, u8 *val, bool write)
{
	struct kvm_pit_channel_state *c = &pit->s.channels[2];

	if (!write) {
		/* Bit 4 is the refresh of memory, every 15 µs. */
		*val = c->gate | (pit->s.flags & SPEAKER_ON) | (u8)out_of(c) << 5 |
		       (ktime_get_ns() / 15000 & 1) << 4;
		return;
	}
	if ((*val & 1) && !c->gate && c->mode != 0 && c->mode != 4)
		c->count_load_time = ktime_get_ns();
	c->gate = *val & 1;
	pit->s.flags = (pit->s.flags & ~SPEAKER_ON) | (*val & SPEAKER_ON);
}

bool lodge_pit_io(struct lodge_vm *vm, u16 port, u8 *val, bool write)
{
	struct lodge_pit *pit = READ_ONCE(vm->chips->pit);

	if (!pit || !((port & ~3) == 0x40 || (port == 0x61 && pit->has_speaker)))
		return false;
	mutex_lock(&pit->lock);
	if (port == 0x61)
		speaker(pit, val, write);
	else if (port == 0x43 && write)
		command(pit, *val);
	else if (port == 0x43)
		*val = 0;
	else if (write)
		write_count(pit, port & 3, *val);
	else
		*val = read_count(&pit->s.channels[port & 3]);
	mutex_unlock(&pit->lock);
	return true;
}

/* ---- User space, life ------------------------------------------------------------------------------------------- */

static void set(struct lodge_pit *pit, const struct kvm_pit_state2 *s)
{
	pit->s = *s;
	pit->s.flags &= KVM_PIT_FLAGS_HPET_LEGACY | SPEAKER_ON;
	for (unsigned int n = 0; n < 3; n++) {
		struct kvm_pit_channel_state *c = &pit->s.channels[n];

		if (!c->count || c->count > 0x10000)
			c->count = 0x10000;
		c->gate &= 1;
		c->bcd &= 1;
		c->mode = c->mode > 5 ? NO_MODE : c->mode;
		c->rw_mode &= 3;
	}
	start(pit);
}

long lodge_pit_ioctl(struct lodge_vm *vm, unsigned int cmd, void __user *arg)
{
	struct lodge_pit *pit = vm->chips ? vm->chips->pit : NULL;
	struct kvm_reinject_control control;
	struct kvm_pit_state2 s = {0};
	long r = 0;

	if (!pit)
		return -ENXIO;
	if ((cmd == KVM_SET_PIT2 && copy_from_user(&s, arg, sizeof(s))) ||
	    (cmd == KVM_SET_PIT && copy_from_user(&s, arg, sizeof(struct kvm_pit_state))) ||
	    (cmd == KVM_REINJECT_CONTROL && copy_from_user(&control, arg, sizeof(control))))
		return -EFAULT;
	mutex_lock(&pit->lock);
	if (cmd == KVM_REINJECT_CONTROL)
		WRITE_ONCE(pit->keeps, control.pit_reinject);
	else if (cmd == KVM_SET_PIT2 || cmd == KVM_SET_PIT)
		set(pit, &s);
	else
		s = pit->s;
	mutex_unlock(&pit->lock);
	if ((cmd == KVM_GET_PIT2 && copy_to_user(arg, &s, sizeof(s))) ||
	    (cmd == KVM_GET_PIT && copy_to_user(arg, &s, sizeof(struct kvm_pit_state))))
		r = -EFAULT;
	return r;
}

/* With vm->lock. */
long lodge_pit_create(struct lodge_vm *vm, const struct kvm_pit_config *cfg)
{
	struct lodge_pit *pit;

	if (cfg->flags & ~(u32)KVM_PIT_SPEAKER_DUMMY)
		return -EINVAL;
	if (!vm->chips)
		return -ENOENT;
	if (vm->chips->pit)
		return -EEXIST;
	pit = kzalloc(sizeof(*pit), GFP_KERNEL_ACCOUNT);
	if (!pit)
		return -ENOMEM;
	pit->vm = vm;
	pit->has_speaker = cfg->flags & KVM_PIT_SPEAKER_DUMMY;
	pit->keeps = true;
	mutex_init(&pit->lock);
	lodge_hrtimer_init(&pit->timer, tick);
	for (unsigned int n = 0; n < 3; n++) {
		pit->s.channels[n].mode = NO_MODE;
		pit->s.channels[n].count = 0x10000;
		pit->s.channels[n].gate = n < 2;
		pit->s.channels[n].count_load_time = ktime_get_ns();
	}
	smp_store_release(&vm->chips->pit, pit);
	return 0;
}

/* Before the vCPUs go. */
void lodge_pit_free(struct lodge_vm *vm)
{
	struct lodge_pit *pit = vm->chips ? vm->chips->pit : NULL;

	if (!pit)
		return;
	hrtimer_cancel(&pit->timer);
	kfree(pit);
}
