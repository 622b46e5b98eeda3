# shellcheck shell=bash
# Sourced: need_packages installs Debian packages that are missing or too old.

# $1 is installed, and not older than $2 when that is given.
have_package() {
    local found
    found=$(dpkg-query -W -f='${db:Status-Status} ${Version}' "$1" 2>/dev/null) || return 1
    [[ $found == "installed "* ]] || return 1
    [[ -z ${2:-} ]] || dpkg --compare-versions "${found#* }" ge "$2"
}

# The package lists on this machine offer $1, and not older than $2 when that is given.
offered() {
    local candidate
    candidate=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p')
    [[ -n $candidate && $candidate != "(none)" ]] || return 1
    [[ -z ${2:-} ]] || dpkg --compare-versions "$candidate" ge "$2"
}

# need_packages name[>=version] ... One caller at a time: two apt-get would stand in each other's way, and
# their own lock does not hold for the package lists.
need_packages() {
    # Who may not install anything only looks.
    ((EUID == 0)) && [[ -d /run/lock ]] || {
        install_missing "$@"
        return
    }
    # A daemon that an installation starts does not get the lock.
    (flock 9 && install_missing "$@" 9>&-) 9>>/run/lock/genkan-packages
}

install_missing() {
    local want missing=() fresh=1 apt=(apt-get -y -q -o DPkg::Lock::Timeout=120)
    command -v dpkg-query >/dev/null || {
        echo "not a Debian system; install by hand what stands for: $*"
        return 1
    }
    for want in "$@"; do
        have_package "${want%%>=*}" "$(version_of "$want")" && continue
        missing+=("${want%%>=*}")
        offered "${want%%>=*}" "$(version_of "$want")" || fresh=0
    done
    ((${#missing[@]} > 0)) || return 0
    ((EUID == 0)) || {
        echo "missing Debian packages, install them as root: ${missing[*]}"
        return 1
    }
    export DEBIAN_FRONTEND=noninteractive
    # Lists that offer a package may still name a version that the mirror has dropped: hence the retry.
    if ((fresh == 0)) || ! "${apt[@]}" install --no-install-recommends "${missing[@]}"; then
        "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${missing[@]}" || return 1
    fi
    for want in "$@"; do
        have_package "${want%%>=*}" "$(version_of "$want")" || {
            echo "Debian package $want could not be had"
            return 1
        }
    done
}

version_of() { [[ $1 != *">="* ]] || echo "${1#*>=}"; }
