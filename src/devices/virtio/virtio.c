// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What all virtio devices share, apart from registers: negotiation, status, queues' life, errors.
 * Source: virtio 1.2 §2.1 (status), §2.2 (features), §2.4 (reset), §2.5 (configuration), §2.6.1 (queue
 * reset), §3.1 (initialization). Threads: with the VM lock held.
 */
#include "devices/virtio/virtio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/range.h"

#define STATUS_WRITABLE                                                               \
	(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK | \
	 VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_FAILED)
#define LEGACY_FEATURES 0xffffffffull

/* ---- Running ------------------------------------------------------------------------------------ */

/* A legacy driver may use its queues before it says DRIVER_OK (§3.1.2). */
bool virtio_running(const struct virtio_dev *v)
{
	if (v->status & (VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED))
		return false;
	if (v->legacy_driver)
		return v->status & VIRTIO_STATUS_DRIVER;
	return (v->status & VIRTIO_STATUS_DRIVER_OK) && pci_is_master(&v->pci);
}

void virtio_error(struct virtio_dev *v, const char *why)
{
	log_trace(LOG_GUEST_ERR, "%s %02x.%x: %s; it stands still until it is reset\n",
		  v->pci.dev.cls->name, v->pci.devfn >> 3, v->pci.devfn & 7, why);
	if (v->status & VIRTIO_STATUS_NEEDS_RESET)
		return;
	v->status |= VIRTIO_STATUS_NEEDS_RESET;
	virtio_bells_update(v);
	if (v->status & VIRTIO_STATUS_DRIVER_OK)
		virtio_config_changed(v);
}

struct vq_chain *virtio_pop(struct virtio_dev *v, unsigned q)
{
	struct vq_chain *c;
	int r;

	if (!virtio_running(v))
		return NULL;
	r = virtqueue_pop(&v->vq[q], &c);
	if (r == -EINVAL)
		virtio_error(v, v->vq[q].why);
	else if (r == -ENOMEM)
		virtio_error(v, "no memory for a chain");
	return r == 1 ? c : NULL;
}

void virtio_notify(struct virtio_dev *v, unsigned q)
{
	struct virtqueue *vq = &v->vq[q];

	if (virtio_running(v) && virtqueue_wants_notify(vq))
		virtio_pci_interrupt(v, 1, vq->vector);
}

void virtio_config_changed(struct virtio_dev *v)
{
	v->generation++;
	if (v->status & VIRTIO_STATUS_DRIVER_OK)
		virtio_pci_interrupt(v, 2, v->config_vector);
}

/* ---- Kicks -------------------------------------------------------------------------------------- */

void virtio_queue_kick(struct virtio_dev *v, unsigned q)
{
	if (q < v->queues && v->vq[q].enabled && virtio_running(v))
		v->ops->kick(v, q);
}

void virtio_again(struct virtio_dev *v, unsigned q)
{
	v->again_map[q / 64] |= 1ull << q % 64;
	/* Long past: as soon as may be. */
	if (!v->again.armed)
		io_timer_arm(&v->again, 1);
}

static void kick_again(void *opaque)
{
	struct virtio_dev *v = opaque;
	uint64_t map[ARRAY_SIZE(v->again_map)];

	memcpy(map, v->again_map, sizeof(map));
	memset(v->again_map, 0, sizeof(v->again_map));
	for (unsigned q = 0; q < v->queues; q++) {
		if (map[q / 64] & 1ull << q % 64)
			virtio_queue_kick(v, q);
	}
}

void virtio_all_again(struct virtio_dev *v)
{
	for (unsigned q = 0; q < v->queues; q++) {
		if (v->vq[q].enabled)
			virtio_again(v, q);
	}
}

/* ---- Negotiation and status --------------------------------------------------------------------- */

void virtio_set_features(struct virtio_dev *v, unsigned word, uint32_t bits)
{
	if (word > 1)
		return;
	if (v->status & (VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK)) {
		log_trace(LOG_GUEST_ERR, "%s: features written after FEATURES_OK\n",
			  v->pci.dev.cls->name);
		return;
	}
	v->accepted &= ~(0xffffffffull << 32 * word);
	v->accepted |= (uint64_t)bits << 32 * word;
}

static void settle_features(struct virtio_dev *v, uint64_t features)
{
	v->features = features;
	if (v->ops->negotiated)
		v->ops->negotiated(v);
}

/* §2.2.2: bits that were not offered are refused, and VERSION_1 must be among them. */
static bool features_ok(const struct virtio_dev *v)
{
	return !(v->accepted & ~v->offered) && (v->accepted & VIRTIO_F_VERSION_1);
}

/* A reset that is not over reads as anything but 0 (§4.1.4.3.1). */
uint8_t virtio_status(struct virtio_dev *v)
{
	if (!v->status && v->ops->lingers && v->ops->lingers(v))
		return VIRTIO_STATUS_ACKNOWLEDGE;
	return v->status;
}

/*
 * A driver of the legacy interface does not look whether its reset is over (§2.4.2 is of virtio 1.0): it waits here.
 * Others see a status that is not 0 meanwhile, one with which nothing is taken from queues.
 */
static void reset_by_driver(struct virtio_dev *v)
{
	if (v->resetting)
		return;
	if (v->legacy_driver || !v->ops->busy || !v->ops->busy(v)) {
		virtio_reset(v);
		return;
	}
	v->resetting = true;
	v->status = VIRTIO_STATUS_NEEDS_RESET;
	virtio_bells_update(v);
	io_timer_cancel(&v->again);
}

void virtio_drained(struct virtio_dev *v)
{
	if (v->resetting && !v->ops->busy(v))
		virtio_reset(v);
}

void virtio_set_status(struct virtio_dev *v, uint8_t status)
{
	uint8_t old = v->status;

	if (!status)
		reset_by_driver(v);
	if (!status || v->resetting)
		return;
	status &= STATUS_WRITABLE;
	if (status & ~old & VIRTIO_STATUS_FEATURES_OK) {
		if (features_ok(v))
			settle_features(v, v->accepted);
		else
			status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	}
	/* What was set stays set until a reset (§2.1.1). */
	v->status = old | status;
	if (!(status & ~old & VIRTIO_STATUS_DRIVER_OK))
		return;
	/* A modern driver that skipped FEATURES_OK drives nothing. */
	if (!(v->status & VIRTIO_STATUS_FEATURES_OK) && !v->legacy_driver) {
		if (!v->has_legacy || v->accepted & ~LEGACY_FEATURES) {
			v->status &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
			return;
		}
		settle_features(v, v->accepted & v->offered & LEGACY_FEATURES);
	}
	virtio_bells_update(v);
	if (v->ops->started)
		v->ops->started(v);
	virtio_all_again(v);
}

/* ---- Queues -------------------------------------------------------------------------------------- */

void virtio_queue_start(struct virtio_dev *v, unsigned q)
{
	if (v->resetting)
		return;
	/* A legacy driver never says that its features are final (§3.1.2). */
	if (v->legacy_driver && !(v->status & VIRTIO_STATUS_FEATURES_OK))
		settle_features(v, v->accepted & v->offered & LEGACY_FEATURES);
	virtqueue_start(&v->vq[q], virtio_has(v, VIRTIO_F_EVENT_IDX),
			virtio_has(v, VIRTIO_F_INDIRECT_DESC));
	virtio_bells_update(v);
}

void virtio_queue_stop(struct virtio_dev *v, unsigned q)
{
	uint16_t vector = v->vq[q].vector;

	if (v->resetting)
		return;
	if (v->ops->drop)
		v->ops->drop(v, q);
	v->again_map[q / 64] &= ~(1ull << q % 64);
	virtqueue_reset(&v->vq[q]);
	if (v->legacy_driver)
		v->vq[q].vector = vector;
	virtio_bells_update(v);
}

/* ---- Device configuration space ------------------------------------------------------------------ */

void virtio_config_reg(struct virtio_dev *v, const char *name, unsigned off, unsigned size,
		       uint32_t reset, uint32_t write)
{
	const struct reg_desc reg = {
		.name = name,
		.off = (uint16_t)off,
		.size = (uint8_t)size,
		.reset = reset,
		.write = write,
	};

	reg_file_add(&v->config, &reg, 1);
}

uint64_t virtio_config_read(struct virtio_dev *v, uint64_t off, unsigned size)
{
	if (!range_ok(off, size, v->ops->config_size))
		return UINT64_MAX;
	if (v->ops->config_reading)
		v->ops->config_reading(v);
	return reg_file_read(&v->config, (uint32_t)off, size);
}

void virtio_config_write(struct virtio_dev *v, uint64_t off, uint64_t val, unsigned size)
{
	if (!range_ok(off, size, v->ops->config_size))
		return;
	reg_file_write(&v->config, (uint32_t)off, val, size);
	if (v->ops->config_written)
		v->ops->config_written(v, (unsigned)off, size);
}

/* ---- Life ---------------------------------------------------------------------------------------- */

/* §2.4: by the driver or with the machine. */
void virtio_reset(struct virtio_dev *v)
{
	v->resetting = false;
	if (v->ops->drop)
		v->ops->drop(v, VIRTIO_ALL_QUEUES);
	io_timer_cancel(&v->again);
	memset(v->again_map, 0, sizeof(v->again_map));
	for (unsigned q = 0; q < v->queues; q++)
		virtqueue_reset(&v->vq[q]);
	v->accepted = v->features = 0;
	v->offered_sel = v->accepted_sel = 0;
	v->queue_sel = 0;
	v->config_vector = MSIX_NO_VECTOR;
	v->status = v->isr = v->legacy_driver = 0;
	virtio_bells_update(v);
	virtio_pci_update_pin(v);
	if (v->ops->reset)
		v->ops->reset(v);
}

void virtio_dev_reset(struct device *dev)
{
	struct virtio_dev *v = container_of(dev, struct virtio_dev, pci.dev);

	virtio_reset(v);
	v->generation = 0;
	pci_dev_reset(&v->pci);
	msix_reset(&v->msix);
}

static bool state_ok(const struct virtio_dev *v)
{
	const uint8_t known = STATUS_WRITABLE | VIRTIO_STATUS_NEEDS_RESET;

	return !(v->features & ~v->offered) && !(v->status & ~known) && v->isr < 4 &&
	       v->legacy_driver <= 1 && (!v->legacy_driver || !(v->features & ~LEGACY_FEATURES));
}

int virtio_dev_loaded(struct virtio_dev *v)
{
	/* What the device had before has nothing to do with the rings that were loaded (Q9). */
	for (unsigned q = 0; q < VIRTIO_QUEUES_MAX; q++)
		v->vq[q].gen++;
	if (v->ops->drop)
		v->ops->drop(v, VIRTIO_ALL_QUEUES);
	if (pci_dev_loaded(&v->pci) || msix_loaded(&v->msix) || !state_ok(v))
		return -EINVAL;
	for (unsigned q = 0; q < VIRTIO_QUEUES_MAX; q++) {
		struct virtqueue *vq = &v->vq[q];

		if (virtqueue_loaded(vq, virtio_has(v, VIRTIO_F_EVENT_IDX),
				     virtio_has(v, VIRTIO_F_INDIRECT_DESC)))
			return -EINVAL;
		if (q >= v->queues && vq->enabled)
			return -EINVAL;
	}
	virtio_pci_update_pin(v);
	virtio_bells_update(v);
	memset(v->again_map, 0, sizeof(v->again_map));
	io_timer_cancel(&v->again);
	virtio_all_again(v);
	return 0;
}

void virtio_set_queue_size(struct virtio_dev *v, unsigned q, uint16_t size)
{
	virtqueue_init(&v->vq[q], v->mem, v->scratch, size);
}

int virtio_dev_init(struct virtio_dev *v, const struct virtio_config *cfg,
		    const struct device_class *cls, const struct virtio_ops *ops,
		    struct lodge_err *err)
{
	int r;

	if (!cfg->queues || cfg->queues > VIRTIO_QUEUES_MAX)
		return err_set(err, -EINVAL, "%s: %u queues; 1 to %u are possible", cls->name,
			       cfg->queues, VIRTIO_QUEUES_MAX);
	if (!cfg->queue_size || cfg->queue_size > VQ_SIZE_MAX ||
	    cfg->queue_size & (cfg->queue_size - 1))
		return err_set(err, -EINVAL,
			       "%s: a queue of %u entries; powers of two up to %u are possible",
			       cls->name, cfg->queue_size, VQ_SIZE_MAX);
	if (cfg->no_legacy && cfg->no_modern)
		return err_set(err, -EINVAL,
			       "%s: disable-legacy and disable-modern together leave nothing",
			       cls->name);
	memset(v, 0, sizeof(*v));
	v->ops = ops;
	v->mem = cfg->mem;
	v->loop = cfg->loop;
	v->queues = cfg->queues;
	v->offered =
		cfg->features | VIRTIO_F_ANY_LAYOUT | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
	if (cfg->no_indirect)
		v->offered &= ~VIRTIO_F_INDIRECT_DESC;
	if (cfg->no_event_idx)
		v->offered &= ~VIRTIO_F_EVENT_IDX;
	if (!cfg->no_modern)
		v->offered |= VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET;
	if (cfg->no_ring_reset)
		v->offered &= ~VIRTIO_F_RING_RESET;
	v->scratch = malloc(sizeof(*v->scratch));
	if (!v->scratch)
		return err_set(err, -ENOMEM, "no memory for %s", cls->name);
	r = virtio_pci_init(v, cfg, cls, err);
	if (r) {
		free(v->scratch);
		return r;
	}
	for (unsigned q = 0; q < VIRTIO_QUEUES_MAX; q++)
		virtqueue_init(&v->vq[q], v->mem, v->scratch, q < v->queues ? cfg->queue_size : 1);
	v->config_vector = MSIX_NO_VECTOR;
	io_timer_init(&v->again, v->loop, kick_again, v);
	msix_open_ways(&v->msix);
	r = virtio_bells_init(v, cfg->bells);
	if (r) {
		msix_close_ways(&v->msix);
		pci_dev_remove(&v->pci);
		free(v->scratch);
		return err_set(
			err, r,
			"%s: no descriptors for its queues' bells; ioeventfd=off does without",
			cls->name);
	}
	return 0;
}

void virtio_dev_free(struct virtio_dev *v)
{
	virtio_reset(v);
	virtio_bells_free(v);
	msix_close_ways(&v->msix);
	pci_dev_remove(&v->pci);
	free(v->scratch);
}
