# Images, one per stage, from three Dockerfiles. Included by the Makefile.
#
#   make base        a base image from Debian packages, for sites where no registry can be reached; builds then use it
#   make build       every image; make build/tda one of them
#   make .env        what `docker compose` needs to know of this machine

BASE_IMAGE := localhost/lcz42-edge/base
IMAGES := $(subst _,-,$(patsubst images/%/requirements.txt,%,$(wildcard images/*/requirements.txt)))

# Python and the certificates that this machine trusts, no more. The same in every build once it is there.
.PHONY: base
base: ## a base image from Debian packages, where no registry can be reached
	@docker image inspect $(BASE_IMAGE) >/dev/null 2>&1 || { command -v mmdebstrap >/dev/null || \
	{ echo "make base: mmdebstrap: no such command; apt-get install mmdebstrap" >&2; exit 2; }; \
	folder=$$(mktemp -d) && trap 'rm -rf $$folder' EXIT && \
	mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
		--customize-hook='copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs' bookworm $$folder/base.tar && \
	docker import --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' $$folder/base.tar $(BASE_IMAGE); }

# What a checkout puts into an image is a label of the image, lcz42-edge.inputs: an image that is not in the engine, or
# was built from other files, is built; any other one is left alone. Before each product make looks again.
.PHONY: .env build $(IMAGES:%=build/%)
.env:
	@python3 -m shared.pipeline image
build: ## every image; make build/tda one of them
	@python3 -m shared.pipeline image $(IMAGES)
$(IMAGES:%=build/%): build/%:
	@python3 -m shared.pipeline image $*
