# Everything runs from this folder with relative paths, so the clone may stand anywhere, also where
# the path has spaces. What a target needs is made by bin/set_up.py; it is quick when nothing changed.

PORT ?= 8000
WORKERS ?= 2
export PORT WORKERS

PYTHON := .venv/bin/python
SET_UP := python="$$(sh bin/find-python)" && "$$python" bin/set_up.py
EMBEDDED_URL := $(PYTHON) -c 'from movieshelf.embedded import services as s; print(f"postgresql://postgres@/{s.run_dir}/movieshelf")'
KEY := $(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(48))'

.DEFAULT_GOAL := help
.PHONY: help run test lint format openapi fuzz lint-openapi client bench bench-scale requirements stop clean test-browser

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

run: ## Serve on http://127.0.0.1:$PORT (PORT=8000 WORKERS=2), with a database and films
	@$(SET_UP)
	@$(PYTHON) bin/serve.py

test: ## Run the tests (ARGS="-k rating" to choose among them)
	@$(SET_UP) requirements-dev.txt
	@$(PYTHON) -m movieshelf.embedded start
	@$(PYTHON) -m pytest -n 2 $(ARGS)

test-browser: ## Work at the moderators' desk in a Chromium (SCREENSHOTS=docs/images keeps pictures)
	@command -v chromium chromium-browser >/dev/null || { echo "It needs a Chromium: apt-get install chromium"; exit 1; }
	@$(SET_UP) requirements-dev.txt
	@$(PYTHON) -m movieshelf.embedded start
	@$(PYTHON) -m pytest -m browser $(ARGS)

lint: ## Check style, types, imports, migrations and the settings for production
	@$(SET_UP) requirements-dev.txt
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy .
	$(PYTHON) -c 'from importlinter.cli import lint_imports_command as main; main()'
	.venv/bin/hadolint Dockerfile
	.venv/bin/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml
	@# What follows asks the database: which migrations were applied, and what its version can do.
	@$(PYTHON) -m movieshelf.embedded start
	$(PYTHON) manage.py makemigrations --check --dry-run
	LOG_LEVEL=WARNING $(PYTHON) manage.py lintmigrations --settings movieshelf.tests.lint_settings
	@SECRET_KEY="$$($(KEY))" JWT_SIGNING_KEY="$$($(KEY))" DEBUG=false \
		ALLOWED_HOSTS=movieshelf.example CORS_ALLOWED_ORIGINS=https://movieshelf.example \
		DATABASE_URL="$$($(EMBEDDED_URL))" \
		REDIS_URL=redis://127.0.0.1:6379/0 \
		$(PYTHON) manage.py check --deploy --fail-level WARNING

format: ## Put the code into its style
	@$(SET_UP) requirements-dev.txt
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

openapi: ## Write openapi.json, which a test compares with the code
	@$(SET_UP)
	@$(PYTHON) -m movieshelf.embedded start
	@$(PYTHON) manage.py openapi

fuzz: ## Try every operation by schemathesis, longer than make test does (EXAMPLES=100)
	@$(SET_UP) requirements-dev.txt
	@$(PYTHON) -m movieshelf.embedded start
	@SCHEMATHESIS_EXAMPLES=$(or $(EXAMPLES),100) $(PYTHON) -m pytest -n 2 movieshelf/tests/test_schemathesis.py

lint-openapi: ## Lint openapi.json by Spectral (needs Node.js)
	@$(SET_UP) requirements-dev.txt
	@$(PYTHON) -m pytest -q movieshelf/tests/test_clients.py -k lint

client: ## Generate and check the TypeScript client, and run its first session (needs Node.js)
	@$(SET_UP) requirements-dev.txt
	@$(PYTHON) -m movieshelf.embedded start
	@$(PYTHON) -m pytest -q movieshelf/tests/test_clients.py

bench: ## Time every endpoint and too much at once (BASELINE=FOLDER|URL) into docs/performance.md
	@$(SET_UP)
	@$(PYTHON) benchmarks/bench.py --baseline "$(BASELINE)" $(ARGS)

bench-scale: ## Measure every list at 10,000 to 1,000,000 films into docs/performance-scale.md
	@$(SET_UP)
	@$(PYTHON) benchmarks/scale.py $(ARGS)

requirements: ## Compile requirements*.in to requirements*.txt
	@$(SET_UP) requirements-dev.txt
	@for name in requirements requirements-dev; do \
		.venv/bin/uv pip compile --quiet --universal --python-version 3.12 --generate-hashes --no-header \
			"$$name.in" --output-file "$$name.txt" || exit 1; \
	done
	@echo "Compiled requirements.txt and requirements-dev.txt."

stop: ## End the server, the database and the cache of this clone
	@# Without its packages this cannot tell what runs; it installs them only if something may.
	@if ! $(PYTHON) -c 'import psutil, psycopg, redis' 2>/dev/null; then \
		if [ ! -d .data/run ] && [ ! -d .data/postgres ]; then \
			echo "Nothing was started here."; exit 0; \
		fi; \
		$(SET_UP) || exit 1; \
	fi; \
	$(PYTHON) bin/serve.py stop && $(PYTHON) -m movieshelf.embedded stop

clean: stop ## Remove the data, the virtual environment and all caches; .env stays
	rm -rf .data .venv staticfiles .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
