// SPDX-License-Identifier: GPL-2.0-or-later
/* QMP: disks. Source: QEMU's QMP reference. Threads: the control thread's. */
#include "control/mon_int.h"

const struct qmp_command qmp_block_commands[] = {
	{NULL, NULL, NULL},
};
