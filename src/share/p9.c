// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The 9P server: messages in and out, fids, walking. See p9.h. Threads: see p9.h.
 */
#include "share/p9.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "share/p9_int.h"

#define RLERROR 7u
#define NOFID UINT32_MAX
#define WALK_MAX 16u
#define LOCK_SUCCESS 0u
#define LOCK_UNLCK 2u
#define VERSION "9P2000.L"

/* ---- Fids ------------------------------------------------------------------------------------------ */

static struct list *bucket_of(struct p9_server *s, uint32_t id)
{
	return &s->bucket[(id * 2654435761u >> 16) % P9_BUCKETS];
}

struct p9_fid *p9_fid_find(struct p9_server *s, uint32_t id)
{
	struct p9_fid *f;

	list_for_each_entry (f, bucket_of(s, id), link) {
		if (f->id == id)
			return f;
	}
	return NULL;
}

/* Takes the reference to `node`, also when it fails. */
static int fid_new(struct p9_server *s, uint32_t id, uint32_t uid, struct p9_node *node)
{
	struct p9_fid *f = NULL;
	int r = 0;

	if (id == NOFID || p9_fid_find(s, id))
		r = -EINVAL;
	else if (s->fids == P9_FIDS_MAX)
		r = -EMFILE;
	else if (!(f = calloc(1, sizeof(*f))))
		r = -ENOMEM;
	if (r) {
		p9_node_put(node);
		return r;
	}
	f->id = id;
	f->uid = uid;
	f->node = node;
	f->fd = -1;
	list_add_tail(bucket_of(s, id), &f->link);
	s->fids++;
	return 0;
}

static void fid_free(struct p9_server *s, struct p9_fid *f)
{
	list_del(&f->link);
	if (f->fd >= 0)
		close(f->fd);
	p9_node_put(f->node);
	free(f);
	s->fids--;
}

void p9_server_reset(struct p9_server *s)
{
	for (unsigned i = 0; i < P9_BUCKETS; i++) {
		while (!list_empty(&s->bucket[i]))
			fid_free(s, container_of(s->bucket[i].next, struct p9_fid, link));
	}
	s->msize = 0;
}

/* ---- Sessions --------------------------------------------------------------------------------------- */

static int op_version(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	uint32_t msize = in_u32(in);
	char version[64];
	bool known;

	in_str(in, version, sizeof(version));
	if (in->bad || msize < P9_MSIZE_MIN)
		return -EINVAL;
	p9_server_reset(s);
	known = !strcmp(version, VERSION);
	msize = (uint32_t)min_u64(msize, P9_MSIZE_MAX);
	if (known)
		s->msize = msize;
	out_u32(out, msize);
	if (known)
		out_str(out, VERSION, strlen(VERSION));
	else
		out_str(out, "unknown", 7);
	return 0;
}

static int op_attach(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	uint32_t id = in_u32(in), uid;
	struct stat st;
	char text[1024];
	int r;

	in_u32(in); /* authentication: there is none */
	in_str(in, text, sizeof(text));
	in_str(in, text, sizeof(text));
	uid = in_u32(in);
	if (in->bad)
		return -EINVAL;
	r = p9_stat(s, &s->root, &st);
	if (r)
		return r;
	p9_node_ref(&s->root);
	r = fid_new(s, id, uid, &s->root);
	p9_out_qid(out, &st);
	return r;
}

static int op_flush(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	(void)s;
	(void)in;
	(void)out;
	/* One message after another: what it wants ended has ended. */
	return 0;
}

static int op_clunk(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid_find(s, in_u32(in));

	(void)out;
	if (!f)
		return -EBADF;
	fid_free(s, f);
	return 0;
}

static int op_remove(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid_find(s, in_u32(in));
	int r;

	(void)out;
	if (!f)
		return -EBADF;
	r = s->cfg.read_only ? -EROFS : p9_unlink_node(f->node);
	fid_free(s, f); /* in any case, says remove(5) */
	return r;
}

/* ---- Walking ------------------------------------------------------------------------------------------ */

/* From *node on, which is replaced. The number of names that led somewhere, or -errno for the first. */
static int walk(struct p9_server *s, struct p9_in *in, unsigned count, struct p9_node **node,
		struct p9_out *out)
{
	for (unsigned i = 0; i < count; i++) {
		char name[P9_NAME_MAX + 1];
		struct p9_node *next = NULL;
		struct stat st;
		int r;

		in_str(in, name, sizeof(name));
		r = in->bad ? -EINVAL : p9_node_walk(s, *node, name, &next);
		if (r)
			return i ? (int)i : r;
		p9_node_put(*node);
		*node = next;
		r = p9_stat(s, next, &st);
		if (r)
			return i ? (int)i : r;
		p9_out_qid(out, &st);
	}
	return (int)count;
}

static int op_walk(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	uint32_t id = in_u32(in), new_id = in_u32(in);
	unsigned count = in_u16(in);
	struct p9_fid *f = p9_fid_find(s, id);
	struct p9_node *node;
	uint8_t *found;
	int r;

	if (in->bad || count > WALK_MAX)
		return -EINVAL;
	if (!f)
		return -EBADF;
	if (new_id != id && (new_id == NOFID || p9_fid_find(s, new_id)))
		return -EINVAL;
	node = f->node;
	p9_node_ref(node);
	found = out_bytes(out, 2);
	r = walk(s, in, count, &node, out);
	if (r < 0 || !found) {
		p9_node_put(node);
		return r < 0 ? r : 0;
	}
	st_le16(found, (uint16_t)r);
	if (r < (int)count) {
		p9_node_put(node);
		return 0;
	}
	if (new_id != id)
		return fid_new(s, new_id, f->uid, node);
	if (f->fd >= 0) { /* an open fid does not walk */
		p9_node_put(node);
		return -EBUSY;
	}
	p9_node_put(f->node);
	f->node = node;
	return 0;
}

/* ---- Locks: the guest's own affair, since it is alone ----------------------------------------------- */

static int op_lock(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	if (!p9_fid_find(s, in_u32(in)))
		return -EBADF;
	out_u8(out, LOCK_SUCCESS);
	return 0;
}

static int op_getlock(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid_find(s, in_u32(in));
	uint64_t start, length;
	uint32_t proc;
	char client[256];

	in_u8(in);
	start = in_u64(in);
	length = in_u64(in);
	proc = in_u32(in);
	in_str(in, client, sizeof(client));
	if (in->bad)
		return -EINVAL;
	if (!f)
		return -EBADF;
	out_u8(out, LOCK_UNLCK);
	out_u64(out, start);
	out_u64(out, length);
	out_u32(out, proc);
	out_str(out, client, strlen(client));
	return 0;
}

/* ---- Messages ---------------------------------------------------------------------------------------- */

static const struct {
	p9_op op;
	bool writes; /* not on a read-only share */
} ops[] = {
	[8] = {p9_statfs, false},    [12] = {p9_lopen, false},	 [14] = {p9_lcreate, true},
	[16] = {p9_symlink, true},   [18] = {p9_mknod, true},	 [20] = {p9_rename, true},
	[22] = {p9_readlink, false}, [24] = {p9_getattr, false}, [26] = {p9_setattr, true},
	[40] = {p9_readdir, false},  [50] = {p9_fsync, false},	 [52] = {op_lock, false},
	[54] = {op_getlock, false},  [70] = {p9_link, true},	 [72] = {p9_mkdir, true},
	[74] = {p9_renameat, true},  [76] = {p9_unlinkat, true}, [100] = {op_version, false},
	[104] = {op_attach, false},  [108] = {op_flush, false},	 [110] = {op_walk, false},
	[116] = {p9_read, false},    [118] = {p9_write, true},	 [120] = {op_clunk, false},
	[122] = {op_remove, false}, /* which clunks all the same */
};

static int run(struct p9_server *s, unsigned type, struct p9_in *in, struct p9_out *out)
{
	if (type >= ARRAY_SIZE(ops) || !ops[type].op)
		return -EOPNOTSUPP;
	if (!s->msize && type != 100)
		return -EPROTO;
	if (ops[type].writes && s->cfg.read_only)
		return -EROFS;
	return ops[type].op(s, in, out);
}

size_t p9_server_handle(struct p9_server *s, const uint8_t *req, size_t len, uint8_t *reply,
			size_t cap)
{
	struct p9_in in = {req, len, false};
	struct p9_out out = {.p = reply, .cap = cap};
	uint32_t size = in_u32(&in);
	uint8_t type = in_u8(&in);
	uint16_t tag = in_u16(&in);
	int r;

	if (in.bad || size < P9_HEADER || size > len)
		return 0;
	in.left = size - P9_HEADER;
	/* Longer than was agreed on: an answer to an older agreement would be misread. */
	if (s->msize)
		out.cap = min_u64(cap, s->msize);
	out_bytes(&out, P9_HEADER);
	r = run(s, type, &in, &out);
	if (!r && in.bad)
		r = -EINVAL;
	if (!r && out.full)
		r = -EMSGSIZE;
	reply[4] = (uint8_t)(type + 1);
	if (r) {
		out.len = P9_HEADER;
		out.full = false;
		out_u32(&out, (uint32_t)-r);
		reply[4] = RLERROR;
	}
	if (out.full)
		return 0;
	st_le32(reply, (uint32_t)out.len);
	st_le16(reply + 5, tag);
	return out.len;
}
