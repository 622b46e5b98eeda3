//! Target `files`: what an appliance reads from its disk, and the text of ids and keys.
//!
//! The first byte says which; the others are a file's content, a value or a text. A content gives a
//! value or an error; what can be read can be written, and reads the same then. The files lie in a
//! [`Folder`] of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use genkan_core::wire::certificate::Certificate;
use genkan_core::{EquipmentId, ID_PREFIX, ID_TEXT_LEN, Resumption, StaticKey};
use genkan_std::StateDir;
use genkan_std::files::{
    format_authority, load_authority, load_certificate, load_key, parse_authority,
    save_certificate, save_key,
};

use crate::folder::Folder;
use crate::record::mar;

/// The values of a state directory.
const NAMES: [&str; 8] =
    ["boots", "certificate", "session", "floor", "failures", "password", "paired", "early-key"];

/// Puts a content into a file that only its owner may read.
fn put(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("a writable folder");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a file of our own");
}

/// Runs one input.
pub fn files(data: &[u8]) {
    let Some((&what, bytes)) = data.split_first() else { return };
    match what % 8 {
        0 => key_file(bytes),
        1 => authority_file(bytes),
        2 => certificate_file(bytes),
        3 => state_file(bytes),
        4 => state_value(bytes),
        5 => id_text(bytes),
        6 => authority_text(bytes),
        _ => changed_text(bytes),
    }
}

fn key_file(content: &[u8]) {
    let path = Folder::own().path.join("key");
    put(&path, content);
    let Ok(key) = load_key(&path) else { return };
    let copy = Folder::own().path.join("copy");
    let _ = fs::remove_file(&copy);
    save_key(&copy, &key).expect("a new file");
    assert_eq!(load_key(&copy).expect("a good file").secret(), key.secret());
    assert!(save_key(&copy, &key).is_err(), "a key was overwritten");
}

fn authority_file(content: &[u8]) {
    let path = Folder::own().path.join("authority");
    put(&path, content);
    if let Ok(key) = load_authority(&path) {
        let text = format_authority(key.public());
        assert_eq!(parse_authority(&text).expect("its own text"), *key.public());
    }
}

fn certificate_file(content: &[u8]) {
    let path = Folder::own().path.join("certificate");
    put(&path, content);
    let Ok(bytes) = load_certificate(&path) else {
        assert!(Certificate::parse(content).is_err(), "bare bytes were refused");
        return;
    };
    assert!(Certificate::parse(&bytes).is_ok());
    save_certificate(&path, &bytes).expect("a certificate");
    assert_eq!(load_certificate(&path).expect("a good file"), bytes);
}

/// Reads every value; none may bring the process down.
fn read_all(state: &StateDir) -> [bool; 8] {
    [
        state.count_boot().is_ok(),
        state.certificate().is_ok(),
        state.session().is_ok(),
        state.floor().is_ok(),
        state.failures().is_ok(),
        state.password().is_ok(),
        state.paired().is_ok(),
        state.early_key().is_ok(),
    ]
}

/// A file of the state directory, with any content.
fn state_file(bytes: &[u8]) {
    let Some((&which, content)) = bytes.split_first() else { return };
    let Folder { path, state } = &*Folder::own();
    let name = NAMES[usize::from(which) % NAMES.len()];
    let file = path.join("state").join(name);
    put(&file, content);
    if let Ok(Some(value)) = state.read(name) {
        state.write(name, &value).expect("a value that was read");
        let again = state.read(name).expect("a good file").expect("it was written");
        assert_eq!(*again, *value);
    }
    read_all(state);
    fs::remove_file(&file).expect("the file is there");
}

/// A value of the state directory, written as the node does.
fn state_value(bytes: &[u8]) {
    let Some((&which, value)) = bytes.split_first() else { return };
    let Folder { path, state } = &*Folder::own();
    let at = usize::from(which) % NAMES.len();
    let name = NAMES[at];
    let written = state.write(name, value).is_ok();
    assert_eq!(written, value.len() <= 4_096, "{} bytes", value.len());
    if written {
        assert_eq!(state.read(name).expect("a good file").expect("it was written")[..], *value);
        let sizes = [Some(8), None, Some(36), Some(8), Some(4), Some(48), None, Some(16)];
        let fits = sizes[at].is_none_or(|size| size == value.len())
            && (name != "paired" || value.len().is_multiple_of(32));
        assert_eq!(read_all(state)[at], fits, "{name} of {} bytes", value.len());
        resumption(state, value);
    }
    // `count_boot` and `early_key` may have written as well.
    for name in NAMES {
        let _ = fs::remove_file(path.join("state").join(name));
    }
}

/// A session that is kept is the one that comes back.
fn resumption(state: &StateDir, value: &[u8]) {
    let Some((handle, rest)) = value.split_first_chunk::<4>() else { return };
    let Some(root) = rest.first_chunk::<32>() else { return };
    let kept = Resumption { handle: u32::from_be_bytes(*handle), root: *root };
    state.store_session(&kept).expect("a session");
    assert!(state.session().expect("a good file") == Some(kept));
}

fn id_text(text: &[u8]) {
    let Ok(text) = core::str::from_utf8(text) else { return };
    if let Ok(id) = text.parse::<EquipmentId>() {
        let own = id.to_string();
        assert_eq!(own.len(), ID_TEXT_LEN);
        assert_eq!(text.trim().to_lowercase(), own, "two texts for one id");
    }
}

fn authority_text(text: &[u8]) {
    let Ok(text) = core::str::from_utf8(text) else { return };
    if let Ok(key) = parse_authority(text) {
        assert_eq!(text.trim().to_lowercase(), format_authority(&key), "two texts for one key");
    }
}

/// Good texts, each with one change: a wrong character is noticed.
fn changed_text(bytes: &[u8]) {
    let Some((change, rest)) = bytes.split_first_chunk::<4>() else { return };
    let Some(key) = rest.first_chunk::<32>() else { return };
    let [how, at, with, which] = *change;
    let (text, prefix) = match which % 2 {
        0 => (EquipmentId(*key).to_string(), ID_PREFIX),
        _ => (format_authority(key), "gk-authority-"),
    };
    let mut changed = text.clone().into_bytes();
    // A change of case in the whole is none; one in a single letter is a mixture, which is refused.
    if mar(&mut changed, how % 3, u16::from(at), with) {
        let Ok(changed) = String::from_utf8(changed) else { return };
        let (id, authority) = (changed.parse::<EquipmentId>(), parse_authority(&changed));
        let space = changed.trim() == text;
        assert!(space || (id.is_err() && authority.is_err()), "{changed} instead of {text}");
    }
    assert!(text.starts_with(prefix));
    let id: Result<EquipmentId, _> = text.parse();
    assert_eq!(id.is_ok(), which % 2 == 0);
    assert_eq!(parse_authority(&text).is_ok(), which % 2 == 1);
}

/// Good files and texts of every kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let secret = StaticKey::from_secret([7; 32]);
    let path = Folder::own().path.join("seed");
    let mut seeds = Vec::new();
    let _ = fs::remove_file(&path);
    save_key(&path, &secret).expect("a new file");
    seeds.push((0, fs::read(&path).expect("it was written")));
    let certificate = crate::far::certificate();
    seeds.push((2, certificate.clone()));
    save_certificate(&path, &certificate).expect("a certificate");
    seeds.push((2, fs::read(&path).expect("it was written")));
    seeds.push((1, AUTHORITY_FILE.to_vec()));
    for (which, size) in (0u8..).zip([8, 54, 36, 8, 4, 48, 64, 16]) {
        let name = NAMES[usize::from(which)];
        Folder::own().state.write(name, &vec![which + 1; size]).expect("a value");
        let file = Folder::own().path.join("state").join(name);
        let content = fs::read(&file).expect("it was written");
        fs::remove_file(&file).expect("it was written");
        seeds.push((3, [&[which][..], &content].concat()));
        seeds.push((4, [&[which][..], &vec![which; size]].concat()));
        seeds.push((4, [&[which][..], &vec![which; size + 1]].concat()));
    }
    let id = secret.id().to_string();
    seeds.push((5, id.clone().into_bytes()));
    seeds.push((5, format!(" {} \n", id.to_uppercase()).into_bytes()));
    seeds.push((6, format_authority(secret.public()).into_bytes()));
    for which in 0..2 {
        seeds.extend([0, 1, 2].map(|how| (7, [&[how, 9, 3, which][..], &[5; 32]].concat())));
    }
    seeds.into_iter().map(|(what, bytes)| [&[what][..], &bytes].concat()).collect()
}

/// The file of an authority whose seed is 32 times 9.
const AUTHORITY_FILE: &[u8] = b"# Genkan authority key\n";
