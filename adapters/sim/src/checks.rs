//! What is asserted of every message that a machine writes.

use genkan_core::BufferTooSmall;

/// How many of the outputs are put to the costly checks.
pub(crate) const THOROUGH: f64 = 0.125;

pub(crate) fn check_prefix(name: &str, frame: &[u8]) {
    let stated = frame.first_chunk().map(|prefix| usize::from(u16::from_be_bytes(*prefix)));
    assert!(stated == frame.len().checked_sub(2), "{name}: a frame's prefix is {stated:?}");
}

type Encoded = Result<usize, BufferTooSmall>;

/// Encodes into a buffer that is longer than needed.
pub(crate) fn encode(
    name: &str,
    len: usize,
    mut write: impl FnMut(&mut [u8]) -> Encoded,
) -> Vec<u8> {
    filled(name, len, 0xff, &mut write)
}

fn filled(
    name: &str,
    len: usize,
    fill: u8,
    write: &mut dyn FnMut(&mut [u8]) -> Encoded,
) -> Vec<u8> {
    const BEYOND: usize = 8;
    let mut bytes = vec![fill; len + BEYOND];
    let written = write(&mut bytes);
    assert!(written == Ok(len), "{name}: announced {len} bytes, wrote {written:?}");
    let untouched = bytes[len..] == [fill; BEYOND];
    assert!(untouched, "{name}: wrote beyond the announced {len} bytes");
    bytes.truncate(len);
    bytes
}

pub(crate) fn check_encode(name: &str, len: usize, mut write: impl FnMut(&mut [u8]) -> Encoded) {
    let mut short = vec![0x5a; len - 1];
    let refused = write(&mut short);
    assert!(refused == Err(BufferTooSmall { needed: len }), "{name}: short buffer: {refused:?}");
    assert!(short.iter().all(|&byte| byte == 0x5a), "{name}: a short buffer was written to");
    let (zeros, ones) = (filled(name, len, 0, &mut write), filled(name, len, 0xff, &mut write));
    let tail = len.saturating_sub(4);
    let left_out = zeros[tail..].iter().all(|&b| b == 0) && ones[tail..].iter().all(|&b| b == 0xff);
    assert!(!left_out, "{name}: the end of {len} bytes was left out");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes nine bytes as a machine should.
    fn good(buf: &mut [u8]) -> Encoded {
        let out = buf.get_mut(..9).ok_or(BufferTooSmall { needed: 9 })?;
        out.fill(7);
        Ok(9)
    }

    #[test]
    fn a_message_as_it_should_be_passes() {
        check_encode("host", 9, good);
        assert_eq!(encode("host", 9, good), [7; 9]);
        check_prefix("host", &[0, 3, 1, 2, 3]);
    }

    #[test]
    #[should_panic(expected = "announced 10 bytes, wrote Ok(9)")]
    fn another_length_than_announced_is_caught() {
        encode("host", 10, good);
    }

    #[test]
    #[should_panic(expected = "wrote beyond")]
    fn a_byte_too_much_is_caught() {
        encode("host", 9, |buf| {
            buf[9] = 0;
            good(buf)
        });
    }

    #[test]
    #[should_panic(expected = "was left out")]
    fn an_end_that_is_not_written_is_caught() {
        check_encode("host", 9, |buf| {
            let out = buf.get_mut(..9).ok_or(BufferTooSmall { needed: 9 })?;
            out[..5].fill(7);
            Ok(9)
        });
    }

    #[test]
    #[should_panic(expected = "a short buffer was written to")]
    fn touching_a_short_buffer_is_caught() {
        check_encode("host", 9, |buf| {
            buf[0] = 1;
            good(buf)
        });
    }

    #[test]
    #[should_panic(expected = "short buffer: Ok(9)")]
    fn accepting_a_short_buffer_is_caught() {
        check_encode("host", 9, |_| Ok(9));
    }

    #[test]
    #[should_panic(expected = "prefix is Some(4)")]
    fn a_wrong_prefix_is_caught() {
        check_prefix("host", &[0, 4, 1, 2, 3]);
    }
}
