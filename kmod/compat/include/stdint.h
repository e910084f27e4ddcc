/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The C library's headers, as far as the emulator and the decoder use them, where there is none. */
#ifndef LODGE_COMPAT_STDINT_H
#define LODGE_COMPAT_STDINT_H
#include <linux/types.h>
#include <linux/limits.h>
#ifndef UINT64_MAX
#define UINT64_MAX (~0ull)
#endif
#ifndef UINT32_MAX
#define UINT32_MAX (~0u)
#endif
#endif
