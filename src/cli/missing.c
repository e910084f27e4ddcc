// SPDX-License-Identifier: GPL-2.0-or-later
/* QEMU's options that are not there yet, each with its sentence: refused, never ignored. */
#include <string.h>

#include "cli/run_opts.h"

#define DISPLAYS                                                                 \
	"this display is not there; -display sdl, -display vnc=:0 and -display " \
	"web=127.0.0.1:6080 are"
#define SOUND "sound is not there yet"
#define TABLES "firmware tables of your own are not there yet"
#define MEMORY "memory is not taken in advance; write '-m SIZE' or -object"
#define PRIVILEGE "the sandbox keeps files out of reach without it"
#define CONFIG "configuration files are not there yet; write the options out"

static const struct {
	const char *name, *why;
} missing[] = {
	{"sd", "SD cards are not there; use -drive"},
	{"mtdblock", "flash disks are not there; use -drive"},
	{"spice", DISPLAYS},
	{"sdl", DISPLAYS},
	{"gtk", DISPLAYS},
	{"curses", DISPLAYS},
	{"g", DISPLAYS},
	{"singlestep", "blocks are not cut into single instructions; -gdb steps"},
	{"audio", SOUND},
	{"audiodev", SOUND},
	{"soundhw", SOUND},
	{"loadvm", "machines are saved in files of their own; use -restore FILE"},
	{"only-migratable", "'lodge save' says what cannot be saved"},
	{"add-fd", "open descriptors are not taken over yet; name the files"},
	{"acpitable", TABLES},
	{"dtb", "device trees are not for this machine"},
	{"mem-path", MEMORY},
	{"mem-prealloc", MEMORY},
	{"chroot", PRIVILEGE},
	{"readconfig", CONFIG},
	{"writeconfig", CONFIG},
	{"global", CONFIG},
	{"set", CONFIG},
	{"icount", "counted time is not there yet"},
	{"action", "'-no-reboot' and '-no-shutdown' are the two actions there are"},
	{"watchdog", "watchdogs are not there yet"},
	{"watchdog-action", "watchdogs are not there yet"},
	{"no-acpi", "the machine always has ACPI"},
	{"no-hpet", "the machine always has an HPET"},
	{"win2k-hack", "the disks need no such hack"},
	{"tpmdev", "a TPM is not there yet"},
	{"trace", "use '-d LIST -D FILE' for traces"},
	{"tb-size", "the software engine sizes its cache itself"},
	{"msg", "messages carry no time stamps"},
	{"overcommit", MEMORY},
	{"semihosting", "semihosting is not for this machine"},
	{"bt", "Bluetooth is not there"},
	{"plugin", "plugins are not there yet"},
	{"preconfig",
	 "machines are whole before they start; -S stops one before its first instruction"},
	{"compat", CONFIG},
	{"echr", "the escape key is Ctrl-A and cannot be changed yet"},
	{"virtioconsole",
	 "write '-chardev BACKEND,id=ID -device virtio-serial-pci -device virtconsole,chardev=ID'"},
};

const char *run_opt_missing(const char *name)
{
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
		if (!strcmp(missing[i].name, name))
			return missing[i].why;
	}
	return NULL;
}
