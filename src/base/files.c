// SPDX-License-Identifier: GPL-2.0-or-later
/* Notes of what was opened by name. See files.h. Threads: see there. */
#include "base/files.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct note {
	struct note *next;
	enum file_use use;
	char path[];
};

/* The process's, like log_mask: written before there are threads. */
static struct note *notes;
static bool taken;
static const char *denied = "";

void file_note(const char *path, enum file_use use)
{
	struct note *n;

	/* Of descriptors: another file may have the number by then. */
	if (taken || !path || !*path || !strncmp(path, "/proc/", 6))
		return;
	n = malloc(sizeof(*n) + strlen(path) + 1);
	if (!n)
		return;
	n->use = use;
	strcpy(n->path, path);
	n->next = notes;
	notes = n;
}

void file_notes_take(void (*fn)(void *opaque, const char *path, enum file_use use), void *opaque)
{
	taken = true;
	while (notes) {
		struct note *n = notes;

		notes = n->next;
		fn(opaque, n->path, n->use);
		free(n);
	}
}

const char *file_denied_hint(int error)
{
	return error == EACCES || error == EPERM ? denied : "";
}

void file_set_denied_hint(const char *hint)
{
	denied = hint;
}
