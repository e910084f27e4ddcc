// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writing the file of a saved machine. Source: docs/state.md. Threads: the owner's.
 *
 * The order on the disk is header, sections, memory; the order of writing is memory, sections, header, since
 * the checksums of memory are a section, and since what devices do meanwhile is to be in their sections.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/files.h"
#include "base/range.h"
#include "state/format.h"
#include "state/state.h"

struct state_writer {
	int fd;
	char *path, *temp;
	uint8_t *sec; /* the sections so far */
	size_t len, cap;
	unsigned count;
	bool no_room, too_much;
	uint64_t memory_len, memory_off, data_bytes;
	size_t sections_end; /* sections with that of the sums end here at most, in the file */
	struct memory_walk {
		uint32_t crc, zero_chunk;
		uint64_t run, run_end; /* pages that are still to be written */
		uint64_t at;	       /* the CRC of this chunk is of what is before */
		int error;
	} m;
	uint8_t *sums; /* contents of the section "memory" */
	size_t sums_len;
};

#define NAMES_TRIED 1000u

static size_t sums_bytes(uint64_t memory_len)
{
	return 8 + 4 * (size_t)(align_up(memory_len, STATE_CHUNK) / STATE_CHUNK);
}

/* The folder that `path` is in, with its '/', or ".". */
static void folder_of(const char *path, char folder[PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	snprintf(folder, PATH_MAX, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
}

/* A file of its own, beside the name it gets. */
static int open_temp(struct state_writer *w)
{
	size_t at = strlen(w->path);

	for (unsigned i = 0; i < NAMES_TRIED; i++) {
		snprintf(w->temp + at, 8, ".%06u", i);
		w->fd = open(w->temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (w->fd >= 0 || errno != EEXIST)
			break;
	}
	return w->fd < 0 ? -errno : 0;
}

struct state_writer *state_writer_new(const char *path, uint64_t memory_len, struct lodge_err *err)
{
	struct state_writer *w = calloc(1, sizeof(*w));

	if (!w || memory_len > STATE_MEMORY_MAX || memory_len % STATE_PAGE) {
		free(w);
		err_set(err, w ? -EINVAL : -ENOMEM, "no memory to save a machine");
		return NULL;
	}
	w->fd = -1;
	w->memory_len = memory_len;
	w->sums_len = sums_bytes(memory_len);
	w->sums = calloc(1, w->sums_len);
	w->path = strdup(path);
	if (!w->sums || !w->path || asprintf(&w->temp, "%s.XXXXXX", path) < 0) {
		w->temp = NULL;
		err_set(err, -ENOMEM, "no memory to save a machine");
		state_writer_abort(w);
		return NULL;
	}
	if (open_temp(w)) {
		err_set(err, -errno, "cannot make a file beside '%s': %s%s", path, strerror(errno),
			file_denied_hint(errno));
		free(w->temp);
		w->temp = NULL;
		state_writer_abort(w);
		return NULL;
	}
	return w;
}

void state_writer_abort(struct state_writer *w)
{
	if (!w)
		return;
	if (w->temp && w->fd >= 0)
		unlink(w->temp);
	if (w->fd >= 0)
		close(w->fd);
	free(w->temp);
	free(w->path);
	free(w->sec);
	free(w->sums);
	free(w);
}

static bool make_room(struct state_writer *w, size_t more)
{
	size_t cap = w->cap ? w->cap : 65536;
	uint8_t *p;

	if (more > STATE_SECTIONS_BYTES - w->len || w->count == STATE_SECTIONS_MAX) {
		w->too_much = true;
		return false;
	}
	while (cap < w->len + more)
		cap *= 2;
	if (cap == w->cap)
		return true;
	p = realloc(w->sec, cap);
	if (!p) {
		w->no_room = true;
		return false;
	}
	w->sec = p;
	w->cap = cap;
	return true;
}

void state_writer_add(struct state_writer *w, const char *name, const void *p, size_t len)
{
	size_t whole = SEC_HDR + (size_t)align_up(len, 8);
	uint8_t *h;

	if (len > STATE_SECTIONS_BYTES || strlen(name) > SEC_NAME_LEN) {
		w->too_much = true;
		return;
	}
	if (!make_room(w, whole))
		return;
	h = w->sec + w->len;
	memset(h, 0, whole);
	memcpy(h + SEC_NAME, name, strlen(name));
	st_le64(h + SEC_LEN, len);
	if (len)
		memcpy(h + SEC_HDR, p, len);
	st_le32(h + SEC_CRC, crc32c(crc32c(0, h, SEC_CRC), h + SEC_HDR, len));
	w->len += whole;
	w->count++;
}

/* ---- Memory ------------------------------------------------------------------------------------- */

static int write_at(int fd, const uint8_t *p, uint64_t len, uint64_t off)
{
	while (len) {
		struct iovec iov = {(void *)(uintptr_t)p, len};
		ssize_t n = pwritev(fd, &iov, 1, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static bool is_zero(const uint8_t *page)
{
	const uint64_t *w = (const uint64_t *)(const void *)page;
	uint64_t any = 0;

	for (unsigned i = 0; i < STATE_PAGE / 8; i += 8) {
		any |= w[i] | w[i + 1] | w[i + 2] | w[i + 3] | w[i + 4] | w[i + 5] | w[i + 6] |
		       w[i + 7];
		if (any)
			return false;
	}
	return true;
}

static const uint8_t zero_page[STATE_PAGE] __attribute__((aligned(64)));

static void write_run(struct state_writer *w, const uint8_t *base)
{
	struct memory_walk *m = &w->m;

	if (m->run_end > m->run && !m->error)
		m->error =
			write_at(w->fd, base + m->run, m->run_end - m->run, w->memory_off + m->run);
	w->data_bytes += m->run_end - m->run;
	m->run = m->run_end = 0;
}

static void end_chunk(struct state_writer *w)
{
	uint64_t n = (w->m.at - 1) / STATE_CHUNK;

	st_le32(w->sums + 8 + 4 * n, w->m.crc);
	w->m.crc = 0;
}

static void one_page(struct state_writer *w, const uint8_t *base, bool data)
{
	struct memory_walk *m = &w->m;
	const uint8_t *p = data ? base + m->at : zero_page;

	if (data && is_zero(p))
		data = false;
	if (data && m->run_end == m->at && m->run_end > m->run) {
		m->run_end += STATE_PAGE;
	} else if (data) {
		write_run(w, base);
		m->run = m->at;
		m->run_end = m->at + STATE_PAGE;
	}
	m->crc = crc32c(m->crc, p, STATE_PAGE);
	m->at += STATE_PAGE;
	if (m->at % STATE_CHUNK == 0 || m->at == w->memory_len) {
		write_run(w, base);
		end_chunk(w);
	}
}

/* Nothing is there up to `to`; whole chunks of zeros have one sum. */
static void skip(struct state_writer *w, const uint8_t *base, uint64_t to)
{
	struct memory_walk *m = &w->m;

	while (m->at < to) {
		if (m->at % STATE_CHUNK || to - m->at < STATE_CHUNK) {
			one_page(w, base, false);
			continue;
		}
		if (!m->zero_chunk) {
			for (unsigned i = 0; i < STATE_CHUNK / STATE_PAGE; i++)
				m->zero_chunk = crc32c(m->zero_chunk, zero_page, STATE_PAGE);
		}
		m->crc = m->zero_chunk;
		m->at += STATE_CHUNK;
		end_chunk(w);
	}
}

static int cannot_write(const struct state_writer *w, int error, struct lodge_err *err)
{
	return err_set(err, error, "cannot write '%s': %s", w->path, strerror(-error));
}

void state_writer_drop_sections(struct state_writer *w)
{
	w->len = 0;
	w->count = 0;
}

int state_writer_memory(struct state_writer *w, size_t spare, struct lodge_err *err)
{
	/* Behind the header, the sections so far, the one of sums, and what may come. */
	w->sections_end = STATE_PAGE + w->len + SEC_HDR + (size_t)align_up(w->sums_len, 8) + spare;
	w->memory_off = align_up(w->sections_end, 65536);
	st_le32(w->sums, STATE_CHUNK);
	st_le32(w->sums + 4, (uint32_t)((w->sums_len - 8) / 4));
	return ftruncate(w->fd, (off_t)(w->memory_off + w->memory_len))
		       ? cannot_write(w, -errno, err)
		       : 0;
}

int state_writer_some(struct state_writer *w, const uint8_t *base,
		      bool (*next)(void *opaque, uint64_t off, uint64_t *from, uint64_t *to),
		      void *opaque, uint64_t bytes, struct lodge_err *err)
{
	struct memory_walk *m = &w->m;
	uint64_t written = w->data_bytes, from, to;

	/* What is skipped costs next to nothing. */
	while (m->at < w->memory_len && !m->error && w->data_bytes - written < bytes) {
		if (!next(opaque, m->at, &from, &to))
			from = to = w->memory_len;
		skip(w, base, from);
		while (m->at < to && !m->error && w->data_bytes - written < bytes)
			one_page(w, base, true);
	}
	if (m->error)
		return cannot_write(w, m->error, err);
	return m->at < w->memory_len;
}

int state_writer_again(struct state_writer *w, const uint8_t *base, uint64_t off, uint64_t len,
		       struct lodge_err *err)
{
	uint64_t end = min_u64(off + len, w->memory_len), at;
	int r;

	if (off >= end)
		return 0;
	r = write_at(w->fd, base + off, end - off, w->memory_off + off);
	if (r)
		return cannot_write(w, r, err);
	w->data_bytes += end - off;
	for (at = align_down(off, STATE_CHUNK); at < end; at += STATE_CHUNK) {
		uint64_t bytes = min_u64(STATE_CHUNK, w->memory_len - at);

		st_le32(w->sums + 8 + 4 * (at / STATE_CHUNK), crc32c(0, base + at, bytes));
	}
	return 0;
}

uint64_t state_writer_data_bytes(const struct state_writer *w)
{
	return w->data_bytes;
}

uint64_t state_writer_done_bytes(const struct state_writer *w)
{
	return w->m.at;
}

/* ---- The end ------------------------------------------------------------------------------------ */

static int write_head(struct state_writer *w)
{
	uint8_t h[HDR_LEN] = STATE_MAGIC;
	int r;

	if (!w->memory_off || w->m.at != w->memory_len)
		return -EINVAL;
	state_writer_add(w, STATE_MEMORY, w->sums, w->sums_len);
	if (w->too_much || w->no_room || w->sections_end < STATE_PAGE + w->len)
		return w->no_room ? -ENOMEM : -E2BIG;
	st_le32(h + HDR_VERSION, STATE_VERSION);
	st_le32(h + HDR_COUNT, w->count);
	st_le64(h + HDR_SECTIONS, w->len);
	st_le64(h + HDR_MEMORY, w->memory_off);
	st_le64(h + HDR_MEMORY_LEN, w->memory_len);
	st_le32(h + HDR_FLAGS, 0);
	st_le32(h + HDR_CRC, crc32c(0, h, HDR_CRC));
	r = write_at(w->fd, w->sec, w->len, STATE_PAGE);
	return r ? r : write_at(w->fd, h, sizeof(h), 0);
}

/* The name is on the disk, too. A folder that cannot be opened for reading is taken at its word. */
static void sync_folder(const char *path)
{
	char folder[PATH_MAX];
	int fd;

	folder_of(path, folder);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!fdatasync(fd);
	close(fd);
}

int state_writer_finish(struct state_writer *w, struct lodge_err *err)
{
	int r = w->too_much ? -E2BIG : w->no_room ? -ENOMEM : write_head(w);

	/* Not fsync(): times of the file do not matter, and fewer calls are to be allowed. */
	if (!r && (fdatasync(w->fd) || rename(w->temp, w->path)))
		r = -errno;
	if (r) {
		err_set(err, r, "cannot write '%s': %s", w->path, strerror(-r));
	} else {
		sync_folder(w->path);
		free(w->temp);
		w->temp = NULL;
	}
	state_writer_abort(w);
	return r;
}
