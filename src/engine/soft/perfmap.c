// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files for Linux's perf: a map of names, or a dump of generated code.
 * Source: Linux tools/perf/Documentation/jit-interface.txt and jitdump-specification.txt.
 * Threads: any; a lock of its own orders the records.
 * Formats without the C library's printf, which may use the SIMD registers of the guest.
 */
#include "engine/soft/perfmap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/gpmem.h"
#include "base/range.h"
#include "engine/soft/block.h"

/* Jitdump, in the host's byte order. */
#define JITDUMP_MAGIC 0x4a695444u /* "JiTD" */
#define JITDUMP_VERSION 1u
#define JITDUMP_X86_64 62u /* EM_X86_64; <elf.h> has names in common with the page tables */
enum { JITDUMP_LOAD = 0, JITDUMP_CLOSE = 3 };

struct jitdump_header {
	uint32_t magic, version;
	uint32_t total_size; /* of this header */
	uint32_t elf_mach;
	uint32_t pad;
	uint32_t pid;
	uint64_t timestamp; /* CLOCK_MONOTONIC, ns, here and below */
	uint64_t flags;
};

struct jitdump_record {
	uint32_t id;
	uint32_t total_size; /* of the record, this prefix included */
	uint64_t timestamp;
};

/* Behind it: the name with its terminating 0, then the code. */
struct jitdump_load {
	struct jitdump_record prefix;
	uint32_t pid, tid;
	uint64_t vma, code_addr, code_size;
	uint64_t code_index; /* of this piece, unique in the file */
};

_Static_assert(sizeof(struct jitdump_header) == 40, "jitdump's header");
_Static_assert(sizeof(struct jitdump_record) == 16, "jitdump's record prefix");
_Static_assert(sizeof(struct jitdump_load) == 56, "jitdump's code load record");

struct soft_perf {
	enum engine_perf kind;
	pid_t pid;
	void *marker; /* an executable mapping of the file: how perf learns of it */
	size_t marker_bytes;
	char path[PATH_MAX];
	pthread_mutex_t lock; /* protects the rest */
	int fd;
	off_t end; /* of the last whole record */
	uint64_t index;
	int error; /* errno of the write that failed: nothing is written after it */
};

/* The vDSO promises nothing about SIMD registers; the system call does. */
static uint64_t now_ns(void)
{
	struct timespec ts = {0};

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* ---- Writing -------------------------------------------------------------------------------- */

/* All or nothing: a reader never meets half a record. */
static void write_locked(struct soft_perf *p, const struct iovec *iov, int n)
{
	size_t want = 0;
	ssize_t done;

	if (p->error)
		return;
	for (int i = 0; i < n; i++)
		want += iov[i].iov_len;
	do {
		done = writev(p->fd, iov, n);
	} while (done < 0 && errno == EINTR);
	if (done == (ssize_t)want) {
		p->end += done;
		return;
	}
	p->error = done < 0 ? errno : ENOSPC;
	if (ftruncate(p->fd, p->end) < 0)
		return; /* the rest of a record stays; the error is reported anyhow */
}

/* `v` in hexadecimal, without leading zeros; returns the digits written (at most 16). */
static size_t put_hex(char *at, uint64_t v)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 1;

	for (uint64_t rest = v >> 4; rest; rest >>= 4)
		n++;
	for (size_t i = n; i-- > 0; v >>= 4)
		at[i] = digits[v & 15];
	return n;
}

static size_t name_length(const char *name)
{
	size_t n = 0;

	while (n < SOFT_PERF_NAME_MAX - 1 && name[n] && name[n] != '\n')
		n++;
	return n;
}

static void add_line(struct soft_perf *p, const void *code, size_t len, const char *name)
{
	char line[2 * 17 + SOFT_PERF_NAME_MAX + 1];
	size_t n = put_hex(line, (uintptr_t)code), name_len = name_length(name);

	line[n++] = ' ';
	n += put_hex(line + n, len);
	line[n++] = ' ';
	gp_memcpy(line + n, name, name_len);
	n += name_len;
	line[n++] = '\n';

	struct iovec iov = {.iov_base = line, .iov_len = n};

	pthread_mutex_lock(&p->lock);
	write_locked(p, &iov, 1);
	pthread_mutex_unlock(&p->lock);
}

static void add_load(struct soft_perf *p, const void *code, size_t len, const char *name)
{
	char text[SOFT_PERF_NAME_MAX];
	size_t name_len = name_length(name);
	struct jitdump_load r = {
		.prefix = {.id = JITDUMP_LOAD,
			   .total_size = (uint32_t)(sizeof(r) + name_len + 1 + len)},
		.pid = (uint32_t)p->pid,
		.tid = (uint32_t)syscall(SYS_gettid),
		.vma = (uintptr_t)code,
		.code_addr = (uintptr_t)code,
		.code_size = len,
	};
	struct iovec iov[] = {
		{.iov_base = &r, .iov_len = sizeof(r)},
		{.iov_base = text, .iov_len = name_len + 1},
		{.iov_base = (void *)(uintptr_t)code, .iov_len = len},
	};

	gp_memcpy(text, name, name_len);
	text[name_len] = 0;
	pthread_mutex_lock(&p->lock);
	r.prefix.timestamp = now_ns(); /* under the lock, so that times ascend */
	r.code_index = p->index++;
	write_locked(p, iov, ARRAY_SIZE(iov));
	pthread_mutex_unlock(&p->lock);
}

void soft_perf_add(struct soft_perf *p, const void *code, size_t len, const char *name)
{
	if (!p || !len || len > INT_MAX / 2)
		return;
	if (p->kind == ENGINE_PERF_MAP)
		add_line(p, code, len, name);
	else
		add_load(p, code, len, name);
}

void soft_perf_add_region(struct soft_perf *p, const void *code, size_t len, const char *name)
{
	if (p && p->kind == ENGINE_PERF_MAP)
		soft_perf_add(p, code, len, name);
}

void soft_perf_add_block(struct soft_perf *p, const struct soft_block *b, const void *code,
			 size_t len)
{
	static const char head[] = "lodge:";
	char name[SOFT_PERF_NAME_MAX];
	size_t n = sizeof(head) - 1;

	if (!p)
		return;
	gp_memcpy(name, head, n);
	gp_memcpy(name + n,
		  b->mode & SOFT_MODE_CS64   ? "64"
		  : b->mode & SOFT_MODE_CS32 ? "32"
					     : "16",
		  2);
	n += 2;
	name[n++] = b->mode & SOFT_MODE_CPL3 ? 'u' : 'k';
	name[n++] = ':';
	n += put_hex(name + n, b->lin);
	name[n] = 0;
	soft_perf_add(p, code, len, name);
}

/* ---- Life ----------------------------------------------------------------------------------- */

/* The name is known beforehand and /tmp is everyone's: never follow or reuse what is there. */
static int create_file(struct soft_perf *p, const char *dir, struct lodge_err *err)
{
	bool map = p->kind == ENGINE_PERF_MAP;
	int n = snprintf(p->path, sizeof(p->path), map ? "%s/perf-%d.map" : "%s/jit-%d.dump",
			 dir   ? dir
			 : map ? "/tmp"
			       : ".",
			 (int)p->pid);

	if (n < 0 || (size_t)n >= sizeof(p->path))
		return err_set(err, -ENAMETOOLONG, "perf=%s: the directory's name is too long",
			       map ? "map" : "jitdump");
	unlink(p->path); /* of an earlier process with this number */
	p->fd = open(p->path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (p->fd < 0)
		return err_set(err, -errno, "perf=%s: cannot create %s: %s",
			       map ? "map" : "jitdump", p->path, strerror(errno));
	return 0;
}

static int start_dump(struct soft_perf *p, struct lodge_err *err)
{
	struct jitdump_header h = {
		.magic = JITDUMP_MAGIC,
		.version = JITDUMP_VERSION,
		.total_size = sizeof(h),
		.elf_mach = JITDUMP_X86_64,
		.pid = (uint32_t)p->pid,
		.timestamp = now_ns(),
	};
	struct iovec iov = {.iov_base = &h, .iov_len = sizeof(h)};

	write_locked(p, &iov, 1);
	if (p->error)
		return err_set(err, -p->error, "perf=jitdump: cannot write %s: %s", p->path,
			       strerror(p->error));
	p->marker_bytes = (size_t)sysconf(_SC_PAGESIZE);
	p->marker = mmap(NULL, p->marker_bytes, PROT_READ | PROT_EXEC, MAP_PRIVATE, p->fd, 0);
	if (p->marker == MAP_FAILED) {
		p->marker = NULL;
		return err_set(err, -errno,
			       "perf=jitdump: cannot map %s: %s; start lodge in a directory of a "
			       "file system without noexec",
			       p->path, strerror(errno));
	}
	return 0;
}

int soft_perf_new(enum engine_perf kind, const char *dir, struct soft_perf **out,
		  struct lodge_err *err)
{
	struct soft_perf *p;
	int r;

	*out = NULL;
	if (kind == ENGINE_PERF_OFF)
		return 0;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, -ENOMEM, "perf: out of memory");
	p->kind = kind;
	p->pid = getpid();
	p->fd = -1;
	pthread_mutex_init(&p->lock, NULL);
	r = create_file(p, dir, err);
	if (!r && kind == ENGINE_PERF_JITDUMP)
		r = start_dump(p, err);
	if (r) {
		if (p->fd >= 0)
			unlink(p->path);
		p->error = 0; /* said already */
		soft_perf_free(p);
		return r;
	}
	*out = p;
	return 0;
}

void soft_perf_free(struct soft_perf *p)
{
	if (!p)
		return;
	if (p->marker) {
		struct jitdump_record end = {.id = JITDUMP_CLOSE,
					     .total_size = sizeof(end),
					     .timestamp = now_ns()};
		struct iovec iov = {.iov_base = &end, .iov_len = sizeof(end)};

		write_locked(p, &iov, 1);
		munmap(p->marker, p->marker_bytes);
	}
	if (p->error)
		log_print("lodge: %s is not complete: %s\n", p->path, strerror(p->error));
	if (p->fd >= 0)
		close(p->fd);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
