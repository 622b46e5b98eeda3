#!/usr/bin/env bash
# Builds what firmware links, for four bare-metal targets, with neither `alloc` nor `std` in reach: code
# that needs either does not compile here. The first build is the one that `size.sh` reads.
set -eu
. tests/scripts/firmware.sh

firmware_build
# Only checked: linked, defmt would want a logger.
firmware_verb=check firmware_build --features defmt,stream,smoltcp,nal
