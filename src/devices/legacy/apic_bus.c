// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Interrupt messages between I/O APICs, local APICs and devices. See apic_bus.h.
 * Source: Intel SDM 3A §10.6, §10.11.
 * Threads: with the VM lock held.
 * Saved state: none.
 */
#include "devices/legacy/apic_bus.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/range.h"
#include "devices/legacy/ioapic.h"
#include "devices/legacy/lapic.h"

#define IOAPICS_MAX 4u

/* MSI address and data (§10.11.1, §10.11.2). */
#define MSI_ADDR_TOP 0xfeeu
#define MSI_ADDR_LOGICAL 0x4u
#define MSI_ADDR_REDIRECT 0x8u
#define MSI_DATA_ASSERT 0x4000u
#define MSI_DATA_LEVEL 0x8000u

struct apic_bus {
	struct lapic_host host;
	struct apic_remote remote; /* .msi is NULL: the local APICs are here */
	bool loading;
	struct ioapic *ioapic[IOAPICS_MAX];
	unsigned cpus;
	unsigned next; /* where arbitration among equals begins */
	struct lapic *lapic[];
};

struct apic_bus *apic_bus_new(unsigned cpus, const struct lapic_host *host)
{
	struct apic_bus *ab = calloc(1, sizeof(*ab) + cpus * sizeof(ab->lapic[0]));

	if (!ab)
		return NULL;
	ab->cpus = cpus;
	ab->host = *host;
	return ab;
}

void apic_bus_free(struct apic_bus *ab)
{
	free(ab);
}

struct lapic *apic_bus_lapic(struct apic_bus *ab, unsigned cpu)
{
	return cpu < ab->cpus ? ab->lapic[cpu] : NULL;
}

unsigned apic_bus_cpus(const struct apic_bus *ab)
{
	return ab->cpus;
}

const struct lapic_host *apic_bus_host(const struct apic_bus *ab)
{
	return &ab->host;
}

void apic_bus_add_lapic(struct apic_bus *ab, unsigned cpu, struct lapic *l)
{
	ab->lapic[cpu] = l;
}

void apic_bus_del_lapic(struct apic_bus *ab, unsigned cpu)
{
	ab->lapic[cpu] = NULL;
}

bool apic_bus_add_ioapic(struct apic_bus *ab, struct ioapic *io)
{
	for (unsigned i = 0; i < IOAPICS_MAX; i++) {
		if (!ab->ioapic[i]) {
			ab->ioapic[i] = io;
			return true;
		}
	}
	return false;
}

void apic_bus_del_ioapic(struct apic_bus *ab, struct ioapic *io)
{
	for (unsigned i = 0; i < IOAPICS_MAX; i++) {
		if (ab->ioapic[i] == io)
			ab->ioapic[i] = NULL;
	}
}

/* Who hears a message. */
struct audience {
	bool everyone; /* a shorthand: the destination field does not count */
	const struct lapic *but;
};

static bool hears(struct lapic *l, const struct apic_msg *msg, const struct audience *a)
{
	if (!l || l == a->but)
		return false;
	return a->everyone ? lapic_base(l) & APIC_BASE_ENABLE : lapic_matches(l, msg);
}

/*
 * Lowest priority: the processor with the lowest priority of those that listen; among equals they
 * take turns.
 */
static bool deliver_lowest(struct apic_bus *ab, const struct apic_msg *msg,
			   const struct audience *a)
{
	struct lapic *best = NULL;
	unsigned best_cpu = 0;

	for (unsigned i = 0; i < ab->cpus; i++) {
		unsigned cpu = (ab->next + i) % ab->cpus;
		struct lapic *l = ab->lapic[cpu];

		if (!hears(l, msg, a) || !lapic_takes_fixed(l))
			continue;
		if (!best || lapic_priority(l) < lapic_priority(best)) {
			best = l;
			best_cpu = cpu;
		}
	}
	if (!best)
		return false;
	ab->next = (best_cpu + 1) % ab->cpus;
	return lapic_accept(best, msg);
}

static bool deliver(struct apic_bus *ab, const struct apic_msg *msg, const struct audience *a)
{
	bool accepted = false;

	log_trace(LOG_IRQ, "apic: vector 0x%02x mode %u to %s 0x%x%s\n", msg->vector, msg->mode,
		  msg->logical ? "logical" : "physical", msg->dest, msg->level ? " level" : "");
	if (msg->mode == APIC_MODE_LOWEST)
		return deliver_lowest(ab, msg, a);
	for (unsigned i = 0; i < ab->cpus; i++) {
		if (hears(ab->lapic[i], msg, a))
			accepted |= lapic_accept(ab->lapic[i], msg);
	}
	return accepted;
}

/* The message as a device's memory write (§10.11). */
static void as_msi(const struct apic_msg *msg, uint64_t *addr, uint32_t *data)
{
	*addr = (uint64_t)MSI_ADDR_TOP << 20 | (msg->dest & 0xff) << 12 |
		(msg->logical ? MSI_ADDR_LOGICAL : 0);
	*data = msg->vector | (uint32_t)(msg->mode & 7) << 8 |
		(msg->level ? MSI_DATA_LEVEL | MSI_DATA_ASSERT : 0);
}

void apic_bus_set_remote(struct apic_bus *ab, const struct apic_remote *r)
{
	ab->remote = *r;
}

void apic_bus_set_loading(struct apic_bus *ab, bool loading)
{
	ab->loading = loading;
}

void apic_bus_route(struct apic_bus *ab, unsigned pin, const struct apic_msg *msg)
{
	uint64_t addr;
	uint32_t data;

	if (!ab->remote.route)
		return;
	as_msi(msg, &addr, &data);
	ab->remote.route(ab->remote.opaque, pin, addr, data);
}

static bool deliver_remote(struct apic_bus *ab, const struct apic_msg *msg)
{
	uint64_t addr;
	uint32_t data;

	as_msi(msg, &addr, &data);
	return ab->remote.msi(ab->remote.opaque, addr, data);
}

bool apic_bus_deliver(struct apic_bus *ab, const struct apic_msg *msg)
{
	const struct audience named = {.everyone = false};

	if (ab->remote.msi && !ab->loading)
		return deliver_remote(ab, msg);
	return deliver(ab, msg, &named);
}

bool apic_bus_deliver_all(struct apic_bus *ab, const struct apic_msg *msg, const struct lapic *self)
{
	const struct audience all = {.everyone = true, .but = self};

	return deliver(ab, msg, &all);
}

bool apic_bus_is_msi(uint64_t addr, uint32_t data)
{
	unsigned mode = data >> 8 & 7;

	return addr >> 20 == MSI_ADDR_TOP && !(data & MSI_DATA_LEVEL) &&
	       (mode == APIC_MODE_LOWEST ||
		(mode == APIC_MODE_FIXED && !(addr & MSI_ADDR_REDIRECT)));
}

void apic_bus_msi(void *apic_bus, uint64_t addr, uint32_t data)
{
	struct apic_msg msg = {
		.dest = (uint32_t)(addr >> 12) & 0xff,
		.logical = addr & MSI_ADDR_LOGICAL,
		.level = data & MSI_DATA_LEVEL,
		.mode = (data >> 8) & 7,
		.vector = (uint8_t)data,
	};

	if (addr >> 20 != MSI_ADDR_TOP) {
		log_trace(LOG_GUEST_ERR, "MSI to 0x%llx, which is no interrupt address\n",
			  (unsigned long long)addr);
		return;
	}
	if (msg.level && !(data & MSI_DATA_ASSERT))
		return;
	/* The redirection hint asks for one processor of those named. */
	if ((addr & MSI_ADDR_REDIRECT) && msg.mode == APIC_MODE_FIXED)
		msg.mode = APIC_MODE_LOWEST;
	apic_bus_deliver(apic_bus, &msg);
}

void apic_bus_set_lint(void *apic_bus, unsigned n, bool level)
{
	struct apic_bus *ab = apic_bus;

	if (ab->remote.lint)
		ab->remote.lint(ab->remote.opaque, n, level);
	for (unsigned i = 0; i < ab->cpus; i++) {
		if (ab->lapic[i])
			lapic_set_lint(ab->lapic[i], n, level);
	}
}

void apic_bus_eoi(struct apic_bus *ab, uint8_t vector)
{
	for (unsigned i = 0; i < IOAPICS_MAX; i++) {
		if (ab->ioapic[i])
			ioapic_eoi(ab->ioapic[i], vector);
	}
}

bool apic_bus_end_unheld(struct apic_bus *ab, const uint32_t held[8])
{
	bool any = false;

	for (unsigned i = 0; i < IOAPICS_MAX; i++)
		any |= ab->ioapic[i] && ioapic_end_unheld(ab->ioapic[i], held);
	return any;
}

void apic_bus_retry(struct apic_bus *ab)
{
	for (unsigned i = 0; i < IOAPICS_MAX; i++) {
		if (ab->ioapic[i])
			ioapic_retry(ab->ioapic[i]);
	}
}
