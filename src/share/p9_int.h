/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the 9P server: nodes, fids, bytes of messages. Private to src/share. Threads: see p9.h. */
#ifndef LODGE_SHARE_P9_INT_H
#define LODGE_SHARE_P9_INT_H

#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/list.h"
#include "base/range.h"
#include "share/p9.h"

#define P9_FIDS_MAX 65536u
#define P9_BUCKETS 1024u
#define P9_NAME_MAX 255u

/* ---- Messages ------------------------------------------------------------------------------- */

struct p9_in {
	const uint8_t *p;
	size_t left;
	bool bad; /* it ended early */
};

struct p9_out {
	uint8_t *p;
	size_t len, cap;
	bool full;
};

static inline const uint8_t *in_bytes(struct p9_in *in, size_t n)
{
	const uint8_t *p = in->p;

	if (n > in->left) {
		in->bad = true;
		in->left = 0;
		return NULL;
	}
	in->p += n;
	in->left -= n;
	return p;
}

static inline uint8_t in_u8(struct p9_in *in)
{
	const uint8_t *p = in_bytes(in, 1);

	return p ? *p : 0;
}

static inline uint16_t in_u16(struct p9_in *in)
{
	const uint8_t *p = in_bytes(in, 2);

	return p ? ld_le16(p) : 0;
}

static inline uint32_t in_u32(struct p9_in *in)
{
	const uint8_t *p = in_bytes(in, 4);

	return p ? ld_le32(p) : 0;
}

static inline uint64_t in_u64(struct p9_in *in)
{
	const uint8_t *p = in_bytes(in, 8);

	return p ? ld_le64(p) : 0;
}

/* A string into buf[size]; one that is longer or holds a NUL makes the message bad. */
static inline void in_str(struct p9_in *in, char *buf, size_t size)
{
	uint16_t n = in_u16(in);
	const uint8_t *p = in_bytes(in, n);

	buf[0] = '\0';
	if (!p)
		return;
	if (n >= size || memchr(p, 0, n)) {
		in->bad = true;
		return;
	}
	memcpy(buf, p, n);
	buf[n] = '\0';
}

static inline uint8_t *out_bytes(struct p9_out *out, size_t n)
{
	uint8_t *p = out->p + out->len;

	if (n > out->cap - out->len) {
		out->full = true;
		return NULL;
	}
	out->len += n;
	return p;
}

static inline void out_u8(struct p9_out *out, uint8_t v)
{
	uint8_t *p = out_bytes(out, 1);

	if (p)
		*p = v;
}

static inline void out_u16(struct p9_out *out, uint16_t v)
{
	uint8_t *p = out_bytes(out, 2);

	if (p)
		st_le16(p, v);
}

static inline void out_u32(struct p9_out *out, uint32_t v)
{
	uint8_t *p = out_bytes(out, 4);

	if (p)
		st_le32(p, v);
}

static inline void out_u64(struct p9_out *out, uint64_t v)
{
	uint8_t *p = out_bytes(out, 8);

	if (p)
		st_le64(p, v);
}

static inline void out_str(struct p9_out *out, const char *s, size_t n)
{
	uint8_t *p;

	out_u16(out, (uint16_t)n);
	p = out_bytes(out, n);
	if (p)
		memcpy(p, s, n);
}

/* ---- Nodes: entries of the folder ------------------------------------------------------------- */

/* An entry as it was walked to. Its descriptor stays with it through renames. */
struct p9_node {
	unsigned refs;
	int fd;			/* O_PATH */
	struct p9_node *parent; /* the root's is itself, not counted */
	char *name;
};

struct p9_fid {
	struct list link;
	uint32_t id;
	uint32_t uid; /* of the attach */
	struct p9_node *node;
	int fd; /* open for contents, or -1 */
};

struct p9_server {
	struct p9_config cfg;
	struct p9_node root;
	dev_t dev;
	uint32_t msize; /* 0: no version agreed on yet */
	unsigned fids;
	struct list bucket[P9_BUCKETS];
};

/* Names that an entry may have: one component, not "." or "..". */
bool p9_name_ok(const char *name);
/* The entry `name` of folder `dir`: 0 with *out referenced, or -errno. ".." leads at most to the root. */
int p9_node_walk(struct p9_server *s, struct p9_node *dir, const char *name, struct p9_node **out);
/* A node for something just made: `fd` is open on it. */
int p9_node_of_fd(struct p9_node *dir, const char *name, int fd, struct p9_node **out);
void p9_node_ref(struct p9_node *n);
void p9_node_put(struct p9_node *n);
/* Open a node's contents: regular files and folders only. A descriptor or -errno. */
int p9_node_open(const struct p9_node *n, int flags);
/* True if its folder still has it under its name. */
bool p9_node_in_place(const struct p9_node *n);
/* "/proc/self/fd/N". */
#define P9_PROC_BYTES 32u
void p9_proc_path(char *buf, int fd);

/* What the client is to see of a node, by the security model. */
int p9_stat(const struct p9_server *s, const struct p9_node *n, struct stat *st);
/* As whom and how a new entry is made: the host's mode, and after that its owner and kind. */
mode_t p9_host_mode(const struct p9_server *s, uint32_t mode, bool folder);
int p9_set_owner(const struct p9_server *s, const struct p9_node *n, uint32_t uid, uint32_t gid);
int p9_set_mode(const struct p9_server *s, const struct p9_node *n, uint32_t mode);
int p9_made(const struct p9_server *s, const struct p9_node *n, uint32_t uid, uint32_t gid,
	    uint32_t mode, uint64_t rdev);
void p9_out_qid(struct p9_out *out, const struct stat *st);

/* ---- Operations ---------------------------------------------------------------------------------- */

struct p9_fid *p9_fid_find(struct p9_server *s, uint32_t id);
/* 0 or -errno; `in` is behind the header, `out` behind the answer's. */
typedef int (*p9_op)(struct p9_server *s, struct p9_in *in, struct p9_out *out);
/* p9_file.c */
int p9_lopen(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_lcreate(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_read(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_write(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_readdir(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_fsync(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_getattr(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_setattr(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_statfs(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_readlink(struct p9_server *s, struct p9_in *in, struct p9_out *out);
/* p9_dir.c */
int p9_mkdir(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_symlink(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_mknod(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_link(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_rename(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_renameat(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_unlinkat(struct p9_server *s, struct p9_in *in, struct p9_out *out);
int p9_unlink_node(struct p9_node *n);

#endif
