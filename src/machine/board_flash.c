// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Flash with firmware: -drive if=pflash. Unit 0 ends at 4 GiB, unit 1 lies below it. The array is guest
 * memory behind the RAM; what the guest changes goes to the image in the background, all of it before the
 * machine ends.
 *
 * Source: none; as QEMU's pc machine has it. Threads: with the VM lock held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "devices/legacy/pflash.h"
#include "firmware/platform.h"
#include "machine/board_int.h"
#include "machine/drive.h"

struct board_flash {
	struct board *b;
	struct pflash *dev;
	struct drive *drive;
	uint32_t len;
	gpa_t gpa;
	uint64_t off; /* of the array in the backing of guest memory */
	/* Changed since the array was last mapped: [lo, hi). */
	uint32_t changed_lo, changed_hi;
	/* Changed and not on its way to the image yet: [lo, hi). */
	uint32_t dirty_lo, dirty_hi;
	bool busy, flush_due;
	struct blk_req req;
	struct iovec iov;
	uint8_t *copy; /* what is being written, so that it stays as it is */
};

bool board_has_flash(const struct vm_config *cfg)
{
	for (unsigned i = 0; i < cfg->drives.n; i++) {
		const char *iface = props_get(cfg->drives.p[i], "if");

		if (iface && !strcmp(iface, "pflash"))
			return true;
	}
	return false;
}

static uint8_t *array(const struct board_flash *f)
{
	return mem_base(f->b->vm->mem) + f->off;
}

/* ---- To the image ------------------------------------------------------------------------------- */

static void save(struct board_flash *f);

static void saved(struct blk_req *req, int result)
{
	struct board_flash *f = container_of(req, struct board_flash, req);

	f->busy = false;
	if (req->op == BLK_FLUSH) {
		f->flush_due = false;
	} else if (result) {
		/* The queue has told the person. With the next change it is tried again. */
		f->dirty_lo = (uint32_t)min_u64(f->dirty_lo, req->off);
		f->dirty_hi = (uint32_t)max_u64(f->dirty_hi, req->off + req->len);
		return;
	}
	save(f);
}

/* One request at a time: what is changed meanwhile goes with the next. */
static void save(struct board_flash *f)
{
	if (f->busy)
		return;
	if (f->dirty_lo < f->dirty_hi) {
		uint32_t start = (uint32_t)align_down(f->dirty_lo, BLK_SECTOR);
		uint32_t end = (uint32_t)align_up(f->dirty_hi, BLK_SECTOR);

		memcpy(f->copy, array(f) + start, end - start);
		f->iov = (struct iovec){f->copy, end - start};
		f->req = (struct blk_req){.op = BLK_WRITE,
					  .off = start,
					  .len = end - start,
					  .iov = &f->iov,
					  .niov = 1,
					  .done = saved};
		f->dirty_lo = UINT32_MAX;
		f->dirty_hi = 0;
		f->flush_due = true;
	} else if (f->flush_due) {
		f->req = (struct blk_req){.op = BLK_FLUSH, .done = saved};
	} else {
		return;
	}
	f->busy = true;
	blk_queue_submit(f->drive->queue, &f->req);
}

/* ---- What the device asks for ------------------------------------------------------------------- */

static void changed(void *opaque, uint32_t off, uint32_t len)
{
	struct board_flash *f = opaque;

	f->changed_lo = (uint32_t)min_u64(f->changed_lo, off);
	f->changed_hi = (uint32_t)max_u64(f->changed_hi, off + len);
	f->dirty_lo = (uint32_t)min_u64(f->dirty_lo, off);
	f->dirty_hi = (uint32_t)max_u64(f->dirty_hi, off + len);
	save(f);
}

static void read_mode(void *opaque, bool on)
{
	struct board_flash *f = opaque;
	struct mem *mem = f->b->vm->mem;

	if (mem_map(mem, f->gpa, f->len, on ? MEM_ROM : MEM_MMIO, f->off)) {
		vm_request_end(f->b->vm, 1, "the memory map could not be changed: out of memory");
		return;
	}
	if (!on || f->changed_lo >= f->changed_hi)
		return;
	/* There may be code of what was there before. */
	mem_wrote(mem, f->gpa + f->changed_lo, f->changed_hi - f->changed_lo);
	f->changed_lo = UINT32_MAX;
	f->changed_hi = 0;
}

/* ---- Set-up ------------------------------------------------------------------------------------- */

static int check(const struct drive *d, uint64_t below, struct lodge_err *err)
{
	uint64_t size;

	if (!d->image)
		return err_set(err, -EINVAL, "-drive if=pflash: file= is missing");
	size = blk_size(d->image);
	if (!size || size % PFLASH_SECTOR || size > PFLASH_MAX || below + size > PFLASH_MAX)
		return err_set(err, -EINVAL,
			       "-drive if=pflash: '%s' has %llu bytes; all flash together may have "
			       "8 MiB, in sectors of 4 KiB",
			       blk_path(d->image), (unsigned long long)size);
	return 0;
}

static int open_one(struct board *b, unsigned unit, struct drive *d, struct lodge_err *err)
{
	struct board_flash *f = calloc(1, sizeof(*f));
	int r = check(d, b->rom_bytes, err);

	if (!f || r) {
		free(f);
		return r ? r : err_set(err, -ENOMEM, "no memory for flash");
	}
	b->flash[unit] = f;
	f->b = b;
	f->drive = d;
	d->used = true;
	f->len = (uint32_t)blk_size(d->image);
	b->rom_bytes += f->len;
	f->gpa = PC_4G - b->rom_bytes;
	f->off = mem_backing_bytes(b->vm->mem) - b->rom_bytes;
	f->changed_lo = f->dirty_lo = UINT32_MAX;
	f->copy = malloc(f->len);
	if (!f->copy)
		return err_set(err, -ENOMEM, "no memory for flash");
	r = blk_read(d->image, 0, array(f), f->len);
	return r ? err_set(err, r, "cannot read '%s': %s", blk_path(d->image), strerror(-r)) : 0;
}

int board_open_flash(struct board *b, struct lodge_err *err)
{
	struct drive *d;

	if (!board_has_flash(&b->vm->cfg))
		return 0;
	if (b->vm->cfg.bios)
		return err_set(err, -EINVAL,
			       "-bios and -drive if=pflash both bring firmware; leave one out");
	if (!drive_at(b, DRIVE_PFLASH, 0, 0))
		return err_set(err, -EINVAL,
			       "-drive if=pflash: unit 0, with the firmware's code, is missing");
	list_for_each_entry (d, &b->drives, link) {
		if (d->iface == DRIVE_PFLASH && (d->bus || d->unit >= BOARD_FLASHES))
			return err_set(err, -EINVAL,
				       "-drive if=pflash: there are units 0 and 1, and no more");
	}
	for (unsigned unit = 0; unit < BOARD_FLASHES; unit++) {
		int r;

		d = drive_at(b, DRIVE_PFLASH, 0, unit);
		r = d ? open_one(b, unit, d, err) : 0;
		if (r)
			return r;
	}
	return 0;
}

int board_wire_flash(struct board *b)
{
	for (unsigned unit = 0; unit < BOARD_FLASHES; unit++) {
		struct board_flash *f = b->flash[unit];

		if (!f)
			continue;
		const struct pflash_config cfg = {
			.bytes = array(f),
			.len = f->len,
			.read_only = f->drive->read_only,
			.read_mode = read_mode,
			.changed = changed,
			.opaque = f,
		};

		f->dev = pflash_new(&cfg);
		if (!f->dev)
			return -ENOMEM;
		list_add_tail(&b->devices, &pflash_device(f->dev)->link);
		if (!bus_map_mmio(b->vm->bus, f->gpa, f->len, &pflash_ops, f->dev, "pflash"))
			return -ENOMEM;
	}
	return 0;
}

void board_free_flash(struct board *b)
{
	for (unsigned unit = 0; unit < BOARD_FLASHES; unit++) {
		if (!b->flash[unit])
			continue;
		pflash_free(b->flash[unit]->dev);
		free(b->flash[unit]->copy);
		free(b->flash[unit]);
	}
}
