// SPDX-License-Identifier: GPL-2.0-or-later
/* QMP: disks. Source: QEMU's QMP reference, "Block devices". Threads: the control thread's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/mon_int.h"

/* ---- What there is ------------------------------------------------------------------------------ */

static json_t *inserted(const struct vm_ctl_drive *d)
{
	return json_pack("{s:o, s:b, s:s, s:b, s:i, s:i, s:i, s:i, s:i, s:i, "
			 "s:{s:I, s:o, s:s}}",
			 "file", qmp_text(d->path, strlen(d->path)), "ro", (int)d->read_only, "drv",
			 d->format, "encrypted", 0, "bps", 0, "bps_rd", 0, "bps_wr", 0, "iops", 0,
			 "iops_rd", 0, "iops_wr", 0, "image", "virtual-size", (json_int_t)d->size,
			 "filename", qmp_text(d->path, strlen(d->path)), "format", d->format);
}

static json_t *drive_json(const struct vm_ctl_drive *d)
{
	json_t *j = json_pack("{s:s, s:b, s:b, s:s, s:s}", "device", d->device, "locked",
			      (int)d->locked, "removable", (int)d->removable, "type", "unknown",
			      "io-status", d->io_error ? "failed" : "ok");

	if (!j)
		return NULL;
	if (d->id[0])
		json_object_set_new(j, "qdev", json_string(d->id));
	if (d->removable)
		json_object_set_new(j, "tray_open", json_boolean(d->tray_open));
	if (d->inserted)
		json_object_set_new(j, "inserted", inserted(d));
	return j;
}

static int each_drive(struct mon *m, json_t *(*fn)(const struct vm_ctl_drive *), json_t **ret)
{
	struct vm_ctl_drive *d = calloc(VM_CTL_DRIVES, sizeof(*d));
	unsigned n = d ? vm_ctl_drives(m->vm, d) : 0;

	*ret = json_array();
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(*ret, fn(&d[i]));
	free(d);
	return 0;
}

COMMAND(query_block)
{
	return each_drive(m, drive_json, ret);
}

static json_t *stats_json(const struct vm_ctl_drive *d)
{
	json_t *st = json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "rd_bytes",
		(json_int_t)d->read.bytes, "rd_operations", (json_int_t)d->read.ops, "wr_bytes",
		(json_int_t)d->write.bytes, "wr_operations", (json_int_t)d->write.ops,
		"flush_operations", (json_int_t)d->flush.ops, "unmap_bytes",
		(json_int_t)d->unmap.bytes, "unmap_operations", (json_int_t)d->unmap.ops,
		"failed_rd_operations", (json_int_t)d->read.errors, "failed_wr_operations",
		(json_int_t)d->write.errors, "failed_flush_operations", (json_int_t)d->flush.errors,
		"failed_unmap_operations", (json_int_t)d->unmap.errors);
	json_t *j = json_pack("{s:s, s:o}", "device", d->device, "stats", st);

	if (j && d->id[0])
		json_object_set_new(j, "qdev", json_string(d->id));
	return j;
}

COMMAND(query_blockstats)
{
	return each_drive(m, stats_json, ret);
}

/* ---- Media -------------------------------------------------------------------------------------- */

/* `first` or `second` names the drive; exactly one is needed. */
static const char *which(json_t *args, const char *first, const char *second, struct lodge_err *err)
{
	const char *a = qmp_str(args, first), *b = qmp_str(args, second);

	if (a && b)
		err_set(err, -EINVAL, "Parameters '%s' and '%s' are mutually exclusive", first,
			second);
	else if (!a && !b)
		err_set(err, -EINVAL, "Either '%s' or '%s' is required", first, second);
	return a && b ? NULL : a ? a : b;
}

COMMAND(eject)
{
	const char *name = which(args, "id", "device", err);

	return name ? vm_ctl_eject(m->vm, name, qmp_bool(args, "force", false), err) : -EINVAL;
}

static int tray(struct mon *m, json_t *args, bool open, struct lodge_err *err)
{
	const char *name = which(args, "id", "device", err);

	return name ? vm_ctl_tray(m->vm, name, open, qmp_bool(args, "force", false), err) : -EINVAL;
}

COMMAND(open_tray)
{
	return tray(m, args, true, err);
}

COMMAND(close_tray)
{
	return tray(m, args, false, err);
}

COMMAND(change_medium)
{
	const char *name = which(args, "id", "device", err);
	const char *mode = qmp_str(args, "read-only-mode");
	bool read_only = false;

	if (!name)
		return -EINVAL;
	if (mode && !strcmp(mode, "read-only"))
		read_only = true;
	else if (mode && strcmp(mode, "read-write") && strcmp(mode, "retain"))
		return err_set(err, -EINVAL,
			       "Parameter 'read-only-mode' is 'retain', 'read-only' or "
			       "'read-write'");
	return vm_ctl_change(m->vm, name, qmp_str(args, "filename"), qmp_str(args, "format"),
			     read_only, qmp_bool(args, "force", false), err);
}

/* ---- Sizes, snapshots --------------------------------------------------------------------------- */

COMMAND(resize)
{
	const char *name = which(args, "device", "node-name", err);
	json_int_t size = qmp_int(args, "size", 0);

	if (!name)
		return -EINVAL;
	if (size <= 0)
		return err_set(err, -EINVAL, "Parameter 'size' expects a size above 0");
	return vm_ctl_resize(m->vm, name, (uint64_t)size, err);
}

COMMAND(snapshot)
{
	const char *name = which(args, "device", "node-name", err);
	const char *format = qmp_str(args, "format"), *mode = qmp_str(args, "mode");

	if (!name)
		return -EINVAL;
	if (format && strcmp(format, "qcow2"))
		return err_set(err, -EINVAL, "a snapshot's format is qcow2");
	if (mode && strcmp(mode, "existing") && strcmp(mode, "absolute-paths"))
		return err_set(err, -EINVAL, "Parameter 'mode' is 'absolute-paths' or 'existing'");
	return vm_ctl_snapshot(m->vm, name, qmp_str(args, "snapshot-file"),
			       mode && !strcmp(mode, "existing"), err);
}

const struct qmp_command qmp_block_commands[] = {
	{"query-block", "", query_block},
	{"query-blockstats", "?query-nodes:b", query_blockstats},
	{"eject", "?device:s,?id:s,?force:b", eject},
	{"blockdev-open-tray", "?device:s,?id:s,?force:b", open_tray},
	{"blockdev-close-tray", "?device:s,?id:s", close_tray},
	{"blockdev-change-medium",
	 "?device:s,?id:s,filename:s,?format:s,?force:b,?read-only-mode:s", change_medium},
	{"block_resize", "?device:s,?node-name:s,size:i", resize},
	{"blockdev-snapshot-sync",
	 "?device:s,?node-name:s,snapshot-file:s,?snapshot-node-name:s,?format:s,?mode:s",
	 snapshot},
	{NULL, NULL, NULL},
};
