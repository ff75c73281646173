#!/usr/bin/env bash
# Checks for what the build needs (a C++ compiler, cmake, Rust) and installs what Debian has of it.
# As root it runs apt-get and says so; otherwise it prints the command and stops. It never calls sudo.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

has() { command -v "$1" >/dev/null 2>&1; }

# The release of Rust that Cargo.toml asks for.
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

# Whether version $1 is at least version $2.
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

install() {
    if ! has apt-get; then
        say "missing: $*. This is no Debian system: install them by its own means, then run make again."
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        say "missing: $*. Install them, then run make again:"
        say "    sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
        exit 1
    fi
    say "installing $* with apt-get (running as root)"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$@" >&2
}

missing=()
# A compiler may be present without the headers of its libraries: ask it to build something.
works() {
    local out status=0
    out=$(mktemp)
    printf '%s\n' "$2" | "$1" -x "$3" -o "$out" - >/dev/null 2>&1 || status=1
    rm -f "$out"
    return "$status"
}
works cc '#include <stdlib.h>
int main(void) { return 0; }' c || missing+=(gcc libc6-dev)
works c++ '#include <vector>
int main() { return std::vector<int>().size(); }' c++ || missing+=(g++)
has cmake || missing+=(cmake)
has make || missing+=(make)
if [ "${#missing[@]}" -gt 0 ]; then install "${missing[@]}"; fi

if ! has cargo; then
    offered=$(apt-cache policy cargo 2>/dev/null | sed -n 's/ *Candidate: \([0-9.]*\).*/\1/p')
    if [ -n "$offered" ] && at_least "$offered" "$wanted"; then
        install cargo rustfmt rust-clippy
    else
        say "cargo is missing, and Rust $wanted or newer is needed (Debian offers ${offered:-none}). Get it from https://rustup.rs:"
        say "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
        exit 1
    fi
fi

found=$(cargo --version | cut -d ' ' -f 2)
if ! at_least "$found" "$wanted"; then
    say "cargo is $found, but Rust $wanted or newer is needed: run 'rustup update stable', or get it from https://rustup.rs"
    exit 1
fi
