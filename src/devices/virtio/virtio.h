/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every virtio device is: features, a device configuration space, queues, status, reset; and the PCI
 * transport they all have, modern (virtio 1.x) and legacy ("transitional" with both).
 * Source: virtio 1.2 §2.1–2.6, §3, §4.1.
 *
 * A device's struct begins with struct virtio_dev, its device_class has VIRTIO_STATE_FIELDS first, reset is
 * virtio_dev_reset() and post_load begins with virtio_dev_loaded(). What a driver does arrives by struct
 * virtio_ops, always with the VM lock held.
 *
 *	static void kick(struct virtio_dev *v, unsigned q)
 *	{
 *		struct vq_chain *c;
 *		unsigned n = 0;
 *
 *		while (n++ < VIRTIO_BATCH && (c = virtio_pop(v, q)))
 *			virtqueue_push(c->vq, c, work(c));
 *		if (n > VIRTIO_BATCH)
 *			virtio_again(v, q);
 *		virtio_notify(v, q);
 *	}
 *
 * Saved state: version 1, in the owner's. Chains that are out are described by their heads
 * (virtqueue.out_map): post_load takes them up again by virtqueue_refetch().
 */
#ifndef LODGE_DEVICES_VIRTIO_VIRTIO_H
#define LODGE_DEVICES_VIRTIO_VIRTIO_H

#include "bus/msix.h"
#include "bus/pci.h"
#include "devices/virtio/virtqueue.h"
#include "io/loop.h"

#define VIRTIO_QUEUES_MAX 66u
#define VIRTIO_ALL_QUEUES (~0u)
#define VIRTIO_BATCH 256u /* chains a kick may take before others get the VM lock */
#define VIRTIO_PCI_VENDOR 0x1af4u
#define VIRTIO_FRONT_BYTES 0x1000u

/* Device types (§5). */
enum virtio_id {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_RNG = 4,
	VIRTIO_ID_BALLOON = 5,
	VIRTIO_ID_9P = 9,
	VIRTIO_ID_GPU = 16,
	VIRTIO_ID_INPUT = 18,
	VIRTIO_ID_VSOCK = 19,
	VIRTIO_ID_FS = 26,
};

/* Feature bits that are not a device's own (§6). */
#define VIRTIO_F_BIT(n) (1ull << (n))
#define VIRTIO_F_NOTIFY_ON_EMPTY VIRTIO_F_BIT(24)
#define VIRTIO_F_ANY_LAYOUT VIRTIO_F_BIT(27)
#define VIRTIO_F_INDIRECT_DESC VIRTIO_F_BIT(28)
#define VIRTIO_F_EVENT_IDX VIRTIO_F_BIT(29)
#define VIRTIO_F_VERSION_1 VIRTIO_F_BIT(32)
#define VIRTIO_F_RING_RESET VIRTIO_F_BIT(40)

/* Device status (§2.1). */
#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER 2u
#define VIRTIO_STATUS_DRIVER_OK 4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_NEEDS_RESET 64u
#define VIRTIO_STATUS_FAILED 128u

struct virtio_dev;

/* A kind of device. Functions may be NULL, except for kick. */
struct virtio_ops {
	uint16_t id;	    /* enum virtio_id */
	uint16_t legacy_id; /* PCI device ID of the transitional one, as 0x1001; 0: there is none */
	uint16_t pci_class; /* base class << 8 | subclass */
	uint16_t config_size; /* bytes of device configuration space, up to 128 */
	/* Features are final: v->features. Before any queue is used. */
	void (*negotiated)(struct virtio_dev *v);
	/* The driver said DRIVER_OK. */
	void (*started)(struct virtio_dev *v);
	/* Something was made available in queue q; or virtio_again() was called. */
	void (*kick)(struct virtio_dev *v, unsigned q);
	/* The driver wrote [off, off + size) of device configuration space (writable bits only). */
	void (*config_written)(struct virtio_dev *v, unsigned off, unsigned size);
	/* The driver is about to read there: refresh what is live. */
	void (*config_reading)(struct virtio_dev *v);
	/*
	 * Give up the chains of queue q, or of all (VIRTIO_ALL_QUEUES): nothing may touch guest memory for
	 * them when this returns. They are freed, or pushed if they end meanwhile. May wait for the host.
	 * Or it leaves that to lingers().
	 */
	void (*drop)(struct virtio_dev *v, unsigned q);
	/*
	 * Something may still touch guest memory for chains that were dropped: the driver does not see its
	 * reset done as long as this is true (§2.4.2). Such a device has no_ring_reset, and a class reset that waits.
	 */
	bool (*lingers)(struct virtio_dev *v);
	/*
	 * The host may still move data for chains, so that drop() would wait: a reset by a modern driver, which reads
	 * the status until it is 0 (§4.1.4.3.2), waits instead; the device calls virtio_drained() once it can be.
	 * NULL: never.
	 */
	bool (*busy)(struct virtio_dev *v);
	/* The device's own registers to their reset values; behind drop(). */
	void (*reset)(struct virtio_dev *v);
	/*
	 * Drivers do not spin for queue q's answers: its notifications may take the long way over the event loop,
	 * which does not stop their processor. NULL: none.
	 */
	bool (*patient)(const struct virtio_dev *v, unsigned q);
	/* A BAR that the device itself has added began (on) or ceased to decode at `base`. */
	void (*bar_moved)(struct virtio_dev *v, unsigned bar, bool on, uint64_t base);
};

/* Which queues have bells (virtio_bell.c), if the bus can: the patient ones, all, none. */
enum virtio_bells { VIRTIO_BELLS_AUTO, VIRTIO_BELLS_ON, VIRTIO_BELLS_OFF };
struct virtio_bell;

struct virtio_dev {
	struct pci_dev pci; /* first */
	struct msix msix;
	const struct virtio_ops *ops;
	struct mem *mem;
	struct io_loop *loop;
	struct vq_scratch *scratch;
	unsigned queues;
	bool has_legacy;	/* the legacy interface is there */
	uint64_t offered;	/* features */
	struct reg_file config; /* device configuration space; masks by virtio_config_reg() */
	struct io_timer again;
	uint64_t again_map[(VIRTIO_QUEUES_MAX + 63) / 64];
	bool resetting;	    /* the driver has reset it; it is one as soon as ops->busy() is over */
	uint8_t cap_window; /* offset of the capability that is a window into modern_bar; 0: none */
	uint8_t modern_bar, msix_bar;
	const struct bus_ops *front; /* as in virtio_config; NULL: none */
	void *front_opaque;
	struct virtio_bell *bells; /* one a queue; NULL: there are none */
	/* Saved state. */
	uint64_t accepted; /* features the driver has written */
	uint64_t features; /* final: negotiated, 0 until then */
	uint32_t offered_sel, accepted_sel;
	uint16_t queue_sel, config_vector;
	uint8_t status, isr, generation;
	uint8_t legacy_driver; /* queues were set up by the legacy interface */
	struct virtqueue vq[VIRTIO_QUEUES_MAX];
};

#define VIRTIO_STATE_FIELDS(type, m)                                                     \
	PCI_STATE_FIELDS(type, m.pci), MSIX_STATE_FIELDS(type, m.msix),                  \
		STATE_FIELD(type, m.accepted), STATE_FIELD(type, m.features),            \
		STATE_FIELD(type, m.offered_sel), STATE_FIELD(type, m.accepted_sel),     \
		STATE_FIELD(type, m.queue_sel), STATE_FIELD(type, m.config_vector),      \
		STATE_FIELD(type, m.status), STATE_FIELD(type, m.isr),                   \
		STATE_FIELD(type, m.generation), STATE_FIELD(type, m.legacy_driver),     \
		STATE_EACH(type, m.vq, desc), STATE_EACH(type, m.vq, avail),             \
		STATE_EACH(type, m.vq, used), STATE_EACH(type, m.vq, size),              \
		STATE_EACH(type, m.vq, vector), STATE_EACH(type, m.vq, enabled),         \
		STATE_EACH(type, m.vq, last_avail), STATE_EACH(type, m.vq, used_idx),    \
		STATE_EACH(type, m.vq, signalled), STATE_EACH(type, m.vq, signalled_ok), \
		STATE_EACH_BUFFER(type, m.vq, out_map)

/* How to build one. What points somewhere is borrowed for the device's life. */
struct virtio_config {
	struct pci_bus *bus;
	uint8_t devfn;
	struct mem *mem;
	struct io_loop *loop;
	unsigned queues;	   /* 1 to VIRTIO_QUEUES_MAX */
	uint16_t queue_size;	   /* of each at most: a power of two */
	uint64_t features;	   /* the device's own; those of queues and transport are added */
	bool no_legacy, no_modern; /* disable-legacy=, disable-modern= */
	bool no_event_idx, no_indirect;
	bool no_ring_reset; /* single queues cannot be reset */
	unsigned vectors;   /* of MSI-X; 0: one a queue and one for the configuration */
	bool no_msix;
	enum virtio_bells bells;
	/*
	 * Registers of something else that the function is too, VIRTIO_FRONT_BYTES of them: they come first in the BAR of the
	 * modern interface, which is then BAR 2, with MSI-X in BAR 4; 0 and 1 are the device's own. NULL: none.
	 */
	const struct bus_ops *front;
	void *front_opaque;
};

/*
 * Make `v` a PCI function. `cls` and `ops` are borrowed. 0, or -errno with a sentence and nothing
 * is left behind. virtio_dev_free() is due.
 */
int virtio_dev_init(struct virtio_dev *v, const struct virtio_config *cfg,
		    const struct device_class *cls, const struct virtio_ops *ops,
		    struct lodge_err *err) MUST_CHECK;
/* Ends the device (ops->drop, ops->reset are called) and takes it off the bus; not the memory of `v` itself. */
void virtio_dev_free(struct virtio_dev *v);
/* For device_class: reset, and the beginning of post_load. */
void virtio_dev_reset(struct device *dev);
int virtio_dev_loaded(struct virtio_dev *v) MUST_CHECK;

/* Another size than virtio_config's for one queue. Before the device is used. */
void virtio_set_queue_size(struct virtio_dev *v, unsigned q, uint16_t size);
/* Device configuration space: a register of `size` bytes with the bits a driver may write. */
void virtio_config_reg(struct virtio_dev *v, const char *name, unsigned off, unsigned size,
		       uint32_t reset, uint32_t write);
/* The device changed its configuration space: the driver is told. */
void virtio_config_changed(struct virtio_dev *v);

static inline bool virtio_has(const struct virtio_dev *v, uint64_t feature)
{
	return v->features & feature;
}
/* The driver speaks virtio 1.x, not legacy. */
static inline bool virtio_is_modern(const struct virtio_dev *v)
{
	return v->features & VIRTIO_F_VERSION_1;
}
/* Queues may be used now. */
bool virtio_running(const struct virtio_dev *v);

/*
 * The next chain of queue q, or NULL: none there, the device is not running, or the driver broke the
 * rules and the device now needs a reset.
 */
struct vq_chain *virtio_pop(struct virtio_dev *v, unsigned q);
/* Interrupt the driver for queue q if it wants to hear of what was pushed. */
void virtio_notify(struct virtio_dev *v, unsigned q);
/* Call ops->kick(v, q) soon, when others had the VM lock. */
void virtio_again(struct virtio_dev *v, unsigned q);
/* The driver broke the device's rules: stop until it resets the device (§2.1.2). */
void virtio_error(struct virtio_dev *v, const char *why);

/* ---- Between virtio.c and virtio_pci.c ----------------------------------------------------------
 */

/* The status register, as the driver reads it. */
uint8_t virtio_status(struct virtio_dev *v);
/* The driver writes the status register; 0 resets. */
void virtio_set_status(struct virtio_dev *v, uint8_t status);
/* A word (0, 1) of the features the driver takes. */
void virtio_set_features(struct virtio_dev *v, unsigned word, uint32_t bits);
void virtio_queue_start(struct virtio_dev *v, unsigned q);
void virtio_queue_stop(struct virtio_dev *v, unsigned q);
void virtio_queue_kick(struct virtio_dev *v, unsigned q);
void virtio_reset(struct virtio_dev *v);
/* What ops->busy() told of is over: the reset that waited for it is done now. */
void virtio_drained(struct virtio_dev *v);
/* Look at all queues again: kicks may have been missed. */
void virtio_all_again(struct virtio_dev *v);
uint64_t virtio_config_read(struct virtio_dev *v, uint64_t off, unsigned size);
void virtio_config_write(struct virtio_dev *v, uint64_t off, uint64_t val, unsigned size);

/* Where the transport has its registers. */
#define VIRTIO_BAR_LEGACY 0u
#define VIRTIO_BAR_MSIX 1u
#define VIRTIO_BAR_MODERN 4u
/* Where there is something in front: QEMU's places of virtio-vga. */
#define VIRTIO_BAR_MODERN_BEHIND 2u
#define VIRTIO_BAR_MSIX_BEHIND 4u
#define VIRTIO_NOTIFY_BASE 0x3000u
#define VIRTIO_NOTIFY_MULTIPLIER 4u
#define VIRTIO_NOTIFY_MODERN(q) (VIRTIO_NOTIFY_BASE + (q)*VIRTIO_NOTIFY_MULTIPLIER)
#define VIRTIO_NOTIFY_LEGACY 0x10u

/* Behind virtio_pci_init; before the end; and whenever status or queues have changed. */
int virtio_bells_init(struct virtio_dev *v, enum virtio_bells bells) MUST_CHECK;
void virtio_bells_free(struct virtio_dev *v);
void virtio_bells_update(struct virtio_dev *v);

/* BARs, capabilities and IDs. */
int virtio_pci_init(struct virtio_dev *v, const struct virtio_config *cfg,
		    const struct device_class *cls, struct lodge_err *err) MUST_CHECK;
/* Raise an interrupt: `isr_bit` 1 (a queue) or 2 (configuration), by `vector` with MSI-X. */
void virtio_pci_interrupt(struct virtio_dev *v, uint8_t isr_bit, uint16_t vector);
/* The pin as the interrupt status says. */
void virtio_pci_update_pin(struct virtio_dev *v);

#endif
