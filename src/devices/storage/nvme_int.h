/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the NVMe controller. Private to nvme*.c.
 *
 * A command's life: its submission queue's doorbell rings; nvme_kick() copies it into a free request,
 * as long as its completion queue is sure to have room; it is executed, at once or by the image; its
 * completion is posted and the request is free again. A request whose queue was deleted meanwhile, or whose
 * controller was reset, ends unheard.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_STORAGE_NVME_INT_H
#define LODGE_DEVICES_STORAGE_NVME_INT_H

#include "bus/msix.h"
#include "devices/storage/nvme.h"

#define NVME_QUEUES 65u /* of each kind, the admin queue being 0 */
#define NVME_ENTRIES_MAX 2048u
#define NVME_REQS 128u
#define NVME_MDTS 5u /* 2^5 pages of 4 KiB */
#define NVME_DATA_MAX (4096u << NVME_MDTS)
#define NVME_SEGS (NVME_DATA_MAX / 4096u + 1)
#define NVME_AERS 4u
#define NVME_CMD_BYTES 64u
#define NVME_SECTOR 512u
#define NVME_NO_QUEUE 0xffffu
#define NVME_TEMPERATURE_MAX 0x157u /* 343 K */

/* Status codes: type << 8 | code (§4.6.1.2). */
enum {
	NVME_OK = 0x000,
	NVME_INVALID_OPCODE = 0x001,
	NVME_INVALID_FIELD = 0x002,
	NVME_DATA_TRANSFER_ERROR = 0x004,
	NVME_INTERNAL_ERROR = 0x006,
	NVME_ABORT_SQ_DELETION = 0x008,
	NVME_INVALID_NAMESPACE = 0x00b,
	NVME_INVALID_PRP_OFFSET = 0x013,
	NVME_WRITE_PROTECTED = 0x020,
	NVME_LBA_OUT_OF_RANGE = 0x080,
	NVME_INVALID_CQ = 0x100,
	NVME_INVALID_QID = 0x101,
	NVME_INVALID_QUEUE_SIZE = 0x102,
	NVME_AER_LIMIT = 0x105,
	NVME_INVALID_VECTOR = 0x108,
	NVME_INVALID_LOG = 0x109,
	NVME_INVALID_QUEUE_DELETION = 0x10c,
	NVME_FEATURE_NOT_SAVEABLE = 0x10d,
	NVME_FEATURE_NOT_CHANGEABLE = 0x10e,
	NVME_WRITE_FAULT = 0x280,
	NVME_READ_ERROR = 0x281,
	NVME_PENDING = 0xffff, /* not a status: the image is at work */
};
#define NVME_DNR 0x4000u /* do not retry, in a status as it is posted */

struct nvme_sq {
	uint8_t on;
	uint16_t cq;
	uint32_t size, head, tail; /* entries */
	uint64_t base;
};

struct nvme_cq {
	uint8_t on, phase, irq;
	uint16_t vector;
	uint32_t size, head, tail;
	uint32_t due; /* requests whose completions go here */
	uint64_t base;
};

struct nvme_seg {
	uint64_t addr;
	uint32_t len;
};

struct nvme_req {
	uint8_t used;
	uint16_t sq; /* or NVME_NO_QUEUE: its end is not to be heard of */
	uint8_t cmd[NVME_CMD_BYTES];
	/* Not saved: made again from the command. */
	struct nvme *nvme;
	uint8_t *buf;
	uint32_t len;	/* of buf */
	uint32_t range; /* DATA SET MANAGEMENT: the one at work */
	uint32_t ranges;
	unsigned segs;
	struct nvme_seg seg[NVME_SEGS];
	struct blk_req req;
	struct iovec iov;
	void (*end)(struct nvme_req *r, int result);
	bool busy;    /* req is the queue's */
	bool unheard; /* nothing is to follow its end */
};

struct nvme {
	struct pci_dev pci; /* first */
	struct msix msix;
	struct nvme_config cfg;
	char serial[21];
	uint64_t sectors;
	bool default_cache; /* write cache after a reset */
	/* Saved. */
	uint32_t intms, cc, aqa;
	uint64_t asq, acq;
	uint8_t enabled;       /* CSTS.RDY, but for requests that still end */
	uint8_t fatal;	       /* CSTS.CFS */
	uint8_t shutdown;      /* CSTS.SHST: 0, 1 under way, 2 done */
	uint32_t features[32]; /* by identifier; what SET FEATURES keeps */
	uint8_t aers;
	uint16_t aer_cid[NVME_AERS];
	uint8_t events;	      /* error events to be told: 1 << code, 0 and 1 */
	uint8_t event_masked; /* told, and the log not read since */
	struct nvme_sq sq[NVME_QUEUES];
	struct nvme_cq cq[NVME_QUEUES];
	struct nvme_req reqs[NVME_REQS];
	/* Not saved. */
	unsigned in_use;      /* requests */
	bool kicking, ending; /* inside nvme_kick; nobody hears of ends */
	struct blk_req flush; /* of a shutdown */
	bool flushing;
};

/* ---- nvme.c ------------------------------------------------------------------------------------- */

/* Take commands from the queues, as far as there is room. */
void nvme_kick(struct nvme *n);
/* A request has ended: post its completion, free it. */
void nvme_complete(struct nvme_req *r, unsigned status, uint32_t result);
/* Post a completion that belongs to no request (asynchronous events). */
void nvme_post(struct nvme *n, unsigned sq, uint16_t cid, unsigned status, uint32_t result);
void nvme_update_irq(struct nvme *n);
/* Tell the guest of an error event, now or when it asks. */
void nvme_event(struct nvme *n, unsigned code);
void nvme_send_events(struct nvme *n);
/* The requests of a queue that goes away. */
void nvme_forget_queue(struct nvme *n, unsigned sq);

/* Bytes of a page, as the guest has set it: at most 2^27, also where CAP does not allow it. */
static inline uint32_t nvme_page(const struct nvme *n)
{
	return 4096u << (n->cc >> 7 & 15);
}

/* ---- nvme_prp.c --------------------------------------------------------------------------------- */

/* Pages of `len` bytes from the command's PRP entries into r->seg. A status. */
unsigned nvme_map_prps(struct nvme_req *r, uint32_t len);
/* r->buf to them, or from them. A status. */
unsigned nvme_move(struct nvme_req *r, uint32_t len, bool to_guest);
/* Give r a buffer and send the first `len` bytes of `data`, at most `max` of them. A status. */
unsigned nvme_reply(struct nvme_req *r, const uint8_t *data, uint32_t len);

/* ---- nvme_admin.c, nvme_io.c: execute r->cmd; a status or NVME_PENDING ---------------------------- */

unsigned nvme_admin(struct nvme_req *r, uint32_t *result);
unsigned nvme_io(struct nvme_req *r);

#endif
