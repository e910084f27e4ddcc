# Lodge: `make demo` boots a guest, `make check` passes the tests, `make help` lists the rest.

CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
CLANG   ?= clang
B       ?= build/$(notdir $(CC))
LINK_NAME ?= lodge
PYTHON  ?= /usr/bin/python3
PREFIX  ?= /usr/local
VERSION := 0.1.0

WARN    := -Wall -Wextra -Wconversion -Wshadow -Wimplicit-fallthrough -Werror
ifneq (,$(findstring clang,$(CC)))
WARN    += -Wconditional-uninitialized
endif
CFLAGS  ?= -O2 -g
ALL_CFLAGS := -std=gnu17 $(WARN) $(CFLAGS) $(SAN) -fno-strict-aliasing -fno-common -pthread \
	-D_GNU_SOURCE -DLODGE_VERSION='"$(VERSION)"' -Isrc
LDLIBS  := -pthread -luring -lz -lzstd -lseccomp -ljansson

# Folders from the bottom up; docs/layers.txt says who may include whom.
FOLDERS := base sandbox x86 mem io state bus block net share chardev display input vnc engine/soft engine/kvm devices/legacy \
	devices/virtio devices/storage devices/net devices/display devices/usb firmware machine gdb control cli
# Built without SIMD: this code runs while the guest's SIMD registers are live in the host's.
NOSIMD  := x86 mem engine/soft

srcs    = $(wildcard src/$(1)/*.c)
objs    = $(patsubst src/%.c,$(B)/src/%.o,$(call srcs,$(1)))
LIBS    := $(foreach f,$(FOLDERS),$(if $(call srcs,$(f)),$(B)/lib/$(subst /,_,$(f)).a))
# Static libraries, later ones first; grouped, since the engine and the machine meet in callbacks.
LINK    := -Wl,--start-group $(LIBS) -Wl,--end-group

.PHONY: all
all: $(B)/lodge

$(B)/lodge: $(filter-out $(B)/lib/cli.a,$(LIBS)) $(call objs,cli)
	$(CC) $(SAN) $(LDFLAGS) -o $@ $(call objs,cli) -Wl,--start-group $(filter-out $(B)/lib/cli.a,$(LIBS)) -Wl,--end-group $(LDLIBS)
	@mkdir -p build && ln -sfn $(patsubst build/%,%,$@) build/$(LINK_NAME)

# Without shared libraries, for a first level that has none; the NAT's libslirp alone is loaded when it runs.
$(B)/lodge-static: $(B)/lodge
	$(CC) $(SAN) $(LDFLAGS) -static -Wl,--no-warnings -o $@ $(call objs,cli) -Wl,--start-group \
		$(filter-out $(B)/lib/cli.a,$(LIBS)) -Wl,--end-group $(LDLIBS)

.PHONY: install
install: $(B)/lodge
	install -D -m 755 $(B)/lodge $(DESTDIR)$(PREFIX)/bin/lodge
	install -D -m 644 docs/lodge.1 $(DESTDIR)$(PREFIX)/share/man/man1/lodge.1
	install -D -m 644 docs/lodge-img.1 $(DESTDIR)$(PREFIX)/share/man/man1/lodge-img.1
	install -D -m 644 tools/completion/lodge.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/lodge
	install -D -m 644 tools/completion/_lodge $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_lodge

define folder_rules
$(B)/lib/$(subst /,_,$(1)).a: $(call objs,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(AR) rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rules,$(f))))

# The compiler may call memcpy and its kin by itself; where SIMD is forbidden they are ours.
GPMEM   := --redefine-sym memcpy=gp_memcpy --redefine-sym memset=gp_memset \
	--redefine-sym memmove=gp_memmove --redefine-sym memcmp=gp_memcmp
$(foreach f,$(NOSIMD),$(B)/src/$(f)/%.o) $(B)/src/base/gpmem.o: GPFLAGS := -mgeneral-regs-only -mno-red-zone
# Guest operands have any alignment, as the processor allows.
$(B)/src/engine/soft/%.o: GPFLAGS += -fno-sanitize=alignment

$(B)/src/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(GPFLAGS) -MMD -MP -c -o $@ $<
	$(if $(filter -mgeneral-regs-only,$(GPFLAGS)),objcopy $(GPMEM) $@)

$(B)/src/cli/new.o: src/cli/new_debian.sh
$(B)/src/vnc/files.o: src/vnc/page.html src/vnc/page.js

-include $(shell find $(B) -name '*.d' 2>/dev/null)

include tests/tests.mk
include tools/tools.mk
include bench/bench.mk
include tests/soak/soak.mk
