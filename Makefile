# What to run; each target is one line of what it says in README.md.

SHELL := /bin/bash
export PATH := $(PATH):$(HOME)/.cargo/bin

# Every script there but those that these start or import.
PEERS := $(filter-out %/peer.py %/egnn_jax.py %/egnn_torch.py %/serve.py, $(wildcard benches/peers/*.py))

.PHONY: help setup build demo test gpu test-gpu bench bench-peers families equivariant ensembles data

help:
	@echo 'make demo         installs what is missing, builds, and samples butane (10 minutes after the build)'
	@echo 'make test         format check, lints, every test; says which tests were skipped and why'
	@echo 'make build        the program, target/release/boltzflow'
	@echo 'make gpu          the program with the wgpu device'
	@echo 'make test-gpu     the laws of flows and the program on a GPU, or on a driver in software'
	@echo 'make bench        our own timings'
	@echo 'make bench-peers  ratios to JAX, PyTorch, OpenMM and RDKit, which pip installs into .venv'
	@echo 'make families     the table of all families of flows, row by row (hours; into data/families/)'
	@echo 'make equivariant  the same of equivariant flows of positions (hours; into data/equivariant/)'
	@echo 'make ensembles    small and drug-like molecules by generate, against replica exchange (hours; into ensembles/)'
	@echo 'make data         writes the files of data/ again (from .venv)'

setup:
	@scripts/setup.sh

build: setup
	cargo build --release -p boltzflow-cli

demo: build
	target/release/boltzflow generate data/butane.xyz --smiles CCCC -n 1000 -o butane.sdf --seed 1

test: setup
	@scripts/test.sh

gpu: setup
	cargo build --release -p boltzflow-cli --features wgpu

test-gpu: setup
	@scripts/test_gpu.sh

bench: setup
	cargo bench --workspace

bench-peers: setup
	@scripts/python.sh
	@for script in $(PEERS); do .venv/bin/python "$$script" || exit 1; done

families equivariant: build
	target/release/boltzflow compare configs/$@.toml -o data/$@ > $@.md
	mv $@.md data/$@/README.md

ensembles: build
	python3 benches/ensembles/small.py ensembles/small
	python3 benches/ensembles/drugs.py ensembles/drugs

data:
	@scripts/python.sh
	.venv/bin/python scripts/make_molecules.py
	.venv/bin/python scripts/make_ala2.py
