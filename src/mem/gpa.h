/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest address types. They are numbers, never pointers. */
#ifndef LODGE_MEM_GPA_H
#define LODGE_MEM_GPA_H

#include <stdint.h>

typedef uint64_t gpa_t; /* guest physical */
typedef uint64_t gva_t; /* guest linear (virtual) */

#define PAGE_BITS 12
#define PAGE_BYTES 4096ull
#define PAGE_MASK (~(PAGE_BYTES - 1))

#endif
