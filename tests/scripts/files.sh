# shellcheck shell=bash
# Sourced: lists every file of the project, tracked or about to be; without git, all but build output.
project_files() {
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files -co --exclude-standard
    else
        find . \( -name target -o -name .git \) -prune -o -type f -printf '%P\n'
    fi
}

# The manifests of the workspace's members, one a line.
member_manifests() {
    cargo metadata --format-version 1 --no-deps | grep -o '"manifest_path":"[^"]*"' | cut -d'"' -f4
}
