/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory for generated code, W^X: one memory, mapped twice. Private to src/engine/soft. */
#ifndef LODGE_ENGINE_SOFT_CODEMEM_H
#define LODGE_ENGINE_SOFT_CODEMEM_H

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

#endif
