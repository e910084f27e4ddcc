// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A cloud-init seed out of files of the host.
 * Source: cloud-init documentation, "NoCloud" data source: a vfat or iso9660 volume labelled cidata.
 * Threads: main, at set-up.
 */
#include "machine/cidata.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "block/fat.h"

/* The first two must be there for cloud-init to look at the volume. */
static const char *const names[] = {"user-data", "meta-data", "vendor-data", "network-config"};
#define NAMES (sizeof(names) / sizeof(names[0]))

/* -ENOENT only when the file is not there. */
static int read_file(int dir, const char *name, const char *shown, struct fat_file *out,
		     struct lodge_err *err)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC), r = 0;
	char *buf = fd < 0 ? NULL : malloc(FAT_FILE_BYTES_MAX + 1);
	ssize_t got = 0;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT
				       : err_set(err, -errno, "-cidata: cannot open '%s': %s",
						 shown, strerror(errno));
	while (buf && (got = read(fd, buf + out->len, FAT_FILE_BYTES_MAX + 1 - out->len)) > 0)
		out->len += (size_t)got;
	if (!buf || got < 0)
		r = err_set(err, -EIO, "-cidata: cannot read '%s': %s", shown, strerror(errno));
	else if (out->len > FAT_FILE_BYTES_MAX)
		r = err_set(err, -EFBIG, "-cidata: '%s' is larger than 1 MiB", shown);
	close(fd);
	out->data = buf;
	return r;
}

/* cloud-init does its work once for each instance-id it meets. */
static void make_meta_data(struct fat_file *f, const struct stat *st)
{
	char *text = malloc(96);

	if (!text)
		return;
	f->len = (size_t)snprintf(text, 96, "instance-id: lodge-%llx-%llx\n",
				  (unsigned long long)st->st_ino, (unsigned long long)st->st_mtime);
	f->data = text;
}

static int read_all(const char *path, struct fat_file *files, struct lodge_err *err)
{
	int dir = open(path, O_PATH | O_CLOEXEC), r = 0;
	struct stat st;

	if (dir < 0 || fstat(dir, &st)) {
		r = err_set(err, -errno, "-cidata: cannot open '%s': %s", path, strerror(errno));
	} else if (!S_ISDIR(st.st_mode)) {
		r = read_file(AT_FDCWD, path, path, &files[0], err);
	} else {
		for (unsigned i = 0; i < NAMES && !r; i++) {
			r = read_file(dir, names[i], names[i], &files[i], err);
			if (r == -ENOENT)
				r = i ? 0
				      : err_set(err, -ENOENT,
						"-cidata: there is no user-data in '%s'", path);
		}
	}
	if (!r && !files[1].data)
		make_meta_data(&files[1], &st);
	if (dir >= 0)
		close(dir);
	return r;
}

int cidata_volume(const char *path, struct lodge_err *err)
{
	struct fat_file files[NAMES] = {{0}}, there[NAMES];
	unsigned n = 0;
	int r;

	for (unsigned i = 0; i < NAMES; i++)
		files[i].name = names[i];
	r = read_all(path, files, err);
	for (unsigned i = 0; i < NAMES; i++) {
		if (files[i].data)
			there[n++] = files[i];
	}
	if (!r)
		r = fat_volume("cidata", there, n, err);
	for (unsigned i = 0; i < NAMES; i++)
		free((void *)files[i].data);
	return r;
}
