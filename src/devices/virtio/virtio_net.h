/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio network card: pairs of queues and a control queue.
 * Source: virtio 1.2 §5.1. Register table: docs/devices/virtio_net.md.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_VIRTIO_VIRTIO_NET_H
#define LODGE_DEVICES_VIRTIO_VIRTIO_NET_H

#include "devices/virtio/virtio.h"
#include "net/net.h"

#define VIRTIO_NET_PAIRS_MAX 32u
/* Receive and transmit of each pair, control. */
#define VIRTIO_NET_QUEUES(pairs) (2u * (pairs) + 1u)

struct virtio_net;

struct virtio_net_config {
	struct virtio_config virtio; /* .queues is VIRTIO_NET_QUEUES(1 to _PAIRS_MAX) */
	uint8_t mac[6];
	uint16_t mtu; /* host_mtu=; 0: not offered */
	uint16_t rx_queue_size, tx_queue_size;
	bool mq; /* a driver may use more than one pair */
	bool no_mrg_rxbuf, no_csum, no_guest_csum, no_tso, no_guest_tso;
};

/* NULL and a sentence on failure. */
struct virtio_net *virtio_net_new(const struct virtio_net_config *cfg, struct lodge_err *err);
void virtio_net_free(struct virtio_net *s); /* NULL is allowed */
struct device *virtio_net_device(struct virtio_net *s);
struct pci_dev *virtio_net_pci(struct virtio_net *s);
/* Of a pair: what is sent to this end goes to its receive queue. */
struct net_end *virtio_net_end(struct virtio_net *s, unsigned pair);

#endif
