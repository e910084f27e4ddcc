// SPDX-License-Identifier: GPL-2.0-or-later
/* Options of `lodge run` about disks. What they say is read by machine/drive_opts.c. Threads: main only. */
#include <errno.h>
#include <stdio.h>

#include "base/props.h"
#include "cli/run_opts.h"

static int set_drive(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return run_opts_add(&o->vm.drives, "-drive", val, NULL, err);
}

static int set_blockdev(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return run_opts_add_json(&o->vm.blockdevs, "-blockdev", val, "driver", err);
}

/* A short form: `settings` of a -drive, and the file, which may hold commas. */
static int add_file(struct run_opts *o, const char *what, const char *settings, const char *path,
		    struct lodge_err *err)
{
	int r = run_opts_add(&o->vm.drives, what, settings, NULL, err);

	if (r)
		return r;
	if (props_set(o->vm.drives.p[o->vm.drives.n - 1], "file", path))
		return err_set(err, -ENOMEM, "%s: no memory", what);
	return 0;
}

static int set_hda(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return add_file(o, "-hda", "media=disk,index=0", val, err);
}

static int set_hdb(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return add_file(o, "-hdb", "media=disk,index=1", val, err);
}

static int set_hdc(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return add_file(o, "-hdc", "media=disk,index=2", val, err);
}

static int set_hdd(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return add_file(o, "-hdd", "media=disk,index=3", val, err);
}

static int set_cdrom(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return add_file(o, "-cdrom", "media=cdrom,index=2", val, err);
}

static int set_fda(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return add_file(o, "-fda", "if=floppy,index=0", val, err);
}

static int set_fdb(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return add_file(o, "-fdb", "if=floppy,index=1", val, err);
}

static int set_pflash(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return add_file(o, "-pflash", "if=pflash", val, err);
}

static int set_cidata(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)err;
	o->vm.cidata = val;
	return 0;
}

static int set_snapshot(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)val;
	(void)err;
	o->vm.snapshot = true;
	return 0;
}

int run_opts_disk(struct run_opts *o, const char *path, struct lodge_err *err)
{
	return add_file(o, "the file that stands alone", "media=disk,index=0", path, err);
}

const struct run_opt run_opts_disks[] = {
	{"drive", "file=PATH[,if=ide|virtio|floppy|pflash|none][,SETTING=VALUE]",
	 "a disk, CD or floppy; settings: format, media=disk|cdrom, index or bus and unit, id, "
	 "readonly, snapshot, cache=writeback|none|writethrough|directsync|unsafe, "
	 "aio=io_uring|threads, discard=unmap|ignore, werror, rerror, serial",
	 set_drive},
	{"hda", "FILE", "IDE disk 0; so is a file name that stands alone", set_hda},
	{"hdb", "FILE", "IDE disk 1", set_hdb},
	{"hdc", "FILE", "IDE disk 2", set_hdc},
	{"hdd", "FILE", "IDE disk 3", set_hdd},
	{"cdrom", "FILE", "a CD, in the place of IDE disk 2", set_cdrom},
	{"fda", "FILE", "the first floppy", set_fda},
	{"fdb", "FILE", "the second floppy", set_fdb},
	{"pflash", "FILE", "flash memory with firmware", set_pflash},
	{"blockdev", "DRIVER,node-name=ID,file.driver=file,file.filename=PATH",
	 "an image for -device ...,drive=ID; also as a JSON object", set_blockdev},
	{"cidata", "FILE|DIR",
	 "a cloud-init seed as one more disk: user-data, or a folder with user-data, meta-data, "
	 "vendor-data, network-config",
	 set_cidata},
	{"snapshot", NULL, "what guests write to -drive is thrown away at the end", set_snapshot},
	{NULL, NULL, NULL, NULL},
};
