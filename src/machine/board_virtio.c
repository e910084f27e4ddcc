// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The virtio devices of -device: what their settings say. Three names each, as QEMU has them: NAME (both
 * interfaces), NAME-transitional (the same, said aloud) and NAME-non-transitional (virtio 1 only).
 * Threads: before threads start.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "devices/virtio/virtio_balloon.h"
#include "devices/virtio/virtio_blk.h"
#include "devices/virtio/virtio_console.h"
#include "devices/virtio/virtio_rng.h"
#include "devices/virtio/virtio_vsock.h"
#include "machine/board_virtio.h"
#include "machine/chardevs.h"
#include "machine/drive.h"

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

/* disable-legacy= is a switch, or auto: off, since the bus is conventional PCI. */
static int read_interfaces(struct props *p, struct virtio_config *vc, struct lodge_err *err)
{
	static const char *const words[] = {"auto", "on",   "off",   "yes",
					    "no",   "true", "false", NULL};
	const char *name = props_get(p, "driver");
	unsigned word = 0;
	int r;

	if (name && ends_with(name, "-non-transitional"))
		vc->no_legacy = true;
	if (name && ends_with(name, "-transitional"))
		return 0;
	r = props_choice(p, "disable-legacy", words, &word, err);
	if (!r)
		r = props_bool(p, "disable-modern", &vc->no_modern, err);
	vc->no_legacy = word == 1 || word == 3 || word == 5;
	return r;
}

int board_virtio_config(struct board *b, struct props *p, unsigned queues, uint16_t queue_size,
			struct virtio_config *vc, struct lodge_err *err)
{
	bool event_idx = true, indirect = true, bells = true;
	uint64_t vectors = queues + 1;
	int r;

	*vc = (struct virtio_config){
		.bus = b->pci,
		.mem = b->vm->mem,
		.loop = b->vm->loop,
		.queues = queues,
		.queue_size = queue_size,
	};
	r = board_pci_place(b, p, &vc->devfn, err);
	if (!r)
		r = read_interfaces(p, vc, err);
	if (!r)
		r = props_bool(p, "event_idx", &event_idx, err);
	if (!r)
		r = props_bool(p, "indirect_desc", &indirect, err);
	if (!r)
		r = props_u64(p, "vectors", MSIX_VECTORS_MAX, &vectors, err);
	if (!r && props_get(p, "ioeventfd")) {
		r = props_bool(p, "ioeventfd", &bells, err);
		vc->bells = bells ? VIRTIO_BELLS_ON : VIRTIO_BELLS_OFF;
	}
	vc->no_event_idx = !event_idx;
	vc->no_indirect = !indirect;
	vc->vectors = (unsigned)vectors;
	vc->no_msix = !vectors;
	return r;
}

void board_pci_node(char *out, size_t size, const char *node, uint8_t devfn, const char *below)
{
	if (devfn & 7)
		snprintf(out, size, "%s@%x,%x%s", node, devfn >> 3, devfn & 7, below);
	else
		snprintf(out, size, "%s@%x%s", node, devfn >> 3, below);
}

/* ---- virtio-blk ----------------------------------------------------------------------------------- */

static int read_number(struct props *p, const char *key, uint64_t max, unsigned *out,
		       struct lodge_err *err)
{
	uint64_t v = *out;
	int r = props_u64(p, key, max, &v, err);

	*out = (unsigned)v;
	return r;
}

static int read_switch_off(struct props *p, const char *key, bool *off, struct lodge_err *err)
{
	bool on = !*off;
	int r = props_bool(p, key, &on, err);

	*off = !on;
	return r;
}

static int read_sizes(struct props *p, struct virtio_blk_config *c, struct lodge_err *err)
{
	static const char *const keys[] = {"logical_block_size", "physical_block_size",
					   "min_io_size", "opt_io_size"};
	unsigned *const out[] = {&c->logical_block, &c->physical_block, &c->min_io, &c->opt_io};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		uint64_t v = 0;
		int r = props_size(p, keys[i], &v, err);

		if (!r && v > UINT32_MAX)
			r = err_set(err, -EINVAL, "%s: %s is too large", props_what(p), keys[i]);
		if (r)
			return r;
		*out[i] = (unsigned)v;
	}
	return 0;
}

static int read_blk(struct board *b, struct props *p, struct virtio_blk_config *c,
		    struct lodge_err *err)
{
	unsigned queues = (unsigned)min_u64(b->vm->cfg.cpus, VIRTIO_BLK_QUEUES_MAX), size = 256;
	int r = read_number(p, "num-queues", VIRTIO_BLK_QUEUES_MAX, &queues, err);

	if (!r)
		r = read_number(p, "queue-size", VQ_SIZE_MAX, &size, err);
	if (!r)
		r = board_virtio_config(b, p, queues, (uint16_t)size, &c->virtio, err);
	if (!r)
		r = read_switch_off(p, "discard", &c->no_discard, err);
	if (!r)
		r = read_switch_off(p, "write-zeroes", &c->no_write_zeroes, err);
	if (!r)
		r = read_switch_off(p, "config-wce", &c->no_config_wce, err);
	if (!r)
		r = read_sizes(p, c, err);
	return r;
}

static void free_blk(void *obj)
{
	virtio_blk_free(obj);
}

static int make_blk(struct board *b, struct props *p, struct lodge_err *err)
{
	struct virtio_blk_config c = {0};
	struct drive *d = drive_of(b, p, err);
	struct virtio_blk *s;
	char path[64];
	int r;

	if (!d)
		return -EINVAL;
	if (!d->queue)
		return err_set(err, -EINVAL,
			       "%s: drive '%s' has no image: give file=", props_what(p), d->id);
	r = read_blk(b, p, &c, err);
	if (r)
		return r;
	c.queue = d->queue;
	c.read_only = d->read_only;
	c.serial = props_get(p, "serial");
	if (!c.serial)
		c.serial = d->serial;
	board_pci_node(path, sizeof(path), "scsi", c.virtio.devfn, "/disk@0,0");
	r = board_bootable(b, p, path, err);
	if (r)
		return r;
	s = virtio_blk_new(&c, err);
	if (!s)
		return -EINVAL;
	r = board_adopt(b, props_get(p, "id"), virtio_blk_device(s), s, free_blk, err);
	if (!r)
		drive_show(d, SHOWN_VIRTIO, s, props_get(p, "id"));
	return r;
}

const struct board_kind board_virtio_blk = {
	.name = "virtio-blk-pci",
	.alias = "virtio-blk",
	.help = "disk: drive=ID [,num-queues=N,queue-size=N,serial=S,bootindex=N,addr=SLOT,...]",
	.hotplug = true,
	.virtio = true,
	.make = make_blk,
};
/* ---- virtio-rng ----------------------------------------------------------------------------------- */

static void free_rng(void *obj)
{
	virtio_rng_free(obj);
}

static int make_rng(struct board *b, struct props *p, struct lodge_err *err)
{
	struct virtio_rng_config c = {.period_ms = 65536};
	struct virtio_rng *s;
	int r = board_virtio_config(b, p, 1, 8, &c.virtio, err);

	if (!r)
		r = props_u64(p, "max-bytes", INT64_MAX, &c.max_bytes, err);
	if (!r)
		r = read_number(p, "period", INT32_MAX, &c.period_ms, err);
	if (r)
		return r;
	s = virtio_rng_new(&c, err);
	if (!s)
		return -EINVAL;
	return board_adopt(b, props_get(p, "id"), virtio_rng_device(s), s, free_rng, err);
}

const struct board_kind board_virtio_rng = {
	.name = "virtio-rng-pci",
	.alias = "virtio-rng",
	.help = "random bytes of the host [max-bytes=N,period=MS]",
	.hotplug = true,
	.virtio = true,
	.make = make_rng,
};

/* ---- virtio-serial and its ports -------------------------------------------------------------------- */

static void free_serial(void *obj)
{
	virtio_console_free(obj);
}

static int make_serial(struct board *b, struct props *p, struct lodge_err *err)
{
	unsigned ports = VIRTIO_CONSOLE_PORTS;
	struct virtio_config vc;
	struct virtio_console *s;
	int r = read_number(p, "max_ports", VIRTIO_CONSOLE_PORTS, &ports, err);

	/* Two vectors: one for the ports together. */
	if (!r)
		r = board_virtio_config(b, p, 1, 128, &vc, err);
	if (r)
		return r;
	s = virtio_console_new(&vc, ports, err);
	if (!s)
		return -EINVAL;
	return board_adopt(b, props_get(p, "id"), virtio_console_device(s), s, free_serial, err);
}

/* bus=ID.0 of a virtio-serial-pci; without it, the last one. */
static struct virtio_console *serial_of(struct board *b, struct props *p, struct lodge_err *err)
{
	const char *bus = props_get(p, "bus");
	char id[64];
	struct device *dev;

	if (bus && !ends_with(bus, ".0")) {
		err_set(err, -EINVAL, "%s: bus=%s: write ID.0, with the id of a virtio-serial-pci",
			props_what(p), bus);
		return NULL;
	}
	if (bus)
		snprintf(id, sizeof(id), "%.*s", (int)strlen(bus) - 2, bus);
	dev = board_find_added(b, &virtio_console_class, bus ? id : NULL);
	if (!dev) {
		err_set(err, -ENOENT, "%s: there is no %s%s; put '-device virtio-serial-pci' first",
			props_what(p), bus ? "virtio-serial-pci for bus=" : "virtio-serial-pci",
			bus ? bus : "");
		return NULL;
	}
	return virtio_console_of(dev);
}

static int make_port(struct board *b, struct props *p, bool console, struct lodge_err *err)
{
	struct virtio_console *s = serial_of(b, p, err);
	const char *id = props_get(p, "chardev");
	struct virtio_console_port port = {.console = console, .name = props_get(p, "name")};
	uint64_t nr = UINT64_MAX;

	if (!s || props_u64(p, "nr", VIRTIO_CONSOLE_PORTS - 1, &nr, err))
		return -EINVAL;
	if (id) {
		struct named_chardev *n = chardevs_take(b->vm, id, err);

		if (!n)
			return -EINVAL;
		port.chr = n->chr;
		port.waits = n->waits;
	}
	props_get(p, "id");
	return virtio_console_add(s, nr == UINT64_MAX ? -1 : (int)nr, &port, err) < 0 ? -EINVAL : 0;
}

static int make_virtconsole(struct board *b, struct props *p, struct lodge_err *err)
{
	return make_port(b, p, true, err);
}

static int make_virtserialport(struct board *b, struct props *p, struct lodge_err *err)
{
	return make_port(b, p, false, err);
}

const struct board_kind board_virtio_serial = {
	.name = "virtio-serial-pci",
	.alias = "virtio-serial",
	.help = "consoles and serial channels [max_ports=N]",
	.virtio = true,
	.make = make_serial,
};
const struct board_kind board_virtconsole = {
	.name = "virtconsole",
	.help = "a console on virtio-serial: chardev=ID [,name=NAME,nr=N,bus=ID.0]",
	.make = make_virtconsole,
};
const struct board_kind board_virtserialport = {
	.name = "virtserialport",
	.help = "a channel on virtio-serial: chardev=ID,name=NAME [,nr=N,bus=ID.0]",
	.make = make_virtserialport,
};

/* ---- virtio-balloon ----------------------------------------------------------------------------------- */

static void free_balloon(void *obj)
{
	virtio_balloon_free(obj);
}

static void balloon_changed(void *opaque, uint64_t bytes)
{
	vm_tell(opaque, &(struct vm_event){.kind = VM_EVENT_BALLOON, .bytes = bytes});
}

static int make_balloon(struct board *b, struct props *p, struct lodge_err *err)
{
	struct virtio_balloon_config c = {.changed = balloon_changed, .opaque = b->vm};
	struct virtio_balloon *s;
	int r = board_virtio_config(b, p, 4, 128, &c.virtio, err);

	if (!r)
		r = props_bool(p, "deflate-on-oom", &c.deflate_on_oom, err);
	if (!r)
		r = props_bool(p, "free-page-reporting", &c.reporting, err);
	if (!r)
		r = read_number(p, "guest-stats-polling-interval", 86400, &c.stats_s, err);
	if (!r)
		r = props_size(p, "target", &c.target_bytes, err);
	if (r)
		return r;
	s = virtio_balloon_new(&c, err);
	if (!s)
		return -EINVAL;
	return board_adopt(b, props_get(p, "id"), virtio_balloon_device(s), s, free_balloon, err);
}

const struct board_kind board_virtio_balloon = {
	.name = "virtio-balloon-pci",
	.alias = "virtio-balloon",
	.help = "the guest gives memory back "
		"[target=SIZE,free-page-reporting=on,deflate-on-oom=on]",
	.virtio = true,
	.make = make_balloon,
};

/* ---- virtio-vsock --------------------------------------------------------------------------------------- */

static void free_vsock(void *obj)
{
	virtio_vsock_free(obj);
}

static int make_vsock(struct board *b, struct props *p, struct lodge_err *err)
{
	struct virtio_vsock_config c = {.guest_cid = 3};
	struct virtio_vsock *s;
	int r = board_virtio_config(b, p, 3, 128, &c.virtio, err);

	if (!r)
		r = props_u64(p, "guest-cid", UINT64_MAX, &c.guest_cid, err);
	if (r)
		return r;
	c.path = props_get(p, "path");
	if (!c.path || !c.path[0])
		return err_set(err, -EINVAL,
			       "%s: path= is missing: where the host's programs connect, a Unix "
			       "socket",
			       props_what(p));
	s = virtio_vsock_new(&c, err);
	if (!s)
		return -EINVAL;
	return board_adopt(b, props_get(p, "id"), virtio_vsock_device(s), s, free_vsock, err);
}

const struct board_kind board_virtio_vsock = {
	.name = "virtio-vsock-pci",
	.help = "streams between host and guest programs: path=SOCKET [,guest-cid=N]",
	.virtio = true,
	.make = make_vsock,
};
