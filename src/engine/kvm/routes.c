// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the kernel is told of interrupt sources, and messages that go by a descriptor of their own.
 *
 * The first PINS sources are the I/O APIC's pins, whose ends the kernel tells of. Behind them are *ways*: an eventfd
 * each, which sends the message of its route when 8 bytes are written to it (irqfd). A route costs the kernel a grace
 * period, so a message gets one once it was sent WAY_AFTER times in a row; until then, and whenever it changes, it
 * goes as a message (KVM_SIGNAL_MSI).
 *
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_SET_GSI_ROUTING, KVM_IRQFD).
 * Threads: with the VM lock held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/range.h"
#include "engine/kvm/kvm_int.h"

#define WAYS_MAX 512u
#define WAY_AFTER 16u

struct way {
	bool used, bound; /* bound: the kernel listens to fd */
	int fd;
	unsigned same; /* how often this message went */
	uint64_t addr;
	uint32_t data;
};

/* struct kvm_irq_routing, with room. */
struct table {
	uint32_t nr, flags;
	struct kvm_irq_routing_entry
		entry[2 * KVM_PINS + WAYS_MAX]; /* a line reaches two pins at most */
};
_Static_assert(offsetof(struct table, entry) == sizeof(struct kvm_irq_routing), "as the kernel's");

struct kvm_routes {
	struct table t;
	bool has_ways;
	unsigned max; /* sources that the kernel has */
	uint64_t sent;
	struct way way[WAYS_MAX];
};

int kvm_routes_create(struct kvm_engine *e, struct lodge_err *err)
{
	int max = ioctl(e->vm, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING);

	e->routes = calloc(1, sizeof(*e->routes));
	if (!e->routes)
		return err_set(err, -ENOMEM, "no memory for interrupt routes");
	e->routes->max = max > 0 ? (unsigned)max : 0;
	e->routes->has_ways = ioctl(e->vm, KVM_CHECK_EXTENSION, KVM_CAP_IRQFD) > 0;
	return 0;
}

void kvm_routes_free(struct kvm_engine *e)
{
	for (unsigned i = 0; e->routes && i < WAYS_MAX; i++) {
		if (e->routes->way[i].used)
			close(e->routes->way[i].fd);
	}
	free(e->routes);
}

static struct kvm_irq_routing_entry *find(struct kvm_routes *r, unsigned gsi)
{
	for (unsigned i = 0; i < r->t.nr; i++) {
		if (r->t.entry[i].gsi == gsi)
			return &r->t.entry[i];
	}
	return NULL;
}

/* In the table alone. False: as it is already. */
static bool put(struct kvm_routes *r, unsigned gsi, uint64_t addr, uint32_t data)
{
	struct kvm_irq_routing_entry *at = find(r, gsi);

	if (at && at->u.msi.address_lo == (uint32_t)addr &&
	    at->u.msi.address_hi == (uint32_t)(addr >> 32) && at->u.msi.data == data)
		return false;
	if (!at)
		at = &r->t.entry[r->t.nr++];
	*at = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = {.address_lo = (uint32_t)addr,
			  .address_hi = (uint32_t)(addr >> 32),
			  .data = data},
	};
	return true;
}

bool kvm_route_known(const struct kvm_engine *e, unsigned gsi)
{
	return find(e->routes, gsi);
}

void kvm_routes_tell(struct kvm_engine *e)
{
	if (ioctl(e->vm, KVM_SET_GSI_ROUTING, &e->routes->t) < 0)
		kvm_break(e,
			  "KVM does not take the routes of interrupts: %s; "
			  "'-machine kernel-irqchip=off' does without",
			  strerror(errno));
}

void kvm_route_pin(struct kvm_engine *e, unsigned gsi, unsigned chip, unsigned pin)
{
	e->routes->t.entry[e->routes->t.nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = {.irqchip = chip, .pin = pin},
	};
}

void kvm_route_set(struct kvm_engine *e, unsigned gsi, uint64_t addr, uint32_t data)
{
	if (put(e->routes, gsi, addr, data))
		kvm_routes_tell(e);
}

/* ---- Ways --------------------------------------------------------------------------------------- */

static unsigned gsi_of(unsigned way)
{
	return KVM_PINS + way;
}

int kvm_way_open(struct engine *engine)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;
	struct kvm_routes *r = e->routes;

	for (unsigned i = 0; r && r->has_ways && i < WAYS_MAX && gsi_of(i) < r->max; i++) {
		if (r->way[i].used)
			continue;
		r->way[i] = (struct way){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
		r->way[i].used = r->way[i].fd >= 0;
		return r->way[i].used ? (int)i : -errno;
	}
	return -ENOSPC;
}

static bool bind(struct kvm_engine *e, unsigned way, bool on)
{
	struct way *w = &e->routes->way[way];
	struct kvm_irqfd k = {.fd = (uint32_t)w->fd,
			      .gsi = gsi_of(way),
			      .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN};

	if (w->bound == on)
		return true;
	if (ioctl(e->vm, KVM_IRQFD, &k) < 0)
		return false;
	w->bound = on;
	return true;
}

void kvm_way_close(struct engine *engine, int way)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;
	struct way *w = &e->routes->way[way];

	(void)bind(e, (unsigned)way, false);
	close(w->fd);
	/* Its route stays, and is the next one's to change. */
	w->used = false;
}

/* It is worth a route, and has it. */
static bool routed(struct kvm_engine *e, unsigned way, uint64_t addr, uint32_t data)
{
	struct way *w = &e->routes->way[way];

	if (w->addr != addr || w->data != data) {
		w->addr = addr;
		w->data = data;
		w->same = 0;
	}
	if (w->same < WAY_AFTER) {
		w->same++;
		return false;
	}
	kvm_route_set(e, gsi_of(way), addr, data);
	return bind(e, way, true);
}

bool kvm_way_send(struct engine *engine, int way, uint64_t addr, uint32_t data)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;
	const uint64_t one = 1;

	if (!routed(e, (unsigned)way, addr, data) ||
	    write(e->routes->way[way].fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		return false;
	e->routes->sent++;
	return true;
}

/* The kernel may have put off a message; letting go of its descriptor waits for that. */
void kvm_ways_settle(struct engine *engine)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;

	for (unsigned i = 0; e->routes && i < WAYS_MAX; i++)
		(void)bind(e, i, false);
}

uint64_t kvm_ways_sent(const struct kvm_engine *e)
{
	return e->routes ? e->routes->sent : 0;
}
