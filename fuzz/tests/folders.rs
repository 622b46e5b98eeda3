//! What target `files` leaves in the system's folder for temporary files: nothing. A process of its
//! own, because other tests have such folders while they run.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;

#[test]
fn folders_go_with_their_thread_and_those_of_dead_processes_too() {
    let parent = std::env::temp_dir();
    // Linux numbers processes up to 4,194,304; number 1 is always there.
    let (dead, old) = (parent.join("genkan-fuzz-4194305-0"), parent.join("genkan-fuzz-4194306"));
    let alive = parent.join("genkan-fuzz-1-0");
    for folder in [&dead, &old, &alive] {
        fs::create_dir_all(folder.join("state")).unwrap();
        fs::write(folder.join("key"), "left over").unwrap();
    }
    std::thread::spawn(|| genkan_fuzz::files(b"\x00no key")).join().unwrap();
    let own = format!("genkan-fuzz-{}-", std::process::id());
    let names = fs::read_dir(&parent).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with(&own)).collect();
    let there = [&dead, &old, &alive].map(|folder| folder.exists());
    fs::remove_dir_all(&alive).unwrap();
    assert_eq!(left, [""; 0]);
    assert_eq!(there, [false, false, true], "of dead processes, of one that lives");
}
