// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Locks against a second process on the same image, by the bytes QEMU locks, so that each keeps the
 * other out. Byte 100 + n: someone does n with the image; byte 200 + n: someone does not bear
 * others doing n. All are read locks of an open file description; who wants to do n looks whether
 * anybody holds 200 + n, and who does not bear n whether anybody holds 100 + n.
 *
 * Source: QEMU's documented behaviour (docs/system/images, "locking"), observed in /proc/locks.
 * Threads: any.
 */
#include "block/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define USED_BASE 100
#define REFUSED_BASE 200

/* What one does with an image; the numbers are QEMU's. */
enum { USE_READ = 0, USE_WRITE = 1, USE_WRITE_SAME = 2, USE_RESIZE = 3, USES = 4 };

static int lock_byte(int fd, off_t at)
{
	struct flock fl = {.l_type = F_RDLCK,
			   .l_whence = SEEK_SET,
			   .l_start = at,
			   .l_len = 1,
			   .l_pid = 0};

	return fcntl(fd, F_OFD_SETLK, &fl) < 0 ? -errno : 0;
}

/* Does another one hold this byte? */
static int look_at_byte(int fd, off_t at)
{
	struct flock fl = {.l_type = F_WRLCK,
			   .l_whence = SEEK_SET,
			   .l_start = at,
			   .l_len = 1,
			   .l_pid = 0};

	if (fcntl(fd, F_OFD_GETLK, &fl) < 0)
		return -errno;
	return fl.l_type == F_UNLCK ? 0 : -EAGAIN;
}

static int take(int fd, unsigned uses, unsigned refused)
{
	int r = 0;

	for (unsigned n = 0; n < USES && !r; n++) {
		if (uses & 1u << n)
			r = lock_byte(fd, USED_BASE + (off_t)n);
		if (!r && (refused & 1u << n))
			r = lock_byte(fd, REFUSED_BASE + (off_t)n);
	}
	for (unsigned n = 0; n < USES && !r; n++) {
		if (uses & 1u << n)
			r = look_at_byte(fd, REFUSED_BASE + (off_t)n);
		if (!r && (refused & 1u << n))
			r = look_at_byte(fd, USED_BASE + (off_t)n);
	}
	return r;
}

static void drop(int fd)
{
	struct flock fl = {.l_type = F_UNLCK,
			   .l_whence = SEEK_SET,
			   .l_start = USED_BASE,
			   .l_len = REFUSED_BASE + USES - USED_BASE,
			   .l_pid = 0};

	/* The descriptor is closed next, which drops them as well. */
	if (fcntl(fd, F_OFD_SETLK, &fl) < 0)
		return;
}

int blk_file_lock(int fd, const char *path, bool write, struct lodge_err *err)
{
	unsigned refused = 1u << USE_WRITE | 1u << USE_RESIZE;
	unsigned uses = 1u << USE_READ | (write ? 1u << USE_WRITE | 1u << USE_RESIZE : 0);
	int r = take(fd, uses, refused);

	/* A file system without locks: as QEMU, go on without. */
	if (r == -EINVAL || r == -ENOLCK || r == -EOPNOTSUPP || r == -ENOSYS)
		return 0;
	if (r) {
		drop(fd);
		return err_set(err, r == -EAGAIN ? -EBUSY : r,
			       r == -EAGAIN || r == -EACCES
				       ? "%s is in use by another program (%s); end that one first"
				       : "%s cannot be locked: %s",
			       path,
			       r != -EAGAIN && r != -EACCES ? strerror(-r)
			       : write			    ? "it was to be opened for writing"
							    : "which writes it");
	}
	return 0;
}
