//! Key files and state: who may read them, what is refused, what a power cut leaves.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test's helpers are part of the test")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject};
use genkan_core::{EquipmentId, PasswordRecord, Resumption, StaticKey};
use genkan_std::files::*;
use tempfile::{TempDir, tempdir};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn names(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_new_key_is_its_owners_alone_and_reads_back() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("key");
    let made = create_key(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(&dir), ["key"], "no temporary file stays");
    let read = load_key(&path).unwrap();
    assert_eq!((read.secret(), read.id()), (made.secret(), made.id()));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\nGK-SECRET-1"), "{text}");
    assert!(text.contains(&made.id().to_string()));
}

#[test]
fn an_existing_key_is_never_overwritten() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("key");
    let made = create_key(&path).unwrap();
    assert!(create_key(&path).unwrap_err().is_present());
    assert!(save_key(&path, &StaticKey::from_secret([1; 32])).unwrap_err().is_present());
    assert_eq!(load_or_create_key(&path).unwrap().id(), made.id());
    assert_eq!(names(&dir), ["key"]);
    // Not even a dangling link is followed to make a file elsewhere.
    let link = dir.path().join("link");
    symlink(dir.path().join("elsewhere"), &link).unwrap();
    assert!(create_key(&link).unwrap_err().is_present());
    assert!(!dir.path().join("elsewhere").exists());
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_remedy() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("key");
    create_key(&path).unwrap();
    for open in [0o640, 0o604, 0o660, 0o644, 0o601] {
        chmod(&path, open);
        let error = load_key(&path).unwrap_err();
        assert!(matches!(error.problem(), Problem::TooOpen { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("chmod 600") && text.contains("key: "), "{text}");
    }
    chmod(&path, 0o400);
    load_key(&path).unwrap();
}

#[test]
fn links_pipes_and_directories_are_not_keys() {
    let dir = tempdir().unwrap();
    let (key, link) = (dir.path().join("key"), dir.path().join("link"));
    create_key(&key).unwrap();
    symlink(&key, &link).unwrap();
    assert!(matches!(load_key(&link).unwrap_err().problem(), Problem::Symlink));
    assert!(matches!(load_key(dir.path()).unwrap_err().problem(), Problem::WrongType(_)));
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&pipe).status();
    if made.is_ok_and(|status| status.success()) {
        // Must not wait for a writer.
        assert!(matches!(load_key(&pipe).unwrap_err().problem(), Problem::WrongType(_)));
    }
    assert!(load_key(&dir.path().join("none")).unwrap_err().is_missing());
}

#[test]
fn every_wrong_character_and_every_cut_is_noticed() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("key");
    create_key(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let line = text.lines().last().unwrap().to_owned();
    let refuse = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        let error = load_key(&path).unwrap_err();
        assert!(matches!(error.problem(), Problem::Content { .. }), "{error}");
        let content = String::from_utf8_lossy(content);
        let secret = content.lines().last().unwrap_or("-").trim();
        assert!(secret.len() < 8 || !error.to_string().contains(secret), "tells the secret");
    };
    for position in 0..line.len() {
        let mut wrong = line.clone().into_bytes();
        wrong[position] = if wrong[position] == b'Q' { b'P' } else { b'Q' };
        refuse(&wrong);
    }
    for cut in 0..line.len() {
        refuse(&line.as_bytes()[..cut]);
    }
    refuse(format!("{line}\n{line}\n").as_bytes());
    refuse(b"# only a remark\n");
    assert!(load_key(&path).unwrap_err().to_string().contains("no line with a key"));
    refuse(&[0xff; 40]);
    fs::write(&path, line.to_lowercase() + "\n\n").unwrap();
    load_key(&path).unwrap();
    fs::write(&path, vec![b'#'; 5_000]).unwrap();
    assert!(matches!(load_key(&path).unwrap_err().problem(), Problem::TooLong(_)));
}

#[test]
fn a_key_of_another_kind_is_not_taken() {
    let dir = tempdir().unwrap();
    let (key, authority) = (dir.path().join("key"), dir.path().join("authority"));
    let made = create_key(&key).unwrap();
    let signer = create_authority(&authority).unwrap();
    assert_eq!(mode(&authority), 0o600);
    assert_eq!(load_authority(&authority).unwrap().seed(), signer.seed());
    for error in [load_key(&authority).unwrap_err(), load_authority(&key).unwrap_err()] {
        assert!(error.to_string().contains("another kind"), "{error}");
    }
    fs::write(&key, made.id().to_string()).unwrap();
    assert!(load_key(&key).is_err(), "an id is not a secret key");
    assert_eq!(parse_authority(&format_authority(signer.public())).unwrap(), *signer.public());
    assert!(parse_authority(&made.id().to_string()).is_err());
    assert!(!format!("{signer:?}").contains("SECRET"));
}

#[test]
fn certificates_are_public_text_and_bare_bytes_are_taken_too() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("cert");
    let subject = Subject {
        server_key: [9; 32],
        serial: 5,
        not_before: 1_000,
        not_after: 2_000,
        names: "rdv.example.net",
    };
    let mut out = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(&[3; 32], &subject, &mut out).unwrap();
    save_certificate(&path, &out[..len]).unwrap();
    assert_eq!(mode(&path), 0o644);
    assert!(fs::read_to_string(&path).unwrap().starts_with("-----BEGIN GENKAN CERTIFICATE-----"));
    assert_eq!(load_certificate(&path).unwrap(), out[..len]);
    save_certificate(&path, &out[..len]).unwrap();
    fs::write(&path, &out[..len]).unwrap();
    assert_eq!(load_certificate(&path).unwrap(), out[..len]);
    fs::write(&path, &out[..len - 1]).unwrap();
    assert!(load_certificate(&path).is_err());
    assert!(save_certificate(&path, b"nonsense").is_err());
}

#[test]
fn state_survives_and_is_its_owners_alone() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("state");
    let state = StateDir::open(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    assert_eq!((state.count_boot().unwrap(), state.failures().unwrap()), (1, 0));
    assert_eq!((state.certificate().unwrap(), state.floor().unwrap()), (None, 0));
    state.store_failures(7).unwrap();
    state.raise_floor(500).unwrap();
    state.raise_floor(400).unwrap();
    state.store_certificate(b"cert").unwrap();
    state.store_session(&Resumption { handle: 9, root: [5; 32] }).unwrap();
    state.set_password(Some(&[4; 32])).unwrap();
    state.set_paired(&[EquipmentId([1; 32]), EquipmentId([2; 32])]).unwrap();
    let friend = EquipmentId([8; 32]);
    assert_eq!(state.count_request(friend).unwrap().counter, 1);
    state.store_early_key(friend, [6; 16]).unwrap();
    let early = state.early_key().unwrap();
    assert!(early != [0; 16] && state.early_key().unwrap() == early);
    assert_eq!(mode(&path.join("early-key")), 0o600);
    assert_eq!(mode(&path.join("session")), 0o600);
    drop(state);

    let state = StateDir::open(&path).unwrap();
    assert_eq!((state.count_boot().unwrap(), state.failures().unwrap()), (2, 7));
    assert_eq!(state.certificate().unwrap().unwrap(), b"cert");
    assert_eq!(state.floor().unwrap(), 500);
    let kept = state.session().unwrap().unwrap();
    assert_eq!((kept.handle, kept.root), (9, [5; 32]));
    let record: PasswordRecord = state.password().unwrap().unwrap();
    assert!(record.matches(&[4; 32]) && !record.matches(&[5; 32]));
    assert_eq!(state.paired().unwrap(), [EquipmentId([1; 32]), EquipmentId([2; 32])]);
    let known = state.count_request(friend).unwrap();
    assert_eq!((known.counter, known.early_key), (2, Some([6; 16])));
    assert_eq!(state.early_key().unwrap(), early);
    assert_ne!(state.renew_early_key().unwrap(), early);
    state.set_password(None).unwrap();
    assert!(state.password().unwrap().is_none());
}

#[test]
fn a_lost_key_is_not_replaced_where_other_files_tell_of_it() {
    let dir = tempdir().unwrap();
    let made = load_or_create_key_in(dir.path(), &["boots"]).unwrap();
    StateDir::open(dir.path()).unwrap().count_boot().unwrap();
    assert_eq!(load_or_create_key_in(dir.path(), &["boots"]).unwrap().id(), made.id());
    fs::remove_file(dir.path().join("key")).unwrap();
    let error = load_or_create_key_in(dir.path(), &["password", "boots"]).unwrap_err();
    assert!(matches!(error.problem(), Problem::Lost("boots")), "{error}");
    assert!(!dir.path().join("key").exists());
}

#[test]
fn two_processes_cannot_share_a_state_directory() {
    let dir = tempdir().unwrap();
    let held = StateDir::open(dir.path()).unwrap();
    let error = StateDir::open(dir.path()).unwrap_err();
    assert!(matches!(error.problem(), Problem::InUse), "{error}");
    drop(held);
    StateDir::open(dir.path()).unwrap();
}

#[test]
fn damaged_or_open_state_is_refused_and_torn_writes_leave_the_old() {
    let dir = tempdir().unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    state.store_failures(3).unwrap();
    // What a crash in the middle of a write leaves: a temporary that nobody reads.
    fs::write(dir.path().join(".failures.0123456789abcdef.tmp"), "genkan-st").unwrap();
    assert_eq!(state.failures().unwrap(), 3);
    let file = dir.path().join("failures");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("00000003", "00000000")).unwrap();
    let error = state.failures().unwrap_err();
    assert!(matches!(error.problem(), Problem::Damaged), "{error}");
    assert!(error.to_string().contains("failures: "), "{error}");
    fs::write(&file, text.replace("failures", "boots")).unwrap();
    assert!(state.failures().is_err());
    fs::write(&file, &text).unwrap();
    chmod(&file, 0o644);
    assert!(matches!(state.failures().unwrap_err().problem(), Problem::TooOpen { .. }));
    state.store_failures(4).unwrap();
    assert_eq!((mode(&file), state.failures().unwrap()), (0o600, 4));
    fs::remove_file(&file).unwrap();
    symlink("/dev/null", &file).unwrap();
    assert!(state.store_failures(5).is_err(), "does not write through a link");
    for name in ["", "..", "a/b", "lock", ".x"] {
        assert!(state.write(name, b"x").is_err(), "{name:?}");
    }
    drop(state);
    chmod(dir.path(), 0o777);
    assert!(matches!(StateDir::open(dir.path()).unwrap_err().problem(), Problem::TooOpen { .. }));
    chmod(dir.path(), 0o700);
}
