# Moment. `make help` says what there is. Objects of a variant are in build/<variant>/.
#
# The list of packages that a fresh Debian 12 needs; `make deps` installs what is missing.
DEPS = build-essential clang lld libclang-rt-14-dev bpftool pkg-config python3 python3-yaml tzdata e2fsprogs git \
       liburing-dev libbpf-dev libelf-dev zlib1g-dev liblmdb-dev libmsgpack-dev libcmocka-dev libfyaml-dev libjansson-dev \
       libmicrohttpd-dev libxxhash-dev libsodium-dev libicu-dev iproute2 strace gnuplot-nox

VARIANT ?= release
CC      ?= gcc
PYTHON  ?= /usr/bin/python3
B       := build/$(VARIANT)

.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules
ifneq ($(V),1)
Q := @
endif

WARN := -Wall -Wextra -Werror -Wshadow -Wconversion -Wno-sign-conversion -Wmissing-prototypes -Wstrict-prototypes \
        -Wvla -Wwrite-strings -Wno-error=deprecated-declarations
OPT_release := -O3 -g -fno-omit-frame-pointer
OPT_debug   := -O0 -g
OPT_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_native  := -O3 -march=native -g
OPT_clang   := -O3 -g
OPT_clang0  := -O0 -g
OPT_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
CC_clang := clang
CC_clang0 := clang
CC_fuzz := clang
ifneq ($(CC_$(VARIANT)),)
CC := $(CC_$(VARIANT))
endif
ifeq ($(origin CC),default)
CC := gcc
endif
OPT := $(OPT_$(VARIANT))
ifeq ($(OPT),)
$(error no variant '$(VARIANT)': release debug asan native clang clang0 fuzz)
endif

# -ffp-contract=off: the same doubles from every compiler (DESIGN 4)
CFLAGS := -std=gnu11 -D_GNU_SOURCE -Iinclude -Iuser -Ibuild/bpf $(WARN) $(OPT) -ffp-contract=off -fno-strict-aliasing -MMD -MP -pthread
LIBS   := -luring -lbpf -llmdb -lfyaml -ljansson -lmicrohttpd -lxxhash -lsodium -licui18n -licuuc -licudata -lm -lpthread
LDFLAGS := $(filter -fsanitize=address,$(subst $(comma), ,$(OPT))) -pthread
comma := ,
ifeq ($(VARIANT),asan)
LDFLAGS := -fsanitize=address,undefined -pthread
endif
ifeq ($(VARIANT),fuzz)
LDFLAGS := -fsanitize=address,undefined -pthread
endif

LIB_SRC  := $(filter-out user/main.c user/cli/main.c,$(wildcard user/*.c user/*/*.c))
LIB_OBJ  := $(LIB_SRC:%.c=$(B)/obj/%.o)
# A test file's first line says what it links: `// needs: user/cel/*.c user/base/*.c`
TEST_SRC := $(wildcard tests/unit/*/test_*.c tests/path/test_*.c)
TEST_BIN := $(TEST_SRC:%.c=$(B)/%)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(FUZZ_SRC:%.c=$(B)/%)

PROGRAMS := $(patsubst user/main.c,$(B)/momentd,$(wildcard user/main.c)) \
            $(patsubst user/cli/main.c,$(B)/moment,$(wildcard user/cli/main.c))

all: $(PROGRAMS) $(B)/cel-vectors ## build momentd, moment and cel-vectors
	$(Q)mkdir -p build && for p in momentd moment cel-vectors; do ln -sfn $(VARIANT)/$$p build/$$p; done

# The program that runs in the kernel, and the C of its skeleton: one for all variants. -mcpu=v3 for atomics with a result.
BPF_FLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -target bpf -mcpu=v3 -Iinclude -I/usr/include/$(shell $(CC) -print-multiarch)
build/bpf/prefilter.bpf.o: bpf/prefilter.bpf.c
	$(Q)mkdir -p $(@D)
	$(Q)clang $(BPF_FLAGS) -MMD -MP -MF build/bpf/prefilter.d -c -o $@ $<
build/bpf/prefilter.skel.h: build/bpf/prefilter.bpf.o
	$(Q)PATH=$$PATH:/usr/sbin bpftool gen skeleton $< name prefilter_bpf > $@
$(B)/obj/user/prefilter/prefilter.o: build/bpf/prefilter.skel.h
-include build/bpf/prefilter.d

$(B)/obj/%.o: %.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

$(B)/momentd: $(B)/obj/user/main.o $(LIB_OBJ)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/moment: $(B)/obj/user/cli/main.o $(LIB_OBJ)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

needs = $(patsubst %.c,$(B)/obj/%.o,$(filter-out user/main.c user/cli/main.c,$(wildcard $(shell sed -n '1s,^// needs: ,,p' $(1)))))
$(B)/cel-vectors: $(B)/obj/tests/cel/main.o $(call needs,tests/cel/main.c)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
define test_rule
$(B)/$(1:.c=): $(B)/obj/$(1:.c=.o) $(call needs,$(1))
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$^ -lcmocka $$(LIBS)
endef
$(foreach t,$(TEST_SRC),$(eval $(call test_rule,$(t))))
define fuzz_rule
$(B)/$(1:.c=): $(B)/obj/$(1:.c=.o) $(if $(filter fuzz,$(VARIANT)),,$(B)/obj/tests/fuzz/replay_main.o) $(call needs,$(1))
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC) $$(LDFLAGS) $(if $(filter fuzz,$(VARIANT)),-fsanitize=fuzzer,) -o $$@ $$^ $$(LIBS)
endef
$(foreach t,$(FUZZ_SRC),$(eval $(call fuzz_rule,$(t))))

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# ---- what a person types ----

.PHONY: all deps demo check check-root check-asan check-unit test-% help clean fuzz-quick bench bench-quick bench-compare format

deps: ## install the packages that are missing (Debian 12)
	$(Q)missing=$$(for p in $(DEPS); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	if [ -n "$$missing" ]; then \
		echo "installing: $$missing"; \
		if [ "$$(id -u)" = 0 ]; then S=; else S=sudo; fi; \
		$$S apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$S apt-get install -y -qq --no-install-recommends $$missing >/dev/null \
			|| { echo "make deps: could not install: $$missing" >&2; exit 1; }; \
	fi

JOBS ?= $(shell nproc)
SUB = +$(Q)$(MAKE) --no-print-directory -j$(JOBS)

demo: deps ## the main job on a made-up bank (DATA=FILE: a PaySim or Sparkov file)
	$(SUB) all
	$(Q)$(PYTHON) schemas/demo-bank/demo.py --bin $(B) $(if $(DATA),--data $(DATA))

tests: $(TEST_BIN) $(FUZZ_BIN) all
.PHONY: tests
variants: ## build/<variant>/moment of every compiler and optimisation that must give the same bytes
	+$(Q)for v in debug native clang clang0; do $(MAKE) --no-print-directory VARIANT=$$v build/$$v/moment || exit 1; done
.PHONY: variants
SCRIPT_TESTS := $(sort $(wildcard tests/model/test_*.py tests/system/test_*.py tests/docs/test_*.py))

check: deps ## all tests; ends with `N passed, N failed, N skipped`
	$(SUB) tests $(if $(wildcard user/cli/main.c),variants)
	$(Q)MOMENT_BIN=$(B) $(PYTHON) tests/run.py --jobs $(JOBS) $(TEST_BIN) $(FUZZ_BIN) $(SCRIPT_TESTS)

ROOT_TESTS = $(filter %/test_prefilter %/test_bell %/test_slots,$(TEST_BIN)) $(wildcard tests/system/test_kernel_*.py tests/system/test_check_filter.py)
check-root: deps ## as root, large: the pre-filter in the kernel; a skipped case is a failure
	$(SUB) tests
	$(Q)MOMENT_ROOT=1 MOMENT_LARGE=1 MOMENT_BIN=$(B) $(PYTHON) tests/run.py --skip-none --timeout 3600 --jobs 1 $(ROOT_TESTS)
	$(Q)for mode in kernel user; do echo "== the other system tests, --prefilter=$$mode"; \
		MOMENT_PREFILTER=$$mode MOMENT_SLOW=1 MOMENT_BIN=$(B) $(PYTHON) tests/run.py --skip-none --jobs $(JOBS) \
			$(filter-out $(ROOT_TESTS),$(wildcard tests/system/test_*.py)) || exit 1; done

check-unit: deps ## the tests in C only
	$(SUB) tests
	$(Q)MOMENT_BIN=$(B) $(PYTHON) tests/run.py --jobs $(JOBS) $(TEST_BIN)

check-asan: deps ## the tests in C, and the system tests, with address and undefined-behaviour sanitizers
	+$(Q)$(MAKE) --no-print-directory -j$(JOBS) VARIANT=asan tests
	$(Q)MOMENT_BIN=build/asan $(PYTHON) tests/run.py --timeout 1200 --jobs $(JOBS) $(TEST_BIN:$(B)/%=build/asan/%) $(FUZZ_BIN:$(B)/%=build/asan/%) $(SCRIPT_TESTS)

test-%: deps ## one stage or program: make test-journal
	$(SUB) tests
	$(Q)MOMENT_BIN=$(B) $(PYTHON) tests/run.py --jobs $(JOBS) --only $* $(TEST_BIN) $(SCRIPT_TESTS)

FUZZ_SECONDS ?= 60
fuzz-quick: deps ## each fuzz target for FUZZ_SECONDS (60)
	+$(Q)$(MAKE) --no-print-directory -j$(JOBS) VARIANT=fuzz $(FUZZ_BIN:$(B)/%=build/fuzz/%)
	$(Q)for f in $(FUZZ_SRC); do \
		name=$$(basename $$f .c); corpus=tests/corpus/$${name#fuzz_}; mkdir -p build/fuzz/corpus/$$name; \
		echo "== $$name"; \
		build/fuzz/$${f%.c} -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -artifact_prefix=build/fuzz/ \
			build/fuzz/corpus/$$name $$([ -d $$corpus ] && echo $$corpus) 2>&1 | grep -E 'SUMMARY|ERROR|crash|stat::number_of_executed_units|DONE' || true; \
	done

format: ## clang-format over the tree
	$(Q)clang-format -i $$(git ls-files '*.c' '*.h')

clean: ## remove build/
	$(Q)rm -rf build

help: ## this list
	$(Q)grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

bench-quick: deps ## the measurements, some minutes; writes build/bench/results.json
	$(SUB) all
	$(Q)$(PYTHON) bench/bench.py --bin $(B) --quick

bench: deps ## the same with more pairs and longer runs: some 20 minutes
	$(SUB) all
	$(Q)$(PYTHON) bench/bench.py --bin $(B)

-include bench/bench.mk

bench-compare: ## BASE=FILE: the last results against saved ones
	$(Q)$(PYTHON) bench/bench.py --compare $(BASE)
