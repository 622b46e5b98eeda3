#!/usr/bin/env bash
# The oldest supported Rust is stated once: rust-version in the root manifest.
# That code keeps to it is clippy's to say (incompatible_msrv); that dependencies do, is checked here.
set -u
. tests/scripts/files.sh
status=0
breach() {
    echo "$1"
    status=1
}

msrv=$(sed -n 's/^rust-version = "\([0-9.]*\)"$/\1/p' Cargo.toml)
[[ $msrv =~ ^1\.[0-9]+(\.[0-9]+)?$ ]] || {
    echo "Cargo.toml: wanted exactly one rust-version = \"1.x\", found '$msrv'"
    exit 1
}
echo "rust-version $msrv"

metadata=$(cargo metadata --format-version 1) || exit 1
while IFS= read -r manifest; do
    grep -q '^rust-version\.workspace = true$' "$manifest" ||
        breach "${manifest#"$PWD"/}: lacks rust-version.workspace = true"
done < <(member_manifests)

newest=$(grep -o '"rust_version":"[^"]*"' <<<"$metadata" | cut -d'"' -f4 | sort -V | tail -n 1)
[[ $(printf '%s\n' "$msrv" "$newest" | sort -V | tail -n 1) == "$msrv" ]] ||
    breach "a dependency in Cargo.lock needs Rust $newest"

# Any other place that states it, in a manifest, a lint setting or prose.
number=${msrv//./\\.}
while IFS= read -r hit; do
    breach "states the oldest Rust again: $hit"
done < <(project_files | grep -vE '^(Cargo\.toml|(.*/)?Cargo\.lock)$' | tr '\n' '\0' |
    xargs -0 grep -nIiE "^ *(rust-version|msrv) *= *\"|(rust|rustc|msrv)[^0-9]{0,40}\b${number}\b" -- 2>/dev/null)

exit "$status"
