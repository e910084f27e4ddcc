/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A 93C46: 64 words on a Microwire bus, read-only: commands to write and erase are taken and do nothing.
 * Source: 93C46 data sheet (start bit, two of opcode, six of address). Threads: its owner's.
 */
#ifndef LODGE_DEVICES_NET_EEPROM93_H
#define LODGE_DEVICES_NET_EEPROM93_H

#include <stdbool.h>
#include <stdint.h>

#define EEPROM93_WORDS 64u

struct eeprom93 {
	uint16_t word[EEPROM93_WORDS];
	/* Saved state. */
	uint32_t in;   /* bits shifted in since chip select, the start bit first */
	uint16_t out;  /* the word that is shifted out */
	uint8_t bits;  /* how many of `in`, up to 9 */
	uint8_t left;  /* how many of `out` are to come */
	uint8_t addr;  /* of `out` */
	uint8_t clock; /* the pin, as last driven */
};

#define EEPROM93_STATE_FIELDS(type, m)                                                \
	STATE_FIELD(type, m.in), STATE_FIELD(type, m.out), STATE_FIELD(type, m.bits), \
		STATE_FIELD(type, m.left), STATE_FIELD(type, m.addr), STATE_FIELD(type, m.clock)

/* Drive the pins: chip select, clock, data in. */
void eeprom93_set(struct eeprom93 *e, bool select, bool clock, bool in);
/* Data out. */
bool eeprom93_out(const struct eeprom93 *e);
/* After loading: does it make sense? */
bool eeprom93_ok(const struct eeprom93 *e);

#endif
