// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * MC146818A real-time clock with 256 bytes of CMOS RAM.
 * Source: Motorola MC146818A data sheet; 82371SB (PIIX3) data sheet (290550) §2.5.5.
 * Register table: docs/devices/mc146818.md. Saved state: version 1.
 *
 * The clock is CLOCK_REALTIME plus an offset, so nothing counts. Time bytes are computed when they
 * are read; while the clock is held (SET, or the divider in reset) the bytes are plain memory, and
 * from them the offset follows when it runs again. Flags of register C are brought up to date when
 * somebody looks; timers run only for interrupts that are enabled.
 * Threads: with the VM lock held; timers on the io thread.
 */
#include "devices/legacy/mc146818.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/range.h"

enum {
	RTC_SECONDS,
	RTC_SECONDS_ALARM,
	RTC_MINUTES,
	RTC_MINUTES_ALARM,
	RTC_HOURS,
	RTC_HOURS_ALARM,
	RTC_WEEKDAY,
	RTC_DAY,
	RTC_MONTH,
	RTC_YEAR,
	RTC_A,
	RTC_B,
	RTC_C,
	RTC_D,
	CMOS_FLOPPIES = 0x10,
	CMOS_EQUIPMENT = 0x14,
	CMOS_BASE_KB = 0x15,
	CMOS_EXT_KB = 0x17,
	CMOS_CHECKSUM = 0x2e,
	CMOS_EXT_KB_2 = 0x30,
	RTC_CENTURY = 0x32,
	CMOS_EXT_64K = 0x34,
	CMOS_BOOT_2 = 0x38,
	CMOS_BOOT = 0x3d,
	CMOS_HIGH_64K = 0x5b,
	CMOS_CPUS = 0x5f,
};

#define A_UIP 0x80u
#define A_WRITABLE 0x7fu
#define A_RATE(a) ((a)&15u)
#define A_DIVIDER(a) ((a) >> 4 & 7u)
#define B_SET 0x80u
#define B_PIE 0x40u
#define B_AIE 0x20u
#define B_UIE 0x10u
#define B_SQWE 0x08u
#define B_BINARY 0x04u
#define B_24H 0x02u
#define C_IRQF 0x80u
#define C_PF 0x40u
#define C_AF 0x20u
#define C_UF 0x10u
#define D_VRT 0x80u
#define HOUR_PM 0x80u
#define ALARM_ANY 0xc0u /* both bits set: any value matches */

#define DAY_S 86400
/* UIP is set 244 us before an update cycle, which takes 1984 us. */
#define UIP_NS (244000u + 1984000u)
#define DIVIDER_HZ 32768u
#define YEARS_MAX 9999

struct mc146818 {
	struct device dev;
	struct irq_line irq, nmi_mask;
	struct io_timer periodic, update;
	uint8_t cmos[256];
	uint8_t index, index_ext; /* what ports 0x70 and 0x72 selected */
	uint8_t irq_level;
	uint8_t weekday_off; /* the guest's day of the week less the calendar's, 0..6 */
	uint64_t offset_s;  /* guest's time less CLOCK_REALTIME: whole seconds (two's complement) */
	uint32_t offset_ns; /* and the rest, below one second */
	uint64_t seen_s;    /* the second UF and AF are up to date with */
	uint64_t seen_period; /* likewise PF: periods since the epoch */
};

struct rtc_time {
	int64_t year;					    /* four digits */
	unsigned month, day, hour, minute, second, weekday; /* month, day 1.., weekday 1 = Sunday */
};

/* Calendar: days since 1970-01-01 of the proleptic Gregorian calendar. */

static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
	/* Years begin in March, so that a leap day is the last. */
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static struct rtc_time civil_from_seconds(int64_t s)
{
	int64_t days = floor_div(s, DAY_S);
	unsigned rest = (unsigned)(s - days * DAY_S);
	int64_t z = days + 719468;
	int64_t era = floor_div(z, 146097);
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (unsigned)((5 * doy + 2) / 153);
	unsigned month = mp < 10 ? mp + 3 : mp - 9;

	return (struct rtc_time){
		.year = yoe + era * 400 + (month <= 2),
		.month = month,
		.day = (unsigned)(doy - (153 * mp + 2) / 5 + 1),
		.hour = rest / 3600,
		.minute = rest / 60 % 60,
		.second = rest % 60,
		.weekday = (unsigned)(((days + 4) % 7 + 7) % 7) + 1,
	};
}

/* The chip's formats. */

static uint8_t encode(const struct mc146818 *r, unsigned v)
{
	return (uint8_t)(r->cmos[RTC_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static unsigned decode(const struct mc146818 *r, uint8_t v)
{
	return r->cmos[RTC_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15u);
}

static uint8_t encode_hour(const struct mc146818 *r, unsigned hour)
{
	unsigned h12 = hour % 12 ? hour % 12 : 12;

	if (r->cmos[RTC_B] & B_24H)
		return encode(r, hour);
	return (uint8_t)(encode(r, h12) | (hour >= 12 ? HOUR_PM : 0));
}

static unsigned decode_hour(const struct mc146818 *r, uint8_t v)
{
	if (r->cmos[RTC_B] & B_24H)
		return decode(r, v);
	return decode(r, v & 0x7f) % 12 + (v & HOUR_PM ? 12 : 0);
}

/* Time. */

static uint64_t real_and_rest_ns(const struct mc146818 *r)
{
	return clock_real_ns() + r->offset_ns;
}

static int64_t guest_seconds(const struct mc146818 *r)
{
	return (int64_t)(real_and_rest_ns(r) / NS_PER_SEC + r->offset_s);
}

/* How far into its second the guest's clock is. */
static uint32_t phase_now(const struct mc146818 *r)
{
	return (uint32_t)(real_and_rest_ns(r) % NS_PER_SEC);
}

/* Make it second `s` and `phase_ns` now. */
static void set_clock(struct mc146818 *r, int64_t s, uint32_t phase_ns)
{
	uint64_t real = clock_real_ns();
	uint32_t frac = (uint32_t)(real % NS_PER_SEC);
	bool borrow = phase_ns < frac;

	r->offset_ns = phase_ns + (borrow ? (uint32_t)NS_PER_SEC : 0) - frac;
	r->offset_s = (uint64_t)s - real / NS_PER_SEC - borrow;
}

static bool divider_stopped(const struct mc146818 *r)
{
	return A_DIVIDER(r->cmos[RTC_A]) >= 6;
}

static bool clock_held(const struct mc146818 *r)
{
	return r->cmos[RTC_B] & B_SET || divider_stopped(r);
}

/* Put the time into the bytes. */
static void store_time(struct mc146818 *r)
{
	struct rtc_time t = civil_from_seconds(guest_seconds(r));
	uint8_t *c = r->cmos;

	c[RTC_SECONDS] = encode(r, t.second);
	c[RTC_MINUTES] = encode(r, t.minute);
	c[RTC_HOURS] = encode_hour(r, t.hour);
	c[RTC_WEEKDAY] = encode(r, (t.weekday - 1 + r->weekday_off) % 7 + 1);
	c[RTC_DAY] = encode(r, t.day);
	c[RTC_MONTH] = encode(r, t.month);
	c[RTC_YEAR] = encode(r, (unsigned)(((t.year % 100) + 100) % 100));
	c[RTC_CENTURY] = encode(r, (unsigned)((t.year / 100 % 100 + 100) % 100));
}

/* Take the time from the bytes; `phase_ns` is how far into that second it is. */
static void load_time(struct mc146818 *r, uint32_t phase_ns)
{
	const uint8_t *c = r->cmos;
	int64_t year = decode(r, c[RTC_CENTURY]) * 100ll + decode(r, c[RTC_YEAR]);
	/* What no calendar has (month 0, day 77) becomes some day nearby. */
	unsigned month = decode(r, c[RTC_MONTH]) % 16;
	int64_t days = days_from_civil(year < YEARS_MAX ? year : YEARS_MAX,
				       month < 1    ? 1
				       : month > 12 ? 12
						    : month,
				       decode(r, c[RTC_DAY]));
	int64_t s = days * DAY_S + decode_hour(r, c[RTC_HOURS]) * 3600ll +
		    decode(r, c[RTC_MINUTES]) * 60ll + decode(r, c[RTC_SECONDS]);

	set_clock(r, s, phase_ns);

	unsigned calendar = civil_from_seconds(s).weekday;

	r->weekday_off = (uint8_t)((decode(r, c[RTC_WEEKDAY]) + 7 - calendar % 7) % 7);
	r->seen_s = (uint64_t)s;
}

/* Flags and interrupts. */

static bool alarm_byte_matches(const struct mc146818 *r, unsigned reg, uint8_t now)
{
	uint8_t want = r->cmos[reg];

	return (want & ALARM_ANY) == ALARM_ANY || want == now;
}

static bool alarm_matches(const struct mc146818 *r, int64_t s)
{
	unsigned day_s = (unsigned)(s - floor_div(s, DAY_S) * DAY_S);

	return alarm_byte_matches(r, RTC_SECONDS_ALARM, encode(r, day_s % 60)) &&
	       alarm_byte_matches(r, RTC_MINUTES_ALARM, encode(r, day_s / 60 % 60)) &&
	       alarm_byte_matches(r, RTC_HOURS_ALARM, encode_hour(r, day_s / 3600));
}

/* Ticks of 32768 Hz between periodic interrupts, 0 for none (data sheet, table 5). */
static uint32_t period_ticks(const struct mc146818 *r)
{
	unsigned rate = A_RATE(r->cmos[RTC_A]);

	if (rate == 0 || divider_stopped(r))
		return 0;
	/* With a 32 kHz base the first two rates repeat 8 and 9. */
	if (rate <= 2)
		rate += 7;
	return 1u << (rate - 1);
}

/* Every period divides a second, so they are counted from second 0. */
static uint64_t periods_so_far(const struct mc146818 *r)
{
	uint32_t ticks = period_ticks(r);

	if (!ticks)
		return r->seen_period;
	return (uint64_t)guest_seconds(r) * (DIVIDER_HZ / ticks) +
	       mul_div_u64(phase_now(r), DIVIDER_HZ, NS_PER_SEC) / ticks;
}

static void set_flags(struct mc146818 *r, uint8_t flags)
{
	uint8_t c = r->cmos[RTC_C] | flags;

	c &= (uint8_t)~C_IRQF;
	if (c & r->cmos[RTC_B] & (C_PF | C_AF | C_UF))
		c |= C_IRQF;
	r->cmos[RTC_C] = c;

	bool level = c & C_IRQF;

	if (level != r->irq_level) {
		r->irq_level = level;
		irq_set(&r->irq, level);
	}
}

/* Raise the flags of what happened since the last look. */
static void catch_up(struct mc146818 *r)
{
	uint64_t period = periods_so_far(r);
	uint8_t flags = 0;

	if (period != r->seen_period)
		flags |= C_PF;
	r->seen_period = period;
	if (!clock_held(r)) {
		int64_t now = guest_seconds(r), seen = (int64_t)r->seen_s;

		if (now != seen) {
			flags |= C_UF;
			/* The host's clock may have been set back; an alarm comes once a day. */
			if (now < seen || now - seen > DAY_S)
				seen = now - 1;
			while (seen < now && !(flags & C_AF)) {
				if (alarm_matches(r, ++seen))
					flags |= C_AF;
			}
		}
		r->seen_s = (uint64_t)now;
	}
	set_flags(r, flags);
}

/* Timers run only for interrupts that are enabled and not yet pending. */
static void arm_timers(struct mc146818 *r)
{
	uint8_t b = r->cmos[RTC_B];
	uint32_t ticks = period_ticks(r);
	uint64_t now = clock_vm_ns();
	uint32_t phase = phase_now(r);

	io_timer_cancel(&r->periodic);
	io_timer_cancel(&r->update);
	if (b & B_PIE && ticks && !(r->cmos[RTC_C] & C_PF)) {
		uint64_t passed = mul_div_u64(phase, DIVIDER_HZ, NS_PER_SEC) / ticks;
		uint64_t next = mul_div_u64((passed + 1) * ticks, NS_PER_SEC, DIVIDER_HZ) + 1;

		io_timer_arm(&r->periodic, now + (next - phase));
	}
	if (!clock_held(r) &&
	    ((b & B_UIE && !(r->cmos[RTC_C] & C_UF)) || (b & B_AIE && !(r->cmos[RTC_C] & C_AF))))
		io_timer_arm(&r->update, now + (NS_PER_SEC - phase));
}

static void on_timer(void *opaque)
{
	struct mc146818 *r = opaque;

	catch_up(r);
	arm_timers(r);
}

/* Register access. */

static bool is_time_byte(unsigned i)
{
	return i == RTC_CENTURY || (i <= RTC_YEAR && i != RTC_SECONDS_ALARM &&
				    i != RTC_MINUTES_ALARM && i != RTC_HOURS_ALARM);
}

static uint8_t read_a(const struct mc146818 *r)
{
	bool uip = !clock_held(r) && phase_now(r) >= NS_PER_SEC - UIP_NS;

	return (uint8_t)(r->cmos[RTC_A] | (uip ? A_UIP : 0));
}

/* Reading register C clears it, and with it the interrupt. */
static uint8_t read_c(struct mc146818 *r)
{
	uint8_t v;

	catch_up(r);
	v = r->cmos[RTC_C];
	r->cmos[RTC_C] = 0;
	set_flags(r, 0);
	if (v)
		arm_timers(r);
	return v;
}

static uint8_t cmos_read(struct mc146818 *r, uint8_t i)
{
	if (is_time_byte(i) && !clock_held(r))
		store_time(r);
	switch (i) {
	case RTC_A:
		return read_a(r);
	case RTC_C:
		return read_c(r);
	default:
		return r->cmos[i];
	}
}

/* Registers A and B hold and release the clock. */
static void write_control(struct mc146818 *r, unsigned reg, uint8_t val)
{
	bool was_held = clock_held(r), was_stopped = divider_stopped(r);
	uint32_t phase = phase_now(r);

	catch_up(r);
	if (!was_held)
		store_time(r);
	r->cmos[reg] = val;
	/* Out of divider reset the first update comes half a second later. */
	if (was_stopped && !divider_stopped(r))
		phase = NS_PER_SEC / 2;
	if (was_held && !clock_held(r)) {
		load_time(r, phase);
	} else if (was_stopped && !divider_stopped(r)) {
		/* Still held by SET: remember the new phase in the offset. */
		set_clock(r, guest_seconds(r), phase);
	}
	r->seen_period = periods_so_far(r);
	/* Time bytes keep their meaning when only their format changes. */
	if (!clock_held(r))
		store_time(r);
	set_flags(r, 0);
	arm_timers(r);
}

static void cmos_write(struct mc146818 *r, uint8_t i, uint8_t val)
{
	switch (i) {
	case RTC_A:
		write_control(r, RTC_A, val & A_WRITABLE);
		return;
	case RTC_B:
		/* SET clears UIE. */
		write_control(r, RTC_B, val & B_SET ? val & (uint8_t)~B_UIE : val);
		return;
	case RTC_C:
	case RTC_D:
		return;
	default:
		break;
	}
	if (i <= RTC_HOURS_ALARM && !is_time_byte(i))
		catch_up(r); /* up to now the old alarm counts */
	if (is_time_byte(i) && !clock_held(r)) {
		/* Written while it runs: one field changes. */
		catch_up(r);
		store_time(r);
		r->cmos[i] = val;
		load_time(r, phase_now(r));
		arm_timers(r);
		return;
	}
	r->cmos[i] = val;
}

static uint64_t rtc_read(void *dev, uint64_t off, unsigned size)
{
	struct mc146818 *r = dev;

	(void)size;
	switch (off) {
	case 1:
		return cmos_read(r, r->index);
	case 3:
		return cmos_read(r, r->index_ext);
	default: /* the index registers cannot be read */
		return 0xff;
	}
}

static void rtc_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct mc146818 *r = dev;
	uint8_t v = (uint8_t)val;

	(void)size;
	switch (off) {
	case 0:
		r->index = v & 0x7f;
		irq_set(&r->nmi_mask, v & 0x80);
		break;
	case 1:
		cmos_write(r, r->index, v);
		break;
	case 2:
		r->index_ext = v | 0x80;
		break;
	default:
		cmos_write(r, r->index_ext, v);
		break;
	}
}

static const struct bus_ops rtc_ops = {rtc_read, rtc_write, 1, 1};

int mc146818_map(struct mc146818 *r, struct bus *bus, uint16_t base)
{
	return bus_map_pio(bus, base, 4, &rtc_ops, r, "mc146818") ? 0 : -ENOMEM;
}

/* The board's side. */

uint8_t mc146818_get_byte(const struct mc146818 *r, uint8_t i)
{
	return r->cmos[i];
}

/* The sum of bytes 0x10..0x2d, as firmware keeps it in 0x2e (high) and 0x2f. */
static void update_checksum(struct mc146818 *r)
{
	unsigned sum = 0;

	for (unsigned i = 0x10; i < CMOS_CHECKSUM; i++)
		sum += r->cmos[i];
	r->cmos[CMOS_CHECKSUM] = (uint8_t)(sum >> 8);
	r->cmos[CMOS_CHECKSUM + 1] = (uint8_t)sum;
}

void mc146818_set_byte(struct mc146818 *r, uint8_t i, uint8_t val)
{
	if (i > RTC_D && i != RTC_CENTURY)
		r->cmos[i] = val;
	update_checksum(r);
}

static void set_u16(struct mc146818 *r, unsigned i, uint64_t val)
{
	val = min_u64(val, 0xffff);
	r->cmos[i] = (uint8_t)val;
	r->cmos[i + 1] = (uint8_t)(val >> 8);
}

void mc146818_set_memory(struct mc146818 *r, uint64_t low, uint64_t high)
{
	const uint64_t kib = 1 << 10, mib = 1 << 20;
	uint64_t ext_kb = low > mib ? (low - mib) / kib : 0;
	uint64_t high_64k = min_u64(high >> 16, 0xffffff);

	set_u16(r, CMOS_BASE_KB, min_u64(low / kib, 640));
	set_u16(r, CMOS_EXT_KB, ext_kb);
	set_u16(r, CMOS_EXT_KB_2, ext_kb);
	set_u16(r, CMOS_EXT_64K, low > 16 * mib ? (low - 16 * mib) >> 16 : 0);
	r->cmos[CMOS_HIGH_64K] = (uint8_t)high_64k;
	r->cmos[CMOS_HIGH_64K + 1] = (uint8_t)(high_64k >> 8);
	r->cmos[CMOS_HIGH_64K + 2] = (uint8_t)(high_64k >> 16);
	/* A coprocessor and a PS/2 mouse; no floppies yet, display chosen by its own ROM. */
	r->cmos[CMOS_EQUIPMENT] = 0x06;
	update_checksum(r);
}

void mc146818_set_floppies(struct mc146818 *r, uint8_t first, uint8_t second)
{
	unsigned n = (first ? 1u : 0u) + (second ? 1u : 0u);

	r->cmos[CMOS_FLOPPIES] = (uint8_t)((first & 15) << 4 | (second & 15));
	r->cmos[CMOS_EQUIPMENT] &= 0x3e;
	if (n)
		r->cmos[CMOS_EQUIPMENT] |= (uint8_t)(1 | (n - 1) << 6);
	update_checksum(r);
}

void mc146818_set_boot_order(struct mc146818 *r, const uint8_t order[3], bool floppy_check)
{
	r->cmos[CMOS_BOOT] = (uint8_t)((order[0] & 15) | (order[1] & 15) << 4);
	/* Bit 0: do not look for a floppy's signature. */
	r->cmos[CMOS_BOOT_2] = (uint8_t)((order[2] & 15) << 4 | (floppy_check ? 0 : 1));
}

void mc146818_set_cpus(struct mc146818 *r, unsigned cpus)
{
	r->cmos[CMOS_CPUS] = (uint8_t)min_u64(cpus ? cpus - 1 : 0, 255);
}

/* The RESET pin: interrupts off and flags clear; clock and CMOS go on (data sheet, RESET). */
static void rtc_reset(struct device *dev)
{
	struct mc146818 *r = (struct mc146818 *)dev;

	r->cmos[RTC_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE | B_SQWE);
	r->cmos[RTC_C] = 0;
	r->index = 0;
	r->index_ext = 0x80;
	irq_set(&r->nmi_mask, false);
	set_flags(r, 0);
	arm_timers(r);
}

static int rtc_post_load(struct device *dev)
{
	struct mc146818 *r = (struct mc146818 *)dev;
	/* Within this range nothing overflows. */
	int64_t far = 400000ll * 365 * DAY_S;

	if ((int64_t)r->offset_s > far || (int64_t)r->offset_s < -far ||
	    r->offset_ns >= NS_PER_SEC || r->index & 0x80 || !(r->index_ext & 0x80) ||
	    r->weekday_off > 6 || r->cmos[RTC_A] & A_UIP)
		return -EINVAL;
	if ((int64_t)r->seen_s > far || (int64_t)r->seen_s < -far)
		return -EINVAL;
	r->cmos[RTC_D] = D_VRT;
	r->irq_level = 0;
	irq_set(&r->irq, false);
	r->seen_period = periods_so_far(r);
	catch_up(r);
	arm_timers(r);
	return 0;
}

static void rtc_pre_save(struct device *dev)
{
	catch_up((struct mc146818 *)dev);
}

static const struct state_field rtc_fields[] = {
	STATE_BUFFER(struct mc146818, cmos),	 STATE_FIELD(struct mc146818, index),
	STATE_FIELD(struct mc146818, index_ext), STATE_FIELD(struct mc146818, weekday_off),
	STATE_FIELD(struct mc146818, offset_s),	 STATE_FIELD(struct mc146818, offset_ns),
	STATE_FIELD(struct mc146818, seen_s),	 STATE_END,
};

static const struct device_class rtc_class = {
	.name = "mc146818",
	.version = 1,
	.reset = rtc_reset,
	.fields = rtc_fields,
	.pre_save = rtc_pre_save,
	.post_load = rtc_post_load,
};

struct mc146818 *mc146818_new(const struct mc146818_config *cfg)
{
	struct mc146818 *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->dev.cls = &rtc_class;
	r->irq = cfg->irq;
	r->nmi_mask = cfg->nmi_mask;
	r->offset_s = (uint64_t)cfg->offset_s;
	io_timer_init(&r->periodic, cfg->loop, on_timer, r);
	io_timer_init(&r->update, cfg->loop, on_timer, r);
	/* As firmware leaves it: 32768 Hz, 1024 Hz rate selected, 24 hours, BCD. */
	r->cmos[RTC_A] = 0x26;
	r->cmos[RTC_B] = B_24H;
	r->cmos[RTC_D] = D_VRT;
	r->seen_s = (uint64_t)guest_seconds(r);
	r->seen_period = periods_so_far(r);
	store_time(r);
	rtc_reset(&r->dev);
	return r;
}

void mc146818_free(struct mc146818 *r)
{
	if (!r)
		return;
	io_timer_cancel(&r->periodic);
	io_timer_cancel(&r->update);
	free(r);
}

struct device *mc146818_device(struct mc146818 *r)
{
	return &r->dev;
}
