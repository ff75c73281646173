#!/usr/bin/env bash
# The laws of flows on a GPU and the program with --device wgpu; Debian's software driver is a GPU where there is no other.
# Installs what Vulkan needs where it can, and goes on, saying so, where it cannot.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'test-gpu: %s\n' "$*" >&2; }

packages=()
if [ "$(uname -s)" = Linux ]; then
    ldconfig -p 2>/dev/null | grep 'libvulkan\.so\.1' >/dev/null || packages+=(libvulkan1)
    # Whatever driver there is says so in one of these folders.
    compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null || compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null ||
        packages+=(mesa-vulkan-drivers)
fi
if [ "${#packages[@]}" -gt 0 ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        say "missing: ${packages[*]}, or what this system has in their place; going on without"
    elif [ "$(id -u)" -ne 0 ]; then
        say "missing: ${packages[*]}; going on without. To install them:"
        say "    sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages[*]}"
    else
        say "installing ${packages[*]} with apt-get (running as root)"
        export DEBIAN_FRONTEND=noninteractive
        if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2; }; then
            say "apt-get has failed; going on without"
        fi
    fi
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
# One test at a time: all of them wait for one device, in loops that a driver in software needs the cores for.
# All of the workspace, so that the dependencies are those that `make test` has built, but for Burn's; the tests of GPUs alone.
cargo test --release --workspace --features boltzflow-cli/wgpu --lib --test integration --no-fail-fast -- gpu --show-output --test-threads 1 2>&1 |
    tee "$log" || status=$?
if grep -q '^skipped: ' "$log"; then
    printf '\n%s tests of GPUs were skipped\n' "$(grep -c '^skipped: ' "$log")"
    grep '^skipped: ' "$log" | sort -u
fi
exit "$status"
