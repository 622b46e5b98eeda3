//! Frames on a stream: a two-byte big-endian length, then one message.

use crate::machine::{FRAME_PREFIX, MAX_DATAGRAM, Received, StreamInput};

/// What stands at the front of a stream's bytes.
#[derive(Debug, PartialEq, Eq)]
enum Split<'d> {
    /// Not a whole frame yet.
    Incomplete,
    /// No frame can have this length: the stream is of no use any more. So many bytes stand there.
    Bad(usize),
    /// A whole frame: how many bytes it takes with its prefix, and the message in it.
    Frame(usize, &'d mut [u8]),
}

/// Lets `handle` have the first frame; `None` stands for bytes that can be no frame.
pub(crate) fn input<'d>(
    bytes: &'d mut [u8],
    handle: impl FnOnce(Option<&'d mut [u8]>) -> Received<'d>,
) -> StreamInput<'d> {
    match split(bytes) {
        Split::Incomplete => StreamInput::incomplete(),
        Split::Bad(consumed) => StreamInput { consumed, received: handle(None) },
        Split::Frame(consumed, frame) => StreamInput { consumed, received: handle(Some(frame)) },
    }
}

/// Takes the first frame off.
fn split(bytes: &mut [u8]) -> Split<'_> {
    let whole = bytes.len();
    let Some((prefix, rest)) = bytes.split_first_chunk_mut::<FRAME_PREFIX>() else {
        return Split::Incomplete;
    };
    let len = usize::from(u16::from_be_bytes(*prefix));
    if len == 0 || len > MAX_DATAGRAM {
        return Split::Bad(whole);
    }
    match rest.get_mut(..len) {
        Some(message) => Split::Frame(len.saturating_add(FRAME_PREFIX), message),
        None => Split::Incomplete,
    }
}

/// Writes the prefix of a frame that fills `out`, and returns the place of its message.
pub(crate) fn prefix(out: &mut [u8]) -> &mut [u8] {
    let Some((prefix, message)) = out.split_first_chunk_mut::<FRAME_PREFIX>() else {
        return &mut [];
    };
    *prefix = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_apart_at_their_borders_and_impossible_lengths_are_refused() {
        let mut bytes = [0, 2, 7, 8, 0, 1, 9];
        assert_eq!(split(&mut bytes[..1]), Split::Incomplete);
        assert_eq!(split(&mut bytes[..3]), Split::Incomplete);
        assert_eq!(split(&mut bytes), Split::Frame(4, &mut [7, 8]));
        assert_eq!(split(&mut bytes[4..]), Split::Frame(3, &mut [9]));
        assert_eq!(split(&mut [0, 0, 5]), Split::Bad(3));
        assert_eq!(split(&mut [0xff, 0xff]), Split::Bad(2));
    }
}
