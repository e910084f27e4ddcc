// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A host file or block device under an image.
 *
 * With O_DIRECT the host wants offsets, lengths and addresses aligned. What is not goes through a
 * buffer: reads take more, writes read first what they complete. Two writes that complete the same
 * block would undo each other, so the lock `rmw` lets one of those run alone.
 *
 * A failed fdatasync() has lost data that was in the page cache and clears the error; asked again it
 * would say all is well. So the error stays (`lost`) and every later flush fails, too.
 *
 * Source: open(2), fallocate(2), lseek(2), fsync(2), statx(2). Threads: any, several at once.
 */
#include "block/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/range.h"
#include "block/block_int.h"
#include "block/file_lock.h"

#define BOUNCE_BYTES (1u << 20)
#define PIECES 64u

struct blk_file {
	int fd;
	bool device, direct, read_only;
	unsigned align; /* 1 without O_DIRECT */
	/* Atomics, set once: the host cannot; a flush failed with this errno. */
	bool no_zero, no_punch, no_seek;
	int lost;
	pthread_rwlock_t rmw; /* aligned writes share it, completing ones have it alone */
	char path[];
};

/* ---- Opening ----------------------------------------------------------------------------------- */

static bool wants_direct(enum blk_cache cache)
{
	return cache == BLK_CACHE_NONE || cache == BLK_CACHE_DIRECTSYNC;
}

/* Does the host take a direct read aligned to `align` only? */
static bool reads_at(int fd, unsigned align)
{
	struct iovec piece;
	void *buf = NULL;
	bool ok;

	if (posix_memalign(&buf, 2 * align, 2 * align))
		return false;
	/* As later requests do it; and the sandbox knows no other way. */
	piece = (struct iovec){(uint8_t *)buf + align, align};
	ok = preadv(fd, &piece, 1, align) >= 0 || errno != EINVAL;
	free(buf);
	return ok;
}

static unsigned direct_align(int fd, bool device)
{
	unsigned align = 0;
	int sector = 0;

	if (device && ioctl(fd, BLKSSZGET, &sector) == 0 && sector > 0)
		align = (unsigned)sector;
#ifdef STATX_DIOALIGN
	struct statx sx;

	if (!align && statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 &&
	    (sx.stx_mask & STATX_DIOALIGN) && sx.stx_dio_offset_align)
		align = sx.stx_dio_offset_align > sx.stx_dio_mem_align ? sx.stx_dio_offset_align
								       : sx.stx_dio_mem_align;
#endif
	if (!align)
		align = reads_at(fd, 512) ? 512 : 4096;
	if (align < 512)
		align = 512;
	/* Not a power of two, or more than a page: then everything is bounced to pages. */
	return align > 4096 || (align & (align - 1)) ? 4096 : align;
}

static int set_up(struct blk_file *f, const struct blk_open *how, struct lodge_err *err)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return err_set(err, -errno, "%s: %s", how->path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(err, -EINVAL, "%s is neither a file nor a block device", how->path);
	f->device = S_ISBLK(st.st_mode);
	f->align = f->direct ? direct_align(f->fd, f->device) : 1;
	return how->no_lock ? 0 : blk_file_lock(f->fd, how->path, !f->read_only, err);
}

static struct blk_file *alloc_file(const char *path)
{
	struct blk_file *f = calloc(1, sizeof(*f) + strlen(path) + 1);

	if (!f)
		return NULL;
	strcpy(f->path, path);
	f->fd = -1;
	f->align = 1;
	pthread_rwlock_init(&f->rmw, NULL);
	return f;
}

static int cannot_open(const struct blk_open *how, int error, struct lodge_err *err)
{
	if (error == EINVAL && wants_direct(how->cache))
		return err_set(err, -error,
			       "%s: its file system has no direct access, which cache=none and "
			       "cache=directsync want; use cache=writeback",
			       how->path);
	if ((error == EACCES || error == EROFS || error == EPERM) && !how->read_only)
		return err_set(err, -error,
			       "%s cannot be opened for writing: %s; readonly=on opens it for "
			       "reading only%s",
			       how->path, strerror(error), file_denied_hint(error));
	return err_set(err, -error, "%s cannot be opened: %s%s", how->path, strerror(error),
		       file_denied_hint(error));
}

int blk_file_open(const struct blk_open *how, struct blk_file **out, struct lodge_err *err)
{
	struct blk_file *f = alloc_file(how->path);
	int r, flags = O_CLOEXEC | O_NONBLOCK | (how->read_only ? O_RDONLY : O_RDWR);

	if (!f)
		return err_set(err, -ENOMEM, "no memory for %s", how->path);
	f->read_only = how->read_only;
	f->direct = wants_direct(how->cache);
	/* O_NONBLOCK: a FIFO must not hold us up before it is refused; files and disks ignore it. */
	f->fd = open(how->path, flags | (f->direct ? O_DIRECT : 0));
	if (f->fd < 0) {
		r = cannot_open(how, errno, err);
		blk_file_close(f);
		return r;
	}
	r = set_up(f, how, err);
	if (r) {
		blk_file_close(f);
		return r;
	}
	file_note(how->path, how->read_only ? FILE_IMAGE_READ : FILE_IMAGE);
	/* Only for open(): with it io_uring would give up where it should wait. */
	fcntl(f->fd, F_SETFL, fcntl(f->fd, F_GETFL) & ~O_NONBLOCK);
	*out = f;
	return 0;
}

int blk_file_create(const char *path, struct blk_file **out, struct lodge_err *err)
{
	const struct blk_open how = {.path = path};
	struct blk_file *f = alloc_file(path);
	int r;

	if (!f)
		return err_set(err, -ENOMEM, "no memory for %s", path);
	/* Emptied only once it is ours. */
	f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
	r = f->fd < 0 ? err_set(err, -errno, "%s cannot be created: %s%s", path, strerror(errno),
				file_denied_hint(errno))
		      : set_up(f, &how, err);
	if (!r && f->device)
		r = err_set(err, -EINVAL, "%s is a block device, which cannot be created", path);
	if (!r && ftruncate(f->fd, 0) < 0)
		r = err_set(err, -errno, "%s cannot be emptied: %s", path, strerror(errno));
	if (r) {
		blk_file_close(f);
		return r;
	}
	fcntl(f->fd, F_SETFL, fcntl(f->fd, F_GETFL) & ~O_NONBLOCK);
	*out = f;
	return 0;
}

int blk_file_temporary(struct blk_file **out, struct lodge_err *err)
{
	const char *dir = getenv("TMPDIR");
	struct blk_file *f;

	if (!dir || !*dir)
		dir = "/var/tmp"; /* on a disk, where /tmp may be memory; as QEMU */
	f = alloc_file(dir);
	if (!f)
		return err_set(err, -ENOMEM, "no memory for a temporary file");
	f->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (f->fd < 0) {
		char name[PATH_MAX];

		if (snprintf(name, sizeof(name), "%s/lodge-XXXXXX", dir) < (int)sizeof(name)) {
			f->fd = mkostemp(name, O_CLOEXEC);
			if (f->fd >= 0)
				unlink(name);
		}
	}
	if (f->fd < 0) {
		int r = err_set(err, -errno,
				"a temporary file cannot be made in %s: %s; TMPDIR names another "
				"folder",
				dir, strerror(errno));

		blk_file_close(f);
		return r;
	}
	*out = f;
	return 0;
}

void blk_file_close(struct blk_file *f)
{
	if (!f)
		return;
	if (f->fd >= 0)
		close(f->fd);
	pthread_rwlock_destroy(&f->rmw);
	free(f);
}

/* ---- Facts ------------------------------------------------------------------------------------- */

int blk_file_fd(const struct blk_file *f)
{
	return f->fd;
}

uint64_t blk_file_size(struct blk_file *f)
{
	struct stat st;
	uint64_t size;

	if (f->device)
		return ioctl(f->fd, BLKGETSIZE64, &size) < 0 ? 0 : size;
	return fstat(f->fd, &st) < 0 || st.st_size < 0 ? 0 : (uint64_t)st.st_size;
}

bool blk_file_is_device(const struct blk_file *f)
{
	return f->device;
}

unsigned blk_file_align(const struct blk_file *f)
{
	return f->align;
}

/* ---- Reading and writing ----------------------------------------------------------------------- */

static bool in_range(uint64_t off, uint64_t len)
{
	return range_ok(off, len, INT64_MAX);
}

/* One row of pieces as far as it goes; *moved bytes. The address of `iov` is not kept. */
static int move_some(struct blk_file *f, bool write, uint64_t off, const struct iovec *iov,
		     unsigned n, uint64_t *moved)
{
	ssize_t r;

	do {
		r = write ? pwritev(f->fd, iov, (int)n, (off_t)off)
			  : preadv(f->fd, iov, (int)n, (off_t)off);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	*moved = (uint64_t)r;
	return 0;
}

/* All [off, off+len) with [skip, skip+len) of iov, aligned if it must be. */
static int move_all(struct blk_file *f, bool write, uint64_t off, const struct iovec *iov,
		    unsigned n, uint64_t skip, uint64_t len)
{
	struct iovec part[PIECES];

	while (len) {
		unsigned count = blk_iov_part(iov, n, skip, len, part, PIECES);
		uint64_t moved = 0;
		int r = move_some(f, write, off, part, count, &moved);

		if (r)
			return r;
		if (!moved && write)
			return -EIO;
		if (!moved || (f->direct && moved % f->align && moved < len)) {
			/* The end of the file: a direct read cannot go on from an odd place. */
			if (write)
				return -EIO;
			if (off + moved < blk_file_size(f))
				return -EIO;
			blk_iov_zero(iov, n, skip + moved, len - moved);
			return 0;
		}
		off += moved;
		skip += moved;
		len -= moved;
	}
	return 0;
}

static bool is_aligned(const struct blk_file *f, uint64_t off, uint64_t len,
		       const struct iovec *iov, unsigned n)
{
	return f->align == 1 ||
	       (!((off | len) & (f->align - 1)) && blk_iov_aligned(iov, n, f->align));
}

static int read_buf(struct blk_file *f, uint64_t off, void *buf, uint64_t len)
{
	const struct iovec one = {buf, len};

	return move_all(f, false, off, &one, 1, 0, len);
}

/* The blocks of `buf` that [off, off+len) fills partly: what is in the file now. */
static int read_edges(struct blk_file *f, uint64_t first, uint64_t end, uint64_t off, uint64_t len,
		      uint8_t *buf)
{
	int r = 0;

	if (off > first)
		r = read_buf(f, first, buf, f->align);
	if (!r && off + len < end && (end - f->align > first || off == first))
		r = read_buf(f, end - f->align, buf + (end - f->align - first), f->align);
	return r;
}

static int bounce_write(struct blk_file *f, uint64_t first, uint64_t end, uint64_t off,
			uint64_t len, uint8_t *buf)
{
	const struct iovec one = {buf, end - first};
	uint64_t size = blk_file_size(f);
	int r = move_all(f, true, first, &one, 1, 0, end - first);

	/* What completed the last block is no part of the file. */
	if (!r && !f->device && end > max_u64(size, off + len) &&
	    ftruncate(f->fd, (off_t)max_u64(size, off + len)) < 0)
		r = -errno;
	return r;
}

/* Through an aligned buffer, a part at a time. For a write the lock `rmw` is held alone. */
static int bounce(struct blk_file *f, bool write, uint64_t off, const struct iovec *iov, unsigned n,
		  uint64_t len)
{
	uint64_t room = min_u64(BOUNCE_BYTES, align_up(len, f->align) + f->align), skip = 0;
	uint8_t *buf;
	int r = 0;

	buf = aligned_alloc(4096, align_up(room, 4096));
	if (!buf)
		return -ENOMEM;
	while (len && !r) {
		uint64_t first = align_down(off, f->align);
		uint64_t part = min_u64(len, room - (off - first));
		uint64_t end = align_up(off + part, f->align);

		if (write) {
			r = read_edges(f, first, end, off, part, buf);
			if (!r) {
				blk_iov_to(iov, n, skip, buf + (off - first), part);
				r = bounce_write(f, first, end, off, part, buf);
			}
		} else {
			r = read_buf(f, first, buf, end - first);
			if (!r)
				blk_iov_from(iov, n, skip, buf + (off - first), part);
		}
		off += part;
		skip += part;
		len -= part;
	}
	free(buf);
	return r;
}

int blk_file_preadv(struct blk_file *f, uint64_t off, const struct iovec *iov, unsigned n)
{
	uint64_t len = blk_iov_len(iov, n);

	if (!in_range(off, len))
		return -EINVAL;
	if (is_aligned(f, off, len, iov, n))
		return move_all(f, false, off, iov, n, 0, len);
	return bounce(f, false, off, iov, n, len);
}

int blk_file_pwritev(struct blk_file *f, uint64_t off, const struct iovec *iov, unsigned n)
{
	uint64_t len = blk_iov_len(iov, n);
	bool aligned;
	int r;

	if (!in_range(off, len))
		return -EINVAL;
	if (f->align == 1)
		return move_all(f, true, off, iov, n, 0, len);
	/* Aligned in the file suffices for company: such a write completes no block. */
	aligned = is_aligned(f, off, len, NULL, 0);
	if (aligned)
		pthread_rwlock_rdlock(&f->rmw);
	else
		pthread_rwlock_wrlock(&f->rmw);
	if (aligned && blk_iov_aligned(iov, n, f->align))
		r = move_all(f, true, off, iov, n, 0, len);
	else
		r = bounce(f, true, off, iov, n, len);
	pthread_rwlock_unlock(&f->rmw);
	return r;
}

int blk_file_read(struct blk_file *f, uint64_t off, void *buf, uint64_t len)
{
	const struct iovec one = {buf, len};

	return blk_file_preadv(f, off, &one, 1);
}

int blk_file_write(struct blk_file *f, uint64_t off, const void *buf, uint64_t len)
{
	/* iovec knows no const; nothing here writes through it. */
	const struct iovec one = {(void *)(uintptr_t)buf, len};

	return blk_file_pwritev(f, off, &one, 1);
}

/* ---- Space ------------------------------------------------------------------------------------- */

static bool flag(const bool *f)
{
	return __atomic_load_n(f, __ATOMIC_RELAXED);
}

/* fallocate() by `mode`; a host that cannot is not asked again. */
static int allocate(struct blk_file *f, bool *cannot, int mode, uint64_t off, uint64_t len)
{
	int r;

	if (flag(cannot))
		return -ENOTSUP;
	do {
		r = fallocate(f->fd, mode, (off_t)off, (off_t)len) < 0 ? -errno : 0;
	} while (r == -EINTR);
	if (r == -EOPNOTSUPP || r == -ENOSYS) {
		__atomic_store_n(cannot, true, __ATOMIC_RELAXED);
		return -ENOTSUP;
	}
	/* Block devices: not aligned to their sectors, or no such command. */
	return r == -EINVAL || r == -ENODEV || r == -ENOTTY ? -ENOTSUP : r;
}

int blk_file_punch(struct blk_file *f, uint64_t off, uint64_t len)
{
	if (!in_range(off, len))
		return -EINVAL;
	if (!len)
		return 0;
	return allocate(f, &f->no_punch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
}

int blk_file_zero(struct blk_file *f, uint64_t off, uint64_t len, bool unmap)
{
	int r;

	if (!in_range(off, len))
		return -EINVAL;
	if (!len)
		return 0;
	if (unmap) {
		r = blk_file_punch(f, off, len);
		if (r != -ENOTSUP)
			return r;
	}
	return allocate(f, &f->no_zero, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, off, len);
}

static int keep_loss(struct blk_file *f, int error)
{
	int none = 0;

	/* With O_DIRECT nothing was in the page cache, and asking again is honest. */
	if (!f->direct)
		__atomic_compare_exchange_n(&f->lost, &none, error, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	return error;
}

int blk_file_flush(struct blk_file *f)
{
	int r = __atomic_load_n(&f->lost, __ATOMIC_RELAXED);

	if (r || f->read_only)
		return r;
	do {
		r = fdatasync(f->fd) < 0 ? -errno : 0;
	} while (r == -EINTR);
	return r ? keep_loss(f, r) : 0;
}

int blk_file_truncate(struct blk_file *f, uint64_t size)
{
	int r;

	if (f->device)
		return size <= blk_file_size(f) ? 0 : -ENOSPC;
	if (size > INT64_MAX)
		return -EFBIG;
	pthread_rwlock_wrlock(&f->rmw);
	do {
		r = ftruncate(f->fd, (off_t)size) < 0 ? -errno : 0;
	} while (r == -EINTR);
	pthread_rwlock_unlock(&f->rmw);
	return r;
}

bool blk_file_has_data(struct blk_file *f, uint64_t off, uint64_t len, uint64_t *run)
{
	off_t data, hole;

	*run = len;
	if (f->device || flag(&f->no_seek) || !in_range(off, len))
		return true;
	data = lseek(f->fd, (off_t)off, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		return false; /* nothing from here to the end, or behind it */
	if (data < (off_t)off) {
		__atomic_store_n(&f->no_seek, true, __ATOMIC_RELAXED);
		return true;
	}
	if (data > (off_t)off) {
		*run = min_u64(len, (uint64_t)data - off);
		return false;
	}
	hole = lseek(f->fd, (off_t)off, SEEK_HOLE);
	if (hole > (off_t)off)
		*run = min_u64(len, (uint64_t)hole - off);
	return true;
}
