// SPDX-License-Identifier: GPL-2.0-or-later
/* HMP: devices. Source: QEMU's human monitor. Threads: the control thread's. */
#include <errno.h>
#include <string.h>

#include "base/keyval.h"
#include "base/props.h"
#include "control/hmp_int.h"

/* ---- Network ------------------------------------------------------------------------------------ */

static int hostfwd(struct hmp *h, bool add, char **word)
{
	const char *id = word[1] ? word[0] : NULL;
	int r = vm_ctl_hostfwd(h->vm, id, add, word[1] ? word[1] : word[0], &h->err);

	if (!r && !add)
		mon_buf_printf(h->out, "host forwarding rule for %s removed\n",
			       word[1] ? word[1] : word[0]);
	return r;
}

static int hostfwd_add(struct hmp *h, char **word)
{
	return hostfwd(h, true, word);
}

static int hostfwd_remove(struct hmp *h, char **word)
{
	return hostfwd(h, false, word);
}

static int set_link(struct hmp *h, char **word)
{
	bool up;

	if (parse_bool(word[1], &up))
		return err_set(&h->err, -EINVAL, "a link is on or off");
	return vm_ctl_set_link(h->vm, word[0], up, &h->err);
}

/* ---- Disks -------------------------------------------------------------------------------------- */

/* -f in front of the other words. */
static bool take_force(char ***word)
{
	if (!(*word)[0] || strcmp((*word)[0], "-f"))
		return false;
	++*word;
	return true;
}

static int eject(struct hmp *h, char **word)
{
	bool force = take_force(&word);

	if (!word[0] || word[1])
		return err_set(&h->err, -EINVAL, "write it as: eject [-f] DEVICE");
	return vm_ctl_eject(h->vm, word[0], force, &h->err);
}

static int change(struct hmp *h, char **word)
{
	bool force = take_force(&word);
	const char *mode;

	if (!word[0] || !word[1])
		return err_set(&h->err, -EINVAL,
			       "write it as: change [-f] DEVICE FILE [FORMAT [read-only]]");
	mode = word[2] ? word[3] : NULL;
	if (mode && strcmp(mode, "read-only") && strcmp(mode, "retain") &&
	    strcmp(mode, "read-write"))
		return err_set(&h->err, -EINVAL, "the mode is retain, read-only or read-write");
	return vm_ctl_change(h->vm, word[0], word[1], word[2], mode && !strcmp(mode, "read-only"),
			     force, &h->err);
}

static int resize(struct hmp *h, char **word)
{
	uint64_t bytes;

	/* Without a suffix it counts in MiB, as on QEMU. */
	if (parse_size(word[1], 1 << 20, &bytes) || !bytes)
		return err_set(&h->err, -EINVAL, "'%.60s' is not a size", word[1]);
	return vm_ctl_resize(h->vm, word[0], bytes, &h->err);
}

static int snapshot(struct hmp *h, char **word)
{
	bool existing = word[0] && !strcmp(word[0], "-n");

	word += existing;
	if (!word[0] || !word[1] || (word[2] && strcmp(word[2], "qcow2")))
		return err_set(&h->err, -EINVAL,
			       "write it as: snapshot_blkdev [-n] DEVICE FILE [qcow2]");
	return vm_ctl_snapshot(h->vm, word[0], word[1], existing, &h->err);
}

/* ---- Others ------------------------------------------------------------------------------------- */

static int balloon(struct hmp *h, char **word)
{
	uint64_t bytes;

	if (parse_size(word[0], 1 << 20, &bytes))
		return err_set(&h->err, -EINVAL, "'%.60s' is not a size in MiB", word[0]);
	return vm_ctl_balloon(h->vm, bytes, &h->err);
}

static int device_add(struct hmp *h, char **word)
{
	struct props *p = props_parse("device_add", word[0], "driver", &h->err);
	int r = p ? vm_ctl_device_add(h->vm, p, &h->err) : -EINVAL;

	props_free(p);
	return r;
}

static int device_del(struct hmp *h, char **word)
{
	return vm_ctl_device_del(h->vm, word[0], &h->err);
}

static int netdev_add(struct hmp *h, char **word)
{
	struct props *p = props_parse("netdev_add", word[0], "type", &h->err);
	int r = p ? vm_ctl_netdev_add(h->vm, p, &h->err) : -EINVAL;

	props_free(p);
	return r;
}

static int netdev_del(struct hmp *h, char **word)
{
	return vm_ctl_netdev_del(h->vm, word[0], &h->err);
}

/* As -drive has it; the first word, a PCI address, means nothing. */
static int drive_add(struct hmp *h, char **word)
{
	struct props *p = props_parse("drive_add", word[1], NULL, &h->err);
	const char *id, *file, *format, *iface;
	bool read_only = false;
	int r = p ? props_bool(p, "readonly", &read_only, &h->err) : -EINVAL;

	if (r) {
		props_free(p);
		return r;
	}
	id = props_get(p, "id");
	file = props_get(p, "file");
	format = props_get(p, "format");
	iface = props_get(p, "if");
	if (!iface || strcmp(iface, "none") || !id || !file)
		r = err_set(&h->err, -EINVAL,
			    "write it as: drive_add 0 if=none,id=ID,file=PATH[,format=FORMAT]");
	if (!r)
		r = props_done(p, &h->err);
	if (!r)
		r = vm_ctl_drive_add(h->vm, id, file, format, read_only, &h->err);
	if (!r)
		mon_buf_puts(h->out, "OK\n");
	props_free(p);
	return r;
}

static int drive_del(struct hmp *h, char **word)
{
	return vm_ctl_drive_del(h->vm, word[0], &h->err);
}

const struct hmp_command hmp_device_commands[] = {
	{"hostfwd_add", NULL, "[NETDEV] [tcp|udp]:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT",
	 "forward a port of the host to the guest", 1, 2, hostfwd_add},
	{"hostfwd_remove", NULL, "[NETDEV] [tcp|udp]:[HOSTADDR]:HOSTPORT", "and no longer", 1, 2,
	 hostfwd_remove},
	{"set_link", NULL, "NETDEV on|off", "plug a network cable in or out", 2, 2, set_link},
	{"change", NULL, "[-f] DEVICE FILE [FORMAT [read-only]]",
	 "another CD or floppy; -f even if the guest has locked the door", 2, 5, change},
	{"eject", NULL, "[-f] DEVICE", "take the CD or floppy out", 1, 2, eject},
	{"block_resize", NULL, "DEVICE SIZE",
	 "another size for a virtio disk, in MiB or with a suffix", 2, 2, resize},
	{"snapshot_blkdev", NULL, "[-n] DEVICE FILE [qcow2]",
	 "write to a new image from now on, which stands on the present one", 2, 4, snapshot},
	{"balloon", NULL, "SIZE", "ask the guest to keep so much memory, in MiB", 1, 1, balloon},
	{"drive_add", NULL, "0 if=none,id=ID,file=PATH[,format=FORMAT][,readonly=on]",
	 "a drive for device_add", 2, 2, drive_add},
	{"drive_del", NULL, "ID", "away with a drive that no device shows", 1, 1, drive_del},
	{"netdev_add", NULL, "user,id=ID[,SETTING=VALUE]", "a network for device_add", 1, 1,
	 netdev_add},
	{"netdev_del", NULL, "ID", "away with a network that no card uses", 1, 1, netdev_del},
	{"device_add", NULL, "DRIVER[,SETTING=VALUE]", "add a virtio disk, network card or rng", 1,
	 1, device_add},
	{"device_del", NULL, "ID", "ask the guest to let a device go", 1, 1, device_del},
	{NULL, NULL, NULL, NULL, 0, 0, NULL},
};
