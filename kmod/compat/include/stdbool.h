/* SPDX-License-Identifier: GPL-2.0-or-later */
/* As stdint.h here. */
#include <linux/types.h>
#include <linux/stddef.h>
