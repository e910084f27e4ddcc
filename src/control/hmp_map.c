// SPDX-License-Identifier: GPL-2.0-or-later
/* HMP: "info" of what is where. Source: QEMU's human monitor, for names. Threads: the control thread's. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control/hmp_int.h"

static void say(void *opaque, const char *line)
{
	struct hmp *h = opaque;

	mon_buf_puts(h->out, line);
	mon_buf_puts(h->out, "\n");
}

static void put_bar(struct hmp *h, const struct vm_ctl_pci *d, unsigned i)
{
	const char *kind = d->bar[i].io	    ? "I/O"
			   : d->bar[i].wide ? "64 bit memory"
					    : "32 bit memory";

	mon_buf_printf(h->out, "      BAR%u: %s%s", i, kind,
		       d->bar[i].prefetch ? ", prefetchable" : "");
	if (d->bar[i].base == UINT64_MAX)
		mon_buf_printf(h->out, ", %" PRIu64 " bytes, not mapped\n", d->bar[i].size);
	else
		mon_buf_printf(h->out, " at 0x%" PRIx64 " [0x%" PRIx64 "]\n", d->bar[i].base,
			       d->bar[i].base + d->bar[i].size - 1);
}

int hmp_pci(struct hmp *h, char **word)
{
	struct vm_ctl_pci *d = calloc(VM_CTL_PCI, sizeof(*d));
	unsigned n = d ? vm_ctl_pci(h->vm, d) : 0;

	(void)word;
	for (unsigned i = 0; i < n; i++) {
		mon_buf_printf(h->out,
			       "  Bus  0, device %3u, function %u:\n"
			       "    %s: PCI device %04x:%04x (%s)\n",
			       d[i].slot, d[i].function, mon_pci_class(d[i].class_code),
			       d[i].vendor, d[i].device, d[i].name);
		if (d[i].subsys_vendor)
			mon_buf_printf(h->out, "      PCI subsystem %04x:%04x\n",
				       d[i].subsys_vendor, d[i].subsys);
		if (d[i].pin)
			mon_buf_printf(h->out, "      IRQ %u, pin %c\n", d[i].irq,
				       'A' + d[i].pin - 1);
		for (unsigned k = 0; k < 7; k++) {
			if (d[i].bar[k].there)
				put_bar(h, &d[i], k);
		}
		mon_buf_printf(h->out, "      id \"%s\"\n", d[i].id);
	}
	free(d);
	return 0;
}

int hmp_mtree(struct hmp *h, char **word)
{
	(void)word;
	vm_ctl_map(h->vm, say, h);
	return 0;
}

int hmp_qtree(struct hmp *h, char **word)
{
	(void)word;
	vm_ctl_devices(h->vm, say, h);
	return 0;
}

int hmp_device_state(struct hmp *h, char **word)
{
	return vm_ctl_device_state(h->vm, word[0], say, h, &h->err);
}

int hmp_pic(struct hmp *h, char **word)
{
	int r = vm_ctl_device_state(h->vm, "i8259", say, h, &h->err);

	(void)word;
	return r ? r : vm_ctl_device_state(h->vm, "ioapic", say, h, &h->err);
}

int hmp_lapic(struct hmp *h, char **word)
{
	char name[32] = "lapic#";

	(void)word;
	snprintf(name + strlen(name), sizeof(name) - strlen(name), "%u", h->m->cpu);
	return vm_ctl_device_state(h->vm, name, say, h, &h->err);
}

int hmp_memory_size(struct hmp *h, char **word)
{
	struct vm_ctl_info info;

	(void)word;
	vm_ctl_info(h->vm, &info);
	mon_buf_printf(h->out, "base memory: %" PRIu64 "\nplugged memory: 0\n", info.ram_bytes);
	return 0;
}
