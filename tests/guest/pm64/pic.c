// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The pair of 8259s: initialization, masks, priorities, every kind of EOI, polling, special mask
 * mode, spurious requests, cascade, edge and level. Interrupts are made by the 8254 (0) and by the
 * keyboard controller's write-output-buffer commands (1 and 12).
 * Source: Intel 8259A data sheet (231468), 82371SB data sheet §2.5.3.
 */
#include "timing.h"

static volatile unsigned order[16], norder, seen_isr[2], nested_at;
static bool send_eoi = true;

static unsigned isr(unsigned which)
{
	uint16_t port = which ? 0xa0 : 0x20;
	unsigned v;

	outb(port, 0x0b);
	v = inb(port);
	outb(port, 0x0a);
	return v;
}

static void note(struct frame *f)
{
	if (norder < 16)
		order[norder] = (unsigned)f->vec;
	norder++;
	seen_isr[0] = isr(0);
	seen_isr[1] = isr(1);
	if (norder > 12) /* a level that nobody takes back */
		outb(0xa1, 0xff), outb(0x21, 0xff);
	if (send_eoi)
		pic_eoi((f->vec & 15));
}

/* ---- sources ---- */

static void kbc_wait(void)
{
	while (inb(0x64) & 2)
		;
}

static void irq0_drop(void)
{
	outb(0x43, 0x30); /* mode 0 holds OUT low until a count is over; there is none */
}

static void irq0_raise(void)
{
	irq0_drop();
	outb(0x40, 10);
	outb(0x40, 0);
	outb(0x20, 0x0a);
	for (uint64_t end = usec() + 5000000; usec() < end && !(inb(0x20) & 1);)
		;
}

static void kbc_drop(void)
{
	while (inb(0x64) & 1)
		inb(0x60);
}

/* cmd 0xd2: keyboard, IRQ 1; 0xd3: mouse, IRQ 12. */
static void kbc_raise(uint8_t cmd)
{
	kbc_wait();
	outb(0x64, cmd);
	kbc_wait();
	outb(0x60, 0x5a);
}

#define irq1_raise() kbc_raise(0xd2)
#define irq12_raise() kbc_raise(0xd3)

static void begin(uint16_t open)
{
	cli();
	kbc_drop();
	irq0_drop();
	pic_init(0);
	norder = 0;
	send_eoi = true;
	outb(0x4d0, 0);
	outb(0x4d1, 0);
	pic_init(open);
}

/* Let in what is pending. */
static void window(void)
{
	sti();
	for (int i = 0; i < 100; i++)
		asm volatile("nop");
	cli();
}

/* ---- tests ---- */

static void masks(void)
{
	begin(0);
	check_eq(inb(0x21), 0xff, "the mask reads back");
	outb(0xa1, 0x5a);
	check_eq(inb(0xa1), 0x5a, "the slave's mask reads back");
	outb(0xa1, 0xff);
	irq0_raise();
	window();
	check_eq(norder, 0, "a masked request does not come");
	outb(0x20, 0x0a);
	check_eq(inb(0x20) & 1, 1, "it is in IRR");
	check_eq(isr(0), 0, "and not in ISR");
	outb(0x21, 0xfe);
	window();
	check_eq(norder, 1, "it comes when the mask is lifted");
	check_eq(order[0], 0x20, "with its vector");
	check_eq(seen_isr[0], 1, "ISR has it in the handler");
	check_eq(isr(0), 0, "and not after EOI");
	outb(0x20, 0x0a);
	check_eq(inb(0x20) & 1, 0, "IRR does not have it any more");
	window();
	check_eq(norder, 1, "an edge counts once though the line is still high");
}

static void init_words(void)
{
	begin(1);
	send_eoi = false;
	irq0_raise();
	window();
	check_eq(isr(0), 1, "in service without EOI");
	irq0_raise();
	window();
	check_eq(norder, 1, "the same line waits for EOI");
	outb(0x20, 0x11);
	outb(0x21, 0x58);
	outb(0x21, 4);
	outb(0x21, 1);
	check_eq(inb(0x21), 0, "ICW1 clears the mask");
	check_eq(isr(0), 0, "and ISR");
	outb(0x20, 0x0a);
	check_eq(inb(0x20) & 1, 0, "and the edges that were latched");
	outb(0x21, 0xfe);
	norder = 0;
	set_handler(0x58, note);
	send_eoi = true;
	irq0_raise();
	window();
	check_eq(order[0], 0x58, "ICW2 moves the vectors");
	outb(0x20, 0x11);
	outb(0x21, 0x5f);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0x21, 0xfe);
	norder = 0;
	irq0_raise();
	window();
	check_eq(order[0], 0x58, "the low bits of ICW2 do not count");
}

static void rearm(void)
{
	norder = 0;
	kbc_drop();
	irq1_raise();
	irq0_raise();
	window();
}

static void priorities(void)
{
	begin(3);
	rearm();
	check_eq(norder, 2, "two requests");
	check_eq(order[0] << 8 | order[1], 0x2021, "line 0 before line 1");
	outb(0x20, 0xc0); /* set priority: 0 is the lowest */
	rearm();
	check_eq(order[0] << 8 | order[1], 0x2120, "OCW2 makes line 0 the lowest");
	outb(0x20, 0xc7);
	rearm();
	check_eq(order[0] << 8 | order[1], 0x2021, "and the highest again");
	send_eoi = false;
	rearm();
	check_eq(norder, 1, "a lower line waits for the higher one's EOI");
	outb(0x20, 0xa0); /* rotate on non-specific EOI */
	check_eq(isr(0), 0, "rotating EOI ends line 0");
	window();
	check_eq(norder, 2, "now the lower one comes");
	outb(0x20, 0x61); /* specific EOI of line 1 */
	check_eq(isr(0), 0, "specific EOI ends line 1");
	send_eoi = true;
	rearm();
	check_eq(order[0] << 8 | order[1], 0x2120, "after the rotation line 0 is the lowest");
}

static void open_again(struct frame *f)
{
	unsigned mine = norder;

	order[norder++] = (unsigned)f->vec;
	if (f->vec == 0x21)
		irq0_raise();
	else
		irq1_raise();
	window();
	nested_at = norder - mine - 1;
	pic_eoi((unsigned)f->vec & 15);
}

static void nesting(void)
{
	begin(3);
	set_handler(0x21, open_again);
	irq1_raise();
	window();
	check_eq(nested_at, 1, "line 0 interrupts line 1's handler");
	set_handler(0x21, note);
	begin(3);
	set_handler(0x20, open_again);
	irq0_raise();
	window();
	check_eq(nested_at, 0, "line 1 does not interrupt line 0's handler");
	check_eq(norder, 2, "it comes after it");
	set_handler(0x20, note);
}

static void auto_eoi(void)
{
	begin(1);
	outb(0x20, 0x11);
	outb(0x21, 0x20);
	outb(0x21, 4);
	outb(0x21, 3);
	outb(0x21, 0xfe);
	send_eoi = false;
	irq0_raise();
	window();
	check_eq(norder, 1, "automatic EOI: a request");
	check_eq(seen_isr[0], 0, "automatic EOI: ISR stays clear");
	irq0_raise();
	window();
	check_eq(norder, 2, "automatic EOI: the next one needs no EOI");
}

static void special_mask(void)
{
	begin(3);
	send_eoi = false;
	irq0_raise();
	window();
	irq1_raise();
	window();
	check_eq(norder, 1, "line 1 waits for line 0's EOI");
	outb(0x21, 0xfd); /* mask line 0 itself */
	window();
	check_eq(norder, 1, "masking line 0 does not help");
	outb(0x20, 0x68); /* special mask mode */
	window();
	if (!qemu_lacks("an update of INT by OCW3"))
		check_eq(norder, 2, "in special mask mode it does");
	outb(0x20, 0x48);
	outb(0x20, 0x60);
	outb(0x20, 0x61);
	check_eq(isr(0), 0, "two specific EOIs");
}

static void polling(void)
{
	begin(0xff);
	outb(0x20, 0x0c);
	check_eq(inb(0x20) & 0x80, 0, "poll: nothing");
	irq1_raise();
	outb(0x20, 0x0c);
	check_eq(inb(0x20), 0x81, "poll: line 1");
	check_eq(isr(0), 2, "a poll is an acknowledge");
	outb(0x20, 0x61);
	window();
	check_eq(norder, 0, "so no interrupt is left");
}

static void cascade(void)
{
	begin(1 << 12 | 4);
	irq12_raise();
	window();
	check_eq(norder, 1, "a slave's line");
	check_eq(order[0], 0x2c, "with the slave's vector");
	check_eq(seen_isr[0], 4, "line 2 is in service in the master");
	check_eq(seen_isr[1], 0x10, "line 12 is in service in the slave");
	check_eq(isr(0) | isr(1), 0, "two EOIs end both");
	begin(1 << 12);
	irq12_raise();
	window();
	check_eq(norder, 0, "a masked line 2 stops the slave");
	outb(0x21, 0xfb);
	window();
	check_eq(norder, 1, "until it is unmasked");
	begin(1 << 12 | 4 | 1);
	irq12_raise();
	irq0_raise();
	window();
	check_eq(order[0] << 8 | order[1], 0x202c, "line 0 before the slave's");
}

static void spurious(void)
{
	begin(1 << 12 | 4);
	irq12_raise();
	outb(0xa1, 0xff); /* the slave takes it back, the master has latched an edge */
	window();
	check_eq(norder, 1, "a request that went away in the slave");
	check_eq(order[0], 0x2f, "is the spurious line 15");
	check_eq(seen_isr[1], 0, "of which the slave knows nothing");
	check_eq(seen_isr[0], 4, "but the master does");
	if (qemu_lacks("an ExtINT without a request"))
		return;
	begin(0);
	apic_enable();
	apic_write(0x350, 0x700);
	/* Pin 12 of the I/O APIC as ExtINT: the processor asks the 8259s, who have nothing. */
	*(volatile uint32_t *)0xfec00000 = 0x10 + 2 * 12 + 1;
	*(volatile uint32_t *)0xfec00010 = apic_read(0x20) & 0xff000000;
	*(volatile uint32_t *)0xfec00000 = 0x10 + 2 * 12;
	*(volatile uint32_t *)0xfec00010 = 0x700;
	irq12_raise();
	window();
	*(volatile uint32_t *)0xfec00010 = 0x10000;
	check_eq(norder, 1, "an acknowledge without a request");
	check_eq(order[0], 0x27, "is the spurious line 7");
	check_eq(seen_isr[0], 0, "which is not in ISR");
}

static void levels(void)
{
	begin(0);
	outb(0x4d0, 0xff);
	outb(0x4d1, 0xff);
	check_eq(inb(0x4d0), 0xf8, "lines 0 to 2 are always edges");
	check_eq(inb(0x4d1), 0xde, "lines 8 and 13 are always edges");
	begin(1 << 12 | 4);
	irq12_raise();
	window();
	check_eq(norder, 1, "an edge interrupts once");
	begin(0);
	outb(0x4d1, 0x10);
	check_eq(inb(0x4d1), 0x10, "the edge/level register reads back");
	irq12_raise();
	outb(0xa1, 0xef);
	outb(0x21, 0xfb);
	window();
	check(norder > 2, "a level interrupts again after each EOI");
	kbc_drop();
	norder = 0;
	outb(0xa1, 0xef);
	outb(0x21, 0xfb);
	window();
	check_eq(norder, 0, "until it goes away");
	outb(0xa0, 0x0a);
	check_eq(inb(0xa0) & 0x10, 0, "IRR follows a level");
	outb(0x4d1, 0);
}

void guest_test(void)
{
	for (unsigned i = 0x20; i < 0x30; i++)
		set_handler(i, note);
	kbc_wait();
	outb(0x64, 0x60); /* interrupts of keyboard and mouse on */
	kbc_wait();
	outb(0x60, 0x47);
	masks();
	init_words();
	priorities();
	nesting();
	auto_eoi();
	special_mask();
	polling();
	cascade();
	spurious();
	levels();
}
