// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * NVMe: where a command's data is in the guest's memory.
 * Source: NVMe 1.4 §4.3 (physical region pages). A transfer has at most NVME_SEGS pages, and lists of them
 * are followed for no more than that.
 * Threads: with the VM lock held.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/storage/nvme_int.h"

static void add_seg(struct nvme_req *r, uint64_t addr, uint32_t len)
{
	struct nvme_seg *last = r->segs ? &r->seg[r->segs - 1] : NULL;

	if (last && last->addr + last->len == addr)
		last->len += len;
	else
		r->seg[r->segs++] = (struct nvme_seg){addr, len};
}

/* The pages of a list at `list`; the last entry of a page of it leads to the next, if more is to come. */
static unsigned map_list(struct nvme_req *r, uint64_t list, uint32_t len)
{
	const uint32_t page = nvme_page(r->nvme);
	uint8_t e[8];

	if (list & 7)
		return NVME_INVALID_PRP_OFFSET;
	while (len) {
		uint32_t n = (uint32_t)min_u64(len, page);
		bool last_entry = (list & (page - 1)) == page - 8;
		uint64_t addr;

		if (mem_read(r->nvme->cfg.mem, list, e, sizeof(e)))
			return NVME_DATA_TRANSFER_ERROR;
		addr = ld_le64(e);
		if (addr & (page - 1))
			return NVME_INVALID_PRP_OFFSET;
		if (last_entry && len > page) {
			list = addr;
			continue;
		}
		add_seg(r, addr, n);
		list += 8;
		len -= n;
	}
	return NVME_OK;
}

unsigned nvme_map_prps(struct nvme_req *r, uint32_t len)
{
	const uint32_t page = nvme_page(r->nvme);
	uint64_t prp1 = ld_le64(r->cmd + 24), prp2 = ld_le64(r->cmd + 32);
	uint32_t first = (uint32_t)min_u64(len, page - (prp1 & (page - 1)));

	r->segs = 0;
	if (r->cmd[1] & 0xc0) /* scatter-gather lists: not of this controller */
		return NVME_INVALID_FIELD;
	if (prp1 & 3)
		return NVME_INVALID_PRP_OFFSET;
	add_seg(r, prp1, first);
	len -= first;
	if (!len)
		return NVME_OK;
	if (len > page)
		return map_list(r, prp2, len);
	if (prp2 & (page - 1))
		return NVME_INVALID_PRP_OFFSET;
	add_seg(r, prp2, len);
	return NVME_OK;
}

unsigned nvme_move(struct nvme_req *r, uint32_t len, bool to_guest)
{
	struct mem *mem = r->nvme->cfg.mem;
	uint8_t *at = r->buf;

	for (unsigned i = 0; i < r->segs && len; i++) {
		uint32_t n = (uint32_t)min_u64(r->seg[i].len, len);
		int e = to_guest ? mem_write(mem, r->seg[i].addr, at, n)
				 : mem_read(mem, r->seg[i].addr, at, n);

		if (e)
			return NVME_DATA_TRANSFER_ERROR;
		at += n;
		len -= n;
	}
	return NVME_OK;
}

unsigned nvme_reply(struct nvme_req *r, const uint8_t *data, uint32_t len)
{
	unsigned s = nvme_map_prps(r, len);

	if (s || !len)
		return s;
	r->buf = malloc(len);
	if (!r->buf)
		return NVME_INTERNAL_ERROR;
	memcpy(r->buf, data, len);
	return nvme_move(r, len, true);
}
