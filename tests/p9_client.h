/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 9P messages, put together and taken apart, for tests. Include it once. */
#ifndef LODGE_TESTS_P9_CLIENT_H
#define LODGE_TESTS_P9_CLIENT_H

#include <string.h>

#include "base/bytes.h"
#include "share/p9.h"

struct p9_client {
	struct p9_server *s;
	uint8_t req[65536], reply[65536];
	size_t len;	  /* of req */
	size_t reply_len; /* without the header */
	const uint8_t *p; /* the reply behind its header */
};

static inline void c_begin(struct p9_client *c, uint8_t type)
{
	c->len = 7;
	c->req[4] = type;
	st_le16(c->req + 5, 1);
}

static inline void c_u8(struct p9_client *c, uint8_t v)
{
	c->req[c->len++] = v;
}

static inline void c_u16(struct p9_client *c, uint16_t v)
{
	st_le16(c->req + c->len, v);
	c->len += 2;
}

static inline void c_u32(struct p9_client *c, uint32_t v)
{
	st_le32(c->req + c->len, v);
	c->len += 4;
}

static inline void c_u64(struct p9_client *c, uint64_t v)
{
	st_le64(c->req + c->len, v);
	c->len += 8;
}

static inline void c_bytes(struct p9_client *c, const void *p, size_t n)
{
	memcpy(c->req + c->len, p, n);
	c->len += n;
}

static inline void c_str(struct p9_client *c, const char *s)
{
	c_u16(c, (uint16_t)strlen(s));
	c_bytes(c, s, strlen(s));
}

/* Send it: 0, or the errno of the answer; -1 if there is none. */
static inline int c_send(struct p9_client *c)
{
	size_t n;

	st_le32(c->req, (uint32_t)c->len);
	n = p9_server_handle(c->s, c->req, c->len, c->reply, sizeof(c->reply));
	c->p = c->reply + 7;
	c->reply_len = n ? n - 7 : 0;
	if (!n)
		return -1;
	return c->reply[4] == 7 ? (int)ld_le32(c->p) : 0;
}

static inline int c_version(struct p9_client *c, uint32_t msize)
{
	c_begin(c, 100);
	c_u32(c, msize);
	c_str(c, "9P2000.L");
	return c_send(c);
}

static inline int c_attach(struct p9_client *c, uint32_t fid)
{
	c_begin(c, 104);
	c_u32(c, fid);
	c_u32(c, 0xffffffff);
	c_str(c, "root");
	c_str(c, "");
	c_u32(c, 1000);
	return c_send(c);
}

/* Up to three names; NULL ends them. */
static inline int c_walk(struct p9_client *c, uint32_t fid, uint32_t new_fid, const char *a,
			 const char *b, const char *d)
{
	const char *name[] = {a, b, d};
	unsigned n = 0;

	while (n < 3 && name[n])
		n++;
	c_begin(c, 110);
	c_u32(c, fid);
	c_u32(c, new_fid);
	c_u16(c, (uint16_t)n);
	for (unsigned i = 0; i < n; i++)
		c_str(c, name[i]);
	return c_send(c);
}

static inline int c_fid(struct p9_client *c, uint8_t type, uint32_t fid)
{
	c_begin(c, type);
	c_u32(c, fid);
	return c_send(c);
}

static inline int c_clunk(struct p9_client *c, uint32_t fid)
{
	return c_fid(c, 120, fid);
}

static inline int c_open(struct p9_client *c, uint32_t fid, uint32_t flags)
{
	c_begin(c, 12);
	c_u32(c, fid);
	c_u32(c, flags);
	return c_send(c);
}

static inline int c_create(struct p9_client *c, uint32_t fid, const char *name, uint32_t flags,
			   uint32_t mode)
{
	c_begin(c, 14);
	c_u32(c, fid);
	c_str(c, name);
	c_u32(c, flags);
	c_u32(c, mode);
	c_u32(c, 1001);
	return c_send(c);
}

/* Treaddir and Tread have the same form. */
static inline int c_read(struct p9_client *c, uint8_t type, uint32_t fid, uint64_t off,
			 uint32_t count)
{
	c_begin(c, type);
	c_u32(c, fid);
	c_u64(c, off);
	c_u32(c, count);
	return c_send(c);
}

static inline int c_write(struct p9_client *c, uint32_t fid, uint64_t off, const char *text)
{
	c_begin(c, 118);
	c_u32(c, fid);
	c_u64(c, off);
	c_u32(c, (uint32_t)strlen(text));
	c_bytes(c, text, strlen(text));
	return c_send(c);
}

static inline int c_mkdir(struct p9_client *c, uint32_t fid, const char *name, uint32_t mode)
{
	c_begin(c, 72);
	c_u32(c, fid);
	c_str(c, name);
	c_u32(c, mode);
	c_u32(c, 1001);
	return c_send(c);
}

static inline int c_symlink(struct p9_client *c, uint32_t fid, const char *name, const char *to)
{
	c_begin(c, 16);
	c_u32(c, fid);
	c_str(c, name);
	c_str(c, to);
	c_u32(c, 1001);
	return c_send(c);
}

static inline int c_mknod(struct p9_client *c, uint32_t fid, const char *name, uint32_t mode,
			  uint32_t major, uint32_t minor)
{
	c_begin(c, 18);
	c_u32(c, fid);
	c_str(c, name);
	c_u32(c, mode);
	c_u32(c, major);
	c_u32(c, minor);
	c_u32(c, 1001);
	return c_send(c);
}

static inline int c_renameat(struct p9_client *c, uint32_t from, const char *old, uint32_t to,
			     const char *name)
{
	c_begin(c, 74);
	c_u32(c, from);
	c_str(c, old);
	c_u32(c, to);
	c_str(c, name);
	return c_send(c);
}

static inline int c_rename(struct p9_client *c, uint32_t fid, uint32_t dir, const char *name)
{
	c_begin(c, 20);
	c_u32(c, fid);
	c_u32(c, dir);
	c_str(c, name);
	return c_send(c);
}

static inline int c_link(struct p9_client *c, uint32_t dir, uint32_t fid, const char *name)
{
	c_begin(c, 70);
	c_u32(c, dir);
	c_u32(c, fid);
	c_str(c, name);
	return c_send(c);
}

static inline int c_unlinkat(struct p9_client *c, uint32_t dir, const char *name, uint32_t flags)
{
	c_begin(c, 76);
	c_u32(c, dir);
	c_str(c, name);
	c_u32(c, flags);
	return c_send(c);
}

static inline int c_getattr(struct p9_client *c, uint32_t fid)
{
	c_begin(c, 24);
	c_u32(c, fid);
	c_u64(c, 0x7ff);
	return c_send(c);
}

/* Of a getattr's answer. */
static inline uint32_t c_mode(const struct p9_client *c)
{
	return ld_le32(c->p + 21);
}

static inline int c_setattr(struct p9_client *c, uint32_t fid, uint32_t valid, uint32_t mode,
			    uint32_t uid, uint64_t size, uint64_t mtime)
{
	c_begin(c, 26);
	c_u32(c, fid);
	c_u32(c, valid);
	c_u32(c, mode);
	c_u32(c, uid);
	c_u32(c, uid);
	c_u64(c, size);
	c_u64(c, mtime);
	c_u64(c, 0);
	c_u64(c, mtime);
	c_u64(c, 0);
	return c_send(c);
}

#endif
