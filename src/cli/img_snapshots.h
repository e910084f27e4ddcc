/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of snapshots, for people and programs. Threads: main only. */
#ifndef LODGE_CLI_IMG_SNAPSHOTS_H
#define LODGE_CLI_IMG_SNAPSHOTS_H

#include <jansson.h>

#include "block/qcow2.h"

json_t *img_snapshots_json(const struct q_snapshots *s);
void img_snapshots_print(const struct q_snapshots *s);

#endif
