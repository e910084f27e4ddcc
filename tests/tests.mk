# Tests: tests/unit/FOLDER/NAME.c is one cmocka program, run by `make t T=FOLDER/NAME`.
# tests/fuzz/NAME.c is one libFuzzer target, run by `make t T=fuzz/NAME`.

UNIT_SRCS := $(wildcard tests/unit/*/*.c tests/unit/*/*/*.c)
UNIT_BINS := $(patsubst tests/%.c,$(B)/tests/%,$(UNIT_SRCS))
FUZZ_SRCS := $(wildcard tests/fuzz/*.c)
FB        := build/fuzz
FUZZ_BINS := $(patsubst tests/fuzz/%.c,$(FB)/bin/%,$(FUZZ_SRCS))

TEST_CFLAGS := -Wno-conversion -Wno-shadow -Wno-unused-parameter
$(B)/tests/%: tests/%.c $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(TEST_CFLAGS) -Itests -MMD -MP -MF $@.d -o $@ $< $(LINK) $(LDLIBS) -lcmocka -lZydis

# A machine whose screen tests/system/test_screen.py looks at.
SCREEN := $(B)/tests/system/screen
$(SCREEN): tests/system/screen.c $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(LINK) $(LDLIBS)

# Fuzz targets: everything below rebuilt by clang with the sanitizers.
.PHONY: fuzz-bins
fuzz-bins:
	$(MAKE) CC=$(CLANG) B=$(FB) CFLAGS="-O1 -g" \
		SAN="-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined" fuzz-bins-inner
.PHONY: fuzz-bins-inner
fuzz-bins-inner: $(FUZZ_BINS)
$(FB)/bin/%: tests/fuzz/%.c $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(TEST_CFLAGS) -fsanitize=fuzzer -Itests -MMD -MP -MF $@.d -o $@ $< $(LINK) $(LDLIBS)

# Programs that check the engine: tests/isa (expected registers), tests/oracle (the host CPU).
ISA_SRCS  := $(shell grep -ls '^int main' tests/isa/*.c tests/oracle/*.c)
ISA_BINS  := $(patsubst tests/%.c,$(B)/tests/%,$(ISA_SRCS))

# The oracle is one program of several files.
$(B)/tests/oracle/oracle: $(filter-out tests/oracle/kemu.c tests/oracle/flags.c,$(wildcard tests/oracle/*.c tests/oracle/*.h)) $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(TEST_CFLAGS) -mno-red-zone -Itests -o $@ $(filter %.c,$^) $(LINK) $(LDLIBS)
$(B)/tests/oracle/flags: tests/oracle/flags.c tests/oracle/host.c tests/oracle/gen.c tests/oracle/soft.c \
		tests/oracle/oracle.h tests/oracle/gen_int.h $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(TEST_CFLAGS) -mno-red-zone -Itests -o $@ $(filter %.c,$^) $(LINK) $(LDLIBS)

# The kernel component's instruction emulator, in user space.
KEMU_OBJS := $(patsubst %.c,$(B)/%.o,kmod/emulate.c $(wildcard kmod/emu_*.c))
KEMU      := $(B)/lib/kmod_emulate.a
$(B)/kmod/emu%.o: kmod/emu%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Ikmod -mgeneral-regs-only -mno-red-zone -MMD -MP -c -o $@ $<
$(KEMU): $(KEMU_OBJS)
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^
$(B)/tests/oracle/kemu: tests/oracle/kemu.c tests/oracle/host.c tests/oracle/gen.c tests/oracle/oracle.h \
		tests/oracle/gen_int.h kmod/emulate.h $(KEMU) $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(TEST_CFLAGS) -mno-red-zone -Itests -Ikmod -o $@ $(filter %.c,$^) $(KEMU) $(LINK) $(LDLIBS)
$(B)/tests/unit/kmod/%: tests/unit/kmod/%.c $(KEMU) $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(TEST_CFLAGS) -Itests -Ikmod -MMD -MP -MF $@.d -o $@ $< $(KEMU) $(LINK) $(LDLIBS) -lcmocka
$(FB)/bin/kemu: tests/fuzz/kemu.c $(KEMU) $(B)/lib/x86.a $(B)/lib/base.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(TEST_CFLAGS) -fsanitize=fuzzer -Itests -Ikmod -MMD -MP -MF $@.d -o $@ $(filter %.c %.a,$^)

# For its tests, in a first level.
KMOD_TESTS := $(patsubst %,$(B)/tests/kmod/%,kmod_life kmod_fuzz)
$(B)/tests/kmod/kmod_%: tests/kmod/kmod_%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests -static -MMD -MP -MF $@.d -o $@ $<

# So are the instructions with known results; their tests are assembled.
AS_ISA    := as --64 --noexecstack --fatal-warnings -I tests/isa
ISA_TESTS := $(patsubst tests/isa/%.isa,$(B)/tests/isa/%.isa.o,$(wildcard tests/isa/*.isa))
$(B)/tests/isa/%.isa.o: tests/isa/%.isa tests/isa/isa.inc
	@mkdir -p $(@D)
	$(AS_ISA) -o $@ $<
$(B)/tests/isa/isa: $(wildcard tests/isa/*.c tests/isa/*.h) tests/oracle/host.c tests/oracle/oracle.h \
		$(ISA_TESTS) $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(TEST_CFLAGS) -DORACLE_WINDOW=0x2000u -DORACLE_CODE_MAX=512u -mno-red-zone \
		-Itests -o $@ $(filter %.c %.o,$^) $(LINK) $(LDLIBS)

# Golden files of generated code: blocks.s translated, and compared with NAME.golden.
GOLDEN := $(B)/tests/golden/golden
$(B)/tests/golden/blocks.o: tests/golden/blocks.s
	@mkdir -p $(@D)
	$(AS_ISA) -o $@ $<
$(GOLDEN): tests/golden/golden.c $(B)/tests/golden/blocks.o $(LIBS)
	$(CC) $(ALL_CFLAGS) $(TEST_CFLAGS) -MMD -MP -MF $@.d -o $@ $(filter %.c %.o,$^) $(LINK) $(LDLIBS)
.PHONY: golden
golden: $(GOLDEN)
	$(GOLDEN) -w

# A whole boot with both tiers compared after each block: a few minutes.
.PHONY: lockstep
lockstep: all
	LODGE_LOCKSTEP=whole $(PYTHON) tests/run.py --only system/lockstep

# 200 saves and restores at random moments of Debian's boots: some ten minutes.
.PHONY: save-rounds
save-rounds: all
	$(PYTHON) tests/system/save_rounds.py --rounds 200

# Disk images, the long way: the numbers of docs/images.md, a quarter of an hour or more.
IMAGE_TESTS := $(addprefix $(B)/tests/unit/block/,qcow2_random qcow2_kill qcow2_power qcow2_errors image_hostile)
.PHONY: check-images
check-images: all $(IMAGE_TESTS)
	LODGE_COUNT=100000 $(B)/tests/unit/block/qcow2_random
	LODGE_COUNT=1000 $(B)/tests/unit/block/qcow2_kill
	LODGE_COUNT=2000 $(B)/tests/unit/block/qcow2_power
	LODGE_COUNT=2000 $(B)/tests/unit/block/qcow2_errors
	LODGE_COUNT=1000000 $(B)/tests/unit/block/image_hostile
	$(PYTHON) tests/run.py --only images

include tests/guest/guest.mk

.PHONY: t unit isa-bins screen
unit: $(UNIT_BINS)
isa-bins: $(ISA_BINS) $(GOLDEN)
screen: $(SCREEN)
# One test: make t T=x86/decode, T=fuzz/decode, T=guest/paging, T=system/boot_cloud
t:
	@test -n "$(T)" || { echo "usage: make t T=x86/decode"; exit 2; }
	@case "$(T)" in \
	fuzz/*) $(MAKE) fuzz-bins && $(PYTHON) tests/run.py --only "$(T)";; \
	*) if test -f "tests/unit/$(T).c"; then $(MAKE) $(B)/tests/unit/$(T) && $(B)/tests/unit/$(T); \
	   else $(MAKE) all test-programs && $(PYTHON) tests/run.py --only "$(T)"; fi;; esac
