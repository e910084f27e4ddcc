// SPDX-License-Identifier: GPL-2.0-or-later
/* The formats there are. Raw comes last: it takes what no other one wants. Threads: constant data. */
#include "block/block_int.h"

const struct blk_format *const blk_formats[] = {
	&blk_qcow2,
	&blk_vmdk,
	&blk_vhd,
	&blk_vdi,
	&blk_raw,
	NULL,
};
