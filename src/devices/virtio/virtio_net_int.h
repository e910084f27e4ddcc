/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the virtio network card: its state, and what virtio_net.c (frames, life) and virtio_net_ctrl.c (the
 * control queue) share. Source: virtio 1.2 §5.1. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_VIRTIO_VIRTIO_NET_INT_H
#define LODGE_DEVICES_VIRTIO_VIRTIO_NET_INT_H

#include "devices/virtio/virtio_net.h"

/* Features (§5.1.3). */
#define F_CSUM VIRTIO_F_BIT(0)
#define F_GUEST_CSUM VIRTIO_F_BIT(1)
#define F_CTRL_GUEST_OFFLOADS VIRTIO_F_BIT(2)
#define F_MTU VIRTIO_F_BIT(3)
#define F_MAC VIRTIO_F_BIT(5)
#define F_GUEST_TSO4 VIRTIO_F_BIT(7)
#define F_GUEST_TSO6 VIRTIO_F_BIT(8)
#define F_GUEST_ECN VIRTIO_F_BIT(9)
#define F_HOST_TSO4 VIRTIO_F_BIT(11)
#define F_HOST_TSO6 VIRTIO_F_BIT(12)
#define F_HOST_ECN VIRTIO_F_BIT(13)
#define F_MRG_RXBUF VIRTIO_F_BIT(15)
#define F_STATUS VIRTIO_F_BIT(16)
#define F_CTRL_VQ VIRTIO_F_BIT(17)
#define F_CTRL_RX VIRTIO_F_BIT(18)
#define F_CTRL_VLAN VIRTIO_F_BIT(19)
#define F_CTRL_RX_EXTRA VIRTIO_F_BIT(20)
#define F_GUEST_ANNOUNCE VIRTIO_F_BIT(21)
#define F_MQ VIRTIO_F_BIT(22)
#define F_CTRL_MAC_ADDR VIRTIO_F_BIT(23)
#define GUEST_OFFLOADS (F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN)

/* Receive modes are kept by the command that sets them (§5.1.6.5.1). */
enum { MODE_PROMISC, MODE_ALLMULTI, MODE_ALLUNI, MODE_NOMULTI, MODE_NOUNI, MODE_NOBCAST, RX_MODES };

#define MACS_MAX 64u
#define VLANS 4096u

/* A pair of queues, 2n and 2n + 1, and its end of a wire. */
struct virtio_net_pair {
	struct virtio_net *s;
	unsigned n;
	struct net_end end;
	bool in_tx;
};

struct virtio_net {
	struct virtio_dev v;
	unsigned pairs_max;
	struct virtio_net_pair pair[VIRTIO_NET_PAIRS_MAX];
	uint8_t first_mac[6];
	/* Saved. */
	uint8_t mac[6];
	uint8_t mode[RX_MODES];
	uint8_t macs[MACS_MAX * 6]; /* unicast first */
	uint32_t mac_count, unicast_count;
	uint8_t all_uni, all_multi; /* the driver's tables were too long */
	uint8_t vlans[VLANS / 8];
	uint64_t offloads; /* of GUEST_OFFLOADS, those in use */
	uint8_t announce;
	uint16_t pairs; /* in use; 0 in a state of version 1: one */
};

static inline unsigned virtio_net_rx_queue(unsigned pair)
{
	return 2 * pair;
}
static inline unsigned virtio_net_tx_queue(unsigned pair)
{
	return 2 * pair + 1;
}
/* Behind all pairs, of which a driver without MQ knows one (§5.1.2). */
static inline unsigned virtio_net_ctrl_queue(const struct virtio_net *s)
{
	return virtio_has(&s->v, F_MQ) ? 2 * s->pairs_max : 2;
}

/* ---- virtio_net.c ---- */
/* The configuration space as the state has it. */
void virtio_net_show_mac(struct virtio_net *s);
void virtio_net_show_status(struct virtio_net *s);
/* s->offloads was changed. */
void virtio_net_set_can(struct virtio_net *s);
/* Pairs [0, n) are in use from now on. */
void virtio_net_use_pairs(struct virtio_net *s, unsigned n);

/* ---- virtio_net_ctrl.c ---- */
/* Do what is in the control queue. */
void virtio_net_control(struct virtio_net *s);

#endif
