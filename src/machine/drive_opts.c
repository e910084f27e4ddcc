// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What -drive and -blockdev say. Source: qemu(1), "Block device options".
 * Threads: before threads start.
 */
#include <errno.h>
#include <string.h>

#include "base/range.h"
#include "machine/drive_int.h"

#define UNSAID UINT64_MAX

int drive_read_errors(struct props *p, unsigned *rerror, unsigned *werror, struct lodge_err *err)
{
	static const char *const names[] = {[BLK_REPORT] = "report",
					    [BLK_IGNORE] = "ignore",
					    [BLK_STOP] = "stop",
					    [BLK_ENOSPC] = "enospc",
					    NULL};
	/* On a CD "auto" is what is not said. */
	int r = props_choice(p, "rerror", names, rerror, err);

	if (!r && *rerror == BLK_ENOSPC)
		return err_set(err, -EINVAL,
			       "%s: rerror=enospc: a read needs no space; there are report, "
			       "ignore and stop",
			       props_what(p));
	return r ? r : props_choice(p, "werror", names, werror, err);
}

/* ---- -drive ------------------------------------------------------------------------------------ */

static int read_cache(struct props *p, struct drive_spec *d, struct lodge_err *err)
{
	static const char *const names[] = {[BLK_CACHE_WRITEBACK] = "writeback",
					    [BLK_CACHE_NONE] = "none",
					    [BLK_CACHE_WRITETHROUGH] = "writethrough",
					    [BLK_CACHE_DIRECTSYNC] = "directsync",
					    [BLK_CACHE_UNSAFE] = "unsafe",
					    NULL};
	unsigned cache = BLK_CACHE_WRITEBACK;
	int r = props_choice(p, "cache", names, &cache, err);

	d->open.cache = (enum blk_cache)cache;
	return r;
}

static int read_aio(struct props *p, const char *key, struct drive_spec *d, struct lodge_err *err)
{
	static const char *const names[] = {[BLK_AIO_AUTO] = "auto",
					    [BLK_AIO_URING] = "io_uring",
					    [BLK_AIO_THREADS] = "threads",
					    "native",
					    NULL};
	int r = props_choice(p, key, names, &d->aio, err);

	if (!r && d->aio > BLK_AIO_THREADS)
		return err_set(err, -EINVAL,
			       "%s: %s=native is not there; %s=io_uring does its work",
			       props_what(p), key, key);
	return r;
}

static int read_discard(struct props *p, const char *key, bool *on, struct lodge_err *err)
{
	static const char *const names[] = {"ignore", "off", "unmap", "on", NULL};
	unsigned discard = *on ? 2 : 0;
	int r = props_choice(p, key, names, &discard, err);

	*on = discard >= 2;
	return r;
}

/* "file:PATH" is PATH. */
static const char *plain_path(const char *file)
{
	return file && !strncmp(file, "file:", 5) ? file + 5 : file;
}

static int read_place(struct props *p, struct drive_spec *d, struct lodge_err *err)
{
	static const char *const ifaces[] = {
		[DRIVE_NONE] = "none",	   [DRIVE_IDE] = "ide",	      [DRIVE_VIRTIO] = "virtio",
		[DRIVE_FLOPPY] = "floppy", [DRIVE_PFLASH] = "pflash", NULL};
	int r;

	d->iface = DRIVE_IDE;
	d->bus = d->unit = d->index = UNSAID;
	r = props_choice(p, "if", ifaces, &d->iface, err);
	if (!r)
		r = props_u64(p, "bus", 1023, &d->bus, err);
	if (!r)
		r = props_u64(p, "unit", 1023, &d->unit, err);
	if (!r)
		r = props_u64(p, "index", 1023, &d->index, err);
	if (!r && d->index != UNSAID && (d->bus != UNSAID || d->unit != UNSAID))
		return err_set(err, -EINVAL,
			       "%s: write either index= or bus= and unit=", props_what(p));
	return r;
}

static int read_media(struct props *p, struct drive_spec *d, struct lodge_err *err)
{
	static const char *const media[] = {"disk", "cdrom", NULL};
	unsigned m = 0;
	int r = props_choice(p, "media", media, &m, err);

	d->cdrom = m == 1;
	d->open.read_only = d->cdrom;
	if (!r && props_has(p, "read-only") && props_has(p, "readonly"))
		return err_set(err, -EINVAL, "%s: readonly= and read-only= are the same; write one",
			       props_what(p));
	if (!r)
		r = props_bool(p, "readonly", &d->open.read_only, err);
	if (!r)
		r = props_bool(p, "read-only", &d->open.read_only, err);
	if (!r && d->cdrom && !d->open.read_only)
		return err_set(err, -EINVAL, "%s: a CD cannot be written; leave readonly=off out",
			       props_what(p));
	return r;
}

int drive_read_drive(struct props *p, bool snapshot, struct drive_spec *d, struct lodge_err *err)
{
	int r;

	*d = (struct drive_spec){.what = props_what(p), .werror = BLK_ENOSPC, .snapshot = snapshot};
	r = read_place(p, d, err);
	if (!r)
		r = read_media(p, d, err);
	if (!r)
		r = read_cache(p, d, err);
	if (!r)
		r = read_aio(p, "aio", d, err);
	if (!r)
		r = read_discard(p, "discard", &d->open.discard, err);
	if (!r)
		r = drive_read_errors(p, &d->rerror, &d->werror, err);
	if (!r)
		r = props_bool(p, "snapshot", &d->snapshot, err);
	if (r)
		return r;
	d->id = props_get(p, "id");
	d->serial = props_get(p, "serial");
	d->open.path = plain_path(props_get(p, "file"));
	d->open.format = props_get(p, "format");
	/* QEMU's word for "no medium", too. */
	if (d->open.path && !*d->open.path)
		d->open.path = NULL;
	return props_done(p, err);
}

/* ---- -blockdev --------------------------------------------------------------------------------- */

/* Settings that stand on the file's node or on the image's. */
static int read_node(struct props *p, const char *prefix, struct drive_spec *d,
		     struct lodge_err *err)
{
	bool direct = d->open.cache == BLK_CACHE_NONE, no_flush = false, automatic = false;
	char key[64];
	int r;

	snprintf(key, sizeof(key), "%scache.direct", prefix);
	r = props_bool(p, key, &direct, err);
	snprintf(key, sizeof(key), "%scache.no-flush", prefix);
	if (!r)
		r = props_bool(p, key, &no_flush, err);
	/* The image's node says whether it is written. */
	snprintf(key, sizeof(key), "%sauto-read-only", prefix);
	if (!r)
		r = props_bool(p, key, &automatic, err);
	snprintf(key, sizeof(key), "%sread-only", prefix);
	if (!r)
		r = props_bool(p, key, &d->open.read_only, err);
	if (no_flush)
		d->open.cache = BLK_CACHE_UNSAFE;
	else if (d->open.cache != BLK_CACHE_UNSAFE)
		d->open.cache = direct ? BLK_CACHE_NONE : BLK_CACHE_WRITEBACK;
	return r;
}

static bool is_file_driver(const char *driver)
{
	return !strcmp(driver, "file") || !strcmp(driver, "host_device") ||
	       !strcmp(driver, "host_cdrom");
}

/* A file's node takes discards unless it says that it does not. */
static int read_file_node(struct props *p, const char *prefix, struct drive_spec *d,
			  struct lodge_err *err)
{
	static const char *const locking[] = {"auto", "on", "off", NULL};
	unsigned lock = 0;
	char key[64];
	int r;

	snprintf(key, sizeof(key), "%sfilename", prefix);
	d->open.path = props_get(p, key);
	if (!d->open.path || !*d->open.path)
		return err_set(err, -EINVAL, "%s: %s is missing", props_what(p), key);
	r = read_node(p, prefix, d, err);
	snprintf(key, sizeof(key), "%saio", prefix);
	if (!r)
		r = read_aio(p, key, d, err);
	d->open.discard = true;
	snprintf(key, sizeof(key), "%sdiscard", prefix);
	if (!r)
		r = read_discard(p, key, &d->open.discard, err);
	snprintf(key, sizeof(key), "%slocking", prefix);
	if (!r)
		r = props_choice(p, key, locking, &lock, err);
	d->open.no_lock = lock == 2;
	return r;
}

static struct props *find_node(const struct vm_options *all, unsigned before, const char *name)
{
	for (unsigned i = 0; i < before; i++) {
		const char *other = props_get(all->p[i], "node-name");

		if (other && !strcmp(other, name))
			return all->p[i];
	}
	return NULL;
}

/* Does a later one stand on this? */
static bool stood_on(const struct vm_options *all, unsigned n, const char *name)
{
	for (unsigned i = n + 1; i < all->n; i++) {
		const char *file = props_has(all->p[i], "file") ? props_get(all->p[i], "file") : "";

		if (!strcmp(file, name))
			return true;
	}
	return false;
}

/* What an image's node stands on: file=NODE, or file.driver=file with its settings. */
static int read_below(const struct vm_options *all, unsigned n, struct drive_spec *d,
		      struct lodge_err *err)
{
	struct props *p = all->p[n], *below;
	const char *file = props_get(p, "file"), *driver;

	if (!file) {
		driver = props_get(p, "file.driver");
		if (!driver || !is_file_driver(driver))
			return err_set(err, -EINVAL,
				       "-blockdev: file=NODE, or file.driver=file and "
				       "file.filename=PATH, say what the image is in");
		return read_file_node(p, "file.", d, err);
	}
	below = find_node(all, n, file);
	driver = below ? props_get(below, "driver") : NULL;
	if (!driver || !is_file_driver(driver))
		return err_set(err, -EINVAL,
			       "-blockdev: file=%s names no -blockdev with driver=file before it",
			       file);
	return read_file_node(below, "", d, err);
}

int drive_read_blockdev(const struct vm_options *all, unsigned n, struct drive_spec *d,
			struct lodge_err *err)
{
	struct props *p = all->p[n];
	const char *driver = props_get(p, "driver");
	bool discard = false;
	int r;

	*d = (struct drive_spec){.what = "-blockdev",
				 .id = props_get(p, "node-name"),
				 .werror = BLK_ENOSPC,
				 .bus = UNSAID,
				 .unit = UNSAID,
				 .index = UNSAID};
	if (!driver || !d->id || !*d->id)
		return err_set(err, -EINVAL,
			       "-blockdev: driver (raw, qcow2, ..., file) and node-name are "
			       "needed");
	if (is_file_driver(driver)) {
		r = read_file_node(p, "", d, err);
		/* It stands alone, as a rule for itself. */
		discard = d->open.discard && props_has(p, "discard");
		d->open.format = "raw";
	} else {
		r = read_below(all, n, d, err);
		/* The file's node may be for reading only where nothing is said above. */
		if (!r)
			r = read_node(p, "", d, err);
		if (!r)
			r = read_discard(p, "discard", &discard, err);
		d->open.format = driver;
	}
	d->open.discard &= discard;
	if (!r)
		r = props_done(p, err);
	if (r)
		return r;
	return is_file_driver(driver) && stood_on(all, n, d->id) ? 0 : 1;
}
