// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files for the boot loaders.
 * Source: POSIX. Threads: one at a time.
 */
#include "firmware/fwfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/range.h"

#define STREAM_FIRST (1u << 20)
#define COPY_BYTES (64u << 10)

struct fw_file fw_file_from_bytes(const char *name, const void *data, uint64_t len)
{
	return (struct fw_file){.name = name, .size = len, .data = data, .fd = -1};
}

static int fail(struct lodge_err *err, int code, const char *what, const char *path)
{
	switch (code) {
	case -ENOENT:
		return err_set(err, code, "there is no %s file '%s'; check the path", what, path);
	case -EACCES:
	case -EPERM:
		return err_set(err, code,
			       "the %s '%s' may not be read by this user; change its permissions, "
			       "or copy it to where you can read it%s",
			       what, path, file_denied_hint(-code));
	case -EISDIR:
		return err_set(err, code, "the %s '%s' is a directory; name a file", what, path);
	case -EFBIG:
		return err_set(err, code,
			       "the %s '%s' is larger than the guest's memory; give the guest more "
			       "with -m",
			       what, path);
	default:
		return err_set(err, code, "the %s '%s' cannot be read: %s", what, path,
			       strerror(-code));
	}
}

/* Everything a pipe gives, up to `max` bytes. */
static int slurp(struct fw_file *f, uint64_t max)
{
	uint64_t cap = STREAM_FIRST;
	uint8_t *buf = malloc(cap);

	if (!buf)
		return -ENOMEM;
	for (;;) {
		ssize_t n;

		if (f->size == cap) {
			uint8_t *bigger = cap < max ? realloc(buf, 2 * cap) : NULL;

			if (!bigger) {
				int code = cap < max ? -ENOMEM : -EFBIG;

				free(buf);
				return code;
			}
			buf = bigger;
			cap *= 2;
		}
		n = read(f->fd, buf + f->size, cap - f->size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int code = -errno;

			free(buf);
			return code;
		}
		if (n == 0)
			break;
		f->size += (uint64_t)n;
	}
	f->data = f->owned = buf;
	return 0;
}

int fw_file_open(struct fw_file *f, const char *path, const char *what, uint64_t max_stream,
		 struct lodge_err *err)
{
	struct stat st;
	int ret = 0;

	*f = (struct fw_file){.name = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)};
	if (f->fd < 0)
		return fail(err, -errno, what, path);
	file_note(path, FILE_READ);
	if (fstat(f->fd, &st) < 0)
		ret = -errno;
	else if (S_ISDIR(st.st_mode))
		ret = -EISDIR;
	else if (S_ISREG(st.st_mode))
		f->size = (uint64_t)st.st_size;
	else
		ret = slurp(f, max_stream);
	if (!ret && !f->size) {
		fw_file_close(f);
		return err_set(err, -EINVAL,
			       "the %s '%s' is empty; was it built or copied completely?", what,
			       path);
	}
	if (ret) {
		fw_file_close(f);
		return fail(err, ret, what, path);
	}
	return 0;
}

void fw_file_close(struct fw_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	free(f->owned);
	*f = (struct fw_file){.fd = -1};
}

int fw_file_read(const struct fw_file *f, uint64_t off, void *buf, uint64_t len)
{
	uint8_t *p = buf;

	if (!range_ok(off, len, f->size))
		return -ERANGE;
	if (f->data) {
		memcpy(p, f->data + off, len);
		return 0;
	}
	while (len) {
		ssize_t n = pread(f->fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ERANGE; /* it shrank since it was opened */
		p += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/*
 * Through the backing's descriptor rather than its mapping: that takes no page fault for each page,
 * and pages the guest never touches are never mapped.
 */
static int write_backing(struct mem *mem, uint64_t off, const uint8_t *buf, uint64_t len)
{
	if (mem_fd(mem) < 0) {
		memcpy(mem_base(mem) + off, buf, len);
		return 0;
	}
	while (len) {
		ssize_t n = pwrite(mem_fd(mem), buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		buf += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static int copy_to_backing(const struct fw_file *f, uint64_t off, struct mem *mem, uint64_t to,
			   uint64_t len)
{
	uint8_t buf[COPY_BYTES];
	int ret = 0;

	if (!range_ok(off, len, f->size))
		return -ERANGE;
	if (f->data)
		return write_backing(mem, to, f->data + off, len);
	while (len && !ret) {
		uint64_t n = min_u64(len, sizeof(buf));

		ret = fw_file_read(f, off, buf, n);
		if (!ret)
			ret = write_backing(mem, to, buf, n);
		off += n;
		to += n;
		len -= n;
	}
	return ret;
}

int fw_file_load(const struct fw_file *f, uint64_t off, struct mem *mem, gpa_t gpa, uint64_t len)
{
	uint8_t *p;
	int ret;

	if (!len)
		return 0;
	p = mem_ptr(mem, gpa, len, true);
	if (!p)
		return -EFAULT;
	ret = copy_to_backing(f, off, mem, (uint64_t)(p - mem_base(mem)), len);
	mem_wrote(mem, gpa, len);
	return ret;
}

int fw_mem_zero(struct mem *mem, gpa_t gpa, uint64_t len)
{
	uint64_t off, start, end;
	uint8_t *p;

	if (!len)
		return 0;
	p = mem_ptr(mem, gpa, len, true);
	if (!p)
		return -EFAULT;
	off = (uint64_t)(p - mem_base(mem));
	start = align_up(off, PAGE_BYTES);
	end = align_down(off + len, PAGE_BYTES);
	if (start < end && !fallocate(mem_fd(mem), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      (off_t)start, (off_t)(end - start))) {
		memset(p, 0, start - off);
		memset(p + (end - off), 0, off + len - end);
	} else {
		memset(p, 0, len);
	}
	mem_wrote(mem, gpa, len);
	return 0;
}
