// SPDX-License-Identifier: GPL-2.0-or-later
/* Finding firmware and option ROMs. Threads: before threads start. */
#include "machine/datafile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/range.h"

/* Where Debian's packages put them, in order of trial. */
static const struct {
	const char *dir, *package;
} usual[] = {
	{"/usr/share/seabios", "seabios"},
	{"/usr/share/ovmf", "ovmf"},
	{"/usr/share/OVMF", "ovmf"},
	{"/usr/lib/ipxe/qemu", "ipxe-qemu"},
	{"/usr/share/qemu", "qemu-system-data"},
};

/* Names people may ask for, and the package that has them. */
static const struct {
	const char *start, *package;
} owners[] = {
	{"bios", "seabios"},   {"vgabios", "seabios"}, {"OVMF", "ovmf"},
	{"efi-", "ipxe-qemu"}, {"pxe-", "ipxe-qemu"},  {"linuxboot", "qemu-system-data"},
};

static char *in_dir(const char *dir, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return NULL;
	if (!access(path, F_OK))
		return path;
	free(path);
	return NULL;
}

static char *find(const struct vm_config *cfg, const char *name)
{
	char *path;

	if (!access(name, F_OK))
		return strdup(name);
	if (strchr(name, '/'))
		return NULL;
	for (unsigned i = 0; i < cfg->n_data_dirs; i++) {
		path = in_dir(cfg->data_dirs[i], name);
		if (path)
			return path;
	}
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
		path = in_dir(usual[i].dir, name);
		if (path)
			return path;
	}
	return NULL;
}

char *data_file_find(const struct vm_config *cfg, const char *name, const char *what,
		     struct lodge_err *err)
{
	char *path = find(cfg, name);
	const char *package = NULL;

	if (path)
		return path;
	if (strchr(name, '/')) {
		err_set(err, -ENOENT, "cannot open the %s '%s': %s", what, name, strerror(ENOENT));
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
		if (!strncmp(name, owners[i].start, strlen(owners[i].start)))
			package = owners[i].package;
	}
	err_set(err, -ENOENT,
		"there is no %s '%s', here or in the folders of -L or in %s and the like; %s%s%s",
		what, name, usual[0].dir, package ? "install the package " : "give its whole path",
		package ? package : "", package ? ", or name its folder with -L" : "");
	return NULL;
}
