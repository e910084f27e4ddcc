// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading the file of a saved machine, which is hostile. Source: docs/state.md. Threads: the owner's.
 *
 * 1. At most STATE_SECTIONS_BYTES are read at once; memory stays in the file.
 * 2. A section is handed out only when its checksum, and the header's, were right.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/range.h"
#include "state/format.h"
#include "state/state.h"

struct section {
	char name[SEC_NAME_LEN + 1];
	size_t off, len; /* of the contents, in `sec` */
};

struct state_file {
	int fd;
	char *path;
	uint8_t *sec;
	size_t sec_len;
	struct section *sections;
	unsigned count;
	uint64_t memory_off, memory_len;
	const uint8_t *sums; /* of each chunk */
};

static int read_at(int fd, void *buf, size_t len, uint64_t off)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = pread(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -ENODATA;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int truncated(const struct state_file *f, struct lodge_err *err)
{
	return err_set(err, -EINVAL, "'%s' is cut off: a part of the saved machine is missing",
		       f->path);
}

static int damaged(const struct state_file *f, const char *what, struct lodge_err *err)
{
	return err_set(err, -EINVAL, "'%s' is damaged: the checksum of %s is wrong", f->path, what);
}

/* *sec_len and *count come out; all numbers are in bounds then. */
static int read_header(struct state_file *f, uint64_t size, uint64_t *sec_len, uint32_t *count,
		       struct lodge_err *err)
{
	uint8_t h[HDR_LEN];
	uint32_t version;
	int r;

	if (size < sizeof(h))
		return err_set(err, -EINVAL, "'%s' is no saved machine", f->path);
	r = read_at(f->fd, h, sizeof(h), 0);
	if (r)
		return err_set(err, r, "cannot read '%s': %s", f->path, strerror(-r));
	if (memcmp(h, STATE_MAGIC, 8))
		return err_set(err, -EINVAL, "'%s' is no saved machine", f->path);
	version = ld_le32(h + HDR_VERSION);
	if (version > STATE_VERSION)
		return err_set(err, -EINVAL,
			       "'%s' was saved by a newer program (format %u; this one knows %u)",
			       f->path, version, STATE_VERSION);
	if (ld_le32(h + HDR_CRC) != crc32c(0, h, HDR_CRC))
		return damaged(f, "its header", err);
	*count = ld_le32(h + HDR_COUNT);
	*sec_len = ld_le64(h + HDR_SECTIONS);
	f->memory_off = ld_le64(h + HDR_MEMORY);
	f->memory_len = ld_le64(h + HDR_MEMORY_LEN);
	if (version != STATE_VERSION || ld_le32(h + HDR_FLAGS) || *count > STATE_SECTIONS_MAX ||
	    *sec_len > STATE_SECTIONS_BYTES || (f->memory_off | f->memory_len) % STATE_PAGE ||
	    f->memory_len > STATE_MEMORY_MAX || !f->memory_len ||
	    !range_ok(STATE_PAGE, *sec_len, f->memory_off))
		return err_set(err, -EINVAL, "'%s' is damaged: its header makes no sense", f->path);
	if (f->memory_off > size || size - f->memory_off < f->memory_len)
		return truncated(f, err);
	return 0;
}

static int take_section(struct state_file *f, struct section *s, size_t *at, struct lodge_err *err)
{
	const uint8_t *h = f->sec + *at;
	uint64_t len;

	if (!range_ok(*at, SEC_HDR, f->sec_len))
		return damaged(f, "its list of sections", err);
	len = ld_le64(h + SEC_LEN);
	if (len > STATE_SECTIONS_BYTES || !range_ok(*at + SEC_HDR, align_up(len, 8), f->sec_len))
		return damaged(f, "its list of sections", err);
	memcpy(s->name, h + SEC_NAME, SEC_NAME_LEN);
	s->off = *at + SEC_HDR;
	s->len = (size_t)len;
	for (const char *c = s->name; *c; c++) {
		if (*c < ' ' || *c > '~')
			return damaged(f, "its list of sections", err);
	}
	if (ld_le32(h + SEC_CRC) != crc32c(crc32c(0, h, SEC_CRC), f->sec + s->off, s->len))
		return damaged(f, s->name, err);
	*at = s->off + (size_t)align_up(len, 8);
	return 0;
}

static int check_sums(struct state_file *f, struct lodge_err *err)
{
	size_t len;
	const uint8_t *p = state_section(f, STATE_MEMORY, 0, &len);
	uint64_t chunks = align_up(f->memory_len, STATE_CHUNK) / STATE_CHUNK;

	if (!p || len != 8 + 4 * chunks || ld_le32(p) != STATE_CHUNK || ld_le32(p + 4) != chunks)
		return err_set(err, -EINVAL, "'%s' is damaged: it has no checksums of memory",
			       f->path);
	f->sums = p + 8;
	return 0;
}

static int read_sections(struct state_file *f, uint64_t sec_len, uint32_t count,
			 struct lodge_err *err)
{
	size_t at = 0;
	int r;

	f->sec = malloc(sec_len + 1);
	f->sections = calloc(count + 1, sizeof(*f->sections));
	if (!f->sec || !f->sections)
		return err_set(err, -ENOMEM, "no memory to read '%s'", f->path);
	f->sec_len = (size_t)sec_len;
	r = read_at(f->fd, f->sec, f->sec_len, STATE_PAGE);
	if (r == -ENODATA)
		return truncated(f, err);
	if (r)
		return err_set(err, r, "cannot read '%s': %s", f->path, strerror(-r));
	for (; f->count < count; f->count++) {
		r = take_section(f, &f->sections[f->count], &at, err);
		if (r)
			return r;
	}
	if (at != f->sec_len)
		return damaged(f, "its list of sections", err);
	return check_sums(f, err);
}

struct state_file *state_open_fd(int fd, const char *path, struct lodge_err *err)
{
	struct state_file *f = calloc(1, sizeof(*f));
	uint64_t sec_len = 0;
	uint32_t count = 0;
	struct stat st;
	int r;

	if (!f || !(f->path = strdup(path))) {
		free(f);
		close(fd);
		err_set(err, -ENOMEM, "no memory to read '%s'", path);
		return NULL;
	}
	f->fd = fd;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		r = err_set(err, -EINVAL, "'%s' is no file", path);
	else
		r = read_header(f, (uint64_t)st.st_size, &sec_len, &count, err);
	if (!r)
		r = read_sections(f, sec_len, count, err);
	if (!r)
		return f;
	state_close(f);
	return NULL;
}

struct state_file *state_open(const char *path, struct lodge_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		err_set(err, -errno, "cannot open the saved machine '%s': %s", path,
			strerror(errno));
		return NULL;
	}
	return state_open_fd(fd, path, err);
}

void state_close(struct state_file *f)
{
	if (!f)
		return;
	close(f->fd);
	free(f->path);
	free(f->sec);
	free(f->sections);
	free(f);
}

const char *state_path(const struct state_file *f)
{
	return f->path;
}

const uint8_t *state_section(const struct state_file *f, const char *name, unsigned n, size_t *len)
{
	for (unsigned i = 0; i < f->count; i++) {
		if (strcmp(f->sections[i].name, name) || n--)
			continue;
		*len = f->sections[i].len;
		return f->sec + f->sections[i].off;
	}
	return NULL;
}

int state_fd(const struct state_file *f)
{
	return f->fd;
}

uint64_t state_memory_off(const struct state_file *f)
{
	return f->memory_off;
}

uint64_t state_memory_len(const struct state_file *f)
{
	return f->memory_len;
}

int state_check_memory(const struct state_file *f, struct lodge_err *err)
{
	uint8_t *buf = malloc(STATE_CHUNK);
	int r = buf ? 0 : err_set(err, -ENOMEM, "no memory to read '%s'", f->path);

	for (uint64_t off = 0, n = 0; off < f->memory_len && !r; off += STATE_CHUNK, n++) {
		size_t len = (size_t)min_u64(STATE_CHUNK, f->memory_len - off);

		r = read_at(f->fd, buf, len, f->memory_off + off);
		if (r == -ENODATA)
			r = truncated(f, err);
		else if (r)
			err_set(err, r, "cannot read '%s': %s", f->path, strerror(-r));
		else if (crc32c(0, buf, len) != ld_le32(f->sums + 4 * n))
			r = damaged(f, "its memory", err);
	}
	free(buf);
	return r;
}
