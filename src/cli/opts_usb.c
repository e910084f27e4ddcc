// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * -usb, -usbdevice, and the tablet of machines that are looked at (docs/adr/0025). Threads: main only.
 */
#include <errno.h>
#include <string.h>

#include "base/props.h"
#include "base/range.h"
#include "cli/run_opts.h"

int run_opts_set_usb(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)val;
	(void)err;
	o->usb = true;
	return 0;
}

int run_opts_set_usbdevice(struct run_opts *o, const char *val, struct lodge_err *err)
{
	static const struct {
		const char *name, *driver;
	} kinds[] = {{"tablet", "usb-tablet"}, {"mouse", "usb-mouse"}, {"keyboard", "usb-kbd"}};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(val, kinds[i].name))
			continue;
		o->usb = true;
		return run_opts_add(&o->vm.devices, "-usbdevice", kinds[i].driver, "driver", err);
	}
	return err_set(err, -EINVAL,
		       "-usbdevice %s: there are tablet, mouse and keyboard; -device help lists "
		       "others",
		       val);
}

static bool has_device(const struct run_opts *o, const char *const *names, size_t n)
{
	for (unsigned i = 0; i < o->vm.devices.n; i++) {
		const char *driver = props_get(o->vm.devices.p[i], "driver");

		for (size_t k = 0; driver && k < n; k++) {
			if (!strcmp(driver, names[k]))
				return true;
		}
	}
	return false;
}

static int add(struct run_opts *o, const char *device, struct lodge_err *err)
{
	/* The machine's from now on, also when that is saved. */
	o->said[o->vm.n_said++] = "-device";
	o->said[o->vm.n_said++] = device;
	return run_opts_add(&o->vm.devices, "-device", device, "driver", err);
}

/* Whoever looks at the screen has a pointer that is where it is shown, unless the machine's pointer was chosen. */
static int default_tablet(struct run_opts *o, struct lodge_err *err)
{
	static const char *const pointers[] = {"usb-tablet", "usb-mouse", "virtio-tablet-pci",
					       "virtio-mouse-pci"};
	static const char *const controllers[] = {"qemu-xhci", "nec-usb-xhci", "piix3-usb-uhci"};
	int r = 0;

	if ((!o->vnc && !o->web) || o->nodefaults || o->restore ||
	    has_device(o, pointers, ARRAY_SIZE(pointers)))
		return 0;
	if (!o->usb && !has_device(o, controllers, ARRAY_SIZE(controllers)))
		r = add(o, "qemu-xhci", err);
	return r ? r : add(o, "usb-tablet", err);
}

int run_opts_add_usb(struct run_opts *o, struct lodge_err *err)
{
	struct vm_options *d = &o->vm.devices;
	struct props *uhci;
	int r = default_tablet(o, err);

	if (r || !o->usb)
		return r;
	/* Function 2 of the PIIX3; before what is plugged into it. */
	r = run_opts_add(d, "-usb", "piix3-usb-uhci,addr=1.2", "driver", err);
	if (r)
		return r;
	uhci = d->p[d->n - 1];
	memmove(d->p + 1, d->p, (d->n - 1) * sizeof(d->p[0]));
	d->p[0] = uhci;
	return 0;
}
