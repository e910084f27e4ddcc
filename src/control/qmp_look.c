// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QMP: memory to files, PCI, NMI, waking. Source: QEMU's QMP reference (memsave, pmemsave, query-pci, inject-nmi,
 * system_wakeup, query-current-machine). Threads: the control thread's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/range.h"
#include "control/mon_int.h"

/* ---- Memory into a file ------------------------------------------------------------------------- */

#define PIECE_BYTES (1u << 20)

static int write_out(int fd, const uint8_t *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int copy_out(struct mon *m, const struct mon_memory *what, int fd, uint8_t *buf,
		    struct lodge_err *err)
{
	uint64_t done = 0;
	int r = 0;

	while (done < what->bytes && !r) {
		size_t n = (size_t)min_u64(PIECE_BYTES, what->bytes - done);

		r = vm_ctl_memory(m->vm, what->cpu, what->physical, what->addr + done, buf, n, err);
		if (r)
			break;
		r = write_out(fd, buf, n);
		if (r)
			err_set(err, r, "cannot write '%.400s': %s", what->path, strerror(-r));
		done += n;
	}
	return r;
}

int mon_save_memory(struct mon *m, const struct mon_memory *what, struct lodge_err *err)
{
	uint8_t *buf, first;
	int fd, r;

	if (!what->bytes || what->addr + what->bytes - 1 < what->addr)
		return err_set(err, -EINVAL, "Parameter 'size' expects a size above 0");
	/* A mistake leaves no file. */
	r = vm_ctl_memory(m->vm, what->cpu, what->physical, what->addr, &first, 1, err);
	if (r)
		return r;
	fd = open(what->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, -errno, "cannot make '%.400s': %s%s", what->path,
			       strerror(errno), file_denied_hint(errno));
	buf = malloc(PIECE_BYTES);
	r = buf ? copy_out(m, what, fd, buf, err) : err_set(err, -ENOMEM, "no memory for a copy");
	free(buf);
	close(fd);
	return r;
}

static int save(struct mon *m, json_t *args, bool physical, struct lodge_err *err)
{
	const struct mon_memory what = {
		.cpu = (unsigned)qmp_int(args, "cpu-index", 0),
		.physical = physical,
		.addr = (uint64_t)qmp_int(args, "val", 0),
		.bytes = (uint64_t)qmp_int(args, "size", 0),
		.path = qmp_str(args, "filename"),
	};

	return mon_save_memory(m, &what, err);
}

COMMAND(memsave)
{
	return save(m, args, false, err);
}

COMMAND(pmemsave)
{
	return save(m, args, true, err);
}

/* ---- PCI ---------------------------------------------------------------------------------------- */

static json_t *regions_json(const struct vm_ctl_pci *d)
{
	json_t *list = json_array();

	for (int i = 0; i < 7; i++) {
		json_t *j;

		if (!d->bar[i].there)
			continue;
		j = json_pack("{s:i, s:I, s:I, s:s}", "bar", i, "address",
			      (json_int_t)d->bar[i].base, "size", (json_int_t)d->bar[i].size,
			      "type", d->bar[i].io ? "io" : "memory");
		if (j && !d->bar[i].io) {
			json_object_set_new(j, "prefetch", json_boolean(d->bar[i].prefetch));
			json_object_set_new(j, "mem_type_64", json_boolean(d->bar[i].wide));
		}
		json_array_append_new(list, j);
	}
	return list;
}

const char *mon_pci_class(uint16_t code)
{
	static const struct {
		uint16_t code;
		const char *name;
	} names[] = {
		{0x0101, "IDE controller"},
		{0x0106, "SATA controller"},
		{0x0108, "NVMe controller"},
		{0x0100, "SCSI controller"},
		{0x0200, "Ethernet controller"},
		{0x0300, "VGA controller"},
		{0x0380, "Display controller"},
		{0x0500, "RAM controller"},
		{0x0600, "Host bridge"},
		{0x0601, "ISA bridge"},
		{0x0680, "Bridge"},
		{0x0780, "Communication controller"},
		{0x0c03, "USB controller"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].code == code)
			return names[i].name;
	}
	return "Unclassified device";
}

static json_t *function_json(const struct vm_ctl_pci *d)
{
	json_t *j = json_pack("{s:i, s:i, s:i, s:{s:i, s:s}, s:{s:i, s:i, s:i, s:i}, s:s, s:o}",
			      "bus", 0, "slot", d->slot, "function", d->function, "class_info",
			      "class", d->class_code, "desc", mon_pci_class(d->class_code), "id",
			      "device", d->device, "vendor", d->vendor, "subsystem", d->subsys,
			      "subsystem-vendor", d->subsys_vendor, "qdev_id", d->id, "regions",
			      regions_json(d));

	if (j && d->pin) {
		json_object_set_new(j, "irq", json_integer(d->irq));
		json_object_set_new(j, "irq_pin", json_integer(d->pin));
	}
	return j;
}

COMMAND(query_pci)
{
	struct vm_ctl_pci *d = calloc(VM_CTL_PCI, sizeof(*d));
	unsigned n = d ? vm_ctl_pci(m->vm, d) : 0;
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, function_json(&d[i]));
	free(d);
	*ret = json_pack("[{s:i, s:o}]", "bus", 0, "devices", list);
	return 0;
}

/* ---- Others ------------------------------------------------------------------------------------- */

COMMAND(inject_nmi)
{
	vm_ctl_nmi(m->vm);
	return 0;
}

COMMAND(current_machine)
{
	/* There is no S3: nothing sleeps that could be woken. */
	*ret = json_pack("{s:b}", "wakeup-suspend-support", 0);
	return 0;
}

COMMAND(wakeup)
{
	return err_set(err, -ENOTSUP, "wake-up from suspend is not supported by this guest");
}

const struct qmp_command qmp_look_commands[] = {
	{"memsave", "val:i,size:i,filename:s,?cpu-index:i", memsave},
	{"pmemsave", "val:i,size:i,filename:s", pmemsave},
	{"query-pci", "", query_pci},
	{"inject-nmi", "", inject_nmi},
	{"query-current-machine", "", current_machine},
	{"system_wakeup", "", wakeup},
	{NULL, NULL, NULL},
};
