#!/usr/bin/env bash
# Replays every corpus under libFuzzer and fuzzes each target for some seconds on top.
# FUZZ_SECONDS says how many (3); names as arguments restrict it to those targets.
set -u
. tests/scripts/packages.sh
. fuzz/lib.sh

seconds=${FUZZ_SECONDS:-3}
chosen=("$@")
((${#chosen[@]} > 0)) || mapfile -t chosen < <(fuzz_targets)
((${#chosen[@]} > 0)) || {
    echo "no fuzz target found"
    exit 1
}
fuzz_tools && fuzz_build || exit 1

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work
status=0
for target in "${chosen[@]}"; do
    fuzz_unpack "$target" "$work/corpus" || exit 1
    mkdir -p "$work/new"
    if fuzz_run "$target" "$work/new" "$work/corpus/$target" -max_total_time="$seconds" \
        -artifact_prefix="$work/" >"$work/log" 2>&1; then
        fuzz_report "$target" "$work/log"
    else
        status=1
        fuzz_crash "$target" "$work/log" "$work"
    fi
    rm -rf "$work/new"
done
exit "$status"
