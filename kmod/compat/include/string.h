/* SPDX-License-Identifier: GPL-2.0-or-later */
/* As stdint.h here. */
#include <linux/string.h>
