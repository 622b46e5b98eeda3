//! What the firmware keeps in RAM over a reset: needs no board.

use core::fmt::Write as _;

use note::{LENGTH, Note};

#[path = "../../../adapters/firmware/src/note.rs"]
#[allow(unreachable_pub, missing_debug_implementations, reason = "the firmware's own")]
mod note;

#[expect(clippy::unwrap_used, reason = "a test's helpers are part of the test")]
fn noted() -> Note {
    let mut note = Note { powered: 7, resets: 3, hasty: 2, ..Note::EMPTY };
    note.write_str("panicked at src/main.rs").unwrap();
    note.sealed()
}

/// One bit of it the other way round, counted from its beginning.
fn flip(note: &mut Note, bit: usize) {
    let Note { seal, powered, resets, hasty, length, text } = note;
    let (byte, mask) = (bit / 8, 1_u8 << (bit % 8));
    let within = |at: usize| u32::from(mask) << (8 * (byte - at));
    match byte {
        0..4 => *seal ^= within(0),
        4..8 => *powered ^= within(4),
        8..10 => *resets ^= within(8) as u16,
        10..12 => *hasty ^= within(10) as u16,
        12..16 => *length ^= within(12),
        _ => text[byte - 16] ^= mask,
    }
}

#[test]
fn a_note_that_lost_a_bit_or_two_is_not_believed() {
    let bits = 8 * (16 + LENGTH);
    assert_eq!(bits, 8 * size_of::<Note>());
    assert!(noted().is_whole());
    for one in 0..bits {
        let mut note = noted();
        flip(&mut note, one);
        assert!(!note.is_whole(), "bit {one}");
        // Each with its neighbours, with what is one field further, and with one far away.
        for other in [1, 2, 7, 8, 16, 31, 32, 48, 64, 96, 700].map(|apart| (one + apart) % bits) {
            flip(&mut note, other);
            assert!(!note.is_whole(), "bits {one} and {other}");
            flip(&mut note, other);
        }
        flip(&mut note, one);
        assert!(note.is_whole());
    }
}

#[test]
fn all_ones_and_all_zeros_are_no_note() {
    assert!(!Note::EMPTY.is_whole());
    let ones = Note {
        seal: u32::MAX,
        powered: u32::MAX,
        resets: u16::MAX,
        hasty: u16::MAX,
        length: u32::MAX,
        text: [0xff; LENGTH],
    };
    assert!(!ones.is_whole());
    assert_eq!(ones.reason(), None);
}

#[test]
fn a_reason_is_cut_off_where_it_does_not_fit() {
    let mut note = noted();
    assert_eq!(note.reason().as_deref(), Some("panicked at src/main.rs"));
    note.clear();
    assert_eq!(note.reason(), None);
    for _ in 0..LENGTH {
        note.write_str("\u{e9}x").unwrap();
    }
    let reason = note.reason().unwrap();
    assert!(reason.len() > LENGTH - 3 && reason.starts_with("\u{e9}x\u{e9}x"), "{reason}");
    assert!(note.sealed().is_whole());
}
