//! `THREATS.md` lists every threat, and only tests that exist.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The functions of a test file.
fn functions(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("fn "));
    lines.filter_map(|line| line.split('(').next()).map(str::to_owned).collect()
}

/// All tests as `file::function`; of a test in a folder, that one's name.
fn tests() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let files = match fs::read_dir(&path) {
            Ok(inside) => inside.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => vec![path],
        };
        for path in files.iter().filter(|path| path.extension().is_some_and(|end| end == "rs")) {
            let names = functions(&fs::read_to_string(path).unwrap());
            all.extend(names.into_iter().map(|name| format!("{stem}::{name}")));
        }
    }
    all
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("THREATS.md");
    fs::read_to_string(path).unwrap()
}

/// What stands between backticks and has two colons.
fn listed(page: &str) -> BTreeSet<String> {
    page.split('`').filter(|word| word.contains("::")).map(str::to_owned).collect()
}

#[test]
fn every_listed_test_exists() {
    let (tests, listed) = (tests(), listed(&page()));
    let missing: Vec<_> = listed.difference(&tests).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(listed.len() > 50);
}

#[test]
fn every_threat_has_a_row_with_tests_or_an_honest_word() {
    let page = page();
    for number in 1..=40 {
        let start = format!("| T{number} | ");
        let rows: Vec<_> = page.lines().filter(|line| line.starts_with(&start)).collect();
        assert_eq!(rows.len(), 1, "T{number}");
        let cells: Vec<_> =
            rows[0].split(" | ").map(|cell| cell.trim_matches([' ', '|'])).collect();
        let has_tests = rows[0].contains("::");
        let has_word = cells.last().is_some_and(|word| !word.is_empty() && !word.contains('`'));
        match cells[1] {
            "full" => assert!(has_tests, "T{number}"),
            "part" => assert!(has_word, "T{number}: what is missing?"),
            "later" => assert!(!cells[2].contains("::"), "T{number}"),
            other => panic!("T{number}: {other}"),
        }
    }
}

#[test]
fn every_test_with_a_threats_number_is_listed() {
    let listed = listed(&page());
    let numbered = tests().into_iter().filter(|test| {
        let name = test.split("::").nth(1).unwrap_or_default();
        name.starts_with('t') && name[1..].starts_with(|c: char| c.is_ascii_digit())
    });
    let unlisted: Vec<_> = numbered.filter(|test| !listed.contains(test)).collect();
    assert!(unlisted.is_empty(), "{unlisted:#?}");
}
