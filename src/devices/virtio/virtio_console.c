// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-console: ports with a receive and a transmit queue each, and a pair of control queues by which
 * both sides speak of ports. See virtio_console.h.
 * Source: virtio 1.2 §5.3. Threads: with the VM lock held.
 * Saved state: version 1. No chain is ever out: a transmission that the other end takes in part goes back into
 * its ring, and `tx_done` says how far it was.
 */
#include "devices/virtio/virtio_console.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

#define F_MULTIPORT VIRTIO_F_BIT(1)
#define F_EMERG_WRITE VIRTIO_F_BIT(2)

/* struct virtio_console_config (§5.3.4). */
enum { CFG_MAX_NR_PORTS = 4, CFG_EMERG_WR = 8, CFG_BYTES = 12 };

/* struct virtio_console_control (§5.3.6.2). */
enum {
	DEVICE_READY,
	DEVICE_ADD,
	DEVICE_REMOVE,
	PORT_READY,
	CONSOLE_PORT,
	RESIZE,
	PORT_OPEN,
	PORT_NAME,
};
#define CONTROL_BYTES 8u

/* What is still to be told about a port. */
#define TELL(event) (1u << (event))

/* Queues (§5.3.2): port 0's, the control queues, then those of ports 1, 2, ... */
#define Q_CONTROL_RX 2u
#define Q_CONTROL_TX 3u
#define QUEUE_SIZE 128u
#define CONTROL_QUEUE_SIZE 32u
/* Bytes from the host that wait for the driver's buffers, each port. */
#define FIFO_BYTES 1024u
/* Bytes a kick may move before others get the VM lock. */
#define KICK_BYTES 65536u

struct port {
	struct virtio_console *s;
	struct chardev *chr;
	char name[VIRTIO_CONSOLE_NAME];
	bool there, console;
	/* Saved. */
	uint8_t host_open;  /* somebody is at the other end */
	uint8_t guest_open; /* a program of the guest has it open */
	uint8_t tell;	    /* TELL() bits */
	uint32_t tx_done;   /* bytes of the oldest transmission that are gone already */
	uint32_t fifo_len;
	uint8_t fifo[FIFO_BYTES];
};

struct virtio_console {
	struct virtio_dev v;
	unsigned ports;
	struct port port[VIRTIO_CONSOLE_PORTS];
};

static unsigned rx_queue(unsigned port)
{
	return port ? 2 * port + 2 : 0;
}

static unsigned number(const struct port *p)
{
	return (unsigned)(p - p->s->port);
}

/* The port that queue `q` belongs to; not for the control queues. */
static struct port *port_of(struct virtio_console *s, unsigned q)
{
	return &s->port[q < Q_CONTROL_RX ? 0 : q / 2 - 1];
}

/* Without MULTIPORT there is only port 0, and it is open. */
static bool is_open(const struct port *p)
{
	if (!p->there || !virtio_running(&p->s->v))
		return false;
	return virtio_has(&p->s->v, F_MULTIPORT) ? p->guest_open : number(p) == 0;
}

/* ---- Control ----------------------------------------------------------------------------------- */

/* One message into a buffer of the control queue; false if there is no buffer. */
static bool send_control(struct port *p, unsigned event)
{
	struct vq_chain *c = virtio_pop(&p->s->v, Q_CONTROL_RX);
	uint8_t msg[CONTROL_BYTES + VIRTIO_CONSOLE_NAME];
	size_t len = CONTROL_BYTES, name = strlen(p->name);

	if (!c)
		return false;
	st_le32(msg, number(p));
	st_le16(msg + 4, (uint16_t)event);
	st_le16(msg + 6, event == PORT_OPEN ? p->host_open : 1);
	if (event == PORT_NAME) {
		/* The end of the buffer ends the name (§5.3.6.2). */
		memcpy(msg + len, p->name, name);
		len += name;
	}
	virtqueue_push(c->vq, c, vq_chain_write(c, 0, msg, len));
	return true;
}

/* Everything that is to be told and has room: additions first, then what is said of the added. */
static void tell(struct virtio_console *s)
{
	static const uint8_t order[] = {DEVICE_ADD, CONSOLE_PORT, PORT_NAME, PORT_OPEN};

	if (!virtio_has(&s->v, F_MULTIPORT))
		return;
	for (unsigned n = 0; n < s->ports; n++) {
		struct port *p = &s->port[n];

		for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
			if (!(p->tell & TELL(order[i])))
				continue;
			if (!send_control(p, order[i])) {
				virtio_notify(&s->v, Q_CONTROL_RX);
				return;
			}
			p->tell &= (uint8_t)~TELL(order[i]);
		}
	}
	virtio_notify(&s->v, Q_CONTROL_RX);
}

static void flush_tx(struct port *p);

static void port_message(struct virtio_console *s, uint32_t id, unsigned event, unsigned value)
{
	struct port *p = id < s->ports && s->port[id].there ? &s->port[id] : NULL;

	if (event == DEVICE_READY && value) {
		for (unsigned n = 0; n < s->ports; n++)
			s->port[n].tell = s->port[n].there ? TELL(DEVICE_ADD) : 0;
	} else if (p && event == PORT_READY && value) {
		p->tell |= (uint8_t)((p->console ? TELL(CONSOLE_PORT) : 0) |
				     (p->name[0] ? TELL(PORT_NAME) : 0) |
				     (p->host_open ? TELL(PORT_OPEN) : 0));
	} else if (p && event == PORT_OPEN) {
		p->guest_open = value != 0;
		if (p->guest_open)
			chardev_accept_input(p->chr);
	}
}

static void control_kick(struct virtio_console *s)
{
	struct vq_chain *c;
	unsigned n = 0;

	while (n < VIRTIO_BATCH && (c = virtio_pop(&s->v, Q_CONTROL_TX))) {
		uint8_t msg[CONTROL_BYTES];
		bool whole = vq_chain_read(c, 0, msg, sizeof(msg)) == sizeof(msg);

		n++;
		virtqueue_push(c->vq, c, 0);
		if (whole)
			port_message(s, ld_le32(msg), ld_le16(msg + 4), ld_le16(msg + 6));
	}
	if (n == VIRTIO_BATCH)
		virtio_again(&s->v, Q_CONTROL_TX);
	virtio_notify(&s->v, Q_CONTROL_TX);
	tell(s);
}

/* ---- From the guest ------------------------------------------------------------------------------ */

/* As much of a chain, from tx_done on, as the other end takes. True if that was all. */
static bool transmit(struct port *p, struct vq_chain *c)
{
	unsigned n = iov_cut_front(&c->out, c->n_out, p->tx_done);

	for (unsigned i = 0; i < n; i++) {
		size_t len = c->out[i].iov_len;
		size_t taken = chardev_write(p->chr, c->out[i].iov_base, len);

		p->tx_done += (uint32_t)taken;
		if (taken < len)
			return false;
	}
	p->tx_done = 0;
	return true;
}

static void flush_tx(struct port *p)
{
	struct virtio_dev *v = &p->s->v;
	unsigned q = rx_queue(number(p)) + 1, n = 0;
	uint64_t bytes = 0;
	struct vq_chain *c;

	while (n < VIRTIO_BATCH && bytes < KICK_BYTES && (c = virtio_pop(v, q))) {
		n++;
		bytes += c->out_len;
		if (!transmit(p, c)) {
			/* The rest when there is room: see writable(). */
			virtqueue_unpop(c->vq, c);
			virtio_notify(v, q);
			return;
		}
		virtqueue_push(c->vq, c, 0);
	}
	if (n == VIRTIO_BATCH || bytes >= KICK_BYTES)
		virtio_again(v, q);
	virtio_notify(v, q);
}

/* ---- To the guest -------------------------------------------------------------------------------- */

static void flush_rx(struct port *p)
{
	struct virtio_dev *v = &p->s->v;
	unsigned q = rx_queue(number(p)), n = 0;
	uint32_t done = 0;

	while (n++ < VIRTIO_BATCH && done < p->fifo_len && is_open(p)) {
		struct vq_chain *c = virtio_pop(v, q);
		size_t len;

		if (!c)
			break;
		len = vq_chain_write(c, 0, p->fifo + done, p->fifo_len - done);
		done += (uint32_t)len;
		virtqueue_push(c->vq, c, len);
	}
	p->fifo_len -= done;
	memmove(p->fifo, p->fifo + done, p->fifo_len);
	virtio_notify(v, q);
}

static size_t can_receive(void *opaque)
{
	const struct port *p = opaque;

	return is_open(p) ? FIFO_BYTES - p->fifo_len : 0;
}

static void receive(void *opaque, const uint8_t *buf, size_t len)
{
	struct port *p = opaque;

	len = min_u64(len, FIFO_BYTES - p->fifo_len);
	memcpy(p->fifo + p->fifo_len, buf, len);
	p->fifo_len += (uint32_t)len;
	flush_rx(p);
}

static void writable(void *opaque)
{
	flush_tx(opaque);
}

/* A console is always open to the driver, which would else drop what its kernel says. */
static void chr_event(void *opaque, enum chardev_event event)
{
	struct port *p = opaque;

	if (event == CHARDEV_EVENT_BREAK || p->console)
		return;
	p->host_open = event == CHARDEV_EVENT_OPEN;
	if (!(p->tell & TELL(DEVICE_ADD)) && virtio_running(&p->s->v)) {
		p->tell |= TELL(PORT_OPEN);
		tell(p->s);
	}
}

/* ---- The device ------------------------------------------------------------------------------------ */

static void kick(struct virtio_dev *v, unsigned q)
{
	struct virtio_console *s = container_of(v, struct virtio_console, v);

	if (q == Q_CONTROL_TX) {
		control_kick(s);
	} else if (q == Q_CONTROL_RX) {
		tell(s);
	} else if (q & 1) {
		flush_tx(port_of(s, q));
	} else {
		flush_rx(port_of(s, q));
		if (can_receive(port_of(s, q)))
			chardev_accept_input(port_of(s, q)->chr);
	}
}

/* Last words of a kernel that has nothing else (§5.3.4). */
static void config_written(struct virtio_dev *v, unsigned off, unsigned size)
{
	struct virtio_console *s = container_of(v, struct virtio_console, v);
	uint8_t byte = reg_get8(&v->config, CFG_EMERG_WR);

	if (!reg_hit(off, size, CFG_EMERG_WR, 1))
		return;
	reg_set32(&v->config, CFG_EMERG_WR, 0);
	if (s->port[0].there && chardev_write(s->port[0].chr, &byte, 1) != 1)
		return; /* full: lost, as on a serial line */
}

/* Chains are never out; a part that was sent belongs to a ring that is gone. */
static void drop(struct virtio_dev *v, unsigned q)
{
	struct virtio_console *s = container_of(v, struct virtio_console, v);

	for (unsigned n = 0; n < s->ports; n++) {
		if (q == rx_queue(n) + 1)
			s->port[n].tx_done = 0;
	}
}

static void reset(struct virtio_dev *v)
{
	struct virtio_console *s = container_of(v, struct virtio_console, v);

	for (unsigned n = 0; n < s->ports; n++) {
		struct port *p = &s->port[n];

		p->guest_open = p->tell = 0;
		p->tx_done = p->fifo_len = 0;
	}
}

static void started(struct virtio_dev *v)
{
	struct virtio_console *s = container_of(v, struct virtio_console, v);

	if (!virtio_has(v, F_MULTIPORT))
		chardev_accept_input(s->port[0].chr);
}

static const struct virtio_ops ops = {
	.id = VIRTIO_ID_CONSOLE,
	.legacy_id = 0x1003,
	.pci_class = 0x0780,
	.config_size = CFG_BYTES,
	.started = started,
	.kick = kick,
	.config_written = config_written,
	.drop = drop,
	.reset = reset,
};

/* Who is at the other end is this host's affair, not the saved one's. */
static int post_load(struct device *dev)
{
	struct virtio_console *s = container_of(dev, struct virtio_console, v.pci.dev);

	if (virtio_dev_loaded(&s->v))
		return -EINVAL;
	for (unsigned q = 0; q < s->v.queues; q++) {
		if (s->v.vq[q].out)
			return -EINVAL;
	}
	for (unsigned n = 0; n < VIRTIO_CONSOLE_PORTS; n++) {
		struct port *p = &s->port[n];

		if (p->guest_open > 1 || p->host_open > 1 || p->fifo_len > FIFO_BYTES)
			return -EINVAL;
		if (!p->there)
			p->tell = 0;
		if (p->there)
			chardev_accept_input(p->chr);
	}
	return 0;
}

static const struct state_field fields[] = {
	VIRTIO_STATE_FIELDS(struct virtio_console, v),
	STATE_EACH(struct virtio_console, port, host_open),
	STATE_EACH(struct virtio_console, port, guest_open),
	STATE_EACH(struct virtio_console, port, tell),
	STATE_EACH(struct virtio_console, port, tx_done),
	STATE_EACH(struct virtio_console, port, fifo_len),
	STATE_EACH_BUFFER(struct virtio_console, port, fifo),
	STATE_END,
};

const struct device_class virtio_console_class = {
	.name = "virtio-console",
	.version = 1,
	.reset = virtio_dev_reset,
	.fields = fields,
	.post_load = post_load,
};

int virtio_console_add(struct virtio_console *s, int nr, const struct virtio_console_port *port,
		       struct lodge_err *err)
{
	const struct chardev_frontend fe = {
		.can_receive = can_receive,
		.receive = receive,
		.event = chr_event,
		.writable = writable,
	};
	unsigned n = port->console ? 0 : 1;
	struct chardev_frontend mine = fe;
	struct port *p;

	if (nr >= 0) {
		n = (unsigned)nr;
	} else {
		while (n < s->ports && s->port[n].there)
			n++;
	}
	if (n >= s->ports)
		return err_set(
			err, nr < 0 ? -ENOSPC : -EINVAL,
			"virtio-serial has no port %u: it has %u, which max_ports= can raise "
			"to %u",
			n, s->ports, VIRTIO_CONSOLE_PORTS);
	if (s->port[n].there)
		return err_set(err, -EBUSY, "virtio-serial: port %u is taken", n);
	if (n == 0 && !port->console)
		return err_set(err, -EINVAL,
			       "virtio-serial: port 0 is for a console; others begin with nr=1");
	if (port->name && strlen(port->name) >= VIRTIO_CONSOLE_NAME)
		return err_set(err, -EINVAL, "virtio-serial: a port's name has less than %u bytes",
			       VIRTIO_CONSOLE_NAME);
	p = &s->port[n];
	p->there = true;
	p->console = port->console;
	p->chr = port->chr;
	p->host_open = port->console || (port->chr && !port->waits);
	snprintf(p->name, sizeof(p->name), "%s", port->name ? port->name : "");
	mine.opaque = p;
	if (p->chr)
		chardev_connect(p->chr, &mine);
	return (int)n;
}

struct virtio_console *virtio_console_new(const struct virtio_config *cfg, unsigned ports,
					  struct lodge_err *err)
{
	struct virtio_console *s;
	struct virtio_config vc = *cfg;

	if (!ports || ports > VIRTIO_CONSOLE_PORTS) {
		err_set(err, -EINVAL, "virtio-serial: max_ports=%u; 1 to %u are possible", ports,
			VIRTIO_CONSOLE_PORTS);
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		err_set(err, -ENOMEM, "no memory for a virtio-serial device");
		return NULL;
	}
	s->ports = ports;
	for (unsigned n = 0; n < VIRTIO_CONSOLE_PORTS; n++)
		s->port[n].s = s;
	vc.queues = 2 * ports + 2;
	vc.queue_size = QUEUE_SIZE;
	vc.features = F_EMERG_WRITE | F_MULTIPORT;
	if (virtio_dev_init(&s->v, &vc, &virtio_console_class, &ops, err)) {
		free(s);
		return NULL;
	}
	virtio_set_queue_size(&s->v, Q_CONTROL_RX, CONTROL_QUEUE_SIZE);
	virtio_set_queue_size(&s->v, Q_CONTROL_TX, CONTROL_QUEUE_SIZE);
	virtio_config_reg(&s->v, "max_nr_ports", CFG_MAX_NR_PORTS, 4, ports, 0);
	virtio_config_reg(&s->v, "emerg_wr", CFG_EMERG_WR, 4, 0, 0xffffffff);
	return s;
}

void virtio_console_free(struct virtio_console *s)
{
	if (!s)
		return;
	for (unsigned n = 0; n < s->ports; n++) {
		if (s->port[n].chr)
			chardev_connect(s->port[n].chr, NULL);
	}
	virtio_dev_free(&s->v);
	free(s);
}

struct device *virtio_console_device(struct virtio_console *s)
{
	return &s->v.pci.dev;
}

struct virtio_console *virtio_console_of(struct device *dev)
{
	return container_of(dev, struct virtio_console, v.pci.dev);
}
