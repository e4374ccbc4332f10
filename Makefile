# From a bare clone with Python 3.11+ and make, `make gate` and `make test` each do all their own set-up.
#
#   make gate    every scenario valid on the reference implementation, every faulty variant caught
#   make test    the tests, among them ruff and mypy (PYTEST_ARGS="-k name" to choose, JOBS=4 for more at once)
#   make quick   of these only what starts no process: seconds
#   make coverage   the same with branch coverage, which must not fall
#   make cases   of these only the case studies: published packages, installed and raced
#   make bench   the benchmarks: throughput, the nearest rival on the same programs, scaling
#   make bench-power   hours: which scheduler finds what; goes on where it was cut, then makes docs/benchmarks.md
#   make soundness   hours: random programs, and every two of some short ones, searched in two ways and then run for real; goes on where it was cut
#   make docs    the documentation as a site, in build/site
#   make gallery   the reports of one race, in reports/gallery
#   make dist    the wheel and the sdist, in dist, tried in a fresh environment
#   make clean   remove everything that these make
#
# PYTHON=/path/to/python chooses the interpreter that .venv is made from (after `make clean`, if there is one).

.DEFAULT_GOAL := gate
.DELETE_ON_ERROR:
.PHONY: gate test quick coverage cases bench bench-power soundness docs gallery dist clean

PYTHON ?=
JOBS ?= 2
PYTEST_ARGS ?=

VENV_PYTHON := .venv/bin/python
POWER := $(VENV_PYTHON) -m benchmarks.power --jobs $(JOBS) --json build/benchmarks/power.json
PIP := $(VENV_PYTHON) -m pip --disable-pip-version-check --quiet

gate: .venv/.stamp
	.venv/bin/harness gate

test: .venv/.stamp
	$(VENV_PYTHON) -m pytest -n $(JOBS) --dist worksteal --durations=10 --durations-min=0.25 $(PYTEST_ARGS)

quick: .venv/.stamp
	$(VENV_PYTHON) -m pytest -q -m "not forks and not slow and not cases" $(PYTEST_ARGS)

coverage: .venv/.stamp
	$(VENV_PYTHON) -m coverage run -m pytest -q -m "not forks and not slow and not cases" $(PYTEST_ARGS)
	$(VENV_PYTHON) -m coverage report

cases: .venv/.stamp
	$(VENV_PYTHON) -m pytest -n $(JOBS) -m cases --durations=0 --durations-min=0.25 $(PYTEST_ARGS)

bench: .venv/.stamp-bench
	$(VENV_PYTHON) -m benchmarks.throughput
	$(VENV_PYTHON) -m benchmarks.peers
	-$(VENV_PYTHON) -m benchmarks.scaling --json build/benchmarks/scaling.json
	$(VENV_PYTHON) -m benchmarks.plots --scaling build/benchmarks/scaling.json

# The samplers get less time than the default: on the hundred-task races they would search for days.
bench-power: .venv/.stamp-bench
	-$(POWER) --schedulers portfolio --seconds 3600
	-$(POWER) --twins --schedulers portfolio --seeds 5 --seconds 120
	-$(POWER) --variants --seconds 120 --baselines 20
	-$(POWER) --races --seconds 60 --baselines 20
	$(VENV_PYTHON) -m benchmarks.plots --power build/benchmarks/power.json

soundness: .venv/.stamp
	$(VENV_PYTHON) -m benchmarks.soundness --pairs --wild 20 --jobs $(JOBS) --record build/benchmarks/pairs.jsonl --json build/benchmarks/pairs.json
	$(VENV_PYTHON) -m benchmarks.soundness --programs 2000 --jobs $(JOBS) --record build/benchmarks/soundness.jsonl --json build/benchmarks/soundness.json

docs: .venv/.stamp
	.venv/bin/mkdocs build --quiet

gallery: .venv/.stamp
	$(VENV_PYTHON) -m tests.project.gallery

dist: .venv/.stamp
	$(VENV_PYTHON) -m tests.project.dist_check dist

clean:
	rm -rf .venv .venv.lock build dist race_harness.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the virtual environment ------------------------------------------------------------------------------------
# A stamp is written last, so a set-up that was interrupted is taken up again. Set-up runs under a lock, in a make of
# its own that looks at the stamp afresh: of two makes started together the second waits, then finds it all done.

ifndef VENV_LOCK_HELD

# Sets $python to the first interpreter that will do, or ends with an explanation.
define FIND_PYTHON
python=; \
for candidate in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11); do \
  if "$$candidate" -c 'import sys, ensurepip, sqlite3, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
  then python=$$candidate; break; fi; \
done; \
if [ -z "$$python" ]; then \
  echo 'make: no usable Python: tried $(or $(PYTHON),python3 python3.13 python3.12 python3.11).' >&2; \
  echo '  Needed: 3.11 or newer, with the modules venv, ensurepip and sqlite3 (Debian: package python3-venv).' >&2; \
  echo '  To choose one: make PYTHON=/path/to/python $(or $(MAKECMDGOALS),gate)' >&2; \
  exit 1; \
fi
endef

# Runs its arguments while holding .venv.lock, which the system gives back however the process ends.
define UNDER_LOCK
import fcntl, subprocess, sys
with open(".venv.lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    sys.exit(subprocess.call(sys.argv[1:], close_fds=False))
endef
export UNDER_LOCK

.venv/.stamp .venv/.stamp-bench: pyproject.toml constraints.txt
	@$(FIND_PYTHON); \
	"$$python" -c "$$UNDER_LOCK" $(MAKE) --no-print-directory VENV_LOCK_HELD=1 PYTHON="$$python" $@

else

.venv/.stamp: pyproject.toml constraints.txt
	@echo 'Setting up .venv (only when pyproject.toml or constraints.txt changed) ...'
	@$(VENV_PYTHON) -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear .venv
	@$(PIP) install -c constraints.txt hatchling hatch-fancy-pypi-readme
	@$(PIP) install -c constraints.txt --no-build-isolation -e '.[test]'
	@touch $@

# A dependency group needs a newer pip than some Pythons bring.
.venv/.stamp-bench: .venv/.stamp
	@$(PIP) install -c constraints.txt pip
	@$(PIP) install -c constraints.txt --group bench
	@touch $@

endif
