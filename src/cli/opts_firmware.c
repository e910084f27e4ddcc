// SPDX-License-Identifier: GPL-2.0-or-later
/* Options of `lodge run` about firmware: which, where it is, and what it is to boot. Threads: main only. */
#include <errno.h>
#include <string.h>

#include "base/keyval.h"
#include "base/range.h"
#include "cli/run_opts.h"

static int set_bios(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)err;
	o->vm.bios = val;
	return 0;
}

static int set_data_dir(struct run_opts *o, const char *val, struct lodge_err *err)
{
	if (o->vm.n_data_dirs == VM_DATA_DIRS)
		return err_set(err, -EINVAL, "-L: %u folders are the most", VM_DATA_DIRS);
	o->vm.data_dirs[o->vm.n_data_dirs++] = val;
	return 0;
}

/* ---- -boot ------------------------------------------------------------------------------------ */

static int set_order(char *order, const char *key, const char *val, struct lodge_err *err)
{
	for (const char *p = val; *p; p++) {
		if (!strchr("abcdn", *p))
			return err_set(
				err, -EINVAL,
				"-boot %s=%s: there is no '%c'; a is the floppy, c the disk, "
				"d the CD, n the network",
				key, val, *p);
		if (strchr(p + 1, *p))
			return err_set(err, -EINVAL, "-boot %s=%s: '%c' comes twice", key, val, *p);
	}
	if (!*val || strlen(val) > 3)
		return err_set(err, -EINVAL, "-boot %s=%s: one to three letters make an order", key,
			       val);
	strcpy(order, val);
	return 0;
}

static int set_switch(bool *out, const struct keyval *kv, struct lodge_err *err)
{
	if (parse_bool(kv->val, out))
		return err_set(err, -EINVAL, "-boot: %s=%s is neither on nor off", kv->key,
			       kv->val);
	return 0;
}

static int set_splash_time(struct vm_boot *b, const struct keyval *kv, struct lodge_err *err)
{
	uint64_t ms;

	if (parse_u64(kv->val, &ms) || ms > UINT16_MAX)
		return err_set(err, -EINVAL,
			       "-boot: splash-time=%s is no time; write 0 to 65535 ms", kv->val);
	b->has_splash_time = true;
	b->splash_time_ms = (uint16_t)ms;
	return 0;
}

static int set_reboot_timeout(struct vm_boot *b, const struct keyval *kv, struct lodge_err *err)
{
	uint64_t ms;

	b->has_reboot_timeout = true;
	b->reboot_timeout_ms = UINT32_MAX;
	if (!strcmp(kv->val, "-1"))
		return 0;
	if (parse_u64(kv->val, &ms) || ms > UINT16_MAX)
		return err_set(
			err, -EINVAL,
			"-boot: reboot-timeout=%s is no time; write 0 to 65535 ms, or -1 for "
			"never",
			kv->val);
	b->reboot_timeout_ms = (uint32_t)ms;
	return 0;
}

static int set_boot_pair(struct vm_boot *b, const struct keyval *kv, struct lodge_err *err)
{
	if (!strcmp(kv->key, "order"))
		return set_order(b->order, kv->key, kv->val, err);
	if (!strcmp(kv->key, "once"))
		return set_order(b->once, kv->key, kv->val, err);
	if (!strcmp(kv->key, "menu"))
		return set_switch(&b->menu, kv, err);
	if (!strcmp(kv->key, "strict"))
		return set_switch(&b->strict, kv, err);
	if (!strcmp(kv->key, "splash-time"))
		return set_splash_time(b, kv, err);
	if (!strcmp(kv->key, "reboot-timeout"))
		return set_reboot_timeout(b, kv, err);
	if (!strcmp(kv->key, "splash"))
		return err_set(err, -EINVAL,
			       "-boot: splash=%s is a picture, and there is no display yet",
			       kv->val);
	return err_set(err, -EINVAL,
		       "-boot: there is no '%s'; there are order, once, menu, splash-time, "
		       "reboot-timeout and strict",
		       kv->key);
}

static int set_boot(struct run_opts *o, const char *val, struct lodge_err *err)
{
	struct keyval kv;
	int r;

	keyval_init(&kv, val, "order");
	while ((r = keyval_next(&kv, err)) > 0) {
		r = set_boot_pair(&o->vm.boot, &kv, err);
		if (r)
			return r;
	}
	return r;
}

static int set_no_fd_bootchk(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)val;
	(void)err;
	o->vm.boot.no_floppy_check = true;
	return 0;
}

static int set_option_rom(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return run_opts_add(&o->vm.option_roms, "-option-rom", val, "romfile", err);
}

/* ---- -uuid, -smbios ------------------------------------------------------------------------------------ */

static int set_uuid(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)err;
	o->vm.uuid = val;
	return 0;
}

static int set_smbios(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return run_opts_add(&o->vm.smbios, "-smbios", val, NULL, err);
}

const struct run_opt run_opts_firmware[] = {
	{"bios", "FILE", "firmware image (bios-256k.bin, without -kernel)", set_bios},
	{"L", "DIR", "one more folder with firmware and option ROMs", set_data_dir},
	{"boot", "[order=]LETTERS[,once=LETTERS][,menu=on][,splash-time=MS][,strict=on]",
	 "what firmware boots: a floppy, c disk, d CD, n network (cad)", set_boot},
	{"option-rom", "FILE[,bootindex=N]", "an option ROM for the BIOS", set_option_rom},
	{"no-fd-bootchk", NULL, "boot floppies without a boot signature, too", set_no_fd_bootchk},
	{"uuid", "UUID", "the machine's identity, in SMBIOS", set_uuid},
	{"smbios", "type=0|1|2|3|11[,SETTING=VALUE]",
	 "what SMBIOS says of firmware, system, board, chassis; strings for the guest (value=)",
	 set_smbios},
	{NULL, NULL, NULL, NULL},
};
