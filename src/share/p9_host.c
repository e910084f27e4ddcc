// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The 9P server's view of the host's folder: nodes, and what the security model makes of owners and modes.
 * See p9.h. Threads: see p9.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "share/p9_int.h"

#include "base/files.h"

/* ---- Nodes ---------------------------------------------------------------------------------------- */

bool p9_name_ok(const char *name)
{
	size_t n = strlen(name);

	return n && n <= P9_NAME_MAX && !strchr(name, '/') && strcmp(name, ".") &&
	       strcmp(name, "..");
}

void p9_proc_path(char *buf, int fd)
{
	snprintf(buf, P9_PROC_BYTES, "/proc/self/fd/%d", fd);
}

/* One component, no symbolic link followed, never up, never onto another file system. */
static int open_below(int dir, const char *name)
{
	const struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};
	long fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* Takes `fd`. */
static int node_new(struct p9_node *dir, const char *name, int fd, struct p9_node **out)
{
	struct p9_node *n = calloc(1, sizeof(*n));

	if (n)
		n->name = strdup(name);
	if (!n || !n->name) {
		free(n);
		close(fd);
		return -ENOMEM;
	}
	n->refs = 1;
	n->fd = fd;
	n->parent = dir;
	p9_node_ref(dir);
	*out = n;
	return 0;
}

int p9_node_walk(struct p9_server *s, struct p9_node *dir, const char *name, struct p9_node **out)
{
	int fd;

	if (!strcmp(name, "..")) {
		*out = dir == &s->root ? dir : dir->parent;
		p9_node_ref(*out);
		return 0;
	}
	if (!p9_name_ok(name))
		return -EINVAL;
	fd = open_below(dir->fd, name);
	return fd < 0 ? fd : node_new(dir, name, fd, out);
}

int p9_node_of_fd(struct p9_node *dir, const char *name, int fd, struct p9_node **out)
{
	char path[P9_PROC_BYTES];
	int node;

	p9_proc_path(path, fd);
	node = open(path, O_PATH | O_CLOEXEC);
	return node < 0 ? -errno : node_new(dir, name, node, out);
}

void p9_node_ref(struct p9_node *n)
{
	n->refs++;
}

void p9_node_put(struct p9_node *n)
{
	/* A chain of parents may be as long as a walk was patient: no recursion. */
	while (n && !--n->refs) {
		struct p9_node *parent = n->parent;

		close(n->fd);
		free(n->name);
		free(n);
		n = parent;
	}
}

int p9_node_open(const struct p9_node *n, int flags)
{
	char path[P9_PROC_BYTES];
	struct stat st;
	int fd;

	/* By its kind, which a descriptor's does not change: a pipe would wait, a device act. */
	if (fstatat(n->fd, "", &st, AT_EMPTY_PATH))
		return -errno;
	if (S_ISLNK(st.st_mode))
		return -ELOOP;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return -EACCES;
	p9_proc_path(path, n->fd);
	fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

bool p9_node_in_place(const struct p9_node *n)
{
	struct stat a, b;

	return n->name && !fstatat(n->fd, "", &a, AT_EMPTY_PATH) &&
	       !fstatat(n->parent->fd, n->name, &b, AT_SYMLINK_NOFOLLOW) && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

/* ---- Owners and modes ------------------------------------------------------------------------------- */

static const char attr_uid[] = "user.virtfs.uid", attr_gid[] = "user.virtfs.gid",
		  attr_mode[] = "user.virtfs.mode", attr_rdev[] = "user.virtfs.rdev";

static bool get_attr(const char *path, const char *name, size_t size, uint64_t *val)
{
	uint8_t raw[8] = {0};

	if (getxattr(path, name, raw, size) != (ssize_t)size)
		return false;
	*val = ld_le64(raw);
	return true;
}

static int set_attr(const char *path, const char *name, size_t size, uint64_t val)
{
	uint8_t raw[8];

	st_le64(raw, val);
	return setxattr(path, name, raw, size, 0) ? -errno : 0;
}

static bool is_mapped(const struct p9_server *s)
{
	return s->cfg.model == P9_MAPPED_XATTR;
}

int p9_stat(const struct p9_server *s, const struct p9_node *n, struct stat *st)
{
	char path[P9_PROC_BYTES];
	uint64_t v;

	if (fstatat(n->fd, "", st, AT_EMPTY_PATH))
		return -errno;
	if (!is_mapped(s) || (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)))
		return 0;
	p9_proc_path(path, n->fd);
	if (get_attr(path, attr_uid, 4, &v))
		st->st_uid = (uid_t)v;
	if (get_attr(path, attr_gid, 4, &v))
		st->st_gid = (gid_t)v;
	/* A folder is one, and nothing else is. */
	if (get_attr(path, attr_mode, 4, &v) && S_ISDIR(v) == S_ISDIR(st->st_mode))
		st->st_mode = (mode_t)v;
	if (get_attr(path, attr_rdev, 8, &v))
		st->st_rdev = (dev_t)v;
	return 0;
}

/* Nobody on the host gets a program that runs as its owner from a guest. */
mode_t p9_host_mode(const struct p9_server *s, uint32_t mode, bool folder)
{
	if (is_mapped(s))
		return folder ? 0700 : 0600;
	if (s->cfg.model == P9_PASSTHROUGH)
		return (mode_t)(mode & 07777);
	return (mode_t)(mode & (folder ? 01777 : 0777));
}

int p9_set_owner(const struct p9_server *s, const struct p9_node *n, uint32_t uid, uint32_t gid)
{
	char path[P9_PROC_BYTES];
	int r = 0;

	if (is_mapped(s)) {
		p9_proc_path(path, n->fd);
		if (uid != UINT32_MAX)
			r = set_attr(path, attr_uid, 4, uid);
		if (!r && gid != UINT32_MAX)
			r = set_attr(path, attr_gid, 4, gid);
		return r;
	}
	if (s->cfg.model == P9_NONE)
		return 0;
	return fchownat(n->fd, "", uid, gid, AT_EMPTY_PATH) ? -errno : 0;
}

int p9_set_mode(const struct p9_server *s, const struct p9_node *n, uint32_t mode)
{
	char path[P9_PROC_BYTES];
	struct stat st;
	int r = p9_stat(s, n, &st);

	if (r)
		return r;
	p9_proc_path(path, n->fd);
	if (is_mapped(s))
		return set_attr(path, attr_mode, 4,
				(uint32_t)((st.st_mode & S_IFMT) | (mode & 07777)));
	if (S_ISLNK(st.st_mode))
		return -EOPNOTSUPP;
	return chmod(path, p9_host_mode(s, mode, S_ISDIR(st.st_mode))) ? -errno : 0;
}

int p9_made(const struct p9_server *s, const struct p9_node *n, uint32_t uid, uint32_t gid,
	    uint32_t mode, uint64_t rdev)
{
	char path[P9_PROC_BYTES];
	int r = p9_set_owner(s, n, uid, gid);

	/* This process's umask is nothing to a guest. */
	if (!r && !is_mapped(s) && !S_ISLNK(mode))
		r = p9_set_mode(s, n, mode & 07777);
	if (r || !is_mapped(s))
		return r;
	p9_proc_path(path, n->fd);
	r = set_attr(path, attr_mode, 4, mode);
	if (!r && rdev)
		r = set_attr(path, attr_rdev, 8, rdev);
	return r;
}

void p9_out_qid(struct p9_out *out, const struct stat *st)
{
	out_u8(out, S_ISDIR(st->st_mode) ? 0x80 : S_ISLNK(st->st_mode) ? 0x02 : 0);
	out_u32(out, (uint32_t)(st->st_mtim.tv_sec ^ st->st_mtim.tv_nsec ^ st->st_size << 8));
	out_u64(out, st->st_ino);
}

/* ---- Life ---------------------------------------------------------------------------------------------- */

static int check_root(struct p9_server *s, struct lodge_err *err)
{
	const char *path = s->cfg.path;
	struct stat st;
	int fd;

	s->root.fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->root.fd < 0 || fstatat(s->root.fd, "", &st, AT_EMPTY_PATH))
		return err_set(err, -errno, "cannot share the folder %s: %s", path,
			       strerror(errno));
	s->dev = st.st_dev;
	fd = p9_node_open(&s->root, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return err_set(err, fd, "cannot read the folder %s to share it: %s", path,
			       strerror(-fd));
	close(fd);
	/* The kernel has openat2 (Linux 5.6): nothing else keeps a client inside. */
	fd = open_below(s->root.fd, ".");
	if (fd < 0)
		return err_set(err, fd, "cannot share the folder %s: openat2 says %s", path,
			       strerror(-fd));
	close(fd);
	file_note(path, s->cfg.read_only ? FILE_TREE : FILE_TREE_WRITE);
	return 0;
}

struct p9_server *p9_server_new(const struct p9_config *cfg, struct lodge_err *err)
{
	struct p9_server *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(err, -ENOMEM, "no memory to share a folder");
		return NULL;
	}
	s->cfg = *cfg;
	s->root.refs = 1;
	s->root.fd = -1;
	s->root.parent = &s->root;
	for (unsigned i = 0; i < P9_BUCKETS; i++)
		list_init(&s->bucket[i]);
	if (check_root(s, err)) {
		p9_server_free(s);
		return NULL;
	}
	return s;
}

void p9_server_free(struct p9_server *s)
{
	if (!s)
		return;
	p9_server_reset(s);
	if (s->root.fd >= 0)
		close(s->root.fd);
	free(s);
}

bool p9_server_has_open(const struct p9_server *s)
{
	return s->fids;
}

uint32_t p9_server_msize(const struct p9_server *s)
{
	return s->msize;
}
