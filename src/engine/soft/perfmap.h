/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling Linux's perf about generated code (`-accel soft,perf=map|jitdump`). Private to
 * src/engine/soft.
 *
 * map: /tmp/perf-PID.map, a line `START SIZE NAME` for each piece. The file stays when the process
 * has gone, since `perf report` reads it only then. Where an address has been used for several
 * pieces one after the other, perf picks one of them: for exact attribution there is
 * jitdump: jit-PID.dump in the working directory, with times and the code itself, for
 * `perf record -k 1` and `perf inject --jit`.
 */
#ifndef LODGE_ENGINE_SOFT_PERFMAP_H
#define LODGE_ENGINE_SOFT_PERFMAP_H

#include <stddef.h>

#include "base/err.h"
#include "engine/options.h"

struct soft_perf;
struct soft_block;

#define SOFT_PERF_NAME_MAX 64u

/*
 * Open the file for `kind` in directory `dir` (NULL: the one perf expects). 0, with *out NULL when
 * `kind` is ENGINE_PERF_OFF; or -errno with a sentence.
 */
int soft_perf_new(enum engine_perf kind, const char *dir, struct soft_perf **out,
		  struct lodge_err *err) MUST_CHECK;
/* NULL is allowed. The files stay. */
void soft_perf_free(struct soft_perf *p);

/*
 * `len` bytes of finished code run at `code` (readable) from now on; `name` has no line ends, and
 * only its first SOFT_PERF_NAME_MAX - 1 characters count. NULL for `p`: nothing. Any thread, also
 * while the guest's SIMD registers are live.
 */
void soft_perf_add(struct soft_perf *p, const void *code, size_t len, const char *name);
/*
 * Code will be made in [code, code+len) bit by bit: a name for all of it in a map; nothing in a
 * dump, which wants finished code.
 */
void soft_perf_add_region(struct soft_perf *p, const void *code, size_t len, const char *name);
/* As soft_perf_add, named after the block it was made from: `lodge:64u:ffffffff81000000`, which is the
 * mode (16, 32, 64; k or u for CPL below 3 or 3) and the linear address. */
void soft_perf_add_block(struct soft_perf *p, const struct soft_block *b, const void *code,
			 size_t len);

#endif
