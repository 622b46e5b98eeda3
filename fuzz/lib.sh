# shellcheck shell=bash
# Sourced from the root of the project: how fuzz targets are built, run and reported on.

fuzz_dir=fuzz/libfuzzer
fuzz_target_dir=${CARGO_TARGET_DIR:-target}/fuzz
fuzz_cargo_fuzz=0.13.2

# The targets: one file each.
fuzz_targets() {
    local file
    for file in "$fuzz_dir"/targets/*.rs; do
        [[ -f $file ]] && basename "$file" .rs
    done
}

# cargo-fuzz, and the compiler that builds libFuzzer.
fuzz_tools() {
    command -v g++ >/dev/null || need_packages g++ || return 1
    cargo fuzz --version >/dev/null 2>&1 ||
        cargo install --quiet --locked "cargo-fuzz@$fuzz_cargo_fuzz"
}

# The core forbids unsafe code, so that there is nothing for a sanitizer to find; without one the
# stable compiler does, and the machines run at their full speed. Which checks each crate has stands in
# the profile: without `--release` cargo-fuzz puts all of them in everywhere. It cannot be told `--locked`.
fuzz_build() {
    fuzz_locked || return 1
    cargo fuzz build --fuzz-dir "$fuzz_dir" --target-dir "$fuzz_target_dir" --sanitizer none \
        --release "$@"
}

# Whether the lock file of the targets fits the manifests.
fuzz_locked() {
    cargo metadata --locked --format-version 1 --manifest-path "$fuzz_dir/Cargo.toml" >/dev/null || {
        echo "$fuzz_dir/Cargo.lock does not fit:" \
            "cargo update --workspace --manifest-path $fuzz_dir/Cargo.toml mends it"
        return 1
    }
}

# fuzz_jobs MOST FUNCTION TARGET...: FUNCTION TARGET for each target, so many at a time, each in a
# process group of its own.
fuzz_jobs() {
    local most=$1 function=$2 target
    for target in "${@:3}"; do
        while (($(jobs -rp | wc -l) >= most)); do wait -n; done
        set -m
        "$function" "$target" &
        set +m
    done
    wait
}

# Ends what fuzz_jobs has begun, with all that runs in it.
fuzz_end_jobs() {
    local job
    for job in $(jobs -rp); do kill -TERM -- "-$job" 2>/dev/null; done
    wait 2>/dev/null
}

# fuzz_exec TARGET CORPUS... OPTION...: becomes the target's fuzzer. New inputs go to the first corpus.
# Inputs may have any length from the beginning: libFuzzer otherwise keeps to the length of the seeds
# for hours, which is a handful of acts of 48.
fuzz_exec() {
    local host
    host=$(rustc -vV | sed -n 's/^host: //p')
    exec "$fuzz_target_dir/$host/release/$1" "${@:2}" -max_len=600 -len_control=0 -timeout=60 \
        -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1
}

# fuzz_for SECONDS LOG TARGET CORPUS... OPTION...: replays the corpora, and then fuzzes for so many
# seconds, or not at all with 0. libFuzzer's own limit of time counts the replay, which in slow targets
# uses it up; therefore it is told to end. Ends with status $fuzz_interrupted when somebody else told it.
fuzz_interrupted=72
fuzz_for() {
    local seconds=$1 log=$2 fuzzer now end=""
    shift 2
    ((seconds > 0)) || set -- "$@" -runs=0
    : >"$log"
    fuzz_exec "$@" >"$log" 2>&1 &
    fuzzer=$!
    while kill -0 "$fuzzer" 2>/dev/null; do
        now=${EPOCHREALTIME/[.,]/}
        if [[ -n $end ]] && ((now >= end)); then
            kill -USR1 "$fuzzer"
            break
        elif [[ -z $end ]] && grep -q INITED "$log"; then
            end=$((now + seconds * 1000000))
        fi
        sleep 0.1
    done
    wait "$fuzzer"
}

# fuzz_unpack TARGET FOLDER: the corpus into FOLDER/TARGET.
fuzz_unpack() {
    mkdir -p "$2/$1" && tar -xzf "fuzz/corpus/$1.tar.gz" -C "$2/$1"
}

# fuzz_pack TARGET FOLDER: the corpus from FOLDER, always the same bytes for the same inputs. The
# archive is the old one or the new one at any moment.
fuzz_pack() {
    local packed=fuzz/corpus/$fuzz_half-$1
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=0644 --transform='s,^\./,,' \
        -C "$2" -cf "$packed" $(cd "$2" && LC_ALL=C ls) &&
        gzip -9n <"$packed" >"$packed.gz" && mv "$packed.gz" "fuzz/corpus/$1.tar.gz" && rm "$packed"
}

# How files begin that fuzz_pack leaves when it is stopped.
fuzz_half=.half-$$

# fuzz_report TARGET LOG SECONDS: one line about a run of fuzz_for. Fails when nothing was fuzzed, or
# the corpus was not replayed to its end.
fuzz_report() {
    local runs replayed edges features fresh
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$2")
    replayed=$(sed -nE 's/^#([0-9]+)[[:space:]]+INITED.*/\1/p' "$2")
    # Without that line it failed in the replay.
    replayed=${replayed:-${runs:-0}}
    fresh=$(sed -n 's/^stat::new_units_added: *//p' "$2")
    read -r edges features < <(sed -nE 's/.* cov: ([0-9]+) ft: ([0-9]+) .*/\1 \2/p' "$2" | tail -n 1)
    printf '%-11s %5s replayed  %8s more runs  %5s edges  %6s features  %4s new inputs\n' \
        "$1" "$replayed" "$((${runs:-0} - replayed))" "${edges:-0}" "${features:-0}" "${fresh:-0}"
    # A fuzzer that sees nothing of what it runs finds nothing.
    ((replayed > 0 && ${edges:-0} > 100 && ($3 == 0 || ${runs:-0} > replayed))) || {
        echo "$1: nothing was fuzzed"
        return 1
    }
}

# fuzz_crash TARGET LOG FOLDER: what went wrong, and how to see it again.
fuzz_crash() {
    local input
    echo "$1: FAILED"
    grep -E -A3 'panicked at|ERROR: libFuzzer|SUMMARY' "$2" | grep -vE '^--$' | head -n 20
    for input in "$3"/crash-* "$3"/timeout-* "$3"/oom-*; do
        [[ -f $input ]] || continue
        echo "the input in base64: $(base64 -w0 "$input")"
        echo "to see it again: base64 -d >input, then" \
            "FUZZ_STORY=1 cargo run --profile ci -p genkan-fuzz -- run $1 input"
    done
    return 1
}
