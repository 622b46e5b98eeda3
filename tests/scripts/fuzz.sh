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

# One target: its corpus, then some seconds of new inputs.
fuzz_one() {
    local target=$1 here=$work/$1
    mkdir -p "$here/new" "$here/tmp"
    export TMPDIR=$here/tmp
    local limit=-max_total_time=$seconds
    # World runs draw new worlds in a stage of their own; here those in the corpus are run again.
    [[ $target != swarm ]] || limit=-runs=0
    fuzz_unpack "$target" "$here/corpus" &&
        if fuzz_run "$target" "$here/new" "$here/corpus/$target" "$limit" \
            -artifact_prefix="$here/" >"$here/log" 2>&1; then
            fuzz_report "$target" "$here/log"
        else
            fuzz_crash "$target" "$here/log" "$here"
        fi || touch "$work/failed"
}

trap 'fuzz_end_jobs; exit 143' HUP INT TERM
fuzz_jobs "$(nproc)" fuzz_one "${chosen[@]}"
[[ ! -e $work/failed ]]
