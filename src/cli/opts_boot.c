// SPDX-License-Identifier: GPL-2.0-or-later
/* Options of `lodge run` about what boots. Threads: main only. */
#include <errno.h>
#include <string.h>

#include "base/keyval.h"
#include "cli/run_opts.h"

static int set_kernel(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)err;
	o->vm.kernel = val;
	return 0;
}

static int set_initrd(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)err;
	o->vm.initrd = val;
	return 0;
}

static int set_append(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)err;
	o->vm.append = val;
	return 0;
}

static int fw_cfg_pair(struct run_opts *o, struct vm_fwcfg_item *item, const struct keyval *kv,
		       struct lodge_err *err)
{
	const char **where = !strcmp(kv->key, "name")	  ? &item->name
			     : !strcmp(kv->key, "string") ? &item->string
			     : !strcmp(kv->key, "file")	  ? &item->file
							  : NULL;

	if (!where)
		return err_set(err, -EINVAL,
			       "-fw_cfg: there is no '%s'; there are name, string and "
			       "file",
			       kv->key);
	*where = run_opts_keep(o, kv->val);
	return *where ? 0 : err_set(err, -ENOMEM, "-fw_cfg: too many items");
}

static int set_fw_cfg(struct run_opts *o, const char *val, struct lodge_err *err)
{
	struct vm_fwcfg_item item = {NULL, NULL, NULL};
	struct keyval kv;
	int r;

	keyval_init(&kv, val, "name");
	while ((r = keyval_next(&kv, err)) > 0) {
		r = fw_cfg_pair(o, &item, &kv, err);
		if (r)
			return r;
	}
	if (r)
		return r;
	if (!item.name || !item.string == !item.file)
		return err_set(
			err, -EINVAL,
			"-fw_cfg %s: write name=opt/NAME and one of string=TEXT and file=PATH",
			val);
	if (o->vm.fwcfg_items == VM_FWCFG_ITEMS)
		return err_set(err, -EINVAL, "-fw_cfg: %u items are the most", VM_FWCFG_ITEMS);
	o->vm.fwcfg[o->vm.fwcfg_items++] = item;
	return 0;
}

static int set_no_reboot(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)val;
	(void)err;
	o->vm.no_reboot = true;
	return 0;
}

static int set_no_shutdown(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)val;
	(void)err;
	o->vm.no_shutdown = true;
	return 0;
}

const struct run_opt run_opts_boot[] = {
	{"kernel", "FILE", "Linux bzImage, ELF vmlinux (PVH) or Multiboot kernel", set_kernel},
	{"initrd", "FILE", "initial RAM disk, or Multiboot modules 'FILE ARGS,FILE ARGS'",
	 set_initrd},
	{"append", "TEXT", "the kernel's command line", set_append},
	{"fw_cfg", "[name=]NAME,string=TEXT|file=PATH", "a file in the fw_cfg device", set_fw_cfg},
	{"no-reboot", NULL, "a reset of the guest ends the machine", set_no_reboot},
	{"no-shutdown", NULL, "a power-off of the guest stops it and keeps the process",
	 set_no_shutdown},
	{NULL, NULL, NULL, NULL},
};
