/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets of GDB's remote serial protocol: "$data#cs", "+", "-", and 0x03 between them.
 * Source: Debugging with GDB, E.1 "Overview". Threads: the owner's.
 */
#ifndef LODGE_GDB_PACKET_H
#define LODGE_GDB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GDB_PACKET_MAX 0x4000u /* of data, before escapes; what PacketSize says */

enum gdb_got {
	GDB_GOT_NOTHING,
	GDB_GOT_PACKET,	   /* in->data has it, with a NUL behind its in->len bytes */
	GDB_GOT_TOO_LONG,  /* one that does not fit */
	GDB_GOT_DAMAGED,   /* a wrong checksum */
	GDB_GOT_ACK,	   /* "+" */
	GDB_GOT_NAK,	   /* "-" */
	GDB_GOT_INTERRUPT, /* 0x03 */
};

struct gdb_in {
	char data[GDB_PACKET_MAX + 1];
	size_t len;
	enum { GDB_IN_IDLE, GDB_IN_DATA, GDB_IN_ESCAPE, GDB_IN_SUM1, GDB_IN_SUM2 } at;
	bool too_long;
	uint8_t sum, told;
};

enum gdb_got gdb_in_byte(struct gdb_in *in, char byte);

/* Bytes to be sent. */
#define GDB_OUT_MAX (8u << 20)
struct gdb_out {
	char *p;
	size_t len, cap;
	size_t last; /* how long the last packet is */
	bool lost;   /* no memory, or too much */
};

/* One packet of `len` bytes, escaped where they must be. */
void gdb_out_packet(struct gdb_out *out, const char *data, size_t len);
void gdb_out_raw(struct gdb_out *out, const char *data, size_t len);
void gdb_out_take(struct gdb_out *out, size_t n);
void gdb_out_free(struct gdb_out *out);

/* ---- Words in packets -------------------------------------------------------------------------- */

int gdb_hex_digit(char c); /* -1: it is none */
/* A number in hexadecimal, 16 digits at most, at *p, which moves behind it. False: there is none. */
bool gdb_hex(const char **p, uint64_t *out);
/* `len` bytes as 2 * len digits; and back: false when they are not all there. */
void gdb_put_hex(char *out, const void *bytes, size_t len);
bool gdb_get_hex(const char *in, size_t in_len, void *bytes, size_t len);

#endif
