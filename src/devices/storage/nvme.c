// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * NVMe: the controller's registers, queues, interrupts, saved state.
 * Source: NVMe 1.4 §3.1 (registers), §4.1 (queues), §7.5 (interrupts), §7.6 (enable, shutdown). Register
 * table: docs/devices/nvme.md. Saved state: version 1; requests under way are made again from their commands.
 * Threads: with the VM lock held.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/storage/nvme_int.h"

#define BAR_BYTES 0x4000u
#define DOORBELLS_AT 0x1000u
#define MSIX_BAR 4u
#define CQE_BYTES 16u

enum {
	REG_CAP = 0x00,
	REG_CAP_HIGH = 0x04,
	REG_VS = 0x08,
	REG_INTMS = 0x0c,
	REG_INTMC = 0x10,
	REG_CC = 0x14,
	REG_CSTS = 0x1c,
	REG_AQA = 0x24,
	REG_ASQ = 0x28,
	REG_ASQ_HIGH = 0x2c,
	REG_ACQ = 0x30,
	REG_ACQ_HIGH = 0x34,
};

/* 2048 entries, contiguous queues, 7.5 s to be ready; the NVM command set; pages of 4 to 64 KiB. */
#define CAP_LOW (0x0f010000u | (NVME_ENTRIES_MAX - 1))
#define CAP_HIGH 0x00400020u
#define MPS_MAX 4u
#define VS_VALUE 0x00010400u

#define CC_EN 1u
#define CC_SHN(cc) ((cc) >> 14 & 3u)
#define CSTS_RDY 1u
#define CSTS_CFS 2u

#define EVENT_ERROR 0u
#define EVENT_BAD_DOORBELL 0u
#define EVENT_BAD_DOORBELL_VALUE 1u
#define LOG_ERRORS 1u

static const struct pci_ident ident = {
	.vendor = 0x1b36,
	.device = 0x0010,
	.class_code = 0x0108,
	.prog_if = 0x02,
	.revision = 2,
	.subsys_vendor = 0x1af4,
	.subsys = 0x1100,
	.int_pin = 1,
};

/* ---- Completions and interrupts ----------------------------------------------------------------- */

static uint32_t cq_room(const struct nvme_cq *q)
{
	return (q->head + q->size - q->tail - 1) % q->size;
}

void nvme_update_irq(struct nvme *n)
{
	bool on = false;

	for (unsigned i = 0; i < NVME_QUEUES; i++) {
		const struct nvme_cq *q = &n->cq[i];

		if (q->on && q->irq && q->head != q->tail && !(n->intms & 1))
			on = true;
	}
	pci_irq_set(&n->pci, on && !msix_enabled(&n->msix));
}

static void go_wrong(struct nvme *n)
{
	n->fatal = 1;
}

void nvme_post(struct nvme *n, unsigned sq, uint16_t cid, unsigned status, uint32_t result)
{
	struct nvme_cq *q = &n->cq[n->sq[sq].cq];
	uint8_t e[CQE_BYTES] = {0};

	st_le32(e, result);
	st_le16(e + 8, (uint16_t)n->sq[sq].head);
	st_le16(e + 10, (uint16_t)sq);
	st_le16(e + 12, cid);
	st_le16(e + 14, (uint16_t)(status << 1 | q->phase));
	if (mem_write(n->cfg.mem, q->base + (uint64_t)q->tail * CQE_BYTES, e, sizeof(e))) {
		go_wrong(n);
		return;
	}
	if (++q->tail == q->size) {
		q->tail = 0;
		q->phase ^= 1;
	}
	if (!q->irq)
		return;
	if (msix_enabled(&n->msix))
		msix_notify(&n->msix, q->vector);
	else
		nvme_update_irq(n);
}

static void enable(struct nvme *n);
static bool all_ended(const struct nvme *n);

void nvme_complete(struct nvme_req *r, unsigned status, uint32_t result)
{
	struct nvme *n = r->nvme;

	if (r->sq != NVME_NO_QUEUE) {
		n->cq[n->sq[r->sq].cq].due--;
		nvme_post(n, r->sq, ld_le16(r->cmd + 2), status, result);
	}
	free(r->buf);
	r->buf = NULL;
	r->used = 0;
	n->in_use--;
	if (n->ending)
		return;
	/* It was enabled again before the last one's requests had ended. */
	if (all_ended(n) && n->cc & CC_EN && !n->enabled)
		enable(n);
	nvme_kick(n);
}

/* ---- Events ------------------------------------------------------------------------------------- */

void nvme_send_events(struct nvme *n)
{
	const struct nvme_cq *q = &n->cq[0];

	for (unsigned code = 0; code < 2; code++) {
		if (!(n->events & 1u << code) || !n->aers || n->event_masked ||
		    cq_room(q) <= q->due)
			continue;
		n->events &= (uint8_t) ~(1u << code);
		n->event_masked = 1;
		nvme_post(n, 0, n->aer_cid[--n->aers], NVME_OK,
			  EVENT_ERROR | code << 8 | LOG_ERRORS << 16);
	}
}

void nvme_event(struct nvme *n, unsigned code)
{
	n->events |= (uint8_t)(1u << code);
	if (n->enabled)
		nvme_send_events(n);
}

/* ---- Submission --------------------------------------------------------------------------------- */

static void execute(struct nvme_req *r)
{
	uint32_t result = 0;
	unsigned s = r->sq ? nvme_io(r) : nvme_admin(r, &result);

	if (s != NVME_PENDING)
		nvme_complete(r, s, result);
}

static struct nvme_req *free_req(struct nvme *n)
{
	for (unsigned i = 0; i < NVME_REQS; i++) {
		if (!n->reqs[i].used)
			return &n->reqs[i];
	}
	return NULL;
}

/* Take one command of queue `id`; false when there is none, or no room. */
static bool take(struct nvme *n, unsigned id)
{
	struct nvme_sq *q = &n->sq[id];
	struct nvme_req *r;
	struct nvme_cq *cq;

	if (!q->on || q->head == q->tail)
		return false;
	cq = &n->cq[q->cq];
	if (cq_room(cq) <= cq->due)
		return false;
	r = free_req(n);
	if (!r)
		return false;
	if (mem_read(n->cfg.mem, q->base + (uint64_t)q->head * NVME_CMD_BYTES, r->cmd,
		     NVME_CMD_BYTES)) {
		go_wrong(n);
		return false;
	}
	q->head = (q->head + 1) % q->size;
	r->used = 1;
	r->sq = (uint16_t)id;
	r->segs = 0;
	n->in_use++;
	cq->due++;
	execute(r);
	return true;
}

void nvme_kick(struct nvme *n)
{
	bool more = true;

	if (n->kicking)
		return;
	n->kicking = true;
	blk_queue_plug(n->cfg.queue);
	while (more && n->enabled && !n->fatal && pci_is_master(&n->pci)) {
		more = false;
		/* In turn, so that no queue starves another. */
		for (unsigned i = 0; i < NVME_QUEUES && n->enabled && !n->fatal; i++)
			more |= take(n, i);
	}
	n->kicking = false;
	blk_queue_unplug_now(n->cfg.queue);
}

void nvme_forget_queue(struct nvme *n, unsigned sq)
{
	for (unsigned i = 0; i < NVME_REQS; i++) {
		struct nvme_req *r = &n->reqs[i];

		if (!r->used || r->sq != sq)
			continue;
		n->cq[n->sq[sq].cq].due--;
		r->sq = NVME_NO_QUEUE;
	}
}

static void ring(struct nvme *n, uint32_t off, uint32_t val)
{
	unsigned id = off / 8;

	if (off % 4 || id >= NVME_QUEUES)
		return nvme_event(n, EVENT_BAD_DOORBELL);
	if (off & 4) {
		struct nvme_cq *q = &n->cq[id];
		uint32_t filled = (q->tail + q->size - q->head) % (q->size ? q->size : 1);

		if (!q->on)
			return nvme_event(n, EVENT_BAD_DOORBELL);
		/* Only what was posted can be taken. */
		if (val >= q->size || (val + q->size - q->head) % q->size > filled)
			return nvme_event(n, EVENT_BAD_DOORBELL_VALUE);
		q->head = val;
		nvme_update_irq(n);
		nvme_send_events(n);
	} else {
		struct nvme_sq *q = &n->sq[id];

		if (!q->on)
			return nvme_event(n, EVENT_BAD_DOORBELL);
		if (val >= q->size)
			return nvme_event(n, EVENT_BAD_DOORBELL_VALUE);
		q->tail = val;
	}
	nvme_kick(n);
}

/* ---- Enable, disable, shut down ------------------------------------------------------------------ */

static bool all_ended(const struct nvme *n)
{
	return !n->in_use && !n->flushing;
}

static void enable(struct nvme *n)
{
	uint32_t sq = (n->aqa & 0xfff) + 1, cq = (n->aqa >> 16 & 0xfff) + 1;
	uint32_t mps = n->cc >> 7 & 15;

	if (sq < 2 || cq < 2 || sq > NVME_ENTRIES_MAX || cq > NVME_ENTRIES_MAX || mps > MPS_MAX ||
	    n->cc >> 4 & 7 || (n->asq | n->acq) & (nvme_page(n) - 1)) {
		go_wrong(n);
		return;
	}
	n->sq[0] = (struct nvme_sq){.on = 1, .size = sq, .base = n->asq};
	n->cq[0] = (struct nvme_cq){.on = 1, .phase = 1, .irq = 1, .size = cq, .base = n->acq};
	n->enabled = 1;
}

/* All queues go; what the image has begun ends unheard. */
static void disable(struct nvme *n)
{
	for (unsigned i = 0; i < NVME_QUEUES; i++) {
		if (n->sq[i].on)
			nvme_forget_queue(n, i);
	}
	memset(n->sq, 0, sizeof(n->sq));
	memset(n->cq, 0, sizeof(n->cq));
	n->enabled = n->fatal = n->shutdown = 0;
	n->aers = n->events = n->event_masked = 0;
	nvme_update_irq(n);
}

static void shutdown_done(struct blk_req *req, int result)
{
	struct nvme *n = container_of(req, struct nvme, flush);

	(void)result;
	n->flushing = false;
	if (n->shutdown == 1)
		n->shutdown = 2;
	if (!n->ending && all_ended(n) && n->cc & CC_EN && !n->enabled)
		enable(n);
}

static void shut_down(struct nvme *n)
{
	n->shutdown = 1;
	if (n->flushing)
		return;
	n->flush = (struct blk_req){.op = BLK_FLUSH, .done = shutdown_done};
	n->flushing = true;
	blk_queue_submit(n->cfg.queue, &n->flush);
}

static void write_cc(struct nvme *n, uint32_t val)
{
	uint32_t old = n->cc;

	n->cc = val & 0x00fffff1;
	if (old & CC_EN && !(val & CC_EN))
		disable(n);
	else if (!(old & CC_EN) && val & CC_EN && all_ended(n))
		enable(n);
	if (CC_SHN(val) && !CC_SHN(old))
		shut_down(n);
	else if (!CC_SHN(val) && CC_SHN(old))
		n->shutdown = 0;
}

static uint32_t csts(const struct nvme *n)
{
	bool ready = n->enabled || (!(n->cc & CC_EN) && !all_ended(n));

	return (ready ? CSTS_RDY : 0) | (n->fatal ? CSTS_CFS : 0) | (uint32_t)n->shutdown << 2;
}

/* ---- Registers ---------------------------------------------------------------------------------- */

static uint32_t reg_read(const struct nvme *n, uint32_t off)
{
	switch (off) {
	case REG_CAP:
		return CAP_LOW;
	case REG_CAP_HIGH:
		return CAP_HIGH;
	case REG_VS:
		return VS_VALUE;
	case REG_INTMS:
	case REG_INTMC:
		return n->intms;
	case REG_CC:
		return n->cc;
	case REG_CSTS:
		return csts(n);
	case REG_AQA:
		return n->aqa;
	case REG_ASQ:
		return (uint32_t)n->asq;
	case REG_ASQ_HIGH:
		return (uint32_t)(n->asq >> 32);
	case REG_ACQ:
		return (uint32_t)n->acq;
	case REG_ACQ_HIGH:
		return (uint32_t)(n->acq >> 32);
	default:
		return 0;
	}
}

static void set_half(uint64_t *reg, bool high, uint32_t val)
{
	*reg = high ? (*reg & 0xffffffff) | (uint64_t)val << 32 : (*reg & ~0xffffffffull) | val;
}

static void reg_write(struct nvme *n, uint32_t off, uint32_t val)
{
	switch (off) {
	case REG_INTMS:
		n->intms |= val;
		nvme_update_irq(n);
		break;
	case REG_INTMC:
		n->intms &= ~val;
		nvme_update_irq(n);
		break;
	case REG_CC:
		write_cc(n, val);
		break;
	case REG_AQA:
		n->aqa = val & 0x0fff0fff;
		break;
	case REG_ASQ:
	case REG_ASQ_HIGH:
		set_half(&n->asq, off == REG_ASQ_HIGH, off == REG_ASQ ? val & ~0xfffu : val);
		break;
	case REG_ACQ:
	case REG_ACQ_HIGH:
		set_half(&n->acq, off == REG_ACQ_HIGH, off == REG_ACQ ? val & ~0xfffu : val);
		break;
	default:
		break;
	}
}

static uint64_t bar_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return reg_read(dev, (uint32_t)off);
}

static void bar_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct nvme *n = dev;

	if (size != 4 || off % 4)
		return;
	if (off < DOORBELLS_AT)
		reg_write(n, (uint32_t)off, (uint32_t)val);
	else if (n->enabled)
		ring(n, (uint32_t)off - DOORBELLS_AT, (uint32_t)val);
}

static const struct bus_ops bar_ops = {bar_read, bar_write, 4, 4};

/* ---- Reset and saved state ----------------------------------------------------------------------- */

/* Wait for what the image has begun; nobody hears of its end. */
static void quiesce(struct nvme *n)
{
	bool any = n->flushing;

	for (unsigned i = 0; i < NVME_REQS; i++) {
		n->reqs[i].unheard = n->reqs[i].busy;
		any |= n->reqs[i].busy;
	}
	n->ending = true;
	if (any) {
		blk_queue_drain(n->cfg.queue);
		blk_queue_drop_held(n->cfg.queue);
	}
	n->ending = n->flushing = false;
	for (unsigned i = 0; i < NVME_REQS; i++) {
		struct nvme_req *r = &n->reqs[i];

		free(r->buf);
		r->buf = NULL;
		r->busy = r->unheard = false;
	}
}

static void nvme_reset(struct device *dev)
{
	struct nvme *n = container_of(dev, struct nvme, pci.dev);

	quiesce(n);
	for (unsigned i = 0; i < NVME_REQS; i++)
		n->reqs[i].used = 0;
	n->in_use = 0;
	pci_dev_reset(&n->pci);
	msix_reset(&n->msix);
	disable(n);
	n->intms = n->cc = n->aqa = 0;
	n->asq = n->acq = 0;
	memset(n->features, 0, sizeof(n->features));
	n->features[4] = NVME_TEMPERATURE_MAX;
	blk_queue_set_write_cache(n->cfg.queue, n->default_cache);
}

static bool queues_ok(struct nvme *n)
{
	for (unsigned i = 0; i < NVME_QUEUES; i++) {
		const struct nvme_sq *s = &n->sq[i];
		const struct nvme_cq *c = &n->cq[i];

		if (s->on > 1 || c->on > 1 || c->phase > 1 || c->irq > 1 || s->cq >= NVME_QUEUES)
			return false;
		if (s->on && (s->size < 2 || s->size > NVME_ENTRIES_MAX || s->head >= s->size ||
			      s->tail >= s->size || !n->cq[s->cq].on))
			return false;
		if (c->on && (c->size < 2 || c->size > NVME_ENTRIES_MAX || c->head >= c->size ||
			      c->tail >= c->size || c->vector >= NVME_QUEUES))
			return false;
	}
	return !n->enabled || (n->sq[0].on && n->cq[0].on && !n->sq[0].cq);
}

static bool requests_ok(const struct nvme *n)
{
	for (unsigned i = 0; i < NVME_REQS; i++) {
		const struct nvme_req *r = &n->reqs[i];

		if (r->used > 1 || (r->used && r->sq != NVME_NO_QUEUE &&
				    (!r->sq || r->sq >= NVME_QUEUES || !n->sq[r->sq].on)))
			return false;
	}
	return n->enabled <= 1 && n->fatal <= 1 && n->shutdown <= 2 && n->aers <= NVME_AERS &&
	       n->events <= 3 && n->event_masked <= 1;
}

/* Make again what was under way; each has its place in its completion queue. */
static void resume(struct nvme *n)
{
	n->in_use = 0;
	for (unsigned i = 0; i < NVME_QUEUES; i++)
		n->cq[i].due = 0;
	for (unsigned i = 0; i < NVME_REQS; i++) {
		struct nvme_req *r = &n->reqs[i];

		if (!r->used)
			continue;
		if (r->sq == NVME_NO_QUEUE ||
		    cq_room(&n->cq[n->sq[r->sq].cq]) <= n->cq[n->sq[r->sq].cq].due) {
			r->used = 0;
			continue;
		}
		n->in_use++;
		n->cq[n->sq[r->sq].cq].due++;
	}
	n->kicking = true; /* first these */
	for (unsigned i = 0; i < NVME_REQS; i++) {
		if (n->reqs[i].used && !n->reqs[i].busy)
			execute(&n->reqs[i]);
	}
	n->kicking = false;
	if (n->shutdown == 1)
		shut_down(n);
	nvme_kick(n);
}

static int nvme_post_load(struct device *dev)
{
	struct nvme *n = container_of(dev, struct nvme, pci.dev);

	quiesce(n);
	if (!queues_ok(n) || !requests_ok(n) || pci_dev_loaded(&n->pci) || msix_loaded(&n->msix)) {
		for (unsigned i = 0; i < NVME_REQS; i++)
			n->reqs[i].used = 0;
		n->in_use = 0;
		memset(n->sq, 0, sizeof(n->sq));
		memset(n->cq, 0, sizeof(n->cq));
		n->enabled = n->aers = 0;
		return -EINVAL;
	}
	resume(n);
	nvme_update_irq(n);
	return 0;
}

static const struct state_field nvme_fields[] = {
	PCI_STATE_FIELDS(struct nvme, pci),
	MSIX_STATE_FIELDS(struct nvme, msix),
	STATE_FIELD(struct nvme, intms),
	STATE_FIELD(struct nvme, cc),
	STATE_FIELD(struct nvme, aqa),
	STATE_FIELD(struct nvme, asq),
	STATE_FIELD(struct nvme, acq),
	STATE_FIELD(struct nvme, enabled),
	STATE_FIELD(struct nvme, fatal),
	STATE_FIELD(struct nvme, shutdown),
	STATE_ARRAY(struct nvme, features),
	STATE_FIELD(struct nvme, aers),
	STATE_ARRAY(struct nvme, aer_cid),
	STATE_FIELD(struct nvme, events),
	STATE_FIELD(struct nvme, event_masked),
	STATE_EACH(struct nvme, sq, on),
	STATE_EACH(struct nvme, sq, cq),
	STATE_EACH(struct nvme, sq, size),
	STATE_EACH(struct nvme, sq, head),
	STATE_EACH(struct nvme, sq, tail),
	STATE_EACH(struct nvme, sq, base),
	STATE_EACH(struct nvme, cq, on),
	STATE_EACH(struct nvme, cq, phase),
	STATE_EACH(struct nvme, cq, irq),
	STATE_EACH(struct nvme, cq, vector),
	STATE_EACH(struct nvme, cq, size),
	STATE_EACH(struct nvme, cq, head),
	STATE_EACH(struct nvme, cq, tail),
	STATE_EACH(struct nvme, cq, base),
	STATE_EACH(struct nvme, reqs, used),
	STATE_EACH(struct nvme, reqs, sq),
	STATE_EACH_BUFFER(struct nvme, reqs, cmd),
	STATE_END,
};

static const struct device_class nvme_class = {
	.name = "nvme",
	.version = 1,
	.reset = nvme_reset,
	.fields = nvme_fields,
	.post_load = nvme_post_load,
};

static void config_written(struct pci_dev *pd, unsigned off, unsigned size)
{
	struct nvme *n = container_of(pd, struct nvme, pci);

	msix_config_written(&n->msix, off, size);
	nvme_update_irq(n);
	if (reg_hit(off, size, PCI_COMMAND, 2))
		nvme_kick(n);
}

static const struct pci_dev_ops pci_ops = {.config_written = config_written};

/* ---- Life --------------------------------------------------------------------------------------- */

struct nvme *nvme_new(struct pci_bus *pb, uint8_t devfn, const struct nvme_config *cfg,
		      struct lodge_err *err)
{
	struct nvme *n = calloc(1, sizeof(*n));

	if (!n) {
		err_set(err, -ENOMEM, "no memory for an NVMe controller: free some and retry");
		return NULL;
	}
	if (pci_dev_init(&n->pci, pb, devfn, &ident, &nvme_class, &pci_ops, err)) {
		free(n);
		return NULL;
	}
	n->cfg = *cfg;
	snprintf(n->serial, sizeof(n->serial), "%.20s", cfg->serial);
	n->cfg.serial = n->serial;
	n->sectors = blk_size(blk_queue_image(cfg->queue)) / NVME_SECTOR;
	n->default_cache = blk_queue_write_cache(cfg->queue);
	for (unsigned i = 0; i < NVME_REQS; i++)
		n->reqs[i].nvme = n;
	if (pci_dev_add_bar(&n->pci, 0, PCI_BAR_MEM64, false, BAR_BYTES, &bar_ops, n, "nvme")) {
		err_set(err, -ENOMEM, "no memory for an NVMe controller: free some and retry");
		nvme_free(n);
		return NULL;
	}
	if (msix_init(&n->msix, &n->pci, MSIX_BAR, NVME_QUEUES, err)) {
		nvme_free(n);
		return NULL;
	}
	nvme_reset(&n->pci.dev);
	return n;
}

void nvme_free(struct nvme *n)
{
	if (!n)
		return;
	quiesce(n);
	pci_dev_remove(&n->pci);
	free(n);
}

struct device *nvme_device(struct nvme *n)
{
	return &n->pci.dev;
}
