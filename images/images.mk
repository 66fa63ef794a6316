# Images, one per stage, from three Dockerfiles. Included by the Makefile.
#
#   make base        a base image from Debian packages, for sites where no registry can be reached; builds then use it
#   make build       every image; make build/tda one of them
#   make verify-images   whether a second build of each image gives the same files; VERIFIED="merge tda" some of them
#   make offline-kit     what builds and runs all of it, in one folder; make from-kit takes it
#   make sizes       the bytes that each image has alone, and shares with others
#   make sbom        what packages each image has, sbom/NAME.cdx.json; make sbom/tda.cdx.json one of them
#   make licences    whether the licences of all packages are allowed
#   make vulnerabilities   what advisories say about the packages of every lock
#   make .env        what `docker compose` needs to know of this machine
#   make sif         every image as a file for Apptainer, sif/NAME.sif; make sif/tda.sif one of them
#   make sif/tda.ch.made   an image as a folder for Charliecloud

BASE_IMAGE := localhost/lcz42-edge/base
ALL_IMAGES := $(subst _,-,$(patsubst images/%/requirements.txt,%,$(wildcard images/*/requirements.txt)))

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
.PHONY: .env build sizes $(ALL_IMAGES:%=build/%)
.env:
	@python3 -m shared.pipeline image
build: ## every image; make build/tda one of them
	@python3 -m shared.pipeline image $(ALL_IMAGES)
$(ALL_IMAGES:%=build/%): build/%:
	@python3 -m shared.pipeline image $*

VERIFIED ?= $(ALL_IMAGES)
.PHONY: verify-images
verify-images: ## build every image again, from copies of the files and without caches, and name what differs; VERIFIED="merge tda" some of them
	@python3 -m shared.tools.image_trees.main $(VERIFIED)

sizes: ## the MB that each image has alone and shares with others, and what all take on disk
	@python3 -m shared.tools.sizes

# For machines without a network: docs/offline.md. TO is the folder, IMAGES=1 takes the images along.
.PHONY: offline-kit from-kit
offline-kit: .venvs/uv/bin/uv .venvs/sr_realesrgan/made ## gather source, packages, weights and the base image in one folder, TO=kit, for machines without a network; IMAGES=1 with all images
	@python3 -m shared.tools.offline_kit.gather --to $(call quoted,$(or $(TO),kit)) --pip .venvs/uv/bin/python \
		$(if $(filter 1,$(IMAGES)),--images) --locks $(LOCKS:%=%.txt)
from-kit: ## take packages, weights and images from a folder of make offline-kit: KIT=folder
	@python3 -m shared.tools.offline_kit.use $(call quoted,$(KIT))

# What is in the images, from the environments, which have the very packages. Files are the same for the same lock.
.PHONY: sbom licences vulnerabilities
SBOMS := $(ALL_IMAGES:%=sbom/%.cdx.json)
sbom: $(SBOMS) ## a bill of materials (CycloneDX) of every image, sbom/NAME.cdx.json; make sbom/tda.cdx.json one of them
$(foreach image,$(ALL_IMAGES),$(eval sbom/$(image).cdx.json: .venvs/$(subst -,_,$(image))/made))
$(SBOMS): sbom/%.cdx.json: .venvs/supply/made
	@echo "sbom $*" >&2; mkdir -p sbom && .venvs/supply/bin/cyclonedx-py environment --output-reproducible --output-format JSON \
		--output-file $@.partial .venvs/$(subst -,_,$*)/bin/python && mv $@.partial $@

licences: ## whether shared/tools/licences.toml allows the licences of all packages in the environments that are made
	@python3 -m shared.tools.licences .venvs

vulnerabilities: .venvs/supply/made ## what advisories are known about the packages of every lock, by pip-audit; fails when there are some
	@python3 -m shared.tools.vulnerabilities .venvs/supply/bin/pip-audit $(LOCKS:%=%.txt)

# For clusters, where nodes have another engine, or none that may be used. The images come from this machine's engine,
# and a file is made anew when it is older than what goes into its image.
.PHONY: sif
sif: $(ALL_IMAGES:%=sif/%.sif) ## every image as a file for Apptainer; make sif/tda.sif one of them
$(ALL_IMAGES:%=sif/%.sif): sif/%.sif:
	@python3 -m shared.pipeline image $*
	@mkdir -p sif && docker save --output sif/$*.tar lcz42-edge/$* && apptainer build --force $@ docker-archive:sif/$*.tar; \
		code=$$?; rm -f sif/$*.tar; exit $$code
$(ALL_IMAGES:%=sif/%.ch.made): sif/%.ch.made:
	@python3 -m shared.pipeline image $*
	@rm -rf sif/$*.ch && mkdir -p sif && ch-convert --in-fmt docker --out-fmt dir lcz42-edge/$* sif/$*.ch && \
		mkdir -p sif/$*.ch/app/data sif/$*.ch/mirror && touch $@  # where ch-run mounts folders: it makes none in an image
