# Images, one per stage, from three Dockerfiles. Included by the Makefile.
#
#   make base        a base image from Debian packages, for sites where no registry can be reached; builds then use it
#   make build       every image; make build/tda one of them
#   make .env        what `docker compose` needs to know of this machine

BASE_IMAGE := lcz42-edge/base
IMAGES := $(subst _,-,$(patsubst images/%/requirements.txt,%,$(wildcard images/*/requirements.txt)))

# Python and the certificates that this machine trusts, no more. The same in every build once it is there.
.PHONY: base
base: ## a base image from Debian packages, where no registry can be reached
	@docker image inspect $(BASE_IMAGE) >/dev/null 2>&1 || { folder=$$(mktemp -d) && trap 'rm -rf $$folder' EXIT && \
	mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
		--customize-hook='copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs' bookworm $$folder/base.tar && \
	docker import --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' $$folder/base.tar $(BASE_IMAGE); }

# Compose reads .env by itself, so that `docker compose run` as typed writes as the caller, too.
.PHONY: .env
.env:
	@base=$$(docker image inspect $(BASE_IMAGE) >/dev/null 2>&1 && echo $(BASE_IMAGE) || echo pinned); \
	printf '%s\n' UID=$$(id -u) GID=$$(id -g) BASE=$$base >.env.partial; \
	cmp -s .env.partial .env && rm .env.partial || mv .env.partial .env
	@mkdir -p data

# For every build, also the one that `docker compose run --build` does.
export REVISION := $(shell git describe --always --dirty --abbrev=40 2>/dev/null || echo unknown)

# One after the other: the torch layer is built once, by the first that needs it, and found by the rest.
.PHONY: build $(IMAGES:%=build/%)
build: .env ## every image; make build/tda one of them
	COMPOSE_PARALLEL_LIMIT=1 docker compose build
$(IMAGES:%=build/%): build/%: .env
	docker compose build $*

# What the pipeline waits for: an image newer than all that goes into it.
$(IMAGES:%=.images/%): .images/%: $(shell find shared -name "*.py" -o -name "*.toml") $(wildcard images/*.txt images/*.Dockerfile stages/__main__.py)
	@$(MAKE) --no-print-directory build/$*
	@mkdir -p .images && touch $@
$(foreach image,$(IMAGES),$(eval .images/$(image): $(wildcard stages/$(subst -,_,$(image))/* images/$(subst -,_,$(image))/*)))
