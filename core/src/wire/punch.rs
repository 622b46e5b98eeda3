//! The datagrams of detection and punching: fixed layout, authenticated by SipHash.
//!
//! ```text
//! Detect  kind 1 | status 1 | handle 4 | counter 6 | request 4 | round 1 | which 1 | socket 1 | local 2 | tag 16
//! Punch   kind 1 | status 1 | index 4 | tag 16
//! ```
//!
//! A Detect is tagged under the keepalive key up of the session that its handle names, and takes a
//! counter of that session's, so that it is counted once and cannot be made up; it may come from any
//! port of the session's address. A Punch is tagged under the offer's punch key, which only issuer
//! and acceptor know; the index is the issuer's for the session. All Punch datagrams of one end and
//! status are alike: one that is replayed proves nothing but what the first one proved, and the
//! session that follows is what counts (threat T18).
#![cfg_attr(
    not(any(feature = "punch", test)),
    expect(dead_code, reason = "only who punches writes them")
)]

use super::codec::{Reader, Writer};
use super::{DETECT_LEN, Kind, PUNCH_LEN, TAG_LEN};
use crate::crypto::mac;

/// Status bit: report to me where this came from.
pub(crate) const REPORT: u8 = 1;
/// Status bit: a probe from the server's other port has reached me.
pub(crate) const FROM_OTHER_PORT: u8 = 2;
/// Status bit: a probe from the server's other address has.
pub(crate) const FROM_OTHER_ADDRESS: u8 = 4;
/// Status bits that must be zero.
const RESERVED: u8 = !(REPORT | FROM_OTHER_PORT | FROM_OTHER_ADDRESS);
/// [`Detect::request`] of a measurement.
pub(crate) const MEASUREMENT: u32 = 0;
/// [`Detect::which`] of a packet that only keeps a mapping.
pub(crate) const KEEPS: u8 = 6;
/// [`Detect::which`] of one in a TCP connection of its own: calls to the peer come from its port.
pub(crate) const CALLS: u8 = 7;
/// Status of a probe from the server's main end, which was asked for.
pub(crate) const FROM_MAIN: u8 = 3;
/// Length of what a Detect's tag covers.
const DETECT_HEAD: usize = DETECT_LEN - TAG_LEN;

/// A detection packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Detect {
    pub(crate) status: u8,
    pub(crate) handle: u32,
    /// 48 bits.
    pub(crate) counter: u64,
    /// The equipment's number for the request; 0: the measurement.
    pub(crate) request: u32,
    pub(crate) round: u8,
    /// A burst's moment; in a measurement the packet's place in it, counted from 1.
    pub(crate) which: u8,
    /// The equipment's number for the socket.
    pub(crate) socket: u8,
    /// The port that the socket is bound to; 0 = not told.
    pub(crate) local: u16,
}

impl Detect {
    /// One in a TCP connection of its own, for this request.
    pub(crate) const fn sight(request: u32, counter: u64) -> Self {
        let (status, handle, round, which, socket, local) = (0, 0, 0, CALLS, 0, 0);
        Self { status, handle, counter, request, round, which, socket, local }
    }

    pub(crate) fn parse(message: &[u8]) -> Option<(Self, [u8; TAG_LEN])> {
        let mut reader = Reader(message.get(1..)?);
        let (status, handle) = (reader.byte()?, reader.u32()?);
        let [a, b, c, d, e, f] = reader.array()?;
        let (request, round, which) = (reader.u32()?, reader.byte()?, reader.byte()?);
        let (socket, local) = (reader.byte()?, u16::from_be_bytes(reader.array()?));
        let tag = reader.array()?;
        let counter = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        let sane = reader.0.is_empty() && status & RESERVED == 0;
        sane.then_some((
            Self { status, handle, counter, request, round, which, socket, local },
            tag,
        ))
    }

    fn head(&self) -> [u8; DETECT_HEAD] {
        let mut head = [0; DETECT_HEAD];
        let mut writer = Writer::new(&mut head);
        writer.put(&[Kind::Detect as u8, self.status]);
        writer.put(&self.handle.to_be_bytes());
        let [_, _, counter @ ..] = self.counter.to_be_bytes();
        writer.put(&counter);
        writer.put(&self.request.to_be_bytes());
        writer.put(&[self.round, self.which, self.socket]);
        writer.put(&self.local.to_be_bytes());
        head
    }

    pub(crate) fn tag(&self, key: &[u8; 16]) -> [u8; TAG_LEN] {
        mac::tag(key, &[&self.head()])
    }

    /// Writes the message under `key`.
    pub(crate) fn write(&self, key: &[u8; 16], out: &mut [u8]) {
        let mut writer = Writer::new(out);
        writer.put(&self.head());
        writer.put(&self.tag(key));
    }
}

/// A bubble, reply or check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Check {
    pub(crate) kind: Kind,
    /// The sender has heard the peer on this path.
    pub(crate) answer: bool,
    /// The issuer's index for the session.
    pub(crate) index: u32,
}

impl Check {
    pub(crate) fn parse(kind: Kind, message: &[u8]) -> Option<(Self, [u8; TAG_LEN])> {
        let mut reader = Reader(message.get(1..)?);
        let (status, index, tag) = (reader.byte()?, reader.u32()?, reader.array()?);
        let sane = reader.0.is_empty() && status <= 1;
        sane.then_some((Self { kind, answer: status == 1, index }, tag))
    }

    fn head(&self) -> [u8; PUNCH_LEN - TAG_LEN] {
        let mut head = [0; PUNCH_LEN - TAG_LEN];
        let mut writer = Writer::new(&mut head);
        writer.put(&[self.kind as u8, u8::from(self.answer)]);
        writer.put(&self.index.to_be_bytes());
        head
    }

    pub(crate) fn tag(&self, key: &[u8; 16]) -> [u8; TAG_LEN] {
        mac::tag(key, &[b"punch", &self.head()])
    }

    /// Writes the message under `key`.
    pub(crate) fn write(&self, key: &[u8; 16], out: &mut [u8]) {
        let mut writer = Writer::new(out);
        writer.put(&self.head());
        writer.put(&self.tag(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detections_survive_their_wire_form() {
        let sent = Detect {
            status: REPORT | FROM_OTHER_ADDRESS,
            handle: 9,
            counter: (1 << 48) - 2,
            request: 0xa1b2_c3d4,
            round: 3,
            which: 2,
            socket: 255,
            local: 0xfffe,
        };
        let mut bytes = [0; DETECT_LEN];
        sent.write(&[5; 16], &mut bytes);
        assert_eq!(Detect::parse(&bytes), Some((sent, sent.tag(&[5; 16]))));
        assert!(Detect::parse(&bytes[..DETECT_LEN - 1]).is_none());
        bytes[1] = 8;
        assert!(Detect::parse(&bytes).is_none(), "a reserved status bit");
    }

    fn hex(bytes: &[u8]) -> std::string::String {
        bytes.iter().map(|byte| std::format!("{byte:02x}")).collect()
    }

    /// Bytes of version 1. Do not change the test!
    #[test]
    fn bytes_are_frozen() {
        let detect = Detect {
            status: REPORT,
            handle: 0x0102_0304,
            counter: 5,
            request: 0x0a0b_0c0d,
            round: 1,
            which: 2,
            socket: 3,
            local: 40_000,
        };
        let mut bytes = [0; DETECT_LEN];
        detect.write(&[5; 16], &mut bytes);
        assert_eq!(
            hex(&bytes),
            "4b01010203040000000000050a0b0c0d0102039c40f77af91783142ef89c61ff31be159c76"
        );
        let check = Check { kind: Kind::IssuerPunch, answer: false, index: 0x0102_0304 };
        let mut bytes = [0; PUNCH_LEN];
        check.write(&[5; 16], &mut bytes);
        assert_eq!(hex(&bytes), "4c0001020304efcf950af5d5cb868ecd7162c5f5944b");
    }

    /// Bytes of version 1. Do not change the test!
    #[test]
    fn bytes_of_a_sighting_are_frozen() {
        let mut bytes = [0; DETECT_LEN];
        Detect::sight(0x0a0b_0c0d, 5).write(&[5; 16], &mut bytes);
        assert_eq!(hex(&bytes[..21]), "4b00000000000000000000050a0b0c0d0007000000");
        assert_eq!(hex(&bytes[21..]), "9ff57edd56cfb23f025ecb2f150e30f4");
    }

    #[test]
    fn checks_survive_their_wire_form_and_no_two_have_one_tag() {
        let mut tags = std::vec::Vec::new();
        for kind in [Kind::IssuerPunch, Kind::AcceptorPunch] {
            for answer in [false, true] {
                let sent = Check { kind, answer, index: 7 };
                let mut bytes = [0; PUNCH_LEN];
                sent.write(&[5; 16], &mut bytes);
                assert_eq!(Check::parse(kind, &bytes), Some((sent, sent.tag(&[5; 16]))));
                assert!(Check::parse(kind, &bytes[..PUNCH_LEN - 1]).is_none());
                tags.push(sent.tag(&[5; 16]));
            }
        }
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), 4);
    }

    extern crate std;
}
