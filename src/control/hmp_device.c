// SPDX-License-Identifier: GPL-2.0-or-later
/* HMP: devices. Source: QEMU's human monitor. Threads: the control thread's. */
#include "control/hmp_int.h"

const struct hmp_command hmp_device_commands[] = {
	{NULL, NULL, NULL, NULL, 0, 0, NULL},
};
