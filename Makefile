# For those who have the tools; ./demo and ./check install them first.

BUILD ?= build
PREFIX ?= /usr/local
CANN ?= 8.3

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@meson setup $(BUILD) --buildtype=release --prefix=$(PREFIX)

demo:
	@./demo

test: all
	@meson test -C $(BUILD) --print-errorlogs
	@/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/cli tests/unit tests/quality
	@/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/server

crash: all
	@/usr/bin/python3 tests/server/crash.py

load: all
	@/usr/bin/python3 bench/server/load.py

bench: all
	@$(BUILD)/phonofilm bench

install: all
	@meson install -C $(BUILD)

lint:
	@tools/lint

fuzz:
	@CC=clang meson setup build-fuzz --buildtype=debugoptimized -Dfuzz=true \
	  -Db_sanitize=address,undefined -Db_lundef=false 2>/dev/null || true
	@ninja -C build-fuzz
	@meson test -C build-fuzz --suite fuzz

# Each builds into a folder of its own and runs the tests that touch memory and
# threads most.
SUITES = --suite unit --suite components --suite pipeline --suite fault --suite fuzz

# VAR=value pairs that put the emulator of CANN in the place of an installed one:
# env $$(make -s ascend-env) build/phonofilm info --platforms
ascend-env:
	@echo "ASCEND_HOME_PATH=$(abspath $(BUILD))/tests/cann/$(CANN)"

asan:
	@meson setup build-asan -Db_sanitize=address --buildtype=debugoptimized \
	  -Db_lundef=false 2>/dev/null || true
	@ninja -C build-asan && meson test -C build-asan $(SUITES) -t 4

ubsan:
	@meson setup build-ubsan -Db_sanitize=undefined --buildtype=debugoptimized \
	  -Db_lundef=false 2>/dev/null || true
	@ninja -C build-ubsan && meson test -C build-ubsan $(SUITES) -t 4

tsan:
	@meson setup build-tsan -Db_sanitize=thread --buildtype=debugoptimized \
	  -Db_lundef=false 2>/dev/null || true
	@ninja -C build-tsan && meson test -C build-tsan $(SUITES) -t 4

# A model of one's own: PyTorch is needed (training/requirements.txt), nothing else is.
# Stopped, the same command goes on.  INIT=models/nano starts from an exported model,
# whose video encoder learns, too, with FREE=1, and which learns anew to listen to the
# text with TEXT=new.
PYTHON ?= python3
PRESET ?= cpu
HOURS ?= 2
SEED ?= 1
RUN ?= build-training
MODEL ?= $(RUN)/model

train:
	@nice -n 19 $(PYTHON) -m training all --preset $(PRESET) --hours $(HOURS) \
	  --seed $(SEED) --folder $(RUN) --export $(MODEL) $(if $(INIT),--init $(INIT)) \
	  $(if $(FREE),--free-encoder) $(if $(TEXT),--$(TEXT)-text)

quality: all
	@/usr/bin/python3 tests/quality/quality.py --program $(BUILD)/phonofilm

clean:
	@rm -rf build build-asan build-ubsan build-tsan build-fuzz films

help:
	@echo 'make              build everything into build/'
	@echo 'make demo         make a film'
	@echo 'make test         run every test'
	@echo 'make quality      measure the films of models/nano'
	@echo 'make train        train a small model (PRESET, HOURS, SEED, INIT, FREE, RUN, MODEL)'
	@echo 'make bench        measure the kernels of this machine'
	@echo 'make crash        kill a server fifty times and count what is lost'
	@echo 'make load         a thousand connections to a server'
	@echo 'make install      install into PREFIX (/usr/local)'
	@echo 'make -s ascend-env    say how to use the emulator of CANN (CANN=8.1 8.3 9.0 least)'
	@echo 'make lint         check the rules of the house'
	@echo 'make fuzz         run the fuzz targets (needs clang)'
	@echo 'make asan ubsan tsan   test under a sanitizer'
	@echo 'make clean        remove what was built'

.PHONY: all demo test quality train crash load bench install lint fuzz ascend-env \
  asan ubsan tsan clean help
