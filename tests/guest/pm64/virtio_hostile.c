// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A driver that breaks every rule of virtqueues, alone and with a second processor's help. A device may
 * demand a reset; after one it works as if nothing had been. Pages that no descriptor names stay as they are.
 * Source: virtio 1.2 §2.1.2 (DEVICE_NEEDS_RESET), §2.7.
 * run: -smp 2 -device virtio-rng-pci -drive if=virtio,format=raw,snapshot=on,file=build/guest/pm64/virtio_hostile.elf
 */
#include "cpus64.h"
#include "virtio64.h"

static unsigned rounds = 3000u;
#define BAR_RNG 0xe0000000u
#define BAR_BLK 0xe0100000u
#define FEATURES (VF_INDIRECT | VF_EVENT_IDX | VF_RING_RESET)

static struct vdev rng, blk;
static uint8_t *buf;   /* what descriptors may name: 16 pages */
static uint8_t *guard; /* what they never name: a page before and one behind */
static struct vdesc *table;
static struct {
	uint32_t type, zero;
	uint64_t sector;
} * header;

/* ---- By the rules ---------------------------------------------------------------------------- */

static bool rng_works(void)
{
	unsigned zeros = 0;

	if (!vdev_start(&rng, FEATURES))
		return false;
	memset(buf, 0, 64);
	vdev_desc(rng.q.desc, 0, (word)buf, 64, VD_WRITE, 0);
	vdev_submit(&rng, 0);
	if (!vdev_wait(&rng, 1))
		return false;
	for (unsigned i = 0; i < 64; i++)
		zeros += !buf[i];
	return zeros < 16;
}

static void blk_chain(uint32_t type, uint64_t sector)
{
	header->type = type;
	header->sector = sector;
	buf[4096] = 0xee;
	vdev_desc(blk.q.desc, 0, (word)header, 16, VD_NEXT, 1);
	vdev_desc(blk.q.desc, 1, (word)buf, 512, VD_NEXT | (type ? 0 : VD_WRITE), 2);
	vdev_desc(blk.q.desc, 2, (word)buf + 4096, 1, VD_WRITE, 0);
}

/* The disk is this program's own file. */
static bool blk_works(void)
{
	if (!vdev_start(&blk, FEATURES))
		return false;
	memset(buf, 0, 512);
	blk_chain(0, 0);
	vdev_submit(&blk, 0);
	return vdev_wait(&blk, 1) && buf[4096] == 0 && !memcmp(buf, "\177ELF", 4);
}

static bool guarded(void)
{
	for (unsigned i = 0; i < 4096; i++) {
		if (guard[i] != 0xa5 || guard[4096 * 17 + i] != 0xa5)
			return false;
	}
	return true;
}

/* ---- One processor ----------------------------------------------------------------------------- */

static void needs_reset(struct vdev *d, const char *name)
{
	check_eq(vdev_status(d), VS_OK | VS_NEEDS_RESET, "%s: the device demands a reset", name);
	check(d == &rng ? rng_works() : blk_works(), "%s: it works after one", name);
}

static void bad(const char *name, uint64_t addr, uint32_t len, unsigned flags, unsigned next)
{
	check(vdev_start(&rng, FEATURES), "%s: start", name);
	vdev_desc(rng.q.desc, 0, addr, len, flags, next);
	vdev_submit(&rng, 0);
	needs_reset(&rng, name);
}

static void descriptors(void)
{
	bad("a loop", (word)buf, 16, VD_WRITE | VD_NEXT, 0);
	bad("a next that is none", (word)buf, 16, VD_WRITE | VD_NEXT, VQ_SIZE);
	bad("no bytes", (word)buf, 0, VD_WRITE, 0);
	bad("a device's registers", BAR_RNG, 16, VD_WRITE, 0);
	bad("nothing there", 0xd0000000, 16, VD_WRITE, 0);
	bad("beyond all memory", 1ull << 60, 16, VD_WRITE, 0);
	bad("round the end", -8ull, 16, VD_WRITE, 0);
	bad("more than there is", (word)buf, 0xffffffff, VD_WRITE, 0);

	vdev_desc(table, 0, (word)table, 16, VD_INDIRECT, 0);
	bad("indirect in indirect", (word)table, 16, VD_INDIRECT, 0);
	vdev_desc(table, 0, (word)buf, 16, VD_WRITE | VD_NEXT, 1);
	vdev_desc(table, 1, (word)buf, 16, VD_WRITE | VD_NEXT, 0);
	bad("a loop in indirect", (word)table, 32, VD_INDIRECT, 0);
	bad("out of indirect", (word)table, 16, VD_INDIRECT, 0);
	bad("half an entry", (word)table, 24, VD_INDIRECT, 0);
	bad("an empty table", (word)table, 0, VD_INDIRECT, 0);
	bad("a huge table", (word)table, 0xfffffff0, VD_INDIRECT, 0);
	bad("a table in registers", BAR_RNG, 16, VD_INDIRECT, 0);
	bad("indirect and next", (word)table, 16, VD_INDIRECT | VD_NEXT, 1);
}

static void rings(void)
{
	check(vdev_start(&rng, FEATURES), "start");
	rng.q.avail[1] = VQ_SIZE + 1;
	vdev_kick(&rng);
	needs_reset(&rng, "an index run ahead");
	vdev_start(&rng, FEATURES);
	vdev_submit(&rng, VQ_SIZE);
	needs_reset(&rng, "a head that is none");
	/* Of a disk, whose requests end later: the same one twice. */
	vdev_start(&blk, FEATURES);
	blk_chain(0, 0);
	blk.q.avail[2] = blk.q.avail[3] = 0;
	blk.q.avail[1] = 2;
	vdev_kick(&blk);
	check(vdev_status(&blk) == (VS_OK | VS_NEEDS_RESET) || blk.q.used[1],
	      "the same head twice");
	check(blk_works(), "and it works after a reset");
	/* A request without room for a status. */
	vdev_start(&blk, FEATURES);
	vdev_desc(blk.q.desc, 0, (word)header, 16, 0, 0);
	vdev_submit(&blk, 0);
	needs_reset(&blk, "no status");
}

/* All three rings, and the buffers, on the same bytes. */
static void overlap(void)
{
	static const unsigned offs[][2] = {{0, 0}, {4, 8}, {256, 0}, {2, 300}};

	for (unsigned i = 0; i < 4; i++) {
		vdev_start(&rng, FEATURES);
		vw16(&rng, 0x3a, 1); /* take queue 0 back, and lay it anew */
		vw32(&rng, 0x20, (uint32_t)(word)buf);
		vw32(&rng, 0x28, (uint32_t)(word)buf + offs[i][0]);
		vw32(&rng, 0x30, (uint32_t)(word)buf + offs[i][1]);
		vw16(&rng, 0x1c, 1);
		for (unsigned n = 0; n < 300; n++) {
			vdev_desc((void *)buf, n % 16, (word)buf, n % 4096 + 1, VD_WRITE, 0);
			*(volatile uint16_t *)(buf + offs[i][0] + 2) = (uint16_t)n;
			vdev_kick(&rng);
		}
		check(rng_works(), "overlapping rings, layout %u", i);
	}
}

/* ---- Two processors ---------------------------------------------------------------------------- */

static volatile bool stop;
static unsigned broke, fine;

/* What the other one writes into descriptor 0 of the disk's request, as fast as it can. */
static void spoil(unsigned n)
{
	switch (n % 8) {
	case 0:
		blk.q.desc[1].addr = 1ull << 60;
		break;
	case 1:
		blk.q.desc[1].len = 0xffffffff;
		break;
	case 2:
		blk.q.desc[1].next = 0;
		break;
	case 3:
		blk.q.desc[0].flags = VD_INDIRECT;
		break;
	case 4:
		blk.q.desc[2].flags = VD_NEXT;
		break;
	case 5:
		header->sector = -1ull;
		break;
	case 6:
		blk.q.avail[1] = (uint16_t)(blk.q.idx + 17);
		break;
	default:
		blk.q.desc[0].len = 0;
		break;
	}
}

static void spoiler(void)
{
	for (unsigned n = 0; !stop; n++) {
		spoil(n);
		for (unsigned i = 0; i < n % 64; i++)
			cpu_relax();
		blk_chain(0, 0);
		blk.q.avail[1] = blk.q.idx;
	}
}

static void race_job(unsigned cpu)
{
	if (cpu) {
		spoiler();
		return;
	}
	/* A host that is busy stops the spoiler at any place, for as long as it likes. */
	for (unsigned n = 0; n < rounds || ((!broke || !fine) && n < 1000 * rounds); n++) {
		if (vdev_status(&blk) != VS_OK) {
			broke++;
			vdev_start(&blk, FEATURES);
		}
		vdev_submit(&blk, 0);
		fine += blk.q.used[1] != 0;
	}
	stop = true;
}

static void racing(void)
{
	stop = false;
	vdev_start(&blk, FEATURES);
	check(cpus_run(race_job), "descriptors that change while they are read");
	check(broke > 0, "some were found out (%u)", broke);
	check(fine > 0, "some were served (%u)", fine);
	check(blk_works(), "the disk works");
}

/* One notifies without end; the other resizes, resets the queue, resets the device. */
static void live_job(unsigned cpu)
{
	if (cpu) {
		for (unsigned n = 0; !stop; n++) {
			blk.q.avail[2 + n % VQ_SIZE] = 0;
			blk.q.avail[1] = (uint16_t)n;
			vdev_kick(&blk);
		}
		return;
	}
	for (unsigned n = 0; n < rounds / 10; n++) {
		vdev_start(&blk, FEATURES);
		blk_chain(n & 1, 1);
		vw16(&blk, 0x16, 0);
		vw16(&blk, 0x18, (uint16_t)(1u << n % 9)); /* a queue in use keeps its size */
		fine += vr16(&blk, 0x18) == VQ_SIZE;
		vw32(&blk, 0x30, 0);
		if (n & 2) {
			vw16(&blk, 0x3a, 1);
			broke += vr16(&blk, 0x1c) != 0;
			vw16(&blk, 0x18, (uint16_t)(1u << n % 9));
			vw32(&blk, 0x20, (uint32_t)(word)blk.q.desc);
			vw32(&blk, 0x28, (uint32_t)(word)blk.q.avail);
			vw32(&blk, 0x30, (uint32_t)(word)blk.q.used);
			vw16(&blk, 0x1c, 1);
		}
		if (n & 4)
			vdev_set_status(&blk, 0);
	}
	stop = true;
}

static void live(void)
{
	stop = false;
	broke = fine = 0;
	check(cpus_run(live_job), "resize and reset while it is notified");
	check_eq(fine, rounds / 10, "a queue in use keeps its size");
	check_eq(broke, 0, "a queue that was reset is off");
	check(blk_works(), "the disk works");
}

void guest_test(void)
{
	rounds = guest_rounds(rounds);
	uint8_t *area = alloc_pages(18, 4096);

	guard = area;
	buf = area + 4096;
	memset(guard, 0xa5, 4096);
	memset(guard + 4096 * 17, 0xa5, 4096);
	table = alloc_pages(1, 4096);
	header = alloc_pages(1, 4096);
	if (!check(vdev_find(&rng, 0x1005, BAR_RNG), "there is a virtio-rng") ||
	    !check(vdev_find(&blk, 0x1001, BAR_BLK), "there is a virtio-blk"))
		return;
	check(rng_works(), "it gives bytes");
	check(blk_works(), "the disk can be read");
	descriptors();
	rings();
	overlap();
	if (check(cpus_start(2), "a second processor")) {
		racing();
		live();
	}
	check(guarded(), "memory that no descriptor names is as it was");
}
