#!/usr/bin/env bash
# Builds what firmware links, for four bare-metal targets, with neither `alloc` nor `std` in reach: code
# that needs either does not compile here. Lints what the stage `clippy` cannot reach. The first build is
# the one that `size.sh` reads.
set -eu
. tests/scripts/firmware.sh

firmware_build
# Only linted: linked, defmt would want a logger.
firmware_verb=clippy firmware_build --features defmt,stream,smoltcp,nal -- -D warnings
# What is counted on the emulated Cortex-M4, for that alone.
(
    firmware_targets=(thumbv7em-none-eabi)
    firmware_crate=benches/m4 firmware_verb=clippy firmware_build -- -D warnings
)
# And the firmware, which is no member of the workspace.
firmware_verb=clippy adapters/firmware/build -- -D warnings
RUSTDOCFLAGS="-D warnings" firmware_verb=doc adapters/firmware/build --no-deps
