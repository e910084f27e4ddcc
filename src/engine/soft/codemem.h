/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory for generated code, W^X: one memory, mapped twice. Private to src/engine/soft. */
#ifndef LODGE_ENGINE_SOFT_CODEMEM_H
#define LODGE_ENGINE_SOFT_CODEMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Map `bytes` (whole pages) of zeros at *rw, to write, and at *rx, to execute and read. 0, or
 * -errno with both NULL. It is shared anonymous memory, since perf looks into its map of names
 * for anonymous memory only, and not for a memfd.
 */
int soft_code_map(size_t bytes, uint8_t **rw, uint8_t **rx) MUST_CHECK;
/* Undo it; NULLs are allowed. */
void soft_code_unmap(size_t bytes, uint8_t *rw, uint8_t *rx);

/*
 * Address space for tables, zeros that cost memory once they are used; NULL when there is none. A
 * dense one is filled from its start, or all over: in huge pages, if the host has some, a page
 * costs a sixth of what it does alone.
 */
void *soft_map_tables(size_t bytes, bool dense) MUST_CHECK;
/* Dense ones begin in small pages, since a huge one takes up to 5 ms to be zeroed; from here on they are huge. */
void soft_make_dense(void *p, size_t bytes);
void soft_unmap_tables(void *p, size_t bytes);

#endif
