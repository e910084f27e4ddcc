// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The PCI transport of virtio: capabilities and the modern register blocks in BAR 4, the legacy block in
 * I/O BAR 0, MSI-X in BAR 1; of a device with something in front, in BAR 2 and 4. Register table: docs/devices/virtio.md.
 * Source: virtio 1.2 §4.1 (PCI), §4.1.4.8 (legacy interface); §2.7.2 (legacy queue layout).
 * Threads: with the VM lock held. Saved state: VIRTIO_STATE_FIELDS.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/range.h"
#include "devices/virtio/virtio.h"

#define BLOCK_BYTES 0x1000u /* each register block has a page of the BAR */
#define BLOCK_COMMON 0x0000u
#define BLOCK_ISR 0x1000u
#define BLOCK_DEVICE 0x2000u
#define BLOCK_NOTIFY VIRTIO_NOTIFY_BASE
/* Behind VIRTIO_FRONT_BYTES of something else these two share a page. */
#define BEHIND_COMMON 0x1000u
#define BEHIND_ISR 0x1800u
#define BEHIND_BYTES 0x800u
#define MODERN_BYTES 0x4000u

/* struct virtio_pci_cap (§4.1.4). */
#define CAP_VENDOR 0x09u
#define CAP_LEN 16u
#define CAP_TYPE 3u
#define CAP_BAR 4u
#define CAP_OFFSET 8u
#define CAP_LENGTH 12u
#define CAP_EXTRA 16u /* the notify multiplier, or the window's data */
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_PCI_CFG };

/* struct virtio_pci_common_cfg (§4.1.4.3). */
enum {
	DEVICE_FEATURE_SELECT = 0x00,
	DEVICE_FEATURE = 0x04,
	DRIVER_FEATURE_SELECT = 0x08,
	DRIVER_FEATURE = 0x0c,
	CONFIG_MSIX_VECTOR = 0x10,
	NUM_QUEUES = 0x12,
	DEVICE_STATUS = 0x14,
	CONFIG_GENERATION = 0x15,
	QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18,
	QUEUE_MSIX_VECTOR = 0x1a,
	QUEUE_ENABLE = 0x1c,
	QUEUE_NOTIFY_OFF = 0x1e,
	QUEUE_DESC = 0x20,
	QUEUE_DRIVER = 0x28,
	QUEUE_DEVICE = 0x30,
	QUEUE_NOTIFY_DATA = 0x38,
	QUEUE_RESET = 0x3a,
	COMMON_BYTES = 0x3c,
};

/* The legacy block (§4.1.4.8). */
enum {
	LEGACY_DEVICE_FEATURES = 0x00,
	LEGACY_DRIVER_FEATURES = 0x04,
	LEGACY_QUEUE_ADDRESS = 0x08,
	LEGACY_QUEUE_SIZE = 0x0c,
	LEGACY_QUEUE_SELECT = 0x0e,
	LEGACY_QUEUE_NOTIFY = VIRTIO_NOTIFY_LEGACY,
	LEGACY_DEVICE_STATUS = 0x12,
	LEGACY_ISR_STATUS = 0x13,
	LEGACY_CONFIG_VECTOR = 0x14,
	LEGACY_QUEUE_VECTOR = 0x16,
};
#define LEGACY_PAGE_SHIFT 12
#define LEGACY_ALIGN 4096u
#define LEGACY_HEADER 0x14u
#define LEGACY_HEADER_MSIX 0x18u

/* ---- Interrupts --------------------------------------------------------------------------------- */

void virtio_pci_update_pin(struct virtio_dev *v)
{
	pci_irq_set(&v->pci, v->isr && !msix_enabled(&v->msix));
}

void virtio_pci_interrupt(struct virtio_dev *v, uint8_t isr_bit, uint16_t vector)
{
	if (msix_enabled(&v->msix)) {
		msix_notify(&v->msix, vector);
		return;
	}
	v->isr |= isr_bit;
	virtio_pci_update_pin(v);
}

static uint8_t isr_read(struct virtio_dev *v)
{
	uint8_t isr = v->isr;

	v->isr = 0;
	virtio_pci_update_pin(v);
	return isr;
}

/* §4.1.5.1.2: a vector that cannot be had reads back as "none". */
static uint16_t vector_or_none(const struct virtio_dev *v, uint64_t vector)
{
	return vector < v->msix.vectors ? (uint16_t)vector : MSIX_NO_VECTOR;
}

/* ---- Common configuration ------------------------------------------------------------------------ */

static struct virtqueue *selected(struct virtio_dev *v)
{
	return v->queue_sel < v->queues ? &v->vq[v->queue_sel] : NULL;
}

static uint32_t feature_word(uint64_t features, uint32_t word)
{
	return word < 2 ? (uint32_t)(features >> 32 * word) : 0;
}

static uint32_t common_queue_read(struct virtio_dev *v, unsigned reg)
{
	const struct virtqueue *vq = selected(v);

	if (!vq)
		return reg == QUEUE_MSIX_VECTOR ? MSIX_NO_VECTOR : 0;
	switch (reg) {
	case QUEUE_SIZE:
		return vq->size;
	case QUEUE_MSIX_VECTOR:
		return vq->vector;
	case QUEUE_ENABLE:
		return vq->enabled;
	case QUEUE_NOTIFY_OFF:
		return v->queue_sel;
	case QUEUE_DESC:
	case QUEUE_DRIVER:
	case QUEUE_DEVICE:
	case QUEUE_DESC + 4:
	case QUEUE_DRIVER + 4:
	case QUEUE_DEVICE + 4: {
		gpa_t gpa = reg < QUEUE_DRIVER	 ? vq->desc
			    : reg < QUEUE_DEVICE ? vq->avail
						 : vq->used;

		return (uint32_t)(reg & 4 ? gpa >> 32 : gpa);
	}
	default: /* QUEUE_NOTIFY_DATA, QUEUE_RESET: a reset is over at once */
		return 0;
	}
}

static uint32_t common_reg_read(struct virtio_dev *v, unsigned reg)
{
	switch (reg) {
	case DEVICE_FEATURE_SELECT:
		return v->offered_sel;
	case DEVICE_FEATURE:
		return feature_word(v->offered, v->offered_sel);
	case DRIVER_FEATURE_SELECT:
		return v->accepted_sel;
	case DRIVER_FEATURE:
		return feature_word(v->accepted, v->accepted_sel);
	case CONFIG_MSIX_VECTOR:
		return v->config_vector;
	case NUM_QUEUES:
		return v->queues;
	case DEVICE_STATUS:
		return virtio_status(v);
	case CONFIG_GENERATION:
		return v->generation;
	case QUEUE_SELECT:
		return v->queue_sel;
	default:
		return common_queue_read(v, reg);
	}
}

/* Where each byte's register begins, and its size. */
static void common_reg_of(unsigned off, unsigned *reg, unsigned *size)
{
	if (off < CONFIG_MSIX_VECTOR || (off >= QUEUE_DESC && off < QUEUE_NOTIFY_DATA)) {
		*reg = off & ~3u;
		*size = 4;
	} else if (off == DEVICE_STATUS || off == CONFIG_GENERATION) {
		*reg = off;
		*size = 1;
	} else {
		*reg = off & ~1u;
		*size = 2;
	}
}

static uint64_t common_read(struct virtio_dev *v, unsigned off, unsigned size)
{
	uint64_t out = 0;

	for (unsigned done = 0; done < size;) {
		unsigned reg, bytes, skip, n;
		uint64_t val;

		if (off + done >= COMMON_BYTES)
			break;
		common_reg_of(off + done, &reg, &bytes);
		skip = off + done - reg;
		n = (unsigned)min_u64(bytes - skip, size - done);
		val = (uint64_t)common_reg_read(v, reg) >> 8 * skip;
		val &= UINT64_MAX >> (64 - 8 * n);
		out |= val << 8 * done;
		done += n;
	}
	return out;
}

static void set_half(gpa_t *gpa, unsigned reg, uint32_t val)
{
	if (reg & 4)
		*gpa = (*gpa & 0xffffffffu) | (uint64_t)val << 32;
	else
		*gpa = (*gpa & ~0xffffffffull) | val;
}

static void queue_enable_write(struct virtio_dev *v, uint32_t val)
{
	struct virtqueue *vq = selected(v);

	/* §4.1.4.3.2: only 1 means something; and features come first. */
	if (val == 1 && !vq->enabled && (v->status & VIRTIO_STATUS_FEATURES_OK))
		virtio_queue_start(v, v->queue_sel);
}

/* Q8: size and addresses of a queue that is enabled stay as they are. */
static void common_queue_write(struct virtio_dev *v, unsigned reg, uint32_t val)
{
	struct virtqueue *vq = selected(v);

	if (!vq)
		return;
	if (reg == QUEUE_MSIX_VECTOR) {
		vq->vector = vector_or_none(v, val);
		return;
	}
	if (reg == QUEUE_RESET) {
		if (val == 1 && virtio_has(v, VIRTIO_F_RING_RESET))
			virtio_queue_stop(v, v->queue_sel);
		return;
	}
	if (vq->enabled) {
		log_trace(LOG_GUEST_ERR, "%s: queue %u is in use, its registers stay\n",
			  v->pci.dev.cls->name, v->queue_sel);
		return;
	}
	switch (reg) {
	case QUEUE_SIZE:
		if (val && val <= vq->size_max && !(val & (val - 1)))
			vq->size = (uint16_t)val;
		break;
	case QUEUE_ENABLE:
		queue_enable_write(v, val);
		break;
	case QUEUE_DESC:
	case QUEUE_DESC + 4:
		set_half(&vq->desc, reg, val);
		break;
	case QUEUE_DRIVER:
	case QUEUE_DRIVER + 4:
		set_half(&vq->avail, reg, val);
		break;
	case QUEUE_DEVICE:
	case QUEUE_DEVICE + 4:
		set_half(&vq->used, reg, val);
		break;
	}
}

static void common_write(struct virtio_dev *v, unsigned off, uint32_t val, unsigned size)
{
	unsigned reg, bytes;

	if (off >= COMMON_BYTES)
		return;
	common_reg_of(off, &reg, &bytes);
	if (reg != off || bytes != size) {
		log_trace(LOG_GUEST_ERR, "%s: write of %u bytes at 0x%x of the common block\n",
			  v->pci.dev.cls->name, size, off);
		return;
	}
	switch (reg) {
	case DEVICE_FEATURE_SELECT:
		v->offered_sel = val;
		break;
	case DRIVER_FEATURE_SELECT:
		v->accepted_sel = val;
		break;
	case DRIVER_FEATURE:
		virtio_set_features(v, v->accepted_sel, val);
		break;
	case CONFIG_MSIX_VECTOR:
		v->config_vector = vector_or_none(v, val);
		break;
	case DEVICE_STATUS:
		virtio_set_status(v, (uint8_t)val);
		break;
	case QUEUE_SELECT:
		v->queue_sel = (uint16_t)val;
		break;
	default:
		if (reg > QUEUE_SELECT)
			common_queue_write(v, reg, val);
		break;
	}
}

/* ---- The modern BAR ------------------------------------------------------------------------------ */

/* Its block, and where in it; VIRTIO_FRONT_BYTES and more: what is in front. */
static unsigned block_of(const struct virtio_dev *v, uint64_t off, unsigned *in)
{
	unsigned block = (unsigned)off & ~(BLOCK_BYTES - 1);

	*in = (unsigned)off & (BLOCK_BYTES - 1);
	if (!v->front || block > BEHIND_COMMON)
		return block;
	if (block != BEHIND_COMMON)
		return MODERN_BYTES;
	*in &= BEHIND_BYTES - 1;
	return off < BEHIND_ISR ? BLOCK_COMMON : BLOCK_ISR;
}

static uint64_t modern_read(void *dev, uint64_t off, unsigned size)
{
	struct virtio_dev *v = dev;
	unsigned in;

	switch (block_of(v, off, &in)) {
	case BLOCK_COMMON:
		return common_read(v, in, size);
	case BLOCK_ISR:
		return in ? 0 : isr_read(v);
	case BLOCK_DEVICE:
		return virtio_config_read(v, in, size);
	case MODERN_BYTES:
		return v->front->read(v->front_opaque, in, size);
	default:
		return 0;
	}
}

static void modern_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct virtio_dev *v = dev;
	unsigned in;

	switch (block_of(v, off, &in)) {
	case BLOCK_COMMON:
		common_write(v, in, (uint32_t)val, size);
		break;
	case BLOCK_DEVICE:
		virtio_config_write(v, in, val, size);
		break;
	case BLOCK_NOTIFY:
		virtio_queue_kick(v, in / VIRTIO_NOTIFY_MULTIPLIER);
		break;
	case MODERN_BYTES:
		v->front->write(v->front_opaque, in, val, size);
		break;
	}
}

static const struct bus_ops modern_ops = {modern_read, modern_write, 1, 4};

/* ---- The legacy block ---------------------------------------------------------------------------- */

/* The rings of a legacy queue lie one behind the other (§2.7.2). */
static void legacy_queue_address(struct virtio_dev *v, uint32_t pfn)
{
	struct virtqueue *vq = selected(v);

	if (!vq)
		return;
	if (!pfn) {
		virtio_queue_stop(v, v->queue_sel);
		return;
	}
	if (vq->enabled || v->status & VIRTIO_STATUS_FEATURES_OK) {
		log_trace(LOG_GUEST_ERR, "%s: queue %u is in use, its address stays\n",
			  v->pci.dev.cls->name, v->queue_sel);
		return;
	}
	vq->size = vq->size_max;
	vq->desc = (gpa_t)pfn << LEGACY_PAGE_SHIFT;
	vq->avail = vq->desc + vq_desc_bytes(vq->size);
	vq->used = align_up(vq->avail + vq_avail_bytes(vq->size), LEGACY_ALIGN);
	v->legacy_driver = 1;
	virtio_queue_start(v, v->queue_sel);
}

static unsigned legacy_header(const struct virtio_dev *v)
{
	return msix_enabled(&v->msix) ? LEGACY_HEADER_MSIX : LEGACY_HEADER;
}

static uint32_t legacy_reg_read(struct virtio_dev *v, unsigned off)
{
	const struct virtqueue *vq = selected(v);

	switch (off) {
	case LEGACY_DEVICE_FEATURES:
		return (uint32_t)v->offered;
	case LEGACY_DRIVER_FEATURES:
		return (uint32_t)v->accepted;
	case LEGACY_QUEUE_ADDRESS:
		return vq && vq->enabled ? (uint32_t)(vq->desc >> LEGACY_PAGE_SHIFT) : 0;
	case LEGACY_QUEUE_SIZE:
		return vq ? vq->size_max : 0;
	case LEGACY_QUEUE_SELECT:
		return v->queue_sel;
	case LEGACY_DEVICE_STATUS:
		return virtio_status(v);
	case LEGACY_ISR_STATUS:
		return isr_read(v);
	case LEGACY_CONFIG_VECTOR:
		return v->config_vector;
	case LEGACY_QUEUE_VECTOR:
		return vq ? vq->vector : MSIX_NO_VECTOR;
	default:
		return 0;
	}
}

static uint64_t legacy_read(void *dev, uint64_t off, unsigned size)
{
	struct virtio_dev *v = dev;
	unsigned header = legacy_header(v);

	if (off >= header)
		return virtio_config_read(v, off - header, size);
	return legacy_reg_read(v, (unsigned)off);
}

static void legacy_reg_write(struct virtio_dev *v, unsigned off, uint32_t val)
{
	struct virtqueue *vq = selected(v);

	switch (off) {
	case LEGACY_DRIVER_FEATURES:
		virtio_set_features(v, 0, val);
		virtio_set_features(v, 1, 0);
		break;
	case LEGACY_QUEUE_ADDRESS:
		legacy_queue_address(v, val);
		break;
	case LEGACY_QUEUE_SELECT:
		v->queue_sel = (uint16_t)val;
		break;
	case LEGACY_QUEUE_NOTIFY:
		virtio_queue_kick(v, val & 0xffff);
		break;
	case LEGACY_DEVICE_STATUS:
		/* FEATURES_OK is nothing a legacy driver knows. */
		virtio_set_status(v, (uint8_t)(val & ~VIRTIO_STATUS_FEATURES_OK));
		break;
	case LEGACY_CONFIG_VECTOR:
		v->config_vector = vector_or_none(v, val & 0xffff);
		break;
	case LEGACY_QUEUE_VECTOR:
		if (vq)
			vq->vector = vector_or_none(v, val & 0xffff);
		break;
	}
}

static void legacy_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct virtio_dev *v = dev;
	unsigned header = legacy_header(v);

	if (off >= header)
		virtio_config_write(v, off - header, val, size);
	else
		legacy_reg_write(v, (unsigned)off, (uint32_t)val);
}

static const struct bus_ops legacy_ops = {legacy_read, legacy_write, 1, 4};

/* ---- Configuration space ------------------------------------------------------------------------- */

/* The window into the modern BAR (§4.1.4.9): what it is set to, if that is possible. */
static bool window(const struct virtio_dev *v, uint32_t *off, uint32_t *len)
{
	const struct reg_file *cfg = &v->pci.cfg;

	*off = reg_get32(cfg, v->cap_window + CAP_OFFSET);
	*len = reg_get32(cfg, v->cap_window + CAP_LENGTH);
	return reg_get8(cfg, v->cap_window + CAP_BAR) == v->modern_bar &&
	       (*len == 1 || *len == 2 || *len == 4) && *off % *len == 0 &&
	       range_ok(*off, *len, MODERN_BYTES);
}

static void config_reading(struct pci_dev *d, unsigned off, unsigned size)
{
	struct virtio_dev *v = container_of(d, struct virtio_dev, pci);
	uint32_t at, len;

	if (v->cap_window && reg_hit(off, size, v->cap_window + CAP_EXTRA, 4) &&
	    window(v, &at, &len))
		reg_set32(&d->cfg, v->cap_window + CAP_EXTRA, (uint32_t)modern_read(v, at, len));
}

static void config_written(struct pci_dev *d, unsigned off, unsigned size)
{
	struct virtio_dev *v = container_of(d, struct virtio_dev, pci);
	uint32_t at, len;

	msix_config_written(&v->msix, off, size);
	if (reg_hit(off, size, PCI_COMMAND, 2) && pci_is_master(d))
		virtio_all_again(v);
	if (v->msix.cap && reg_hit(off, size, v->msix.cap, 4))
		virtio_pci_update_pin(v);
	if (v->cap_window && reg_hit(off, size, v->cap_window + CAP_EXTRA, 4) &&
	    window(v, &at, &len))
		modern_write(v, at, reg_get32(&d->cfg, v->cap_window + CAP_EXTRA), len);
}

static void bar_moved(struct pci_dev *d, unsigned bar, bool on, uint64_t base)
{
	struct virtio_dev *v = container_of(d, struct virtio_dev, pci);

	if (v->ops->bar_moved)
		v->ops->bar_moved(v, bar, on, base);
}

static const struct pci_dev_ops pci_ops = {
	.bar_moved = bar_moved,
	.config_reading = config_reading,
	.config_written = config_written,
};

/* One capability that says where a register block is. */
static int add_cap(struct virtio_dev *v, unsigned type, unsigned off, unsigned extra)
{
	bool is_window = type == CAP_PCI_CFG;
	bool small = v->front && (type == CAP_COMMON || type == CAP_ISR);
	unsigned bytes = small ? BEHIND_BYTES : BLOCK_BYTES;
	unsigned len = CAP_LEN + (extra || is_window ? 4 : 0);
	int cap = pci_dev_add_cap(&v->pci, CAP_VENDOR, (uint8_t)len);
	uint16_t at = (uint16_t)cap;

	if (cap < 0)
		return cap;

	const struct reg_desc regs[] = {
		{"cap_len", (uint16_t)(at + 2), 1, len, 0, 0, 0},
		{"cfg_type", (uint16_t)(at + CAP_TYPE), 1, type, 0, 0, 0},
		{"bar", (uint16_t)(at + CAP_BAR), 1, is_window ? 0 : v->modern_bar,
		 is_window ? 0xff : 0, 0, 0},
		{"offset", (uint16_t)(at + CAP_OFFSET), 4, off, is_window ? 0xffffffff : 0, 0, 0},
		{"length", (uint16_t)(at + CAP_LENGTH), 4, is_window ? 0 : bytes,
		 is_window ? 0xffffffff : 0, 0, 0},
		{"data", (uint16_t)(at + CAP_EXTRA), 4, extra, is_window ? 0xffffffff : 0, 0, 0},
	};

	pci_dev_add_regs(&v->pci, regs, len > CAP_LEN ? 6 : 5);
	if (is_window)
		v->cap_window = (uint8_t)cap;
	return 0;
}

static int add_modern(struct virtio_dev *v)
{
	int r = pci_dev_add_bar(&v->pci, v->modern_bar, PCI_BAR_MEM64, true, MODERN_BYTES,
				&modern_ops, v, v->pci.dev.cls->name);

	if (!r)
		r = add_cap(v, CAP_PCI_CFG, 0, 0);
	if (!r)
		r = add_cap(v, CAP_NOTIFY, BLOCK_NOTIFY, VIRTIO_NOTIFY_MULTIPLIER);
	if (!r && v->ops->config_size)
		r = add_cap(v, CAP_DEVICE, BLOCK_DEVICE, 0);
	if (!r)
		r = add_cap(v, CAP_ISR, v->front ? BEHIND_ISR : BLOCK_ISR, 0);
	if (!r)
		r = add_cap(v, CAP_COMMON, v->front ? BEHIND_COMMON : BLOCK_COMMON, 0);
	return r;
}

static int add_legacy(struct virtio_dev *v)
{
	uint64_t size = 32;

	while (size < LEGACY_HEADER_MSIX + v->ops->config_size)
		size *= 2;
	v->has_legacy = true;
	return pci_dev_add_bar(&v->pci, VIRTIO_BAR_LEGACY, PCI_BAR_IO, false, size, &legacy_ops, v,
			       v->pci.dev.cls->name);
}

int virtio_pci_init(struct virtio_dev *v, const struct virtio_config *cfg,
		    const struct device_class *cls, struct lodge_err *err)
{
	const struct virtio_ops *ops = v->ops;
	bool legacy = !cfg->no_legacy && ops->legacy_id;
	unsigned vectors = cfg->vectors ? cfg->vectors : cfg->queues + 1;
	/* §4.1.2.1; a non-transitional device has revision 1. */
	const struct pci_ident id = {
		.vendor = VIRTIO_PCI_VENDOR,
		.device = legacy ? ops->legacy_id : (uint16_t)(0x1040 + ops->id),
		.class_code = ops->pci_class,
		.revision = legacy ? 0 : 1,
		.subsys_vendor = VIRTIO_PCI_VENDOR,
		.subsys = legacy ? ops->id : 0x1100,
		.int_pin = 1,
	};
	int r = pci_dev_init(&v->pci, cfg->bus, cfg->devfn, &id, cls, &pci_ops, err);

	if (r)
		return r;
	v->front = cfg->front;
	v->front_opaque = cfg->front_opaque;
	v->modern_bar = cfg->front ? VIRTIO_BAR_MODERN_BEHIND : VIRTIO_BAR_MODERN;
	v->msix_bar = cfg->front ? VIRTIO_BAR_MSIX_BEHIND : VIRTIO_BAR_MSIX;
	if (err)
		err->msg[0] = '\0';
	if (!cfg->no_modern)
		r = add_modern(v);
	if (!r && legacy)
		r = add_legacy(v);
	if (!r && !cfg->no_msix)
		r = msix_init(&v->msix, &v->pci, v->msix_bar, vectors, err);
	else
		v->msix.pci = &v->pci;
	if (!r)
		return 0;
	pci_dev_remove(&v->pci);
	return err && err->msg[0] ? r : err_set(err, r, "no memory for %s", cls->name);
}
