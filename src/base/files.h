/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the process opens by name while it is set up, noted for the sandbox: these files may be opened again
 * later, and no others.
 * Threads: main, before there are others. Later calls of file_note() change nothing; any thread.
 */
#ifndef LODGE_BASE_FILES_H
#define LODGE_BASE_FILES_H

#include "base/err.h"

enum file_use {
	FILE_READ,	 /* read again, as a kernel at each reset */
	FILE_WRITE,	 /* read and written */
	FILE_IMAGE_READ, /* a disk image: others may come from its folder */
	FILE_IMAGE,	 /* the same, written: snapshots are made in its folder */
	FILE_TREE,	 /* a folder with all in it, read */
	FILE_TREE_WRITE, /* the same, changed as well */
	FILE_REMOVE,	 /* removed at the end */
};

/* A copy of `path` is kept. Without memory for one nothing is noted: then it is not to be opened again. */
void file_note(const char *path, enum file_use use);
/* Hands each note to `fn` and forgets them all; nothing is noted from then on. */
void file_notes_take(void (*fn)(void *opaque, const char *path, enum file_use use), void *opaque);

/* Behind an error of an open(): " (...)" when the sandbox is what forbids it, else "". */
const char *file_denied_hint(int error);
/* The sandbox is closed: file_denied_hint() says so. Once. */
void file_set_denied_hint(const char *hint);

#endif
