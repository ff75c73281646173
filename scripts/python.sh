#!/usr/bin/env bash
# Makes .venv, with the peers' pinned packages and what writes data/.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
    echo "python: python3 with venv is missing; install it: sudo apt-get install -y --no-install-recommends python3-venv" >&2
    exit 1
fi
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r benches/peers/requirements.txt -r scripts/requirements.txt
