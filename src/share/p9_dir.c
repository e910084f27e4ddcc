// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The 9P server: entries made, linked, renamed, removed. Every name is one component below a folder's
 * descriptor. See p9.h. Threads: see p9.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "share/p9_int.h"

#define L_REMOVEDIR 0x200u
#define TARGET_MAX 4096u

/* The new entry gets what the model says of it, or goes again; its qid is the answer. */
static int finish(struct p9_server *s, const struct p9_fid *dir, const char *name, uint32_t gid,
		  uint32_t mode, uint64_t rdev, struct p9_out *out)
{
	struct p9_node *node;
	struct stat st;
	int r = p9_node_walk(s, dir->node, name, &node);

	if (r)
		return r;
	r = p9_made(s, node, dir->uid, gid, mode, rdev);
	if (!r)
		r = p9_stat(s, node, &st);
	if (r)
		unlinkat(dir->node->fd, name, S_ISDIR(mode) ? AT_REMOVEDIR : 0);
	else
		p9_out_qid(out, &st);
	p9_node_put(node);
	return r;
}

int p9_mkdir(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *dir = p9_fid_find(s, in_u32(in));
	char name[P9_NAME_MAX + 1];
	uint32_t mode, gid;

	in_str(in, name, sizeof(name));
	mode = in_u32(in) & 07777;
	gid = in_u32(in);
	if (in->bad || !p9_name_ok(name))
		return -EINVAL;
	if (!dir)
		return -EBADF;
	if (mkdirat(dir->node->fd, name, p9_host_mode(s, mode, true)))
		return -errno;
	return finish(s, dir, name, gid, S_IFDIR | mode, 0, out);
}

/* A regular file that stands for something else. */
static int make_file(struct p9_server *s, const struct p9_fid *dir, const char *name,
		     const char *contents)
{
	int fd = openat(dir->node->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			p9_host_mode(s, 0600, false));
	size_t len = strlen(contents);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, contents, len) != (ssize_t)len)
		r = errno ? -errno : -EIO;
	close(fd);
	if (r)
		unlinkat(dir->node->fd, name, 0);
	return r;
}

int p9_symlink(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *dir = p9_fid_find(s, in_u32(in));
	char name[P9_NAME_MAX + 1], target[TARGET_MAX];
	uint32_t gid;
	int r;

	in_str(in, name, sizeof(name));
	in_str(in, target, sizeof(target));
	gid = in_u32(in);
	if (in->bad || !p9_name_ok(name) || !target[0])
		return -EINVAL;
	if (!dir)
		return -EBADF;
	if (s->cfg.model == P9_MAPPED_XATTR)
		r = make_file(s, dir, name, target);
	else
		r = symlinkat(target, dir->node->fd, name) ? -errno : 0;
	return r ? r : finish(s, dir, name, gid, S_IFLNK | 0777, 0, out);
}

int p9_mknod(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *dir = p9_fid_find(s, in_u32(in));
	char name[P9_NAME_MAX + 1];
	uint32_t mode, major, minor, gid;
	bool device;
	int r;

	in_str(in, name, sizeof(name));
	mode = in_u32(in);
	major = in_u32(in);
	minor = in_u32(in);
	gid = in_u32(in);
	if (in->bad || !p9_name_ok(name) || S_ISDIR(mode) || S_ISLNK(mode))
		return -EINVAL;
	if (!dir)
		return -EBADF;
	device = S_ISCHR(mode) || S_ISBLK(mode);
	if (s->cfg.model == P9_MAPPED_XATTR)
		r = make_file(s, dir, name, "");
	else if (device) /* a device of the host is no guest's to make */
		r = -EPERM;
	else
		r = mknodat(dir->node->fd, name, (mode & S_IFMT) | p9_host_mode(s, mode, false), 0)
			    ? -errno
			    : 0;
	return r ? r
		 : finish(s, dir, name, gid, mode & (S_IFMT | 07777),
			  device ? makedev(major, minor) : 0, out);
}

int p9_link(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *dir = p9_fid_find(s, in_u32(in)), *f = p9_fid_find(s, in_u32(in));
	char name[P9_NAME_MAX + 1], path[P9_PROC_BYTES];

	(void)out;
	in_str(in, name, sizeof(name));
	if (in->bad || !p9_name_ok(name))
		return -EINVAL;
	if (!dir || !f)
		return -EBADF;
	p9_proc_path(path, f->node->fd);
	return linkat(AT_FDCWD, path, dir->node->fd, name, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

/* ---- Renaming and removing ---------------------------------------------------------------------------- */

/* Could the folder `dir` lie inside `n`? Then its chain of parents would become a ring. */
static bool is_inside(const struct p9_server *s, const struct p9_node *dir, const struct p9_node *n)
{
	for (; dir != &s->root; dir = dir->parent) {
		if (dir == n)
			return true;
	}
	return n == &s->root;
}

int p9_rename(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid_find(s, in_u32(in)), *dir = p9_fid_find(s, in_u32(in));
	char name[P9_NAME_MAX + 1], *copy;
	struct p9_node *old;

	(void)out;
	in_str(in, name, sizeof(name));
	if (in->bad || !p9_name_ok(name))
		return -EINVAL;
	if (!f || !dir)
		return -EBADF;
	if (is_inside(s, dir->node, f->node))
		return -EINVAL;
	if (!p9_node_in_place(f->node))
		return -ESTALE;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	if (renameat(f->node->parent->fd, f->node->name, dir->node->fd, name)) {
		free(copy);
		return -errno;
	}
	free(f->node->name);
	f->node->name = copy;
	old = f->node->parent;
	f->node->parent = dir->node;
	p9_node_ref(dir->node);
	p9_node_put(old);
	return 0;
}

int p9_renameat(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *from = p9_fid_find(s, in_u32(in)), *to;
	char old[P9_NAME_MAX + 1], name[P9_NAME_MAX + 1];

	(void)out;
	in_str(in, old, sizeof(old));
	to = p9_fid_find(s, in_u32(in));
	in_str(in, name, sizeof(name));
	if (in->bad || !p9_name_ok(old) || !p9_name_ok(name))
		return -EINVAL;
	if (!from || !to)
		return -EBADF;
	return renameat(from->node->fd, old, to->node->fd, name) ? -errno : 0;
}

int p9_unlinkat(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *dir = p9_fid_find(s, in_u32(in));
	char name[P9_NAME_MAX + 1];
	uint32_t flags;

	(void)out;
	in_str(in, name, sizeof(name));
	flags = in_u32(in);
	if (in->bad || !p9_name_ok(name))
		return -EINVAL;
	if (!dir)
		return -EBADF;
	return unlinkat(dir->node->fd, name, flags & L_REMOVEDIR ? AT_REMOVEDIR : 0) ? -errno : 0;
}

int p9_unlink_node(struct p9_node *n)
{
	struct stat st;

	if (!n->name)
		return -EBUSY; /* the root */
	if (!p9_node_in_place(n))
		return -ESTALE;
	if (fstatat(n->fd, "", &st, AT_EMPTY_PATH))
		return -errno;
	return unlinkat(n->parent->fd, n->name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) ? -errno
											: 0;
}
