// SPDX-License-Identifier: GPL-2.0-or-later
/* Walks of a linked list whose nodes lie in random order. */
#include "bench.h"

#define NODES 32768u

struct node {
	struct node *next;
	uint64_t value;
};

uint64_t bench_list(uint32_t work)
{
	static struct node nodes[NODES];
	static uint32_t order[NODES];
	uint64_t seed = 6, sum = 0;

	for (uint32_t i = 0; i < NODES; i++)
		order[i] = i;
	for (uint32_t i = NODES - 1; i; i--) {
		uint32_t j = (uint32_t)(bench_random(&seed) % (i + 1)), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
	for (uint32_t i = 0; i < NODES; i++) {
		nodes[order[i]].next = i + 1 < NODES ? &nodes[order[i + 1]] : 0;
		nodes[order[i]].value = i;
	}
	for (unsigned round = 0; round < work; round++) {
		for (struct node *n = &nodes[order[0]]; n; n = n->next) {
			sum += n->value ^ round;
			n->value = sum & 0xffff;
		}
	}
	return sum;
}
