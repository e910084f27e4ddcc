// SPDX-License-Identifier: GPL-2.0-or-later
/* A 93C46. See devices/net/eeprom93.h. */
#include "devices/net/eeprom93.h"

#define READ 6u	    /* start bit and opcode 10 */
#define CMD_BITS 9u /* start, two of opcode, six of address */

/* A rising clock with the chip selected. */
static void shift(struct eeprom93 *e, bool in)
{
	if (e->bits == CMD_BITS) {
		/* Words follow one another as long as the clock goes on. */
		if (!e->left) {
			e->addr = (e->addr + 1) % EEPROM93_WORDS;
			e->out = e->word[e->addr];
			e->left = 16;
		}
		e->left--;
		return;
	}
	/* Zeros before the start bit are nothing. */
	if (!e->bits && !in)
		return;
	e->in = (e->in << 1 | in) & 0x1ff;
	if (++e->bits < CMD_BITS)
		return;
	e->addr = e->in & (EEPROM93_WORDS - 1);
	/* 16 to come: the first clock brings the first; until then a 0 is there. */
	e->left = 16;
	e->out = e->in >> 6 == READ ? e->word[e->addr] : 0xffff;
}

void eeprom93_set(struct eeprom93 *e, bool select, bool clock, bool in)
{
	if (!select) {
		e->bits = e->left = 0;
		e->in = 0;
	} else if (clock && !e->clock) {
		shift(e, in);
	}
	e->clock = clock;
}

bool eeprom93_out(const struct eeprom93 *e)
{
	/* Ready, while nothing is shifted out. */
	return e->bits < CMD_BITS || (e->left < 16 && e->out >> e->left & 1);
}

bool eeprom93_ok(const struct eeprom93 *e)
{
	return e->bits <= CMD_BITS && e->left <= 16 && e->addr < EEPROM93_WORDS && e->clock <= 1;
}
