/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memcpy and its kin without SIMD, for the code that runs while the guest's SIMD registers are
 * live. The build redirects those objects' calls here by symbol name.
 */
#ifndef LODGE_BASE_GPMEM_H
#define LODGE_BASE_GPMEM_H

#include <stddef.h>

void *gp_memcpy(void *dst, const void *src, size_t n);
void *gp_memmove(void *dst, const void *src, size_t n);
void *gp_memset(void *dst, int c, size_t n);
int gp_memcmp(const void *a, const void *b, size_t n);

#endif
