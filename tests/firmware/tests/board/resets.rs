//! The board fails by itself, or its power does.

use core::time::Duration;
use std::time::Instant;

use genkan_firmware_tests::Home;
use genkan_kernel_tests::Rules::Plain;

use crate::registered;

#[test]
fn what_goes_wrong_ends_in_a_reset_with_a_reason() {
    for (kind, reason) in [
        ("panic", "ended with panicked at src/provoke.rs"),
        ("fault", "ended with fault at 0x"),
        ("stack", "ended with stack: it has become too deep"),
        ("hang", "ended with watchdog: the main loop hung"),
    ] {
        let home = Home::new(Plain, Plain);
        let board = home.board(&[&format!("provoke={kind}")]);
        board.says(", start 1.0");
        board.says(reason);
        // Counted in RAM: a loop of resets does not wear the flash out.
        board.says(", start 1.1");
        board.says("registered, seen as");
    }
}

/// A start that fails at once is made again after 1 s, 2 s, 4 s: whatever it costs, to the flash, the
/// server or a relay, it does not cost it ten times a second.
#[test]
fn resets_in_a_row_are_further_and_further_apart() {
    let home = Home::new(Plain, Plain);
    // No port: it cannot be taken.
    let board = home.board(&["server=nowhere"]);
    board.says("no settings");
    for pause in [1, 2, 4] {
        let before = Instant::now();
        board.says("ended with no settings");
        board.says("no settings: ");
        let took = before.elapsed();
        let (least, most) = (Duration::from_secs(pause), Duration::from_secs(pause + 3));
        assert!(
            took + Duration::from_millis(100) >= least && took < most,
            "{took:?} for {pause} s"
        );
    }
}

/// Nor is the pause before it part of a run: those of a start that fails soon after it grow up to a minute.
#[test]
fn pauses_grow_while_starts_fail_later() {
    let home = Home::new(Plain, Plain);
    let board = home.board(&["provoke=panic"]);
    for pause in [1, 2, 4, 8, 16, 32] {
        board.says("ended with panicked");
        let before = Instant::now();
        board.says_within(Duration::from_secs(pause + 10), ", start 1.");
        let took = before.elapsed() + Duration::from_millis(500);
        assert!(took >= Duration::from_secs(pause), "{took:?} for {pause} s");
    }
    // A minute follows; that it is not a second again shows at once.
    board.says("ended with panicked");
    std::thread::sleep(Duration::from_secs(5));
    assert!(!board.has_said(", start 1."), "after the longest pauses there are short ones");
}

/// Half a minute is a good run.
#[test]
fn a_good_run_ends_the_row() {
    let home = Home::new(Plain, Plain);
    let board = registered(&home, &[]);
    let restarts_within = |least: u64, most: u64| {
        let before = Instant::now();
        board.tell("system_reset");
        board.says(", start 1.");
        let took = before.elapsed() + Duration::from_millis(100);
        let range = Duration::from_secs(least)..Duration::from_secs(most);
        assert!(range.contains(&took), "{took:?}, not {range:?}");
        board.says("registered, seen as");
    };
    restarts_within(1, 4);
    restarts_within(2, 5);
    restarts_within(4, 8);
    std::thread::sleep(Duration::from_secs(31));
    restarts_within(1, 4);
}

/// The state is the old one or the new one, never a broken one.
#[test]
fn power_cuts_while_the_flash_is_written() {
    let home = Home::new(Plain, Plain);
    let mut last = 0;
    // Moments that are spread over many writes, and over erased sectors.
    for delay in (0..30).map(|round| 30 + (round * 37) % 60) {
        let board = home.board(&["provoke=writes"]);
        let found = number(&board.says("found "));
        assert!(found == last || found == last + 1, "{found} after {last}");
        std::thread::sleep(Duration::from_millis(delay));
        board.cut();
        last = home.last_number("wrote ").unwrap_or(found);
        last = last.max(found);
    }
    assert!(last > 100, "only {last} writes");
}

#[expect(clippy::unwrap_used, reason = "a test's helpers are part of the test")]
fn number(line: &str) -> u32 {
    line.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap()
}

/// A cut at any moment of the first start leaves a first start or a device that is provisioned, and what
/// registers then is what registers ever after.
#[test]
fn power_cuts_in_the_first_start() {
    let home = Home::new(Plain, Plain);
    let mut in_the_middle = 0;
    for delay in (0..=40).step_by(2).map(Duration::from_millis) {
        home.erase();
        let board = home.board_of_its_own();
        board.tell("cont");
        std::thread::sleep(delay);
        board.cut();
        let has_begun = home.flash().iter().any(|&byte| byte != 0);
        let board = home.board_of_its_own();
        board.tell("cont");
        let id = id(&board.says("this is "));
        board.says("registered, seen as");
        board.cut();
        in_the_middle += u32::from(has_begun && was_provisioned(&home));
        let board = home.board_of_its_own();
        board.tell("cont");
        assert_eq!(id, self::id(&board.says("this is ")));
    }
    eprintln!("{in_the_middle} cuts in the middle");
    assert!(in_the_middle > 0, "no cut has met a first start");
}

/// The last start that has registered was a first one.
fn was_provisioned(home: &Home) -> bool {
    let log = home.log.text();
    let lines = log.lines().rev();
    lines
        .skip_while(|line| !line.contains("this is "))
        .nth(1)
        .is_some_and(|line| line.contains("provisioned"))
}

/// The id that a start tells.
#[expect(clippy::unwrap_used, reason = "a test's helpers are part of the test")]
fn id(line: &str) -> String {
    let id = line.split("this is ").nth(1).and_then(|rest| rest.split(',').next());
    id.unwrap().to_owned()
}
