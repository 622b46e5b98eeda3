#!/usr/bin/env bash
# The README's first command, as a newcomer types it: it must end well and say what it showed.
set -u

# Extended regular expressions; each must match a line that the demo prints.
key_lines=(
    'registers its id'
    'certificate, signed by the authority'
    'key exchange 1/2, with the sealed request'
    'opens the seal: password right, accepted'
    'communication request \(end-to-end keys 2/2\)'
    'direct path stands, over TCP'
    'POST /api/target +200 +target 20\.0 °C → 22\.5 °C +tunnel'
    '^Connected [0-9.]+ ms after'
)

((${#key_lines[@]} > 0)) || {
    echo "tests/scripts/demo.sh states no key lines: the demo is unchecked"
    exit 1
}
cargo build --release -p genkan || exit 1
output=$(timeout 120 cargo run --release -p genkan -- demo)
status=$?
printf '%s\n' "$output"
((status == 0)) || {
    echo "the demo ended with status $status"
    exit 1
}
for line in "${key_lines[@]}"; do
    grep -qE -- "$line" <<<"$output" || {
        echo "the demo did not print: $line"
        status=1
    }
done
exit "$status"
