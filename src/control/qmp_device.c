// SPDX-License-Identifier: GPL-2.0-or-later
/* QMP: other devices. Source: QEMU's QMP reference. Threads: the control thread's. */
#include "control/mon_int.h"

const struct qmp_command qmp_device_commands[] = {
	{NULL, NULL, NULL},
};
