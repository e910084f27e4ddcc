// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The 9P server: contents and attributes of files and folders. See p9.h. Threads: see p9.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "share/p9_int.h"

/* Open flags of the protocol, which are Linux's generic ones. */
#define L_ACCMODE 00000003u
#define L_EXCL 00000200u
#define L_TRUNC 00001000u

#define GETATTR_BASIC 0x7ffull
#define DIRENT_BYTES 24u /* qid, offset, type, length of the name */

enum {
	SET_MODE = 1,
	SET_UID = 2,
	SET_GID = 4,
	SET_SIZE = 8,
	SET_ATIME = 16,
	SET_MTIME = 32,
	SET_ATIME_TO = 128,
	SET_MTIME_TO = 256,
};

/* ---- Opening ---------------------------------------------------------------------------------------- */

/* What a client may ask for; appending is its own doing, by the offsets it writes at. */
static int host_flags(uint32_t flags)
{
	static const int access[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR};

	return access[flags & L_ACCMODE] | (flags & L_TRUNC ? O_TRUNC : 0);
}

static uint32_t iounit(const struct p9_server *s)
{
	return (s->msize - P9_HEADER - 17) & ~4095u;
}

int p9_lopen(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid_find(s, in_u32(in));
	int flags = host_flags(in_u32(in)), fd;
	struct stat st;

	if (in->bad)
		return -EINVAL;
	if (!f)
		return -EBADF;
	if (f->fd >= 0)
		return -EBUSY;
	if (s->cfg.read_only && flags != O_RDONLY)
		return -EROFS;
	fd = p9_stat(s, f->node, &st);
	if (fd)
		return fd;
	/* By the model it may be something else than on the host. */
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return -EACCES;
	fd = p9_node_open(f->node, flags);
	if (fd < 0)
		return fd;
	f->fd = fd;
	p9_out_qid(out, &st);
	out_u32(out, iounit(s));
	return 0;
}

int p9_lcreate(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid_find(s, in_u32(in));
	struct p9_node *node;
	char name[P9_NAME_MAX + 1];
	uint32_t flags, mode, gid;
	struct stat st;
	int fd, r;

	in_str(in, name, sizeof(name));
	flags = in_u32(in);
	mode = in_u32(in);
	gid = in_u32(in);
	if (in->bad || !p9_name_ok(name))
		return -EINVAL;
	if (!f)
		return -EBADF;
	if (f->fd >= 0)
		return -EBUSY;
	/* Never something that is there already: the client has looked, and a link may have come since. */
	fd = openat(f->node->fd, name,
		    host_flags(flags) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY,
		    p9_host_mode(s, mode, false));
	if (fd < 0)
		return -errno;
	r = p9_node_of_fd(f->node, name, fd, &node);
	if (r) {
		close(fd);
		return r;
	}
	r = p9_made(s, node, f->uid, gid, S_IFREG | (mode & 07777), 0);
	if (!r)
		r = p9_stat(s, node, &st);
	if (r) {
		unlinkat(f->node->fd, name, 0);
		p9_node_put(node);
		close(fd);
		return r;
	}
	p9_node_put(f->node);
	f->node = node;
	f->fd = fd;
	p9_out_qid(out, &st);
	out_u32(out, iounit(s));
	return 0;
}

/* ---- Contents ----------------------------------------------------------------------------------------- */

int p9_read(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid_find(s, in_u32(in));
	uint64_t off = in_u64(in);
	uint32_t count = in_u32(in);
	uint8_t *head;
	ssize_t n;

	if (in->bad || off > INT64_MAX)
		return -EINVAL;
	if (!f || f->fd < 0)
		return -EBADF;
	head = out_bytes(out, 4);
	if (!head)
		return 0;
	count = (uint32_t)min_u64(count, out->cap - out->len);
	n = pread(f->fd, out->p + out->len, count, (off_t)off);
	if (n < 0)
		return -errno;
	st_le32(head, (uint32_t)n);
	out->len += (size_t)n;
	return 0;
}

int p9_write(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid_find(s, in_u32(in));
	uint64_t off = in_u64(in);
	uint32_t count = in_u32(in);
	const uint8_t *data = in_bytes(in, count);
	ssize_t n;

	if (in->bad || off > INT64_MAX)
		return -EINVAL;
	if (!f || f->fd < 0)
		return -EBADF;
	n = pwrite(f->fd, data, count, (off_t)off);
	if (n < 0)
		return -errno;
	out_u32(out, (uint32_t)n);
	return 0;
}

int p9_fsync(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid_find(s, in_u32(in));
	bool data_only = in->left >= 4 && in_u32(in);

	(void)out;
	if (!f || f->fd < 0)
		return -EBADF;
	return (data_only ? fdatasync(f->fd) : fsync(f->fd)) ? -errno : 0;
}

/* ---- Folders -------------------------------------------------------------------------------------------- */

/* One entry as the kernel gives it (getdents64(2)). False if there is no room for it. */
static bool put_entry(const struct p9_server *s, const uint8_t *raw, size_t name_len,
		      struct p9_out *out, size_t end)
{
	uint8_t kind = raw[18];

	if (out->len + DIRENT_BYTES + name_len > end)
		return false;
	/* What it is by the model is only known by looking. */
	if (s->cfg.model == P9_MAPPED_XATTR && kind != DT_DIR)
		kind = DT_UNKNOWN;
	out_u8(out, kind == DT_DIR ? 0x80 : kind == DT_LNK ? 0x02 : 0);
	out_u32(out, 0);
	out_u64(out, ld_le64(raw));
	out_u64(out, ld_le64(raw + 8));
	out_u8(out, kind);
	out_str(out, (const char *)raw + 19, name_len);
	return true;
}

int p9_readdir(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid_find(s, in_u32(in));
	uint64_t off = in_u64(in);
	uint32_t count = in_u32(in);
	uint8_t *head, raw[4096];
	size_t end;

	if (in->bad || off > INT64_MAX)
		return -EINVAL;
	if (!f || f->fd < 0)
		return -EBADF;
	head = out_bytes(out, 4);
	if (!head)
		return 0;
	end = out->len + min_u64(count, out->cap - out->len);
	if (lseek(f->fd, (off_t)off, SEEK_SET) < 0)
		return -errno;
	for (bool room = true; room;) {
		long n = syscall(SYS_getdents64, f->fd, raw, sizeof(raw));

		if (n < 0)
			return -errno;
		if (!n)
			break;
		for (long at = 0; at < n && room; at += ld_le16(raw + at + 16)) {
			const char *name = (const char *)raw + at + 19;

			room = put_entry(s, raw + at, strlen(name), out, end);
		}
	}
	st_le32(head, (uint32_t)(out->p + out->len - (head + 4)));
	return 0;
}

/* ---- Attributes ------------------------------------------------------------------------------------------ */

int p9_getattr(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid_find(s, in_u32(in));
	struct stat st;
	int r;

	in_u64(in); /* it gets all that there is */
	if (in->bad)
		return -EINVAL;
	if (!f)
		return -EBADF;
	r = p9_stat(s, f->node, &st);
	if (r)
		return r;
	out_u64(out, GETATTR_BASIC);
	p9_out_qid(out, &st);
	out_u32(out, st.st_mode);
	out_u32(out, st.st_uid);
	out_u32(out, st.st_gid);
	out_u64(out, st.st_nlink);
	out_u64(out, st.st_rdev);
	out_u64(out, (uint64_t)st.st_size);
	out_u64(out, (uint64_t)st.st_blksize);
	out_u64(out, (uint64_t)st.st_blocks);
	out_u64(out, (uint64_t)st.st_atim.tv_sec);
	out_u64(out, (uint64_t)st.st_atim.tv_nsec);
	out_u64(out, (uint64_t)st.st_mtim.tv_sec);
	out_u64(out, (uint64_t)st.st_mtim.tv_nsec);
	out_u64(out, (uint64_t)st.st_ctim.tv_sec);
	out_u64(out, (uint64_t)st.st_ctim.tv_nsec);
	for (unsigned i = 0; i < 4; i++) /* birth time, generation, data version: not said */
		out_u64(out, 0);
	return 0;
}

static int set_size(const struct p9_fid *f, uint64_t size)
{
	int fd, r;

	if (size > INT64_MAX)
		return -EINVAL;
	fd = p9_node_open(f->node, O_WRONLY);
	if (fd < 0)
		return fd;
	r = ftruncate(fd, (off_t)size) ? -errno : 0;
	close(fd);
	return r;
}

static int set_times(const struct p9_fid *f, uint32_t valid, const uint64_t t[4])
{
	struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
	static const uint32_t set[] = {SET_ATIME, SET_MTIME}, to[] = {SET_ATIME_TO, SET_MTIME_TO};

	for (unsigned i = 0; i < 2; i++) {
		if (!(valid & set[i]))
			continue;
		ts[i].tv_nsec = UTIME_NOW;
		if (!(valid & to[i]))
			continue;
		if (t[2 * i + 1] >= 1000000000u)
			return -EINVAL;
		ts[i] = (struct timespec){(time_t)t[2 * i], (long)t[2 * i + 1]};
	}
	return utimensat(f->node->fd, "", ts, AT_EMPTY_PATH) ? -errno : 0;
}

int p9_setattr(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid_find(s, in_u32(in));
	uint32_t valid = in_u32(in), mode = in_u32(in), uid = in_u32(in), gid = in_u32(in);
	uint64_t size = in_u64(in), t[4];
	int r = 0;

	(void)out;
	for (unsigned i = 0; i < 4; i++)
		t[i] = in_u64(in);
	if (in->bad)
		return -EINVAL;
	if (!f)
		return -EBADF;
	if (valid & (SET_UID | SET_GID))
		r = p9_set_owner(s, f->node, valid & SET_UID ? uid : UINT32_MAX,
				 valid & SET_GID ? gid : UINT32_MAX);
	if (!r && valid & SET_MODE)
		r = p9_set_mode(s, f->node, mode);
	if (!r && valid & SET_SIZE)
		r = set_size(f, size);
	if (!r && valid & (SET_ATIME | SET_MTIME))
		r = set_times(f, valid, t);
	return r;
}

int p9_statfs(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid_find(s, in_u32(in));
	struct statfs st;

	if (!f)
		return -EBADF;
	if (fstatfs(f->node->fd, &st))
		return -errno;
	out_u32(out, 0x01021997); /* as the client's own kind says */
	out_u32(out, (uint32_t)st.f_bsize);
	out_u64(out, st.f_blocks);
	out_u64(out, st.f_bfree);
	out_u64(out, st.f_bavail);
	out_u64(out, st.f_files);
	out_u64(out, st.f_ffree);
	out_u64(out, 0);
	out_u32(out, P9_NAME_MAX);
	return 0;
}

/* By the model, a link may be a file that holds where it leads. */
int p9_readlink(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid_find(s, in_u32(in));
	char target[4096];
	struct stat st, host;
	ssize_t n;
	int r;

	if (!f)
		return -EBADF;
	r = p9_stat(s, f->node, &st);
	if (r)
		return r;
	if (!S_ISLNK(st.st_mode))
		return -EINVAL;
	if (fstatat(f->node->fd, "", &host, AT_EMPTY_PATH))
		return -errno;
	if (S_ISLNK(host.st_mode)) {
		n = readlinkat(f->node->fd, "", target, sizeof(target));
	} else {
		int fd = p9_node_open(f->node, O_RDONLY);

		if (fd < 0)
			return fd;
		n = pread(fd, target, sizeof(target), 0);
		close(fd);
	}
	if (n < 0)
		return -errno;
	out_str(out, target, (size_t)n);
	return 0;
}
