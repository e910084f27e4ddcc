// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The commands of a CD-ROM (DVD-ROM) drive.
 * Source: MMC-5 (T10/1675-D) §6; SPC-3 §6 for INQUIRY, REQUEST SENSE, TEST UNIT READY, PREVENT ALLOW.
 * Threads: with the VM lock held.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/storage/ata_int.h"

#define PROFILE_NONE 0x0000u
#define PROFILE_CD_ROM 0x0008u
#define PROFILE_DVD_ROM 0x0010u
/* A CD of 80 minutes has 360,000 sectors; what is longer is a DVD. */
#define CD_MAX_SECTORS 405000u

static void invalid_field(struct ata_drive *d)
{
	atapi_fail(d, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD, 0);
}

static uint8_t *reply_buf(struct ata_drive *d, uint32_t n)
{
	memset(d->buf, 0, n);
	return d->buf;
}

/* ---- SPC ---------------------------------------------------------------------------------------- */

static void test_unit_ready(struct ata_drive *d)
{
	atapi_ok(d);
}

static void request_sense(struct ata_drive *d)
{
	uint8_t *b = reply_buf(d, 18), alloc = d->packet[4];

	if (d->sense_key == SENSE_NONE && d->attention) {
		d->sense_key = SENSE_UNIT_ATTENTION;
		d->asc = d->attention;
		d->ascq = 0;
		d->attention = 0;
	}
	b[0] = 0x70;
	b[2] = d->sense_key;
	b[7] = 10;
	b[12] = d->asc;
	b[13] = d->ascq;
	d->sense_key = d->asc = d->ascq = 0;
	atapi_reply(d, 18, alloc);
}

static void inquiry(struct ata_drive *d)
{
	uint8_t *b = reply_buf(d, 36);

	if (d->packet[1] & 1 || d->packet[2]) {
		invalid_field(d);
		return;
	}
	b[0] = 0x05; /* a CD/DVD device */
	b[1] = 0x80; /* removable */
	b[2] = 0x05; /* SPC-3 */
	b[3] = 0x02;
	b[4] = 31;
	memcpy(b + 8, "LODGE   LODGE DVD-ROM   1.0 ", 28);
	atapi_reply(d, 36, ld_be16(d->packet + 3));
}

static void prevent_allow(struct ata_drive *d)
{
	d->locked = d->packet[4] & 1;
	atapi_ok(d);
}

/* ---- The tray ----------------------------------------------------------------------------------- */

static void start_stop(struct ata_drive *d)
{
	bool start = d->packet[4] & 1, load_eject = d->packet[4] & 2;

	if (d->packet[4] & 0xf0 || !load_eject) { /* power conditions, motor */
		atapi_ok(d);
		return;
	}
	if (start) {
		if (d->tray_open && d->queue) {
			d->media_event = 2;
			d->attention = ASC_MEDIUM_CHANGED;
		}
		atapi_move_tray(d, false);
	} else if (d->locked) {
		atapi_fail(d, SENSE_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED, 2);
		return;
	} else {
		ata_press_eject(d);
	}
	atapi_ok(d);
}

static void get_event_status(struct ata_drive *d)
{
	uint8_t *b = reply_buf(d, 8);
	uint16_t alloc = ld_be16(d->packet + 7);

	if (!(d->packet[1] & 1)) { /* not polled: there is no such queue */
		invalid_field(d);
		return;
	}
	b[3] = 0x10; /* media events are all there are */
	if (!(d->packet[4] & 0x10)) {
		st_be16(b, 2);
		b[2] = 0x80;
		atapi_reply(d, 4, alloc);
		return;
	}
	st_be16(b, 6);
	b[2] = 4;
	b[4] = d->media_event;
	b[5] = (uint8_t)((d->tray_open ? 1 : 0) | (atapi_has_medium(d) ? 2 : 0));
	if (alloc > 4)
		d->media_event = 0;
	atapi_reply(d, 8, alloc);
}

static void mechanism_status(struct ata_drive *d)
{
	uint8_t *b = reply_buf(d, 8);

	b[1] = d->tray_open ? 0x10 : 0;
	b[5] = 1; /* slots of a changer: one */
	atapi_reply(d, 8, ld_be16(d->packet + 8));
}

/* ---- The disc ----------------------------------------------------------------------------------- */

static void read_capacity(struct ata_drive *d)
{
	uint8_t *b = reply_buf(d, 8);

	st_be32(b, d->sectors ? (uint32_t)(d->sectors - 1) : 0);
	st_be32(b + 4, CD_SECTOR);
	atapi_reply(d, 8, 8);
}

static void read_10(struct ata_drive *d)
{
	atapi_read(d, ld_be32(d->packet + 2), ld_be16(d->packet + 7));
}

static void read_12(struct ata_drive *d)
{
	atapi_read(d, ld_be32(d->packet + 2), ld_be32(d->packet + 6));
}

/* READ CD: user data of data sectors only. */
static void read_cd(struct ata_drive *d)
{
	uint32_t n = ld_be32(d->packet + 5) & 0xffffff;
	uint8_t type = d->packet[1] >> 2 & 7;

	if (!n || !(d->packet[9] & 0xf8))
		atapi_ok(d);
	else if ((d->packet[9] & 0xf8) != 0x10 || d->packet[10] & 7)
		invalid_field(d);
	else if (type != 0 && type != 2)
		atapi_fail(d, SENSE_ILLEGAL_REQUEST, ASC_ILLEGAL_MODE, 0);
	else
		atapi_read(d, ld_be32(d->packet + 2), n);
}

static void seek(struct ata_drive *d)
{
	if (ld_be32(d->packet + 2) < d->sectors)
		atapi_ok(d);
	else
		atapi_fail(d, SENSE_ILLEGAL_REQUEST, ASC_LBA_RANGE, 0);
}

/* An address, in blocks or as minute, second, frame behind two seconds of lead-in. */
static void put_place(uint8_t *b, bool msf, uint32_t lba)
{
	if (!msf) {
		st_be32(b, lba);
		return;
	}
	lba += 150;
	b[0] = 0;
	b[1] = (uint8_t)(lba / 75 / 60);
	b[2] = (uint8_t)(lba / 75 % 60);
	b[3] = (uint8_t)(lba % 75);
}

/* Format 0: the tracks, of which there is one, and the lead-out. */
static uint32_t toc_tracks(struct ata_drive *d, uint8_t *b, bool msf)
{
	uint8_t first = d->packet[6];
	uint32_t n = 4;

	if (first > 1 && first != 0xaa)
		return 0;
	if (first <= 1) {
		b[n + 1] = 0x14;
		b[n + 2] = 1;
		put_place(b + n + 4, msf, 0);
		n += 8;
	}
	b[n + 1] = 0x14;
	b[n + 2] = 0xaa;
	put_place(b + n + 4, msf, (uint32_t)d->sectors);
	return n + 8;
}

/* Format 1: the last session. */
static uint32_t toc_session(uint8_t *b, bool msf)
{
	b[5] = 0x14;
	b[6] = 1;
	put_place(b + 8, msf, 0);
	return 12;
}

/* Format 2: the entries as they are in the lead-in. */
static uint32_t toc_raw(struct ata_drive *d, uint8_t *b)
{
	static const uint8_t points[] = {0xa0, 0xa1, 0xa2, 1};

	for (unsigned i = 0; i < ARRAY_SIZE(points); i++) {
		uint8_t *e = b + 4 + 11 * i;

		e[0] = 1;
		e[1] = 0x14;
		e[3] = points[i];
		if (points[i] == 0xa0 || points[i] == 0xa1)
			e[8] = 1;
		else
			put_place(e + 7, true, points[i] == 1 ? 0 : (uint32_t)d->sectors);
	}
	return 4 + 11 * ARRAY_SIZE(points);
}

static void read_toc(struct ata_drive *d)
{
	uint8_t *b = reply_buf(d, 64), format = d->packet[2] & 15;
	bool msf = d->packet[1] & 2;
	uint32_t n = 0;

	if (!format)
		format = d->packet[9] >> 6; /* where SFF-8020 had it */
	b[2] = b[3] = 1;
	if (format == 0)
		n = toc_tracks(d, b, msf);
	else if (format == 1)
		n = toc_session(b, msf);
	else if (format == 2)
		n = toc_raw(d, b);
	if (!n) {
		invalid_field(d);
		return;
	}
	st_be16(b, (uint16_t)(n - 2));
	atapi_reply(d, n, ld_be16(d->packet + 7));
}

static void read_disc_information(struct ata_drive *d)
{
	uint8_t *b = reply_buf(d, 34);

	if (d->packet[1] & 7) {
		invalid_field(d);
		return;
	}
	st_be16(b, 32);
	b[2] = 0x0e; /* complete, last session complete */
	b[3] = b[4] = b[5] = b[6] = 1;
	b[7] = 0x20; /* unrestricted use */
	st_be32(b + 16, 0xffffffff);
	st_be32(b + 20, 0xffffffff);
	atapi_reply(d, 34, ld_be16(d->packet + 7));
}

/* ---- What the drive can do ---------------------------------------------------------------------- */

static uint32_t profile(const struct ata_drive *d)
{
	if (!atapi_has_medium(d))
		return PROFILE_NONE;
	return d->sectors > CD_MAX_SECTORS ? PROFILE_DVD_ROM : PROFILE_CD_ROM;
}

/* One feature; returns its bytes. */
static uint32_t put_feature(uint8_t *b, uint16_t code, uint8_t flags, const uint8_t *data,
			    uint8_t n)
{
	st_be16(b, code);
	b[2] = flags;
	b[3] = n;
	memcpy(b + 4, data, n);
	return 4u + n;
}

static void get_configuration(struct ata_drive *d)
{
	const uint32_t now = profile(d);
	const uint8_t dvd = now == PROFILE_DVD_ROM, cd = now == PROFILE_CD_ROM;
	const uint8_t profiles[8] = {0, PROFILE_DVD_ROM, dvd, 0, 0, PROFILE_CD_ROM, cd, 0};
	const struct {
		uint16_t code;
		uint8_t flags; /* version << 2 | persistent << 1 | current */
		uint8_t n;
		uint8_t data[8];
	} features[] = {
		{0x0001, 2 << 2 | 3, 8, {0, 0, 0, 2, 1}},	 /* core: ATAPI */
		{0x0002, 1 << 2 | 3, 4, {2}},			 /* morphing: polled events */
		{0x0003, 3, 4, {0x29}},				 /* removable: tray, eject, lock */
		{0x0010, cd | dvd, 8, {0, 0, 8, 0, 0, 1, 0, 0}}, /* random reading, 2 KiB blocks */
		{0x001e, (uint8_t)(2 << 2 | cd), 4, {0}},	 /* CD */
		{0x001f, (uint8_t)(1 << 2 | dvd), 4, {0}},	 /* DVD */
	};
	uint8_t *b = reply_buf(d, 256), rt = d->packet[1] & 3;
	uint16_t first = ld_be16(d->packet + 2);
	uint32_t n = 8;

	if (rt == 3) {
		invalid_field(d);
		return;
	}
	if (rt == 2 ? first == 0 : true) {
		if (first == 0)
			n += put_feature(b + n, 0, 3, profiles, 8);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		bool wanted =
			rt == 2 ? features[i].code == first
				: features[i].code >= first && (rt == 0 || features[i].flags & 1);

		if (wanted)
			n += put_feature(b + n, features[i].code, features[i].flags,
					 features[i].data, features[i].n);
	}
	st_be32(b, n - 4);
	st_be16(b + 6, (uint16_t)now);
	atapi_reply(d, n, ld_be16(d->packet + 7));
}

static uint32_t put_page(uint8_t *b, uint8_t code, uint8_t n, const uint8_t *data)
{
	b[0] = code;
	b[1] = n;
	memcpy(b + 2, data, n);
	return 2u + n;
}

/* MODE SENSE (10): error recovery, audio control, capabilities; present values only. */
static void mode_sense(struct ata_drive *d)
{
	static const uint8_t recovery[6] = {0, 5};
	static const uint8_t audio[14] = {4};
	/* Reads CD-R, CD-RW, DVD; forms 1 and 2, sessions; a tray that ejects and locks; 5632 KB/s. */
	const uint8_t caps[20] = {
		0x3b, 0,    0x70, 0,	(uint8_t)(0x29 | (d->locked ? 2 : 0)), 0, 0x16, 0x00, 0, 2,
		0x02, 0x00, 0x16, 0x00,
	};
	uint8_t *b = reply_buf(d, 128), code = d->packet[2] & 0x3f;
	uint32_t n = 8;

	if (d->packet[2] >> 6 == 3) {
		atapi_fail(d, SENSE_ILLEGAL_REQUEST, ASC_SAVING_PARAMETERS, 0);
		return;
	}
	if (d->packet[2] >> 6 != 0 ||
	    (code != 0x01 && code != 0x0e && code != 0x2a && code != 0x3f)) {
		invalid_field(d);
		return;
	}
	if (code == 0x01 || code == 0x3f)
		n += put_page(b + n, 0x01, sizeof(recovery), recovery);
	if (code == 0x0e || code == 0x3f)
		n += put_page(b + n, 0x0e, sizeof(audio), audio);
	if (code == 0x2a || code == 0x3f)
		n += put_page(b + n, 0x2a, sizeof(caps), caps);
	st_be16(b, (uint16_t)(n - 2));
	b[2] = d->tray_open ? 0x71 : atapi_has_medium(d) ? 0x01 : 0x70;
	atapi_reply(d, n, ld_be16(d->packet + 7));
}

/* ---- The table ---------------------------------------------------------------------------------- */

#define NEEDS_MEDIUM 1u
#define IGNORES_ATTENTION 2u

static const struct {
	void (*fn)(struct ata_drive *d);
	uint8_t flags;
} commands[256] = {
	[0x00] = {test_unit_ready, NEEDS_MEDIUM},
	[0x03] = {request_sense, IGNORES_ATTENTION},
	[0x12] = {inquiry, IGNORES_ATTENTION},
	[0x1b] = {start_stop, 0},
	[0x1e] = {prevent_allow, 0},
	[0x25] = {read_capacity, NEEDS_MEDIUM},
	[0x28] = {read_10, NEEDS_MEDIUM},
	[0x2b] = {seek, NEEDS_MEDIUM},
	[0x43] = {read_toc, NEEDS_MEDIUM},
	[0x46] = {get_configuration, IGNORES_ATTENTION},
	[0x4a] = {get_event_status, IGNORES_ATTENTION},
	[0x51] = {read_disc_information, NEEDS_MEDIUM},
	[0x5a] = {mode_sense, 0},
	[0xa8] = {read_12, NEEDS_MEDIUM},
	[0xbb] = {test_unit_ready, 0}, /* SET CD SPEED: any is the same */
	[0xbd] = {mechanism_status, 0},
	[0xbe] = {read_cd, NEEDS_MEDIUM},
};

void atapi_execute(struct ata_drive *d)
{
	uint8_t op = d->packet[0], flags = commands[op].flags;

	if (!commands[op].fn) {
		atapi_fail(d, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE, 0);
		return;
	}
	if (op != 0x03)
		d->sense_key = d->asc = d->ascq = 0;
	if (d->attention && !(flags & IGNORES_ATTENTION)) {
		atapi_fail(d, SENSE_UNIT_ATTENTION, d->attention, 0);
		d->attention = 0;
		return;
	}
	if (flags & NEEDS_MEDIUM && !atapi_has_medium(d)) {
		atapi_fail(d, SENSE_NOT_READY, ASC_NO_MEDIUM, d->tray_open ? 2 : 1);
		return;
	}
	commands[op].fn(d);
}
