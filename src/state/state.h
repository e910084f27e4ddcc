/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file of a saved machine: named sections with checksums, and guest memory as it lies in the
 * backing, on page boundaries, so that it can be mapped. What sections hold is the machine's affair.
 * The format: docs/state.md.
 *
 * A file is written beside the name it gets, brought to the disk, and renamed: there is a whole one or none,
 * and one that is mapped by somebody is never written to. Reading is of hostile bytes: bounded time and
 * memory, every number checked.
 *
 * Threads: a writer or file is its owner's; both wait for the disk.
 */
#ifndef LODGE_STATE_STATE_H
#define LODGE_STATE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define STATE_SECTIONS_MAX 4096u
#define STATE_SECTIONS_BYTES (64u << 20)
#define STATE_MEMORY_MAX (2ull << 40)
#define STATE_CHUNK_BYTES (1u << 20) /* of memory, with a checksum each */

/* ---- Writing ------------------------------------------------------------------------------------ */

struct state_writer;

/* For `memory_len` bytes of memory, whole pages. Nothing is at `path` before state_writer_finish(). */
struct state_writer *state_writer_new(const char *path, uint64_t memory_len, struct lodge_err *err);
/* One more section; names may come several times. Errors show at the end. */
void state_writer_add(struct state_writer *w, const char *name, const void *p, size_t len);
/* Take back all sections so far: they were to be known by their size. */
void state_writer_drop_sections(struct state_writer *w);
/*
 * Memory. It comes behind the sections, those that are there when it begins: more may be added afterwards only if
 * their bytes are kept free (`spare`). Then piece by piece, about `bytes` at a time: `next` says where the next bytes may
 * be that are not zero, from `off` on, as whole pages [*from, *to), and false when there are none; only those of
 * `base` are looked at. 1: there is more.
 */
int state_writer_memory(struct state_writer *w, size_t spare, struct lodge_err *err) MUST_CHECK;
int state_writer_some(struct state_writer *w, const uint8_t *base,
		      bool (*next)(void *opaque, uint64_t off, uint64_t *from, uint64_t *to),
		      void *opaque, uint64_t bytes, struct lodge_err *err) MUST_CHECK;
/*
 * Whole pages [off, off + len) are written again, if they were already: they have changed. Nobody writes the
 * chunks (STATE_CHUNK_BYTES) they lie in meanwhile.
 */
int state_writer_again(struct state_writer *w, const uint8_t *base, uint64_t off, uint64_t len,
		       struct lodge_err *err) MUST_CHECK;
/* How much of memory is done. */
uint64_t state_writer_done_bytes(const struct state_writer *w);
/* How many bytes of memory were not zero, as of now. */
uint64_t state_writer_data_bytes(const struct state_writer *w);
/* The file gets its name. 0, or -errno with a sentence, and no file. Frees `w` in both cases. */
int state_writer_finish(struct state_writer *w, struct lodge_err *err) MUST_CHECK;
/* Away with all of it. NULL is allowed. */
void state_writer_abort(struct state_writer *w);

/* ---- Reading ------------------------------------------------------------------------------------ */

struct state_file;

/* All but the memory is read and checked. NULL and a sentence that says what is wrong with it. */
struct state_file *state_open(const char *path, struct lodge_err *err);
/* The same of a descriptor, which is taken in both cases; `path` is for messages. */
struct state_file *state_open_fd(int fd, const char *path, struct lodge_err *err);
void state_close(struct state_file *f); /* NULL is allowed */

const char *state_path(const struct state_file *f);
/* The section number `n` of that name, or NULL; lives as long as `f`. */
const uint8_t *state_section(const struct state_file *f, const char *name, unsigned n, size_t *len);

/* Memory: where it is in the file. */
int state_fd(const struct state_file *f);
uint64_t state_memory_off(const struct state_file *f);
uint64_t state_memory_len(const struct state_file *f);
/* Read all of it and compare checksums. */
int state_check_memory(const struct state_file *f, struct lodge_err *err) MUST_CHECK;

#endif
