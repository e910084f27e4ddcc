// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * NVMe: the commands of I/O queues.
 * Source: NVMe 1.4 §6.7 (DATASET MANAGEMENT), 6.8 (FLUSH), 6.9 (READ), 6.15, 6.16 (WRITE, WRITE ZEROES).
 * Threads: with the VM lock held.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/storage/nvme_int.h"

enum {
	IO_FLUSH = 0x00,
	IO_WRITE = 0x01,
	IO_READ = 0x02,
	IO_WRITE_ZEROES = 0x08,
	IO_DSM = 0x09,
};

#define DW12_FUA 0x40000000u
#define DW12_DEAC 0x02000000u
#define DSM_DEALLOCATE 4u
#define DSM_RANGE_BYTES 16u

static uint32_t dw(const struct nvme_req *r, unsigned n)
{
	return ld_le32(r->cmd + 4 * n);
}

static void request_done(struct blk_req *req, int result)
{
	struct nvme_req *r = container_of(req, struct nvme_req, req);

	r->busy = false;
	if (!r->unheard)
		r->end(r, result);
}

static unsigned submit(struct nvme_req *r, enum blk_op op, uint64_t off, uint64_t len,
		       void (*end)(struct nvme_req *r, int result))
{
	r->end = end;
	r->iov = (struct iovec){r->buf, len};
	r->req = (struct blk_req){
		.op = op,
		.off = off,
		.len = len,
		.iov = op == BLK_READ || op == BLK_WRITE ? &r->iov : NULL,
		.niov = op == BLK_READ || op == BLK_WRITE ? 1 : 0,
		.fua = op == BLK_WRITE && dw(r, 12) & DW12_FUA,
		.unmap = op == BLK_ZERO && dw(r, 12) & DW12_DEAC,
		.done = request_done,
	};
	r->busy = true;
	blk_queue_submit(r->nvme->cfg.queue, &r->req);
	return NVME_PENDING;
}

static void rw_done(struct nvme_req *r, int result)
{
	unsigned s = NVME_OK;

	if (result)
		s = r->req.op == BLK_READ ? NVME_READ_ERROR : NVME_WRITE_FAULT;
	else if (r->req.op == BLK_READ && r->sq != NVME_NO_QUEUE)
		s = nvme_move(r, r->len, true);
	nvme_complete(r, s, 0);
}

/* Address and number of blocks; a status. */
static unsigned get_range(const struct nvme_req *r, uint64_t *lba, uint32_t *n)
{
	*lba = ld_le64(r->cmd + 40);
	*n = (dw(r, 12) & 0xffff) + 1;
	return range_ok(*lba, *n, r->nvme->sectors) ? NVME_OK : NVME_LBA_OUT_OF_RANGE;
}

static unsigned read_write(struct nvme_req *r, bool write)
{
	uint64_t lba;
	uint32_t n;
	unsigned s = get_range(r, &lba, &n);

	if (n * NVME_SECTOR > NVME_DATA_MAX)
		return NVME_INVALID_FIELD;
	if (s)
		return s;
	r->len = n * NVME_SECTOR;
	s = nvme_map_prps(r, r->len);
	if (s)
		return s;
	r->buf = malloc(r->len);
	if (!r->buf)
		return NVME_INTERNAL_ERROR;
	if (write)
		s = nvme_move(r, r->len, false);
	if (s)
		return s;
	return submit(r, write ? BLK_WRITE : BLK_READ, lba * NVME_SECTOR, r->len, rw_done);
}

static void plain_done(struct nvme_req *r, int result)
{
	nvme_complete(r, result ? NVME_INTERNAL_ERROR : NVME_OK, 0);
}

static unsigned write_zeroes(struct nvme_req *r)
{
	uint64_t lba;
	uint32_t n;
	unsigned s = get_range(r, &lba, &n);

	if (s)
		return s;
	return submit(r, BLK_ZERO, lba * NVME_SECTOR, (uint64_t)n * NVME_SECTOR, rw_done);
}

/* ---- DATASET MANAGEMENT: one range after the other ----------------------------------------------- */

static unsigned next_range(struct nvme_req *r);

static void dsm_done(struct nvme_req *r, int result)
{
	unsigned s = NVME_WRITE_FAULT;

	r->range++;
	if (!result)
		s = r->sq == NVME_NO_QUEUE ? NVME_OK : next_range(r);
	if (s != NVME_PENDING)
		nvme_complete(r, s, 0);
}

static unsigned next_range(struct nvme_req *r)
{
	for (; r->range < r->ranges; r->range++) {
		const uint8_t *e = r->buf + DSM_RANGE_BYTES * r->range;
		uint64_t n = ld_le32(e + 4), lba = ld_le64(e + 8);

		if (!range_ok(lba, n, r->nvme->sectors))
			return NVME_LBA_OUT_OF_RANGE;
		if (n)
			return submit(r, BLK_DISCARD, lba * NVME_SECTOR, n * NVME_SECTOR, dsm_done);
	}
	return NVME_OK;
}

static unsigned dataset_management(struct nvme_req *r)
{
	unsigned s;

	r->range = 0;
	r->ranges = (dw(r, 10) & 0xff) + 1;
	r->len = r->ranges * DSM_RANGE_BYTES;
	s = nvme_map_prps(r, r->len);
	if (s)
		return s;
	if (!(dw(r, 11) & DSM_DEALLOCATE)) /* the others are hints */
		return NVME_OK;
	r->buf = malloc(r->len);
	if (!r->buf)
		return NVME_INTERNAL_ERROR;
	s = nvme_move(r, r->len, false);
	return s ? s : next_range(r);
}

unsigned nvme_io(struct nvme_req *r)
{
	uint8_t op = r->cmd[0];
	uint32_t nsid = dw(r, 1);

	if (op == IO_FLUSH && (nsid == 1 || nsid == 0xffffffff))
		return submit(r, BLK_FLUSH, 0, 0, plain_done);
	if (op != IO_FLUSH && op != IO_WRITE && op != IO_READ && op != IO_WRITE_ZEROES &&
	    op != IO_DSM)
		return NVME_INVALID_OPCODE;
	if (nsid != 1)
		return NVME_INVALID_NAMESPACE;
	if (r->nvme->cfg.read_only && op != IO_READ)
		return NVME_WRITE_PROTECTED;
	switch (op) {
	case IO_WRITE:
		return read_write(r, true);
	case IO_READ:
		return read_write(r, false);
	case IO_WRITE_ZEROES:
		return write_zeroes(r);
	default:
		return dataset_management(r);
	}
}
