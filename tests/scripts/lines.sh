#!/usr/bin/env bash
# The rules about files that no compiler checks. Prints every breach, then fails if there was one.
set -u
. tests/scripts/files.sh
. fuzz/lib.sh
max_lines=400
max_corpus=300000
# Longer files, each with its reason: [path]="why it is one thing and cannot be cut".
declare -A longer=()
# Members with lints of their own, each with its reason; all others forbid unsafe code.
declare -A own_lints=(
    [adapters/c/Cargo.toml]="the interface for C is made of raw pointers"
)
required=(
    README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE-MIT LICENSE-APACHE
    Cargo.toml Cargo.lock rustfmt.toml clippy.toml .gitignore .ci/run tests/run
    core/docs/PROTOCOL.md core/docs/DESIGN.md core/docs/TESTING.md
    fuzz/README.md
)

breaches=0
breach() {
    echo "$1"
    breaches=$((breaches + 1))
}

mapfile -t files < <(project_files)
((${#files[@]} > 0)) || breach "no files found"

for file in "${files[@]}"; do
    [[ $file == *.rs && -f $file ]] || continue
    count=$(wc -l <"$file")
    if ((count > max_lines)) && [[ -z ${longer[$file]:-} ]]; then
        breach "$file: $count lines, more than $max_lines: cut it by what its parts are for"
    elif ((count <= max_lines)) && [[ -n ${longer[$file]:-} ]]; then
        breach "$file: no longer over $max_lines lines, take it off the list"
    fi
done

cargo metadata --locked --format-version 1 >/dev/null || breach "Cargo.lock does not fit the manifests"
cargo metadata --locked --format-version 1 --manifest-path adapters/firmware/Cargo.toml >/dev/null ||
    breach "adapters/firmware/Cargo.lock does not fit the manifests"
stale=$(fuzz_locked) || breach "$stale"
mapfile -t manifests < <(member_manifests)
((${#manifests[@]} > 0)) || breach "no workspace member found"
for manifest in "${manifests[@]}"; do
    [[ -z ${own_lints[${manifest#"$PWD"/}]:-} ]] || continue
    tr '\n' ' ' <"$manifest" | grep -qE '\[lints\] +workspace = true' ||
        breach "${manifest#"$PWD"/}: lacks '[lints] workspace = true'"
done

while IFS= read -r hit; do
    breach "path of one machine: $hit"
done < <(printf '%s\0' "${files[@]}" |
    xargs -0 grep -nIE '(^|[^A-Za-z0-9_.])/(work|root|home)/' -- 2>/dev/null)

for file in fuzz/corpus/*.tar.gz; do
    size=$(stat -c %s "$file")
    ((size <= max_corpus)) || breach "$file: $size bytes, more than $max_corpus"
done

for file in "${required[@]}"; do
    [[ -s $file ]] || breach "$file: missing or empty"
done
for file in tests/run .ci/run fuzz/campaign; do
    [[ -x $file ]] || breach "$file: not executable"
done

echo "${#files[@]} files, ${#manifests[@]} members, $breaches breaches"
((breaches == 0))
