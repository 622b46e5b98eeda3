//! The header that is kept is the one that the sources give, and C and C++ compilers take it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test's helpers are part of the test")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The header as the sources give it.
fn generated() -> String {
    let config = cbindgen::Config::from_file(here("cbindgen.toml")).unwrap();
    let bindings = cbindgen::generate_with_config(here(""), config).unwrap();
    let mut bytes = Vec::new();
    bindings.write(&mut bytes);
    // Rust's word for what a C author reads as the rules for pointers.
    String::from_utf8(bytes).unwrap().replace("// # Safety\n//\n", "// Pointers:\n")
}

#[test]
fn the_header_is_up_to_date() {
    let path = here("include/genkan.h");
    let generated = generated();
    if std::env::var_os("GENKAN_WRITE_HEADER").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == generated,
        "include/genkan.h is not what the sources give; \
         GENKAN_WRITE_HEADER=1 cargo test -p genkan-c --test header writes it"
    );
}

#[test]
fn c99_and_cpp_compilers_take_the_header_without_a_warning() {
    for (compiler, standard, language) in [("cc", "-std=c99", "c"), ("c++", "-std=c++11", "c++")] {
        let output = Command::new(compiler)
            .args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"])
            .args(["-x", language])
            .arg(here("include/genkan.h"))
            .output()
            .unwrap_or_else(|error| {
                panic!("{compiler}: {error}; Debian has it in build-essential")
            });
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
