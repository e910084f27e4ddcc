// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The firmware image below 4 GiB: -bios.
 * Threads: before threads start.
 */
#include <errno.h>
#include <stdlib.h>

#include "devices/legacy/pflash.h"
#include "machine/board_int.h"
#include "machine/datafile.h"

#define BIOS_MAX (16u << 20)

static int open_bios(struct fw_file *f, const char *path, struct lodge_err *err)
{
	int r = fw_file_open(f, path, "firmware", BIOS_MAX, err);

	if (r)
		return r;
	if (f->size && f->size <= BIOS_MAX && f->size % 4096 == 0)
		return 0;
	err_set(err, -EINVAL,
		"'%s' is no firmware image: its %llu bytes are not a multiple of 4 KiB up to 16 "
		"MiB",
		path, (unsigned long long)f->size);
	fw_file_close(f);
	return -EINVAL;
}

int board_rom_bytes(const struct vm_config *cfg, uint64_t *bytes, struct lodge_err *err)
{
	struct fw_file f;
	char *path;
	int r;

	/* How much of it the flash takes is seen when its images are open. */
	*bytes = board_has_flash(cfg) ? PFLASH_MAX : 0;
	if (!cfg->bios || *bytes)
		return 0;
	path = data_file_find(cfg, cfg->bios, "firmware", err);
	if (!path)
		return -ENOENT;
	r = open_bios(&f, path, err);
	if (!r) {
		*bytes = f.size;
		fw_file_close(&f);
	}
	free(path);
	return r;
}

static int load(struct board *b, const char *path, struct lodge_err *err)
{
	struct mem *mem = b->vm->mem;
	struct fw_file f;
	int r = open_bios(&f, path, err);

	if (r)
		return r;
	if (f.size != b->rom_bytes)
		r = err_set(err, -EINVAL, "'%s' is changing its size; start again", path);
	else if (fw_file_read(&f, 0, mem_base(mem) + mem_backing_bytes(mem) - f.size, f.size))
		r = err_set(err, -EIO, "cannot read '%s'", path);
	fw_file_close(&f);
	return r;
}

int board_load_rom(struct board *b, struct lodge_err *err)
{
	char *path;
	int r;

	if (!b->vm->cfg.bios)
		return 0;
	path = data_file_find(&b->vm->cfg, b->vm->cfg.bios, "firmware", err);
	if (!path)
		return -ENOENT;
	r = load(b, path, err);
	free(path);
	return r;
}
