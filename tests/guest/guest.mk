# Bare-metal guest programs: tests/guest/{pm32,pm64,both}/NAME.c with the runtime in
# tests/guest/lib. Each becomes a Multiboot 1 image, build/guest/{pm32,pm64}/NAME.elf.
# They need only the compiler: freestanding, no 32-bit C library.

GB      := build/guest
GCC     ?= gcc
G_FLAGS := -std=gnu17 -O1 -g -Wall -Wextra -Werror -ffreestanding -fno-pie -no-pie -nostdlib \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
	-fno-strict-aliasing -fomit-frame-pointer -mgeneral-regs-only -Itests/guest/lib
G_FLAGS32 := $(G_FLAGS) -m32 -mregparm=3
G_FLAGS64 := $(G_FLAGS) -m64 -mno-red-zone -mcmodel=small

G_LIB   := $(wildcard tests/guest/lib/*.c tests/guest/lib/*.S)
G_HDRS  := $(wildcard tests/guest/lib/*.h)
G_LIB32 := $(patsubst tests/guest/lib/%,$(GB)/lib32/%.o,$(filter-out %64.S %64.c,$(G_LIB)))
G_LIB64 := $(patsubst tests/guest/lib/%,$(GB)/lib64/%.o,$(filter-out %32.S %32.c,$(G_LIB)))
G_BOTH  := $(wildcard tests/guest/both/*.c)
GUEST32 := $(patsubst tests/guest/pm32/%.c,$(GB)/pm32/%.elf,$(wildcard tests/guest/pm32/*.c)) \
	$(patsubst tests/guest/both/%.c,$(GB)/both32/%.elf,$(G_BOTH))
GUEST64 := $(patsubst tests/guest/pm64/%.c,$(GB)/pm64/%.elf,$(wildcard tests/guest/pm64/*.c)) \
	$(patsubst tests/guest/both/%.c,$(GB)/both64/%.elf,$(G_BOTH))

.SECONDARY: $(G_LIB32) $(G_LIB64)
.PHONY: guest-bins
guest-bins: $(GUEST32) $(GUEST64)

$(GB)/lib32/%.o: tests/guest/lib/% $(G_HDRS)
	@mkdir -p $(@D)
	$(GCC) $(G_FLAGS32) -c -o $@ $<
$(GB)/lib64/%.o: tests/guest/lib/% $(G_HDRS)
	@mkdir -p $(@D)
	$(GCC) $(G_FLAGS64) -c -o $@ $<

G_LINK := -Wl,-T,tests/guest/lib/guest.ld -Wl,--build-id=none -Wl,-z,noexecstack \
	-Wl,--no-warn-rwx-segments -static
define guest32
$(GB)/$(1)/%.elf: tests/guest/$(2)/%.c $$(G_LIB32) tests/guest/lib/guest.ld
	@mkdir -p $$(@D)
	$$(GCC) $$(G_FLAGS32) $$(G_LINK) -Wl,-m,elf_i386 -o $$@ $$< $$(G_LIB32)
endef
# Multiboot 1 wants an ELF32; the code inside may be 64-bit all the same.
define guest64
$(GB)/$(1)/%.elf: tests/guest/$(2)/%.c $$(G_LIB64) tests/guest/lib/guest.ld
	@mkdir -p $$(@D)
	$$(GCC) $$(G_FLAGS64) $$(G_LINK) -o $$@.64 $$< $$(G_LIB64)
	objcopy -O elf32-i386 $$@.64 $$@
endef
$(eval $(call guest32,pm32,pm32))
$(eval $(call guest32,both32,both))
$(eval $(call guest64,pm64,pm64))
$(eval $(call guest64,both64,both))
