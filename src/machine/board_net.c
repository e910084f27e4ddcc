// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The board's network: back ends of -netdev and -nic, and the cards that are plugged into them.
 *
 * -nic TYPE,model=CARD,... is a -netdev and a -device in one.
 * Threads: with the VM lock held, or before threads start.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "devices/net/e1000.h"
#include "devices/net/rtl8139.h"
#include "devices/virtio/virtio_net.h"
#include "machine/board_int.h"
#include "machine/board_virtio.h"
#include "net/net.h"

#define DEFAULT_MODEL "e1000"

struct board_net {
	struct list link;
	struct net_backend *nb;
	void *card; /* plugged into, of those that can be taken out */
	bool used;
	bool hot;     /* it came while the machine ran */
	bool retired; /* gone for all, but something of it still ends */
};

/* ---- MAC addresses --------------------------------------------------------------------------------
 */

static int parse_mac(const char *text, uint8_t mac[6])
{
	unsigned v[6];
	int end = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
		   &end) != 6 &&
	    sscanf(text, "%2x-%2x-%2x-%2x-%2x-%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
		   &end) != 6)
		return -EINVAL;
	if (!end || text[end])
		return -EINVAL;
	for (unsigned i = 0; i < 6; i++)
		mac[i] = (uint8_t)v[i];
	/* A card's address is nobody else's: no group's, not all zeros. */
	return (mac[0] & 1) || !(mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]) ? -EINVAL : 0;
}

/* mac=, or the next of 52:54:00:12:34:56 and so on, as QEMU gives them. */
static int card_mac(struct board *b, struct props *p, uint8_t mac[6], struct lodge_err *err)
{
	static const uint8_t first[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
	const char *text = props_get(p, "mac");

	memcpy(mac, first, 6);
	if (!text) {
		mac[5] = (uint8_t)(mac[5] + b->net_cards++);
		return 0;
	}
	if (parse_mac(text, mac))
		return err_set(err, -EINVAL,
			       "%s: mac=%s is not a card's address, as 52:54:00:12:34:56",
			       props_what(p), text);
	return 0;
}

/* ---- Cables ---------------------------------------------------------------------------------------
 */

static struct board_net *find_net(struct board *b, const char *id)
{
	struct board_net *n;

	list_for_each_entry (n, &b->nets, link) {
		if (!n->retired && !strcmp(net_backend_id(n->nb), id))
			return n;
	}
	return NULL;
}

/* The cable that netdev=ID names; without it the card's cable is not plugged in, as on QEMU. */
static int card_net(struct board *b, struct props *p, struct board_net **out, struct lodge_err *err)
{
	const char *id = props_get(p, "netdev");

	*out = NULL;
	if (!id) {
		fprintf(stderr, "lodge: %s %s: without netdev=ID nothing is plugged in\n",
			props_what(p), props_get(p, "driver"));
		return 0;
	}
	*out = find_net(b, id);
	if (!*out)
		return err_set(err, -ENODEV, "%s: there is no -netdev with id=%s", props_what(p),
			       id);
	if ((*out)->used)
		return err_set(err, -EBUSY,
			       "%s: netdev=%s has a card already; a back end is for one card",
			       props_what(p), id);
	(*out)->used = true;
	return 0;
}

/* ---- Cards ----------------------------------------------------------------------------------------
 */

/* What every card's -device has, read before the card is made. */
struct card {
	uint8_t mac[6];
	struct board_net *net;
};

static int card_begin(struct board *b, struct props *p, struct card *c, struct lodge_err *err)
{
	int r = card_mac(b, p, c->mac, err);

	return r ? r : card_net(b, p, &c->net, err);
}

/* The card is there and kept: ROM, boot order, cable. */
static int card_end(struct board *b, struct props *p, const struct card *c, struct pci_dev *d,
		    const char *rom, struct net_end *end, struct lodge_err *err)
{
	char path[64];
	int r = board_pci_rom(b, p, d, rom, err);

	board_pci_node(path, sizeof(path), "ethernet", d->devfn, "/ethernet-phy@0");
	if (!r)
		r = board_bootable(b, p, path, err);
	if (!r && c->net)
		net_connect(end, net_backend_end(c->net->nb));
	return r;
}

static void free_e1000(void *card)
{
	e1000_free(card);
}

static int make_e1000(struct board *b, struct props *p, struct lodge_err *err)
{
	struct e1000_config cfg = {.mem = b->vm->mem, .loop = b->vm->loop};
	struct e1000 *e;
	struct card c;
	int r = card_begin(b, p, &c, err);

	if (!r)
		r = board_pci_place(b, p, &cfg.devfn, err);
	if (r)
		return r;
	memcpy(cfg.mac, c.mac, 6);
	e = e1000_new(b->pci, &cfg, err);
	if (!e)
		return -EINVAL;
	r = board_adopt(b, props_get(p, "id"), e1000_device(e), e, free_e1000, err);
	return r ? r : card_end(b, p, &c, e1000_pci(e), "efi-e1000.rom", e1000_end(e), err);
}

const struct board_kind board_kind_e1000 = {
	.name = "e1000",
	.alias = "e1000-82540em",
	.help = "gigabit Ethernet (82540EM): netdev=ID,mac=MAC,romfile=FILE,bootindex=N",
	.make = make_e1000,
};

static void free_rtl8139(void *card)
{
	rtl8139_free(card);
}

static int make_rtl8139(struct board *b, struct props *p, struct lodge_err *err)
{
	struct rtl8139_config cfg = {.mem = b->vm->mem, .loop = b->vm->loop};
	struct rtl8139 *n;
	struct card c;
	int r = card_begin(b, p, &c, err);

	if (!r)
		r = board_pci_place(b, p, &cfg.devfn, err);
	if (r)
		return r;
	memcpy(cfg.mac, c.mac, 6);
	n = rtl8139_new(b->pci, &cfg, err);
	if (!n)
		return -EINVAL;
	r = board_adopt(b, props_get(p, "id"), rtl8139_device(n), n, free_rtl8139, err);
	return r ? r : card_end(b, p, &c, rtl8139_pci(n), "efi-rtl8139.rom", rtl8139_end(n), err);
}

const struct board_kind board_kind_rtl8139 = {
	.name = "rtl8139",
	.help = "fast Ethernet (RTL8139C+): netdev=ID,mac=MAC,romfile=FILE,bootindex=N",
	.make = make_rtl8139,
};

/* ---- virtio-net -------------------------------------------------------------------------------------
 */

#define VIRTIO_NET_QUEUE 256u

static void free_virtio(void *card)
{
	virtio_net_free(card);
}

static int read_queue_size(struct props *p, const char *key, uint16_t *out, struct lodge_err *err)
{
	uint64_t n = VIRTIO_NET_QUEUE;
	int r = props_u64(p, key, VQ_SIZE_MAX, &n, err);

	if (!r && (n < VIRTIO_NET_QUEUE || n & (n - 1)))
		return err_set(err, -EINVAL, "%s: %s is a power of two from %u to %u",
			       props_what(p), key, VIRTIO_NET_QUEUE, VQ_SIZE_MAX);
	*out = (uint16_t)n;
	return r;
}

/* A feature that is on unless it is switched off. */
static int read_feature(struct props *p, const char *key, bool *off, struct lodge_err *err)
{
	bool on = !*off;
	int r = props_bool(p, key, &on, err);

	*off = !on;
	return r;
}

/* With mq=on, as many pairs of queues as the back end has queues. */
static int read_pairs(struct props *p, const struct card *card, struct virtio_net_config *c,
		      unsigned *pairs, struct lodge_err *err)
{
	unsigned queues = card->net ? net_backend_queues(card->net->nb) : 1;
	int r = props_bool(p, "mq", &c->mq, err);

	*pairs = c->mq ? queues : 1;
	if (!r && *pairs > VIRTIO_NET_PAIRS_MAX)
		return err_set(err, -EINVAL, "%s: the back end has %u queues; a card has up to %u",
			       props_what(p), queues, VIRTIO_NET_PAIRS_MAX);
	return r;
}

static int read_virtio(struct board *b, struct props *p, const struct card *card,
		       struct virtio_net_config *c, struct lodge_err *err)
{
	uint64_t mtu = 0;
	unsigned pairs = 1;
	int r = read_pairs(p, card, c, &pairs, err);

	if (!r)
		r = board_virtio_config(b, p, VIRTIO_NET_QUEUES(pairs), VIRTIO_NET_QUEUE,
					&c->virtio, err);

	if (!r)
		r = read_queue_size(p, "rx_queue_size", &c->rx_queue_size, err);
	if (!r)
		r = read_queue_size(p, "tx_queue_size", &c->tx_queue_size, err);
	if (!r)
		r = read_feature(p, "mrg_rxbuf", &c->no_mrg_rxbuf, err);
	if (!r)
		r = read_feature(p, "csum", &c->no_csum, err);
	if (!r)
		r = read_feature(p, "gso", &c->no_tso, err);
	if (!r)
		r = read_feature(p, "guest_csum", &c->no_guest_csum, err);
	if (!r)
		r = read_feature(p, "guest_tso4", &c->no_guest_tso, err);
	if (!r)
		r = props_u64(p, "host_mtu", 65535, &mtu, err);
	if (!r && mtu && mtu < 68)
		r = err_set(err, -EINVAL, "%s: host_mtu=%u is below 68", props_what(p),
			    (unsigned)mtu);
	c->mtu = (uint16_t)mtu;
	return r;
}

static int make_virtio(struct board *b, struct props *p, struct lodge_err *err)
{
	struct virtio_net_config cfg = {0};
	struct virtio_net *n;
	struct card c;
	int r = card_begin(b, p, &c, err);

	if (!r)
		r = read_virtio(b, p, &c, &cfg, err);
	if (r)
		return r;
	memcpy(cfg.mac, c.mac, 6);
	n = virtio_net_new(&cfg, err);
	if (!n)
		return -EINVAL;
	r = board_adopt(b, props_get(p, "id"), virtio_net_device(n), n, free_virtio, err);
	if (!r && c.net)
		c.net->card = n;
	if (!r)
		r = card_end(b, p, &c, virtio_net_pci(n), "efi-virtio.rom", virtio_net_end(n, 0),
			     err);
	for (unsigned i = 1; !r && cfg.mq && c.net && i < net_backend_queues(c.net->nb); i++)
		net_connect(virtio_net_end(n, i), net_backend_queue(c.net->nb, i));
	return r;
}

const struct board_kind board_virtio_net = {
	.name = "virtio-net-pci",
	.alias = "virtio-net",
	.help = "network: netdev=ID,mac=MAC,mq=on|off,rx_queue_size=N,tx_queue_size=N,...",
	.hotplug = true,
	.virtio = true,
	.make = make_virtio,
};
static const struct board_kind *const cards[] = {
	&board_kind_e1000,
	&board_kind_rtl8139,
	&board_virtio_net,
};

/* ---- -netdev and -nic -----------------------------------------------------------------------------
 */

static int open_net(struct board *b, struct props *p, struct lodge_err *err)
{
	const struct net_host host = {.loop = b->vm->loop, .opaque = b};
	const char *id = props_get(p, "id");
	struct board_net *n = calloc(1, sizeof(*n));

	if (!n)
		return err_set(err, -ENOMEM, "no memory for a network");
	if (id && find_net(b, id)) {
		free(n);
		return err_set(err, -EEXIST, "%s: the id '%s' is taken", props_what(p), id);
	}
	n->nb = net_backend_open(p, &host, err);
	if (!n->nb) {
		free(n);
		return -EINVAL;
	}
	list_add_tail(&b->nets, &n->link);
	return 0;
}

static const struct board_kind *find_card(const char *model)
{
	if (!strcmp(model, "virtio"))
		return &board_virtio_net;
	for (size_t i = 0; i < ARRAY_SIZE(cards); i++) {
		if (!strcmp(cards[i]->name, model) ||
		    (cards[i]->alias && !strcmp(cards[i]->alias, model)))
			return cards[i];
	}
	return NULL;
}

/* The card's part of a -nic, as the -device it stands for. */
static struct props *card_props(struct props *nic, const char *model, const char *id,
				struct lodge_err *err)
{
	const char *mac = props_get(nic, "mac"), *addr = props_get(nic, "addr");
	struct props *p = props_parse("-nic", model, "driver", err);

	if (!p)
		return NULL;
	if (props_set(p, "netdev", id) || (mac && props_set(p, "mac", mac)) ||
	    (addr && props_set(p, "addr", addr))) {
		err_set(err, -ENOMEM, "-nic: no memory");
		props_free(p);
		return NULL;
	}
	props_get(p, "driver");
	return p;
}

static int open_nic(struct board *b, struct props *p, unsigned n, struct lodge_err *err)
{
	const char *model = props_get(p, "model"), *id = props_get(p, "id");
	const struct board_kind *card = find_card(model ? model : DEFAULT_MODEL);
	struct props *cp;
	char name[32];
	int r;

	if (!card)
		return err_set(err, -EINVAL,
			       "%s: there is no model=%s; '-nic model=help' lists them",
			       props_what(p), model);
	snprintf(name, sizeof(name), "nic%u", n);
	if (!id && props_set(p, "id", name))
		return err_set(err, -ENOMEM, "-nic: no memory");
	cp = card_props(p, card->name, id ? id : name, err);
	if (!cp)
		return -ENOMEM;
	r = open_net(b, p, err);
	if (!r)
		r = card->make(b, cp, err);
	if (!r)
		r = props_done(cp, err);
	props_free(cp);
	return r;
}

static bool is_nic(const struct props *p)
{
	return strcmp(props_what(p), "-netdev") != 0;
}

int board_open_nets(struct board *b, struct lodge_err *err)
{
	const struct vm_options *o = &b->vm->cfg.netdevs;
	int r = 0;

	for (unsigned i = 0; i < o->n && !r; i++) {
		if (!is_nic(o->p[i]))
			r = open_net(b, o->p[i], err);
	}
	for (unsigned i = 0; i < o->n && !r; i++) {
		if (!is_nic(o->p[i]))
			continue;
		r = open_nic(b, o->p[i], i, err);
		if (r && !strcmp(props_what(o->p[i]), VM_DEFAULT_NIC)) {
			fprintf(stderr, "lodge: no network: %s\n", err->msg);
			err->msg[0] = '\0';
			r = 0;
		}
	}
	return r;
}

void board_check_nets(struct board *b)
{
	struct board_net *n;

	list_for_each_entry (n, &b->nets, link) {
		if (!n->used)
			fprintf(stderr,
				"lodge: -netdev: no card uses '%s'; add -device %s,netdev=%s\n",
				net_backend_id(n->nb), DEFAULT_MODEL, net_backend_id(n->nb));
	}
}

struct net_backend *board_net_backend(struct board *b, const char *id)
{
	struct board_net *n;

	list_for_each_entry (n, &b->nets, link) {
		if (n->retired)
			continue;
		if (id ? !strcmp(net_backend_id(n->nb), id) : net_backend_has_hostfwd(n->nb))
			return n->nb;
	}
	return NULL;
}

struct net_backend *board_net_nth(struct board *b, unsigned nth)
{
	struct board_net *n;

	list_for_each_entry (n, &b->nets, link) {
		if (!n->retired && !nth--)
			return n->nb;
	}
	return NULL;
}

struct net_backend *board_net_of(struct board *b, void *card)
{
	struct board_net *n;

	list_for_each_entry (n, &b->nets, link) {
		if (n->card == card)
			return n->nb;
	}
	return NULL;
}

bool board_net_used(struct board *b, const char *id)
{
	struct board_net *n = find_net(b, id);

	return n && n->used;
}

void board_net_release(struct board *b, const char *id)
{
	struct board_net *n = find_net(b, id);

	if (!n)
		return;
	n->used = false;
	n->card = NULL;
}

/* ---- While the machine runs ----------------------------------------------------------------------- */

/* What the process that has shut itself in can still open. */
static int may_open(const struct vm_config *cfg, const char *type, struct lodge_err *err)
{
	if (!cfg->shut_in || (!strcmp(type, "user") && cfg->net_starter))
		return 0;
	return err_set(err, -EACCES,
		       "the sandbox lets a running machine have networks of type user only, not "
		       "%.40s: give it by -netdev, or start the machine with -sandbox off",
		       type);
}

/* All but type user are opened with the lock: they wait for nobody, or there is no sandbox. */
static struct net_backend *open_hot(struct vm *vm, struct props *p, const char *type,
				    struct lodge_err *err)
{
	struct net_host host = {.loop = vm->loop, .opaque = vm->board};
	struct net_backend *nb;

	if (!strcmp(type, "user")) {
		host.lock = &vm->lock;
		host.starter = vm->cfg.shut_in ? vm->cfg.net_starter : 0;
		return net_backend_open(p, &host, err);
	}
	pthread_mutex_lock(&vm->lock);
	nb = net_backend_open(p, &host, err);
	pthread_mutex_unlock(&vm->lock);
	return nb;
}

/* What has ended meanwhile. */
static void sweep_retired(struct board *b)
{
	struct list *node = b->nets.next;

	while (node != &b->nets) {
		struct board_net *n = container_of(node, struct board_net, link);

		node = node->next;
		if (!n->retired || !net_backend_retire(n->nb))
			continue;
		list_del(&n->link);
		net_backend_close(n->nb);
		free(n);
	}
}

int board_net_add(struct board *b, struct props *p, struct lodge_err *err)
{
	const char *type = props_get(p, "type"), *id = props_get(p, "id");
	struct vm *vm = b->vm;
	struct board_net *n;
	bool taken;
	int r;

	if (!type || !id)
		return err_set(err, -EINVAL, "Parameter '%s' is missing", type ? "id" : "type");
	r = may_open(&vm->cfg, type, err);
	if (r)
		return r;
	pthread_mutex_lock(&vm->lock);
	sweep_retired(b);
	taken = find_net(b, id);
	pthread_mutex_unlock(&vm->lock);
	if (taken)
		return err_set(err, -EEXIST, "Duplicate ID '%.60s' for netdev", id);
	n = calloc(1, sizeof(*n));
	if (!n)
		return err_set(err, -ENOMEM, "no memory for a network");
	n->hot = true;
	n->nb = open_hot(vm, p, type, err);
	if (!n->nb) {
		free(n);
		return -EINVAL;
	}
	pthread_mutex_lock(&vm->lock);
	list_add_tail(&b->nets, &n->link);
	pthread_mutex_unlock(&vm->lock);
	return 0;
}

int board_net_del(struct board *b, const char *id, struct lodge_err *err)
{
	struct board_net *n = find_net(b, id);

	if (!n)
		return err_set(err, -ENODEV, "Device '%.60s' not found", id);
	if (n->used)
		return err_set(err, -EBUSY,
			       "the network '%.60s' has a card: device_del takes it out", id);
	if (b->vm->cfg.shut_in && !strcmp(net_backend_type(n->nb), "passt"))
		return err_set(err, -EACCES,
			       "the sandbox does not let a running machine end passt ('%.60s')",
			       id);
	b->taken_out |= !n->hot;
	n->retired = true;
	sweep_retired(b);
	return 0;
}

const char *board_net_hot(const struct board *b)
{
	const struct board_net *n;

	list_for_each_entry (n, &b->nets, link) {
		if (n->hot && !n->retired)
			return net_backend_id(n->nb);
	}
	return NULL;
}

void board_close_nets(struct board *b)
{
	while (!list_empty(&b->nets)) {
		struct board_net *n = container_of(b->nets.next, struct board_net, link);

		list_del(&n->link);
		net_backend_close(n->nb);
		free(n);
	}
}
