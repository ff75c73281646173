#!/usr/bin/env bash
# Format check, lints with warnings denied, every test; then how many tests were skipped, and why.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in fmt clippy; do
    if ! cargo "$tool" --version >/dev/null 2>&1; then
        echo "test: cargo $tool is missing: run 'rustup component add rustfmt clippy'" >&2
        exit 1
    fi
done

reference=${BOLTZFLOW_REFERENCE:-../shared/data}
# Tests run in their package's folder: a relative path would mean another one there.
if [ -n "${BOLTZFLOW_REFERENCE:-}" ] && [ -d "$reference" ]; then
    BOLTZFLOW_REFERENCE=$(cd "$reference" && pwd)
    export BOLTZFLOW_REFERENCE
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

cargo fmt --all --check
cargo clippy --release --workspace --all-targets -- -D warnings
status=0
cargo test --release --workspace --no-fail-fast 2>&1 | tee "$log" || status=$?

awk '
    /^test result: / {
        for (i = 2; i <= NF; i++) {
            if ($i ~ /^passed/) passed += $(i - 1)
            if ($i ~ /^failed/) failed += $(i - 1)
            if ($i ~ /^ignored/) ignored += $(i - 1)
        }
    }
    END { printf "\n%d tests passed, %d failed, %d skipped\n", passed, failed, ignored }
' "$log"
if grep -qE '^test .* \.\.\. ignored' "$log"; then
    echo 'skipped:'
    sed -nE 's/^test (.*[^ ]) +\.\.\. ignored(, (.*))?$/  \1\t\3/p' "$log" |
        awk -F '\t' '{ print $1 ($2 == "" ? "" : ": " $2) }'
fi
if [ ! -f "$reference/README.md" ]; then
    echo "why: the reference data are not at $reference (set BOLTZFLOW_REFERENCE to their folder); tests that read them are skipped"
fi
exit "$status"
