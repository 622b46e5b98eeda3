//! `genkan authority`.

use std::path::Path;

use crate::support::{Ran, run};

/// An authority, a server key and a certificate in `dir`; the authority's public key.
fn certified(dir: &Path, more: &[&str]) -> (String, Ran) {
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let made = run(&["authority", "new", &path("authority"), "--json"]);
    assert_eq!(made.status, 0, "{}", made.err);
    let authority = made.json()["authority"].as_str().unwrap().to_owned();
    let server =
        run(&["key", "new", &path("key"), "--json"]).json()["id"].as_str().unwrap().to_owned();
    let (key, out) = (path("authority"), path("certificate"));
    let mut arguments =
        vec!["authority", "certify", "--authority", &key, "--server", &server, "--out", &out];
    arguments.extend(more);
    (authority, run(&arguments))
}

#[test]
fn a_certificate_says_whom_it_is_for_and_who_signed_it() {
    let dir = tempfile::tempdir().unwrap();
    let more = ["--name", "rdv.example.net", "--name", "backup", "--serial", "7", "--days", "30"];
    let (authority, signed) = certified(dir.path(), &more);
    assert_eq!(signed.status, 0, "{}", signed.err);
    let file = dir.path().join("certificate");
    let file = file.to_str().unwrap();
    let plain = run(&["authority", "inspect", file]);
    for part in ["rdv.example.net backup", "serial      7", " days left)", "server key  gk1"] {
        assert!(plain.out.contains(part), "{part} in {}", plain.out);
    }
    let checked = run(&["authority", "inspect", file, "--authority", &authority, "--json"]);
    assert_eq!(checked.status, 0, "{}", checked.err);
    let event = checked.json();
    assert_eq!(event["trusted"], true);
    assert_eq!(event["names"][1], "backup");
    assert_eq!(event["serial"], 7);
    assert!(event["not_after"].as_u64() > event["not_before"].as_u64());
}

#[test]
fn another_authority_s_certificate_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, signed) = certified(one.path(), &["--name", "a"]);
    assert_eq!(signed.status, 0);
    let (stranger, _) = certified(other.path(), &["--name", "a"]);
    let file = one.path().join("certificate");
    let refused = run(&["authority", "inspect", file.to_str().unwrap(), "--authority", &stranger]);
    assert_eq!(refused.status, 4);
    assert!(refused.err.contains("not signed by a trusted authority"), "{}", refused.err);
}

#[test]
fn an_authority_s_own_file_shows_its_public_half_again() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, _) = certified(dir.path(), &["--name", "a"]);
    let file = dir.path().join("authority");
    let shown = run(&["authority", "inspect", file.to_str().unwrap()]);
    assert!(shown.out.contains(&authority), "{}", shown.out);
}

#[test]
fn what_makes_no_sense_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (_, signed) = certified(dir.path(), &["--name", "two words"]);
    assert_eq!(signed.status, 0, "a name with a blank is two names");
    for name in ["", "ü", &"n".repeat(90)] {
        let dir = tempfile::tempdir().unwrap();
        let (_, refused) = certified(dir.path(), &["--name", name]);
        assert_eq!(refused.status, 2, "{name:?}: {}", refused.err);
    }
    for days in ["0", "36501", "-1", "x"] {
        let dir = tempfile::tempdir().unwrap();
        let (_, refused) = certified(dir.path(), &["--name", "a", "--days", days]);
        assert_eq!(refused.status, 2, "{days}");
    }
    let nonsense = dir.path().join("nonsense");
    std::fs::write(&nonsense, "nonsense").unwrap();
    assert_eq!(run(&["authority", "inspect", nonsense.to_str().unwrap()]).status, 4);
}
