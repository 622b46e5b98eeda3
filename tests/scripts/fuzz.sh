#!/usr/bin/env bash
# Replays every corpus under libFuzzer, and then fuzzes each target but `swarm` for some seconds.
# FUZZ_SECONDS says how many (3; 0 only replays); names as arguments restrict it to those targets.
set -u
. tests/scripts/packages.sh
. fuzz/lib.sh

[[ ${FUZZ_SECONDS:=3} =~ ^[0-9]+$ ]] || {
    echo "FUZZ_SECONDS is no number of seconds: $FUZZ_SECONDS"
    exit 1
}
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
    # Choices of worlds are drawn in the stage `test`; here those in the corpus are run again.
    local seconds=$((10#$FUZZ_SECONDS))
    [[ $target != swarm ]] || seconds=0
    fuzz_unpack "$target" "$here/corpus" &&
        if fuzz_for "$seconds" "$here/log" "$target" "$here/new" "$here/corpus/$target" \
            -artifact_prefix="$here/"; then
            fuzz_report "$target" "$here/log" "$seconds"
        else
            fuzz_crash "$target" "$here/log" "$here"
        fi || touch "$work/failed"
}

trap 'fuzz_end_jobs; exit 143' HUP INT TERM
fuzz_jobs "$(nproc)" fuzz_one "${chosen[@]}"
[[ ! -e $work/failed ]]
