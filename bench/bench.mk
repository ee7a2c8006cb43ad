# The bench's own programs. A file's first line says what it links, as in the tests. Needs `needs` and B of the Makefile.
# BENCH_LIB is what several of them link.
BENCH_LIB := bench/bank20.c bench/book20.c bench/echo20.c
BENCH_SRC := $(filter-out $(BENCH_LIB),$(wildcard bench/*.c))
BENCH_BIN := $(BENCH_SRC:%.c=$(B)/%)
define bench_rule
$(B)/$(1:.c=): $(B)/obj/$(1:.c=.o) $(call needs,$(1))
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LIBS)
endef
$(foreach b,$(BENCH_SRC),$(eval $(call bench_rule,$(b))))

# Yardsticks and generator as good as the compiler can make them for this machine, whatever a release is built for.
BENCH_NATIVE := bank20 book20 path handwritten sink
ifeq ($(VARIANT),release)
$(BENCH_NATIVE:%=$(B)/obj/bench/%.o): CFLAGS += -march=native
endif

.PHONY: bench-programs bench-plot
bench-programs: $(BENCH_BIN)
all: bench-programs

bench-plot: ## docs/*.svg from the last `make bench`: CPU by share dropped, latency by percentile, growth
	$(Q)$(PYTHON) bench/prefilter.py --plot build/bench/results.json docs/prefilter-cpu.svg
	$(Q)$(PYTHON) bench/plots.py build/bench/results.json docs
