// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * NVMe: the admin queue's commands.
 * Source: NVMe 1.4 §5: 5.1 (ABORT), 5.2 (ASYNCHRONOUS EVENT REQUEST), 5.3–5.6 (queues), 5.14 (GET LOG PAGE),
 * 5.13, 5.21 (features), 5.15 (IDENTIFY).
 * Threads: with the VM lock held.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/storage/nvme_int.h"

enum {
	ADM_DELETE_SQ = 0x00,
	ADM_CREATE_SQ = 0x01,
	ADM_GET_LOG = 0x02,
	ADM_DELETE_CQ = 0x04,
	ADM_CREATE_CQ = 0x05,
	ADM_IDENTIFY = 0x06,
	ADM_ABORT = 0x08,
	ADM_SET_FEATURES = 0x09,
	ADM_GET_FEATURES = 0x0a,
	ADM_AER = 0x0c,
};

enum {
	FEAT_ARBITRATION = 0x01,
	FEAT_POWER = 0x02,
	FEAT_TEMPERATURE = 0x04,
	FEAT_ERROR_RECOVERY = 0x05,
	FEAT_WRITE_CACHE = 0x06,
	FEAT_QUEUES = 0x07,
	FEAT_COALESCING = 0x08,
	FEAT_VECTOR = 0x09,
	FEAT_ATOMICITY = 0x0a,
	FEAT_EVENTS = 0x0b,
};
#define FEAT_SAVE 0x80000000u

static uint32_t dw(const struct nvme_req *r, unsigned n)
{
	return ld_le32(r->cmd + 4 * n);
}

/* ---- Queues ------------------------------------------------------------------------------------- */

static unsigned create_cq(struct nvme_req *r)
{
	struct nvme *n = r->nvme;
	uint32_t id = dw(r, 10) & 0xffff, size = (dw(r, 10) >> 16) + 1, vector = dw(r, 11) >> 16;
	uint64_t base = ld_le64(r->cmd + 24);

	if (!id || id >= NVME_QUEUES || n->cq[id].on)
		return NVME_INVALID_QID;
	if (size < 2 || size > NVME_ENTRIES_MAX)
		return NVME_INVALID_QUEUE_SIZE;
	if (base & (nvme_page(n) - 1) || !(dw(r, 11) & 1)) /* in one piece, it must be */
		return base & (nvme_page(n) - 1) ? NVME_INVALID_PRP_OFFSET : NVME_INVALID_FIELD;
	if (vector >= (msix_enabled(&n->msix) ? NVME_QUEUES : 1))
		return NVME_INVALID_VECTOR;
	n->cq[id] = (struct nvme_cq){
		.on = 1,
		.phase = 1,
		.irq = dw(r, 11) >> 1 & 1,
		.vector = (uint16_t)vector,
		.size = size,
		.base = base,
	};
	return NVME_OK;
}

static unsigned create_sq(struct nvme_req *r)
{
	struct nvme *n = r->nvme;
	uint32_t id = dw(r, 10) & 0xffff, size = (dw(r, 10) >> 16) + 1, cq = dw(r, 11) >> 16;
	uint64_t base = ld_le64(r->cmd + 24);

	if (!cq || cq >= NVME_QUEUES || !n->cq[cq].on)
		return NVME_INVALID_CQ;
	if (!id || id >= NVME_QUEUES || n->sq[id].on)
		return NVME_INVALID_QID;
	if (size < 2 || size > NVME_ENTRIES_MAX)
		return NVME_INVALID_QUEUE_SIZE;
	if (base & (nvme_page(n) - 1) || !(dw(r, 11) & 1))
		return base & (nvme_page(n) - 1) ? NVME_INVALID_PRP_OFFSET : NVME_INVALID_FIELD;
	n->sq[id] = (struct nvme_sq){.on = 1, .cq = (uint16_t)cq, .size = size, .base = base};
	return NVME_OK;
}

static unsigned delete_sq(struct nvme_req *r)
{
	struct nvme *n = r->nvme;
	uint32_t id = dw(r, 10) & 0xffff;

	if (!id || id >= NVME_QUEUES || !n->sq[id].on)
		return NVME_INVALID_QID;
	nvme_forget_queue(n, id);
	n->sq[id] = (struct nvme_sq){0};
	return NVME_OK;
}

static unsigned delete_cq(struct nvme_req *r)
{
	struct nvme *n = r->nvme;
	uint32_t id = dw(r, 10) & 0xffff;

	if (!id || id >= NVME_QUEUES || !n->cq[id].on)
		return NVME_INVALID_QID;
	for (unsigned i = 1; i < NVME_QUEUES; i++) {
		if (n->sq[i].on && n->sq[i].cq == id)
			return NVME_INVALID_QUEUE_DELETION;
	}
	n->cq[id] = (struct nvme_cq){0};
	nvme_update_irq(n);
	return NVME_OK;
}

/* ---- IDENTIFY ----------------------------------------------------------------------------------- */

static void put_text(uint8_t *b, unsigned n, const char *s)
{
	memset(b, ' ', n);
	memcpy(b, s, min_u64(strlen(s), n));
}

static void identify_controller(const struct nvme *n, uint8_t *b)
{
	st_le16(b, 0x1b36);
	st_le16(b + 2, 0x1af4);
	put_text(b + 4, 20, n->serial);
	put_text(b + 24, 40, "LODGE NVMe Ctrl");
	put_text(b + 64, 8, "1.0");
	b[72] = 6; /* recommended burst */
	b[77] = NVME_MDTS;
	st_le32(b + 80, 0x00010400);
	b[111] = 1; /* an I/O controller */
	b[258] = 3; /* abort limit, zero-based */
	b[259] = NVME_AERS - 1;
	b[260] = 0x03; /* one firmware slot, read-only */
	st_le16(b + 266, NVME_TEMPERATURE_MAX);
	st_le16(b + 268, NVME_TEMPERATURE_MAX + 30);
	b[512] = 0x66; /* sizes of queue entries: 64 and 16 bytes */
	b[513] = 0x44;
	st_le16(b + 514, NVME_REQS);
	st_le32(b + 516, 1);	  /* namespaces */
	st_le16(b + 520, 0x000c); /* DATASET MANAGEMENT, WRITE ZEROES */
	b[525] = 0x07;		  /* a volatile write cache; FLUSH of all namespaces */
	snprintf((char *)b + 768, 256, "nqn.2026-01.dev.lodge:nvme:%s", n->serial);
	st_le16(b + 2048, 0x9c4); /* power state 0: 25 W */
}

static void identify_namespace(const struct nvme *n, uint8_t *b)
{
	st_le64(b, n->sectors);
	st_le64(b + 8, n->sectors);
	st_le64(b + 16, n->sectors);
	if (n->cfg.read_only)
		b[99] = 1; /* NSATTR: write protected */
	b[130] = 9;	   /* format 0: 512 bytes, no metadata */
}

/* Descriptors of namespace 1: a UUID made of the serial number. */
static void identify_descriptors(const struct nvme *n, uint8_t *b)
{
	uint64_t h = 0xcbf29ce484222325;

	for (const char *s = n->serial; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3;
	b[0] = 3;
	b[1] = 16;
	st_le64(b + 4, h);
	st_le64(b + 12, h * 0x9e3779b97f4a7c15);
	b[10] = (uint8_t)((b[10] & 0x0f) | 0x80); /* version 8, its bits where RFC 9562 has them */
	b[12] = (uint8_t)((b[12] & 0x3f) | 0x80);
}

static unsigned identify(struct nvme_req *r)
{
	const struct nvme *n = r->nvme;
	uint8_t b[4096] = {0};
	uint32_t nsid = dw(r, 1);

	switch (dw(r, 10) & 0xff) {
	case 0x00:
		if (nsid != 1 && nsid != 0xffffffff)
			return NVME_INVALID_NAMESPACE;
		identify_namespace(n, b);
		break;
	case 0x01:
		identify_controller(n, b);
		break;
	case 0x02: /* namespaces behind this one */
		if (nsid >= 0xfffffffe)
			return NVME_INVALID_NAMESPACE;
		if (nsid == 0)
			st_le32(b, 1);
		break;
	case 0x03:
		if (nsid != 1)
			return NVME_INVALID_NAMESPACE;
		identify_descriptors(n, b);
		break;
	default:
		return NVME_INVALID_FIELD | NVME_DNR;
	}
	return nvme_reply(r, b, sizeof(b));
}

/* ---- Logs --------------------------------------------------------------------------------------- */

/* SMART: what the queue has counted, in units of 1000 sectors. */
static void log_smart(const struct nvme *n, uint8_t *b)
{
	struct blk_queue_stats st;

	blk_queue_get_stats(n->cfg.queue, &st);
	st_le16(b + 1, 300); /* kelvin */
	b[3] = 100;	     /* spare */
	b[4] = 10;
	st_le64(b + 32, (st.bytes[BLK_READ] + 511999) / 512000);
	st_le64(b + 48, (st.bytes[BLK_WRITE] + 511999) / 512000);
	st_le64(b + 64, st.ops[BLK_READ]);
	st_le64(b + 80, st.ops[BLK_WRITE]);
	st_le64(b + 160, st.errors[BLK_READ] + st.errors[BLK_WRITE]);
}

static unsigned get_log(struct nvme_req *r)
{
	uint8_t b[512] = {0};
	uint64_t off = ld_le64(r->cmd + 48), bytes;
	uint32_t size = sizeof(b);

	bytes = ((uint64_t)(dw(r, 10) >> 16 | (dw(r, 11) & 0xffff) << 16) + 1) * 4;
	switch (dw(r, 10) & 0xff) {
	case 0x01: /* errors: none is kept */
		size = 64;
		break;
	case 0x02:
		log_smart(r->nvme, b);
		break;
	case 0x03: /* firmware slots: the first, which runs */
		b[0] = 1;
		put_text(b + 8, 8, "1.0");
		break;
	default:
		return NVME_INVALID_LOG | NVME_DNR;
	}
	if (off > size || off & 3)
		return NVME_INVALID_FIELD | NVME_DNR;
	if (!(dw(r, 10) & 0x8000)) { /* events of its kind may come again */
		r->nvme->event_masked = 0;
		nvme_send_events(r->nvme);
	}
	return nvme_reply(r, b + off, (uint32_t)min_u64(bytes, size - off));
}

/* ---- Features ----------------------------------------------------------------------------------- */

static bool feature_known(uint32_t id)
{
	return id >= FEAT_ARBITRATION && id <= FEAT_EVENTS && id != 0x03;
}

static uint32_t feature_default(const struct nvme *n, uint32_t id)
{
	switch (id) {
	case FEAT_TEMPERATURE:
		return NVME_TEMPERATURE_MAX;
	case FEAT_WRITE_CACHE:
		return blk_queue_write_cache(n->cfg.queue);
	case FEAT_QUEUES:
		return (NVME_QUEUES - 2) | (NVME_QUEUES - 2) << 16;
	default:
		return 0;
	}
}

static unsigned get_features(struct nvme_req *r, uint32_t *result)
{
	const struct nvme *n = r->nvme;
	uint32_t id = dw(r, 10) & 0xff, sel = dw(r, 10) >> 8 & 7;

	if (!feature_known(id))
		return NVME_INVALID_FIELD | NVME_DNR;
	if (sel == 3) {
		*result = 4; /* changeable, not saved */
		return NVME_OK;
	}
	if (sel > 3)
		return NVME_INVALID_FIELD | NVME_DNR;
	*result = sel || id == FEAT_WRITE_CACHE || id == FEAT_QUEUES ? feature_default(n, id)
								     : n->features[id];
	if (id == FEAT_VECTOR)
		*result = dw(r, 11) & 0xffff;
	return NVME_OK;
}

static unsigned set_features(struct nvme_req *r, uint32_t *result)
{
	struct nvme *n = r->nvme;
	uint32_t id = dw(r, 10) & 0xff, val = dw(r, 11);

	if (dw(r, 10) & FEAT_SAVE)
		return NVME_FEATURE_NOT_SAVEABLE | NVME_DNR;
	if (!feature_known(id) || id == FEAT_VECTOR)
		return NVME_INVALID_FIELD | NVME_DNR;
	switch (id) {
	case FEAT_WRITE_CACHE:
		blk_queue_set_write_cache(n->cfg.queue, val & 1);
		break;
	case FEAT_QUEUES:
		if ((val & 0xffff) == 0xffff || val >> 16 == 0xffff)
			return NVME_INVALID_FIELD | NVME_DNR;
		*result = feature_default(n, id);
		break;
	case FEAT_POWER:
		if (val & 0x1f) /* there is one state */
			return NVME_INVALID_FIELD | NVME_DNR;
		break;
	default:
		n->features[id] = val;
		break;
	}
	return NVME_OK;
}

/* ---- The rest ----------------------------------------------------------------------------------- */

/* It is kept, not completed, until there is an event. */
static unsigned async_event_request(struct nvme_req *r)
{
	struct nvme *n = r->nvme;

	if (n->aers == NVME_AERS)
		return NVME_AER_LIMIT | NVME_DNR;
	n->aer_cid[n->aers++] = ld_le16(r->cmd + 2);
	r->sq = NVME_NO_QUEUE;
	n->cq[0].due--;
	nvme_send_events(n);
	return NVME_OK; /* unheard */
}

unsigned nvme_admin(struct nvme_req *r, uint32_t *result)
{
	switch (r->cmd[0]) {
	case ADM_DELETE_SQ:
		return delete_sq(r);
	case ADM_CREATE_SQ:
		return create_sq(r);
	case ADM_GET_LOG:
		return get_log(r);
	case ADM_DELETE_CQ:
		return delete_cq(r);
	case ADM_CREATE_CQ:
		return create_cq(r);
	case ADM_IDENTIFY:
		return identify(r);
	case ADM_ABORT: /* what is under way ends by itself */
		*result = 1;
		return NVME_OK;
	case ADM_SET_FEATURES:
		return set_features(r, result);
	case ADM_GET_FEATURES:
		return get_features(r, result);
	case ADM_AER:
		return async_event_request(r);
	default:
		return NVME_INVALID_OPCODE | NVME_DNR;
	}
}
