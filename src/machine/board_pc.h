/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The board of a PC with the 440FX chipset: which devices there are and how they are wired.
 * Source: Intel 82441FX, 82371SB, 82371AB data sheets; what QEMU's "pc" machine shows to guests.
 *
 * Threads: with the VM lock held, or before threads start.
 */
#ifndef LODGE_MACHINE_BOARD_PC_H
#define LODGE_MACHINE_BOARD_PC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "devices/legacy/lapic.h"
#include "mem/gpa.h"

struct vm;
struct board;

struct vm_config;
struct display_source;
struct input;

/* Bytes of firmware (a multiple of 4 KiB), 0 without firmware: behind the RAM and that of adapters; for mem_new. */
int board_rom_bytes(const struct vm_config *cfg, uint64_t *bytes, struct lodge_err *err) MUST_CHECK;
/* Bytes of memory of all display adapters, behind the RAM. */
int board_video_bytes(const struct vm_config *cfg, uint64_t *bytes,
		      struct lodge_err *err) MUST_CHECK;

/* Firmware comes by -drive if=pflash. */
bool board_has_flash(const struct vm_config *cfg);

/*
 * Make and wire all devices of `vm`, whose loop, memory, bus, engine and character devices are
 * there. NULL and a sentence on failure. board_reset is due before the guest runs.
 */
struct board *board_new(struct vm *vm, struct lodge_err *err);
void board_free(struct board *b);

/*
 * Power-on state: every device reset, the memory map, firmware or kernel loaded, every processor's
 * state written. No vCPU runs.
 */
int board_reset(struct board *b, struct lodge_err *err) MUST_CHECK;
/* The devices of that alone. */
void board_reset_devices(struct board *b);

/* The kinds of -device, with their settings. */
void board_print_kinds(FILE *out);

/* What the first display adapter shows, or NULL: there is none. */
const struct display_source *board_display(const struct board *b);
/* The letters of a video BIOS among the devices' ROMs (display/letters.h), or NULL. With the VM lock held. */
const uint8_t *board_font(struct board *b);

/* The way of keys and pointers to the guest. */
struct input *board_input(struct board *b);

struct lapic *board_lapic(struct board *b, unsigned cpu);
/* A processor takes an interrupt: its vector, or -1. */
int board_irq_ack(struct board *b, unsigned cpu);
/* The kernel's local APICs have finished a level-triggered interrupt. */
void board_eoi(struct board *b, uint8_t vector);
/* FERR#: IRQ 13 (and port 0xf0, which takes it back). */
void board_ferr(struct board *b, bool level);
/* Of -uuid; zeros without. */
void board_uuid(const struct board *b, uint8_t out[16]);
/* The power button is pressed. */
void board_power_button(struct board *b);

/* Start the threads of shared folders (board_share.c). */
int board_start_shares(struct board *b, struct lodge_err *err) MUST_CHECK;

#endif
