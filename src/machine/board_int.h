/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the board. Private to src/machine. Threads: with the VM lock held. */
#ifndef LODGE_MACHINE_BOARD_INT_H
#define LODGE_MACHINE_BOARD_INT_H

#include "base/list.h"
#include "devices/legacy/apic_bus.h"
#include "devices/legacy/debugcon.h"
#include "devices/legacy/fw_cfg.h"
#include "devices/legacy/hpet.h"
#include "devices/legacy/i440fx.h"
#include "devices/legacy/i8042.h"
#include "devices/legacy/i8237.h"
#include "devices/legacy/i8254.h"
#include "devices/legacy/i8259.h"
#include "devices/legacy/ioapic.h"
#include "devices/legacy/isa_debug_exit.h"
#include "devices/legacy/mc146818.h"
#include "devices/legacy/pci_hotplug.h"
#include "devices/legacy/piix3.h"
#include "devices/legacy/piix4_pm.h"
#include "devices/legacy/port61.h"
#include "devices/legacy/port92.h"
#include "devices/legacy/uart16550.h"
#include "devices/storage/ahci.h"
#include "devices/storage/fdc.h"
#include "devices/storage/nvme.h"
#include "devices/storage/piix3_ide.h"
#include "base/props.h"
#include "firmware/fwfile.h"
#include "firmware/loader.h"
#include "machine/vm_int.h"

/* The 128 KiB below 1 MiB, and again at the top of 4 GiB, where the reset vector is. */
#define BOARD_FW_BYTES 0x20000u
#define BOARD_FLASHES 2u

struct board_flash;
struct net_backend;

struct board {
	struct vm *vm;
	struct list devices; /* in reset order */
	struct list added;   /* struct board_added: those of -device and its kin */
	struct list drives;  /* struct drive */
	struct list boot;    /* struct board_boot_entry */
	struct list nets;    /* struct board_net: the back ends of -netdev and -nic */
	unsigned net_cards;  /* that were given a MAC address */
	struct list roms;    /* struct pci_rom */
	struct list shares;  /* struct share: folders of the host, each with a thread */
	struct list videos;  /* struct board_video: display adapters, with their memory */

	struct apic_bus *apics;
	bool apics_remote;     /* the local APICs at work are in the host's kernel, */
	bool chips_remote;     /* and so are the I/O APIC, the 8259s and the 8254 */
	bool hpet_legacy;      /* the HPET has the 8254's place */
	struct lapic **lapics; /* one per vCPU */
	struct ioapic *ioapic;
	struct i8259_pair *pic;
	struct i8254 *pit;
	struct hpet *hpet;
	struct mc146818 *rtc;
	struct i8042 *kbc;
	struct input *input; /* what people do, for keyboards and pointers */
	struct board_input *ps2;
	struct i8237_pair *dma;
	struct fdc *fdc;
	struct port61 *port61;
	struct port92 *port92;
	struct uart16550 *uart[VM_SERIALS];
	struct debugcon *debugcon;
	struct isa_debug_exit *debug_exit;
	struct fw_cfg *fw_cfg;
	struct pci_bus *pci;
	struct i440fx *host_bridge;
	struct piix3 *isa_bridge;
	struct piix3_ide *ide;
	unsigned ata_drives; /* made so far: their serial numbers */
	struct piix4_pm *pm;
	struct pci_hotplug *hotplug;

	uint64_t ram_low, ram_high;	  /* below and above 4 GiB */
	uint64_t rom_bytes;		  /* of firmware, at the end of the backing; 0: none */
	uint64_t video_bytes, video_used; /* of display adapters, behind the RAM in the backing */
	struct board_flash *flash[BOARD_FLASHES];
	struct fw_smbios smbios; /* -smbios, and -uuid */
	uint8_t uuid[16];
	struct fw_loader tables; /* ACPI tables for firmware, read by fw_cfg */
	bool has_vga;
	bool booted;		   /* -boot once= is over */
	bool taken_out;		   /* a device of the options is gone */
	unsigned uart_irq;	   /* which UARTs ask for an interrupt */
	bool nmi_line, nmi_masked; /* port 0x61's output, bit 7 of port 0x70 */
	/* While devices are loaded: ISA lines wait, so that none shows an edge. Levels, and which were set. */
	bool loading;
	uint16_t load_level, load_set;
};

/* ---- board_pc.c --------------------------------------------------------------------------------- */

/* An NMI button. */
void board_press_nmi(struct board *b);
/* Lines of devices are taken note of from now on; and are as noted. Around loading the devices' state. */
void board_hold_lines(struct board *b);
void board_release_lines(struct board *b);

/* ---- board_state.c: devices as saved state ------------------------------------------------------ */

struct state_writer;
/* Can all be saved now? -errno with a sentence that says what cannot. */
int board_can_save(struct board *b, struct lodge_err *err) MUST_CHECK;
/* Every device, and the board's own wires. -errno with a sentence. */
int board_save(struct board *b, struct state_writer *w, struct lodge_err *err) MUST_CHECK;
/* Into devices that were reset. The file has those of this board, each once, and no others. */
int board_load(struct board *b, const struct state_file *f, struct lodge_err *err) MUST_CHECK;

/* "class@SLOT.FUNCTION" or "class#N": a device's name in saved machines. */
#define BOARD_NAME_LEN 64u
void board_device_name(struct board *b, const struct device *dev, char name[BOARD_NAME_LEN]);

/* ---- board_mem.c: the memory map ----------------------------------------------------------------
 */

/* Map RAM, and -bios if there is one. Once, before devices. */
int board_map_memory(struct board *b, struct lodge_err *err) MUST_CHECK;
/* The host bridge's shadow RAM switches; fits i440fx_host.pam. */
void board_pam(void *board, gpa_t gpa, uint32_t len, unsigned attr);

/* ---- board_irqchip.c: local APICs in the host's kernel ------------------------------------------ */

/* Where they are: the engine's choice. */
enum engine_irqchip board_irqchip(const struct vm *vm);
/* After apic_bus_new, before anything is on that bus. */
void board_wire_irqchip(struct board *b);
/* With all controllers there, those of the board rest: they hold state, and the levels of their inputs. */
void board_rest_chips(struct board *b);
/* Fits hpet_config.legacy. */
void board_chip_hpet(void *board, unsigned n, bool level);
/* Where PCI functions' interrupt messages go. */
void board_wire_msi(struct board *b);
/*
 * The devices' state into the kernel (after a reset, or a load), and out of there (before it is saved or
 * shown). Nothing to do where no controller is in the kernel. With every vCPU parked.
 */
int board_irqchip_put(struct board *b, struct lodge_err *err) MUST_CHECK;
int board_irqchip_get(struct board *b, struct lodge_err *err) MUST_CHECK;
/* The guest's clock stops, or goes on. */
void board_irqchip_hold(struct board *b, bool on);

/* ---- board_shortcut.c ----------------------------------------------------------------------------- */

/* What the engine can take of the guest's writes. Before any device is on the bus. */
void board_wire_shortcuts(struct vm *vm);

/* ---- board_boot.c: what is in memory when the first instruction runs ------------------------ */

/* The machine as tables describe it. */
void board_tables_config(const struct board *b, struct fw_tables_config *cfg);
/* After all devices were reset: load firmware or a kernel, set all processors. */
int board_boot(struct board *b, struct lodge_err *err) MUST_CHECK;

/* ---- board_rom.c: the firmware image ---------------------------------------------------------- */

/* Into the ROM below 4 GiB. Once, after board_map_memory(). */
int board_load_rom(struct board *b, struct lodge_err *err) MUST_CHECK;

/* ---- board_smbios.c ----------------------------------------------------------------------------- */

/* What -smbios says. Once, before devices. */
int board_read_smbios(struct board *b, struct lodge_err *err) MUST_CHECK;

/* ---- board_flash.c: -drive if=pflash ------------------------------------------------------------ */

/* Read the images, say how big they are (rom_bytes). After drives_open(), before board_map_memory(). */
int board_open_flash(struct board *b, struct lodge_err *err) MUST_CHECK;
/* The devices. -ENOMEM. */
int board_wire_flash(struct board *b) MUST_CHECK;
void board_free_flash(struct board *b);

/* ---- board_fwcfg.c: what firmware is told ------------------------------------------------------- */

/* Give firmware the items it asks for, and `-fw_cfg`. Once. */
int board_fill_fw_cfg(struct board *b, struct lodge_err *err) MUST_CHECK;
/* -boot order= and once= into CMOS, at each reset. */
void board_set_boot_order(struct board *b);

/* ---- board_kernel.c ----------------------------------------------------------------------------- */

/* -kernel for firmware to boot, if there are both. After board_load_rom(). */
int board_add_kernel(struct board *b, struct lodge_err *err) MUST_CHECK;

/* ---- board_oprom.c: option ROMs ----------------------------------------------------------------- */

/* A ROM for the BIOS to run, to be booted from first, or where bootindex= of `p` (may be NULL) says. */
int board_add_option_rom(struct board *b, const char *name, bool first, struct props *p,
			 struct lodge_err *err) MUST_CHECK;
/* Those of -option-rom. */
int board_add_option_roms(struct board *b, struct lodge_err *err) MUST_CHECK;
/*
 * The ROM BAR of a PCI device: the file romfile= of `p` names ("": none), or else the file `usual`
 * (may be NULL: none) if firmware is there to run it and its package is installed; rombar=0: none. After
 * pci_dev_init() and before the device's reset.
 */
int board_pci_rom(struct board *b, struct props *p, struct pci_dev *d, const char *usual,
		  struct lodge_err *err) MUST_CHECK;
void board_free_roms(struct board *b);

/* ---- board_dev.c: devices of -device ------------------------------------------------------------
 */

/* A kind of device that -device can add. */
struct board_kind {
	const char *name;  /* as QEMU spells it */
	const char *alias; /* another name, or NULL */
	const char *help;  /* for `-device help`, with its settings */
	bool hotplug;	   /* it can be added to a running machine, and taken out */
	bool virtio;	   /* it is also called NAME-transitional and NAME-non-transitional */
	/* Make it and hand it over by board_adopt(). Reads its settings; the rest is refused afterwards. */
	int (*make)(struct board *b, struct props *p, struct lodge_err *err);
};

/* What was made, and kept by board_adopt(). */
struct board_added {
	struct list link;
	char *id; /* or NULL */
	struct device *dev;
	void *obj;
	void (*free_obj)(void *obj);
	const struct board_kind *kind; /* NULL: not by -device or device_add */
	bool leaving, ejected;	       /* asked to go; let go by the guest */
	bool hot;		       /* it came while the machine ran */
};

/* The one of that id; the one in that PCI slot; the newest; one that was let go. NULL if there is none. */
struct board_added *board_added_called(struct board *b, const char *id);
struct board_added *board_added_in(struct board *b, unsigned slot);
struct board_added *board_last_added(struct board *b);
struct board_added *board_next_ejected(struct board *b);
/* Free it, and what it shows is free for another. Its requests are waited for. */
void board_remove(struct board *b, struct board_added *a);
const struct board_kind *board_kind_called(const char *name);

/* ---- board_hotplug.c ---------------------------------------------------------------------------- */

struct pci_hotplug;
struct drive;

int board_wire_hotplug(struct board *b) MUST_CHECK;
/* Make a device of `p`, whose driver= was read, in the running machine. */
int board_hotplug(struct board *b, const struct board_kind *k, struct props *p,
		  struct lodge_err *err) MUST_CHECK;
/* Ask the guest to let it go. */
int board_unplug(struct board *b, const char *id, struct lodge_err *err) MUST_CHECK;
/* The drive of the next device that was let go, or NULL; and take that device out, false: there is none. */
struct drive *board_ejected_drive(struct board *b);
bool board_take_out(struct board *b);
/* All that were asked to go: at a reset. */
void board_take_out_leaving(struct board *b);

/* board_share.c: all of -virtfs; board_vhost.c: all of -share. */
int board_add_virtfs(struct board *b, struct lodge_err *err) MUST_CHECK;
int board_add_shares(struct board *b, struct lodge_err *err) MUST_CHECK;
/* board_virtio.c, board_share.c, board_vhost.c */
extern const struct board_kind board_vhost_user_fs, board_virtio_blk, board_virtio_rng,
	board_virtio_serial, board_virtio_balloon, board_virtio_9p, board_virtio_vsock,
	board_virtconsole, board_virtserialport;

/*
 * Put a device into the reset order and keep it until the board goes: `free_obj(obj)` then, in reverse
 * order. `id` (may be NULL) is copied. On -ENOMEM or -EEXIST (the id is taken) the object is freed.
 */
int board_adopt(struct board *b, const char *id, struct device *dev, void *obj,
		void (*free_obj)(void *obj), struct lodge_err *err) MUST_CHECK;
/* The last device of -device that is of this class (and has this id, unless it is NULL), or NULL. */
struct device *board_find_added(struct board *b, const struct device_class *cls, const char *id);
/* The place of a new PCI function: addr=SLOT[.FUNC] (hexadecimal, as QEMU) if given, else the first free slot. */
int board_pci_place(struct board *b, struct props *p, uint8_t *devfn,
		    struct lodge_err *err) MUST_CHECK;
/*
 * A device that firmware can boot from: bootindex=N of `p`, if it is there, and its Open Firmware path
 * below the PCI bus ("ethernet@3/ethernet-phy@0"), or a whole one, with a '/' in front. Used for fw_cfg's
 * "bootorder".
 */
int board_bootable(struct board *b, struct props *p, const char *path,
		   struct lodge_err *err) MUST_CHECK;
/* Before all others. */
int board_boot_first(struct board *b, const char *path, struct lodge_err *err) MUST_CHECK;
/* The path of the one to be tried as number `n`, or NULL. */
const char *board_boot_path(const struct board *b, unsigned n);
/* All -device options, in order. Once, after wire(). */
int board_add_devices(struct board *b, struct lodge_err *err) MUST_CHECK;
void board_free_added(struct board *b);

/* ---- board_storage.c: disks, CD-ROMs, floppies ------------------------------------------------- */

extern const struct board_kind board_ide_hd, board_ide_cd, board_ahci, board_nvme, board_floppy;
/* Drives of if=ide to their places. Once, after drives_open() and the -device options. */
int board_add_storage(struct board *b, struct lodge_err *err) MUST_CHECK;
/* ---- board_net.c: the network -------------------------------------------------------------------
 */

/*
 * Open the back ends of -netdev and -nic, and make the cards of -nic. After wire(), before
 * board_add_devices.
 */
int board_open_nets(struct board *b, struct lodge_err *err) MUST_CHECK;
/* Say which back ends no card uses. Once, after board_add_devices. */
void board_check_nets(struct board *b);
/* The back end of that id; NULL: the first that has host forwards. NULL if there is none. */
struct net_backend *board_net_backend(struct board *b, const char *id);
/* The nth, or NULL. */
struct net_backend *board_net_nth(struct board *b, unsigned n);
/* Has the back end of that id a card? It has none any more. */
struct net_backend *board_net_of(struct board *b,
				 void *card); /* the one plugged into that card, or NULL */
/* One that came while the machine ran, or NULL. */
const char *board_net_hot(const struct board *b);
/* A back end for a later card; its lock is not held. The board's from now on. */
int board_net_add(struct board *b, struct props *p, struct lodge_err *err) MUST_CHECK;
/* Away with one that no card uses. With the VM lock. */
int board_net_del(struct board *b, const char *id, struct lodge_err *err) MUST_CHECK;
bool board_net_used(struct board *b, const char *id);
void board_net_release(struct board *b, const char *id);
/* Close the back ends, once the cards are gone. */
void board_close_nets(struct board *b);
extern const struct board_kind board_kind_e1000, board_kind_rtl8139, board_virtio_net;

/* ---- board_video.c: display adapters ------------------------------------------------------------
 */

/* Once the adapters themselves are gone. */
void board_free_videos(struct board *b);
extern const struct board_kind board_bochs_display, board_vga;

/* A piece of an adapter's memory, of what board_video_bytes() said there would be; the board's. NULL: no memory. */
struct board_video;
struct board_video *board_video_new(struct board *b, uint64_t bytes);
const struct vram *board_video_vram(const struct board_video *v);
void board_video_shows(struct board_video *v, const struct display_source *source);
/* vgamem_mb=, and edid=, xres=, yres= of `p`. */
int board_vga_bytes(struct props *p, uint64_t usual_mib, uint64_t *bytes,
		    struct lodge_err *err) MUST_CHECK;
int board_read_monitor(struct props *p, bool *no_edid, unsigned *width, unsigned *height,
		       struct lodge_err *err) MUST_CHECK;

/* ---- board_gpu.c: virtio-gpu -------------------------------------------------------------------- */

/* Memory of one: for resources, and for a VGA. */
int board_gpu_bytes(struct props *p, uint64_t *bytes, struct lodge_err *err) MUST_CHECK;
int board_virtio_vga_bytes(struct props *p, uint64_t *bytes, struct lodge_err *err) MUST_CHECK;
extern const struct board_kind board_virtio_gpu, board_virtio_vga;

/* ---- board_usb.c -------------------------------------------------------------------------------- */

extern const struct board_kind board_xhci, board_uhci, board_usb_tablet, board_usb_mouse,
	board_usb_kbd, board_usb_hub;

/* ---- board_virtio_input.c ----------------------------------------------------------------------- */

extern const struct board_kind board_virtio_keyboard, board_virtio_mouse, board_virtio_tablet;

/* ---- board_input.c ------------------------------------------------------------------------------ */

/* b->input, with keyboard and mouse of b->kbc. 0 or -ENOMEM. */
int board_wire_input(struct board *b) MUST_CHECK;
void board_free_input(struct board *b);

#endif
