//! `genkan key`.

use crate::support::run;

#[test]
fn a_new_key_has_an_id_that_can_be_shown_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("deep").join("key");
    let file = file.to_str().unwrap();
    let made = run(&["key", "new", file, "--json"]);
    assert_eq!(made.status, 0, "{}", made.err);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("gk1") && id.len() == 61, "{id}");
    assert_eq!(run(&["key", "id", file]).out, format!("{id}\n"));
    // A data directory stands for the key in it.
    assert_eq!(run(&["key", "id", dir.path().join("deep").to_str().unwrap()]).out.trim(), id);
    let shown = run(&["key", "show", file]);
    assert!(shown.out.contains(&id) && shown.out.contains('▀'), "{}", shown.out);
    assert!(!shown.out.contains('\x1b'), "no colours where there is no terminal");
    let coloured = run(&["key", "show", file, "--color", "always"]);
    assert!(coloured.out.contains('\x1b'));
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, "precious").unwrap();
    let again = run(&["key", "new", file.to_str().unwrap()]);
    assert_eq!(again.status, 4);
    assert!(again.err.contains("exists already"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn a_missing_or_foreign_file_is_told_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("none");
    let file = file.to_str().unwrap();
    let missing = run(&["key", "id", file]);
    assert_eq!(missing.status, 4);
    assert!(missing.err.contains(file), "{}", missing.err);
    assert!(missing.err.contains("genkan key new"), "says what to do: {}", missing.err);
    std::fs::write(file, "hello\n").unwrap();
    #[cfg(unix)]
    open_to(file, 0o600);
    let foreign = run(&["key", "id", file, "--json"]);
    assert_eq!(foreign.status, 4);
    assert_eq!(foreign.json()["event"], "failed");
    assert_eq!(foreign.json()["exit"], 4);
}

#[cfg(unix)]
fn open_to(path: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[cfg(unix)]
#[test]
fn a_key_file_is_closed_to_others_and_refused_when_it_is_not() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sub").join("key");
    let path = file.to_str().unwrap();
    assert_eq!(run(&["key", "new", path]).status, 0);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&file) & 0o777, 0o600);
    assert_eq!(mode(file.parent().unwrap()) & 0o777, 0o700);
    for open in [0o640, 0o604, 0o666, 0o620] {
        open_to(path, open);
        let refused = run(&["key", "id", path]);
        assert_eq!(refused.status, 4, "{open:o}");
        assert!(refused.err.contains("chmod 600"), "{}", refused.err);
    }
}

#[cfg(unix)]
#[test]
fn secrets_do_not_appear_in_what_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    let path = file.to_str().unwrap();
    let made = run(&["key", "new", path, "-vvv"]);
    let content = std::fs::read_to_string(&file).unwrap();
    let secret = content.lines().last().unwrap();
    let shown = run(&["key", "show", path, "-vvv"]);
    for text in [made.out, made.err, shown.out, shown.err] {
        assert!(!text.to_uppercase().contains(secret), "{text}");
    }
}
