// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The network of a running machine: what there is, host forwards, cables. A helper process is waited for
 * without the VM lock. Threads: see machine/ctl.h.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "machine/board_int.h"
#include "net/net.h"

#define RULES_BYTES 16384u

unsigned vm_ctl_nets(struct vm *vm, struct vm_ctl_net *out)
{
	struct net_backend *nb;
	unsigned n = 0;

	pthread_mutex_lock(&vm->lock);
	for (; n < VM_CTL_NETS && (nb = board_net_nth(vm->board, n)); n++) {
		const struct net_end *e = net_backend_end(nb);

		out[n] = (struct vm_ctl_net){
			.plugged = e->peer,
			.link_up = !e->link_down,
			.to_guest_frames = e->tx_frames,
			.to_guest_bytes = e->tx_bytes,
			.from_guest_frames = e->peer ? e->peer->tx_frames : 0,
			.from_guest_bytes = e->peer ? e->peer->tx_bytes : 0,
		};
		snprintf(out[n].id, sizeof(out[n].id), "%s", net_backend_id(nb));
		snprintf(out[n].type, sizeof(out[n].type), "%s", net_backend_type(nb));
	}
	pthread_mutex_unlock(&vm->lock);
	return n;
}

static int no_net(const char *id, struct lodge_err *err)
{
	if (id)
		return err_set(err, -ENODEV, "Device '%.60s' not found", id);
	return err_set(err, -ENODEV,
		       "there is no network with host forwards; start the machine with "
		       "-netdev user or -nic user");
}

int vm_ctl_hostfwd(struct vm *vm, const char *id, bool add, const char *rule, struct lodge_err *err)
{
	struct pollfd p = {.fd = -1, .events = POLLIN};
	struct net_backend *nb;
	int r;

	pthread_mutex_lock(&vm->lock);
	nb = board_net_backend(vm->board, id);
	r = nb ? net_backend_hostfwd_ask(nb, add, rule, err) : no_net(id, err);
	pthread_mutex_unlock(&vm->lock);
	if (r < 0)
		return r;
	p.fd = r;
	(void)!poll(&p, 1, NET_HOSTFWD_MS);
	/* Back ends go by this thread's commands only. */
	pthread_mutex_lock(&vm->lock);
	r = net_backend_hostfwd_answer(nb, p.fd, add, rule, err);
	pthread_mutex_unlock(&vm->lock);
	return r;
}

/* The lines of `rules`, each with the id in front. */
static size_t put_rules(char *out, size_t size, const char *id, char *rules)
{
	size_t used = 0;
	char *save, *line;

	for (line = strtok_r(rules, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (used < size)
			used += (size_t)snprintf(out + used, size - used, "%s %s\n", id, line);
	}
	return used;
}

void vm_ctl_hostfwds(struct vm *vm, char *out, size_t size)
{
	struct net_backend *nb;
	char rules[RULES_BYTES];
	size_t used = 0;

	out[0] = '\0';
	pthread_mutex_lock(&vm->lock);
	for (unsigned n = 0; (nb = board_net_nth(vm->board, n)) && used < size; n++) {
		net_backend_hostfwds(nb, rules, sizeof(rules));
		used += put_rules(out + used, size - used, net_backend_id(nb), rules);
	}
	pthread_mutex_unlock(&vm->lock);
}

int vm_ctl_netdev_add(struct vm *vm, struct props *p, struct lodge_err *err)
{
	return board_net_add(vm->board, p, err);
}

int vm_ctl_netdev_del(struct vm *vm, const char *id, struct lodge_err *err)
{
	int r;

	pthread_mutex_lock(&vm->lock);
	r = board_net_del(vm->board, id, err);
	pthread_mutex_unlock(&vm->lock);
	return r;
}

int vm_ctl_set_link(struct vm *vm, const char *id, bool up, struct lodge_err *err)
{
	struct net_backend *nb;

	pthread_mutex_lock(&vm->lock);
	nb = board_net_backend(vm->board, id);
	if (nb)
		net_set_link(net_backend_end(nb), up);
	pthread_mutex_unlock(&vm->lock);
	return nb ? 0 : no_net(id, err);
}
