# Every command of CI is a target here. Each target installs its packages into .venv, from the hash-pinned locks.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
NAMES  := $(notdir $(patsubst %/settings.py,%,$(wildcard sidecars/*/settings.py)))
LOCKS  := $(NAMES) browser compile demo dev examples fuzz peers scan site store top
# Most tests wait for processes. Two of them at a time halve the run; the tests of one file stay together.
PARALLEL := -n $(or $(JOBS),2) --dist loadfile
AMBASSADOR_PROGRAM := tests/ambassador/program tests/ambassador/http2/program # CI runs them once: with the compiled form
# Builds behind a TLS-inspecting proxy: its CA bundle goes in as a build secret, never into an image.
export CA_BUNDLE ?= $(SSL_CERT_FILE)

.DEFAULT_GOAL := help
.PHONY: help demo up down test test-fast test-browser check check-code check-charts check-images docs pictures images e2e arm64 release-notes release-images release-sign release-charts scan bench conformance chaos chaos-grpc chaos-kafka chaos-s3 zones fuzz hostile soak compiled test-compiled world simulation model site locks clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do printf '  %-14s %s\n' "$$name" "$$text"; done

# Bytecode first: a confined sidecar cannot write any, so each start would compile all modules again.
BYTECODE = $(BIN)/python -m compileall -q

demo: $(VENV)/demo.stamp ## the Pod as processes on loopback, with faults, a page and a checked ledger; STAY=1 keeps the page
	@$(BYTECODE) sidecars demo
	@$(BIN)/python -m demo $(if $(STAY),--stay)

up: ## the Pod in containers, with a real Tomcat; builds what is missing, and says which page to open (needs an engine)
	@$(PYTHON) -m tools.up up

down: ## remove the Pod of `make up`
	@$(PYTHON) -m tools.up down

test: $(VENV)/dev.stamp $(VENV)/peers.stamp build/js_interop/installed ## every test that needs no container engine, JOBS (2) at a time; with an engine, the images too
	@$(BYTECODE) sidecars demo
	$(BIN)/python -m pytest -m "not engine" --ignore tests/browser $(if $(CI),$(AMBASSADOR_PROGRAM:%=--ignore %)) $(PARALLEL)
	@if [ -n "$$CI" ] || command -v chromium >/dev/null; then $(MAKE) --no-print-directory test-browser; else \
	  echo; echo 'NOT RUN: tests/browser. There is no Chromium here, so no page was looked at (Debian: apt-get install chromium).'; fi
	@if [ "$(E2E)" = later ]; then :; elif docker info >/dev/null 2>&1; then $(MAKE) --no-print-directory e2e; else \
	  echo; echo 'NOT RUN: tests/images. No container engine answers here, so the images were neither built nor run.'; fi

test-fast: $(VENV)/dev.stamp ## the unit tests of all parts, on all cores: no processes, no engine
	@# Bytecode is kept, whatever the environment says: each worker would rewrite the assertions of all tests each time.
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q --units -n auto

test-browser: $(VENV)/dev.stamp $(VENV)/browser.stamp ## the pages in Chromium: what they show, ask for and say, and what axe finds; needs Debian's chromium
	@$(BYTECODE) sidecars demo
	$(BIN)/python -m pytest tests/browser

e2e: $(VENV)/dev.stamp ## build the images and run the examples in them (needs an engine)
	$(BIN)/python -m pytest -m engine --timeout 900 tests/images

check: check-code check-charts check-images ## lint, types, import contracts, docs, Dockerfile, manifests, compose, bake

check-code: $(VENV)/dev.stamp ## the checks that need no docker command
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m sidecars.chassis.settings_tables --check
	$(BIN)/python -m tools.dependencies --check
	$(BIN)/python -m tools.names --check
	$(BIN)/python -m tools.page --check
	$(BIN)/python -m tools.documents.troubleshooting --check
	$(BIN)/python -m tools.documents.links --check
	$(BIN)/python -m tools.manifests --check
	$(BIN)/python -m tools.monitoring --check
	$(BIN)/python -m tools.monitoring.pictures --check
	$(BIN)/python -m tools.screens --check
	$(BIN)/zizmor --offline --no-progress --quiet .github
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	$(BIN)/hadolint $$(git ls-files '*Dockerfile*' | grep -v dockerignore)
	@if [ -n "$$CI" ]; then echo 'tests/repo: make test runs it, which CI calls next'; else $(BIN)/python -m pytest -q tests/repo; fi

check-charts: $(VENV)/dev.stamp ## helm lint of the charts; downloads helm once (tools/kube.py)
	@set -e; programs=$$($(BIN)/python -m tools.kube); \
	for chart in sidecars sidecars-platform; do echo "helm lint --strict deploy/helm/$$chart"; "$$programs/helm" lint --strict --quiet deploy/helm/$$chart; done

check-images: ## the checks that need docker's compose and buildx, but no engine
	@docker compose version >/dev/null && docker buildx version >/dev/null || \
	  { echo 'make check needs docker with compose and buildx: install them, or run make check-code'; exit 1; }
	@set -e; for file in examples/*/compose.yaml; do echo "docker compose -f $$file config"; docker compose -f $$file config --quiet; done
	docker buildx bake --print >/dev/null

docs: $(VENV)/dev.stamp ## write what is generated: settings tables, dependencies, version and names of images, the page, manifests, dashboards
	$(BIN)/python -m sidecars.chassis.settings_tables --write
	$(BIN)/python -m tools.dependencies --write
	$(BIN)/python -m tools.names --write
	$(BIN)/python -m tools.page --write
	$(BIN)/python -m tools.documents.troubleshooting --write
	$(BIN)/python -m tools.monitoring --write
	$(BIN)/python -m tools.manifests --write

pictures: $(VENV)/dev.stamp $(VENV)/browser.stamp ## draw the dashboards for the docs from sample data, and photograph the pages in real runs; needs Debian's prometheus and chromium
	$(BIN)/python -m tools.monitoring.pictures
	$(BIN)/python -m tools.screens

site: $(VENV)/site.stamp ## the documents as a site in build/site; optional, and strict about links and anchors
	$(BIN)/python -m tools.documents.site

images: ## build the five images
	docker buildx bake

arm64: $(VENV)/dev.stamp ## all five images for arm64, on any machine: built twice and started under qemu-user (needs an engine and qemu-user)
	IMAGES=all $(BIN)/python -m pytest -m engine --timeout 3600 tests/images/test_arm64.py tests/images/test_reproducible.py

release-notes: $(VENV)/dev.stamp ## the notes of the version of the tag GITHUB_REF_NAME, in build/release
	@mkdir -p build/release
	$(BIN)/python -m tools.release notes --tag "$${GITHUB_REF_NAME:?the tag, such as v1.2.3}" >build/release/notes.md

release-images: $(VENV)/dev.stamp ## build the images of both platforms, push them to REGISTRY and write their digests; the workflow calls it
	$(BIN)/python -m tools.release publish --registry "$${REGISTRY:?where to push}" --attest

release-sign: $(VENV)/dev.stamp ## sign what release-images has pushed, with cosign and without a key; the workflow calls it
	$(BIN)/python -m tools.release sign --registry "$${REGISTRY:?where the images are}"

release-charts: $(VENV)/dev.stamp ## push the Helm charts to REGISTRY; the workflow calls it
	$(BIN)/python -m tools.release charts --registry "$${REGISTRY:?where to push}"

scan: $(VENV)/dev.stamp $(VENV)/scan.stamp ## known vulnerabilities of the images' Debian packages and of the locks; needs the network and debsecan
	@for name in $(NAMES); do $(BIN)/pip-audit --disable-pip --require-hashes --requirement locks/$$name.txt || exit 1; done
	$(BIN)/python -m tools.release scan

bench: $(VENV)/dev.stamp ## each sidecar beside its real peers, and a report; fails where a figure is missed
	@missed=0; for name in $(NAMES) starts ambassador_names ambassador_kubernetes signatures isolation stalled_log silent_connections loop_stalls status_page kafka_clients s3_objects node_agent many_log_files compressed_copies time_zones reduction live_tail; do echo "== $$name"; $(BIN)/python -m benchmarks.$$name || missed=1; done; \
	$(BIN)/python -m benchmarks.report; exit $$missed

chaos-s3: $(VENV)/dev.stamp $(VENV)/peers.stamp ## kill -9 KILLS times (200) for each S3 server, with lost answers, errors and conflicts; each line in one object
	$(BIN)/python -m tests.logshipper.chaos_s3 --kills $${KILLS:-200}

chaos: $(VENV)/dev.stamp ## kill -9, rotations and sink faults, ROUNDS of them (1000) for each of PROFILES (sinks,relp,compressed,rotations,collectors,node,http,tls,streams), and a kill at each call that changes a file; no line may be lost
	$(BIN)/python -m tests.logshipper.chaos --rounds $${ROUNDS:-1000} --profiles $${PROFILES:-sinks,relp,compressed,rotations,collectors,node,http,tls,streams}
	CRASH_POINTS=all $(BIN)/python -m pytest tests/logshipper/program/test_crash_points.py tests/warcopier/program/test_crash_points.py tests/warcopier/program/test_crash.py

chaos-grpc: $(VENV)/dev.stamp ## CALLS (10000) of gRPC each through graceful restarts and kill -9 of replicas, and 1,000 cancellations a second for SECONDS_OF_CANCELLATION (60)
	$(BIN)/python -m tests.ambassador.grpc_chaos --calls $${CALLS:-10000} --seconds $${SECONDS_OF_CANCELLATION:-60}

# Each row has a name of its own: the last line of each table counts them.
HTTP2 := tests/ambassador/http2/program
CONFORMANCE := test_interop.py test_negative_interop.py test_smuggling.py \
  test_h2spec.py::test_an_app_that_breaks_a_rule_is_answered_as_the_rfc_says \
  test_h2spec.py::test_an_endpoint_that_breaks_a_rule_never_ends_a_response_for_the_app
conformance: $(VENV)/dev.stamp $(VENV)/peers.stamp build/js_interop/installed ## the ambassador and other implementations: gRPC's interop tests with Ruby, Python, Go and Node, the negative ones, smuggling, h2spec in both roles
	@failed=0; for table in $(CONFORMANCE); do echo "== $$table"; $(BIN)/python -m pytest -q $(HTTP2)/$$table || failed=1; done; exit $$failed

zones: $(VENV)/dev.stamp ## a log of each hour of 2025 to 2027, and of the hours in which the clock is set, in every time zone; no time may be wrong
	$(BIN)/python -m tests.logshipper.zones $(ZONES)

chaos-kafka: $(VENV)/dev.stamp ## the Kafka sink: kill -9 ROUNDS times (500), lost answers of a real broker, and zombies; no line may be lost or repeated
	$(BIN)/python -m tests.logshipper.kafka_chaos --rounds $${ROUNDS:-500}

fuzz: $(VENV)/dev.stamp $(VENV)/fuzz.stamp ## mutated bytes for every parser, SECONDS_EACH (30) for each of TARGETS (all); Linux on x86-64
	$(BIN)/python -m tests.fuzz --seconds $${SECONDS_EACH:-30} $(TARGETS)

hostile: $(VENV)/dev.stamp ## the suite of the hostile neighbour in all its layers, each alone and together; needs strace, and root for other users
	HOSTILE=all $(BIN)/python -m pytest tests/hostile

world: $(VENV)/dev.stamp ## SEEDS (1000) of each sidecar on a virtual clock, network and disk; a seed that fails can be replayed
	$(BIN)/python -m tests.world --seeds 0-$$(($${SEEDS:-1000} - 1))

simulation: $(VENV)/dev.stamp ## overloads and faults in virtual time, through the ambassador's own code, SEEDS (3) of them; a promise that breaks fails, and the plots of the docs are drawn
	$(BIN)/python -m tests.simulation --plots --seeds $${SEEDS:-3}

model: $(VENV)/dev.stamp ## every state of the journal protocol with N (6) units; needs spin and gcc
	$(BIN)/python -m tests.model N=$${N:-6} KILLS=$${KILLS:-2} LOSSES=$${LOSSES:-0} FAILURES=$${FAILURES:-0}

soak: compiled ## REQUESTS through the ambassador (10 million), as the images have it, while memory and descriptors are watched; needs nginx and wrk
	PYTHONSAFEPATH=1 PYTHONPATH=build/compiled:. $(BIN)/python -m tests.ambassador.soak --requests $${REQUESTS:-10000000}

compiled: $(VENV)/dev.stamp ## the code as the images have it, with the ambassador's data path compiled, in build/compiled; OPTIMIZE=0 compiles sooner
	$(BIN)/python compile.py build/compiled --optimize $(or $(OPTIMIZE),2)
	@$(BYTECODE) build/compiled

test-compiled: $(if $(BUILT),,compiled) ## the tests of the compiled packages, against the compiled form; BUILT=1: as it is in build/compiled
	FORM=compiled $(BIN)/python -m pytest -o pythonpath='build/compiled .' $(PARALLEL) tests/ambassador

locks: $(VENV)/dev.stamp ## compile each extra with hashes, for every platform
	@set -e; for name in $(LOCKS); do echo "locks/$$name.txt"; $(BIN)/uv pip compile --quiet --universal --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make locks' \
	  --extra $$name pyproject.toml --output-file locks/$$name.txt; done

clean: ## remove the files that these targets made
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed; PYTHON=… chooses one'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'the venv module of Python is needed (Debian: apt-get install python3-venv)'; exit 1; }

# The generator of the site and the servers of tests have environments of their own: they share packages with dev, in
# other versions.
$(VENV)/site.stamp $(VENV)/peers.stamp: $(VENV)/%.stamp: locks/%.txt | $(VENV)/bin/python
	@echo 'setting up $(VENV)/$* from $<'
	@$(PYTHON) -m venv $(VENV)/$*
	@$(VENV)/$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# grpc-js for the interop tests, in build/: its lock has the hashes. No script of a package is run.
JS := tests/ambassador/http2/js_interop
build/js_interop/installed: $(JS)/package.json $(JS)/package-lock.json $(VENV)/peers.stamp
	@echo 'setting up build/js_interop from $(JS)/package-lock.json'
	@mkdir -p build/js_interop && cp $(JS)/package.json $(JS)/package-lock.json build/js_interop
	@cd build/js_interop && PATH="$(abspath $(VENV))/peers/bin:$$PATH" npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

$(VENV)/%.stamp: locks/%.txt | $(VENV)/bin/python
	@echo 'setting up $(VENV) from $<'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
