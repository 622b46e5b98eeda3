#!/usr/bin/env bash
# What an acceptor takes on a microcontroller, with hole punching and without: fails when a limit of
# benches/size/limits.txt is exceeded, or anything can panic that benches/size/crates.txt does not justify.
# Differences from the kept report are shown; `tests/scripts/size.sh --keep` keeps the new one.
set -eu
. tests/scripts/firmware.sh

# One target is enough to see what punching takes.
(firmware_targets=("${firmware_targets[0]}") && firmware_build --no-default-features)
plain=$firmware_dir/genkan-size-plain
cp "$firmware_dir/${firmware_targets[0]}/release/genkan-size" "$plain"
firmware_build
images=()
for target in "${firmware_targets[@]}"; do
    images+=("$target=$firmware_dir/$target/release/genkan-size")
done
report=$firmware_dir/size-report.txt
status=0
cargo run -q --profile ci -p genkan-benches --bin genkan-size-report -- \
    benches/size "${images[@]}" "plain=$plain" >"$report" || status=$?
if [[ ${1:-} == --keep ]]; then
    cp "$report" benches/size/report.txt
else
    echo "differences from the kept report, benches/size/report.txt:"
    diff -u benches/size/report.txt "$report" || true
fi
exit "$status"
