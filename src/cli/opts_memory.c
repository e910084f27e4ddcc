// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory as QEMU's command lines name it for vhost-user: -object memory-backend-*, -numa node,memdev= and
 * -machine memory-backend=. Guest memory here is one memfd that can be shared, always; so these say how much
 * there is, and what they ask for beyond that is refused. Threads: main only.
 */
#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/props.h"
#include "base/range.h"
#include "cli/run_opts.h"

static int set_object(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return run_opts_add(&o->objects, "-object", val, "qom-type", err);
}

int run_opts_memory_backend(struct run_opts *o, const char *id, struct lodge_err *err)
{
	if (o->memory_backend && strcmp(o->memory_backend, id))
		return err_set(err, -EINVAL,
			       "the guest's memory is to be '%s' and '%s'; one -object is all of "
			       "it",
			       o->memory_backend, id);
	o->memory_backend = run_opts_keep(o, id);
	return o->memory_backend ? 0 : err_set(err, -ENOMEM, "no memory for the options");
}

static int set_numa(struct run_opts *o, const char *val, struct lodge_err *err)
{
	struct props *p = props_parse("-numa", val, "type", err);
	const char *type = p ? props_get(p, "type") : NULL;
	const char *memdev = p ? props_get(p, "memdev") : NULL;
	uint64_t node = 0;
	int r = p ? props_u64(p, "nodeid", UINT32_MAX, &node, err) : -EINVAL;

	if (!r && (!type || strcmp(type, "node") || !memdev || node || o->numa_said))
		r = err_set(err, -EINVAL,
			    "-numa %s: there is one node, with all processors and all memory; "
			    "'-numa node,memdev=ID' is what can be said of it",
			    val);
	if (!r)
		r = props_done(p, err);
	if (!r)
		r = run_opts_memory_backend(o, memdev, err);
	o->numa_said = true;
	props_free(p);
	return r;
}

/* A setting that may only say what is so. */
static int must_be(struct props *p, const char *key, bool fact, const char *why,
		   struct lodge_err *err)
{
	bool on = fact;
	int r = props_bool(p, key, &on, err);

	if (!r && on != fact)
		r = err_set(err, -ENOTSUP, "-object: %s=%s: %s", key, on ? "on" : "off", why);
	return r;
}

/* A file that is deleted at once, in a file system of memory: the same as ours. */
static int check_path(struct props *p, struct lodge_err *err)
{
	const char *path = props_get(p, "mem-path");
	struct statfs fs;

	if (!path)
		return err_set(err, -EINVAL, "-object memory-backend-file: mem-path= is missing");
	if (statfs(path, &fs) < 0)
		return err_set(err, -errno, "-object: mem-path=%s: %s", path, strerror(errno));
	if (fs.f_type != TMPFS_MAGIC)
		return err_set(err, -ENOTSUP,
			       "-object: mem-path=%s is not in memory; only a folder like /dev/shm "
			       "will do, or use memory-backend-memfd",
			       path);
	return 0;
}

static bool wants_vhost(struct run_opts *o)
{
	for (unsigned i = 0; i < o->vm.devices.n; i++) {
		const char *name = props_get(o->vm.devices.p[i], "driver");

		if (name && !strncmp(name, "vhost-user-", 11))
			return true;
	}
	return false;
}

static int read_size(struct run_opts *o, struct props *p, struct lodge_err *err)
{
	uint64_t bytes = 0;
	int r = props_size(p, "size", &bytes, err);

	if (r)
		return r;
	if (bytes < VM_RAM_MIN || bytes > VM_RAM_MAX)
		return err_set(err, -ERANGE, "-object: size= of 8M to 1T is possible");
	bytes = align_up(bytes, 4096);
	if (o->ram_said && bytes != o->vm.ram_bytes)
		return err_set(
			err, -EINVAL,
			"-m says %llu MiB and size= of -object %llu; leave -m out, or say the "
			"same",
			(unsigned long long)(o->vm.ram_bytes >> 20),
			(unsigned long long)(bytes >> 20));
	o->vm.ram_bytes = bytes;
	return 0;
}

static int read_object(struct run_opts *o, struct props *p, struct lodge_err *err)
{
	const char *type = props_get(p, "qom-type"), *id = props_get(p, "id");
	bool file = type && !strcmp(type, "memory-backend-file"), share = true;
	int r;

	if (!file &&
	    (!type || (strcmp(type, "memory-backend-memfd") && strcmp(type, "memory-backend-ram"))))
		return err_set(err, -ENOTSUP,
			       "-object: '%s' is not there; there are memory-backend-memfd, -ram "
			       "and -file, and -drive, -netdev and -chardev name other back ends",
			       type ? type : "");
	if (!id || !o->memory_backend || strcmp(id, o->memory_backend))
		return err_set(err, -EINVAL,
			       "-object %s: nothing uses '%s'; write '-machine memory-backend=ID'",
			       type, id ? id : "");
	r = file ? check_path(p, err) : 0;
	if (!r)
		r = read_size(o, p, err);
	if (!r)
		r = props_bool(p, "share", &share, err);
	if (!r && !share && wants_vhost(o))
		r = err_set(err, -EINVAL,
			    "-object: share=off, but the back end of a vhost-user device needs the "
			    "memory; write share=on");
	if (!r)
		r = must_be(p, "prealloc", false, "memory is taken when it is used", err);
	if (!r)
		r = must_be(p, "hugetlb", false, "huge pages are not there yet", err);
	if (!r)
		r = must_be(p, "seal", true, "its size is always sealed", err);
	if (!r)
		r = must_be(p, "dump", false, "core dumps never have guest memory", err);
	if (!r)
		r = must_be(p, "merge", false, "equal pages are not merged", err);
	return r ? r : props_done(p, err);
}

int run_opts_check_memory(struct run_opts *o, struct lodge_err *err)
{
	unsigned n = 0;

	for (unsigned i = 0; i < o->objects.n; i++) {
		struct props *p = o->objects.p[i];
		int r = run_opts_tls(o, p, err);

		if (!r) {
			r = read_object(o, p, err);
			n++;
		}
		if (r < 0)
			return r;
	}
	if (o->memory_backend && n != 1)
		return err_set(err, -EINVAL,
			       "the memory back end '%s' is %s; write '-object "
			       "memory-backend-memfd,id=%s,size=SIZE' once",
			       o->memory_backend, n ? "there twice" : "not there",
			       o->memory_backend);
	return 0;
}

const struct run_opt run_opts_memory[] = {
	{"object", "memory-backend-memfd,id=ID,size=SIZE[,share=on]",
	 "the guest's memory, for -machine memory-backend=ID; also memory-backend-ram, and "
	 "memory-backend-file with mem-path=/dev/shm; or tls-creds-x509|tls-creds-anon,id=ID,"
	 "endpoint=server[,dir=FOLDER][,verify-peer=off] for -vnc tls-creds=ID",
	 set_object},
	{"numa", "node,memdev=ID", "the same as -machine memory-backend=ID", set_numa},
	{NULL, NULL, NULL, NULL},
};
