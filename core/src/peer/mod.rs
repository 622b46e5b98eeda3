//! The end-to-end session between issuer and acceptor, the same on both sides.
//!
//! A body begins with one byte: 0 control (a postcard [`PeerMessage`]), 1 a datagram of the
//! application, 2 a packet of the inner network that carries byte streams. What keeps it alive: an
//! end that has sent nothing for 15 s says so (over a punched path sooner where its NAT forgets
//! sooner); one that has heard nothing for 30 s asks; after 45 s
//! the connection is closed. Over a punched path it asks after 20 s, the issuer looks for another
//! path after 25 s, no application data leaves after 30 s (consent, RFC 7675), and after 60 s the
//! connection is closed. Only an authenticated message counts as heard, and only an authenticated
//! one closes (threats T18, T32).

pub(crate) mod payload;
pub(crate) mod slots;
#[cfg(test)]
mod tests;

use core::time::Duration;

use crate::addr::Endpoint;
use crate::crypto::keys::{Direction, Root};
use crate::id::{EquipmentId, SocketId, StreamId};
use crate::limit::{Bucket, Rate};
use crate::machine::{Channel, Discard};
use crate::session::{Header, Session};
use crate::time::{Instant, earliest};
use crate::wire::codec::{body_len, read_body, write_body};
use crate::wire::message::PeerMessage;
use crate::wire::{Kind, TAG_LEN, TRANSPORT_HEADER, TRANSPORT_OVERHEAD};

/// An end that has sent nothing for so many seconds says that it is alive; over a punched path
/// sooner, where its NAT forgets sooner.
const ALIVE_AFTER: u8 = 15;
/// But not sooner than this.
const QUIET_AT_LEAST: u8 = 5;
/// An end that has heard nothing for so long asks whether the other is there.
pub(crate) const PROBE_AFTER: Duration = Duration::from_secs(30);
/// How long it waits between such questions.
const PROBE_AGAIN: Duration = Duration::from_secs(5);
/// An end that has heard nothing for so long closes the connection.
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(45);
/// The same three over a punched path, whose NATs may forget it at any time.
const PROBE_PUNCHED: Duration = Duration::from_secs(20);
const PROBE_PUNCHED_AGAIN: Duration = Duration::from_millis(2_500);
const DEAD_PUNCHED: Duration = Duration::from_secs(60);
/// An issuer that has heard nothing over a punched path for so long looks for another one.
pub(crate) const RENEW_AFTER: Duration = Duration::from_secs(25);
/// So many questions of the other end in a row mean that it does not hear our answers.
const ASKED_IN_VAIN: u8 = 3;
/// An end that has heard nothing over a punched path for so long sends no application data (RFC
/// 7675, section 5.1).
const CONSENT: Duration = Duration::from_secs(30);

/// Length of a control message in a transport message, channel byte included, at the most.
const MAX_CONTROL: usize = 24;

/// What carries a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Path {
    /// Datagrams.
    Datagram {
        /// Our socket.
        socket: SocketId,
        /// The peer's address.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        remote: Endpoint,
    },
    /// One TCP connection.
    Stream {
        /// Its name.
        stream: StreamId,
        /// The address at its other end.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        remote: Endpoint,
    },
}

impl Path {
    /// The stream, where it is one.
    #[must_use]
    pub const fn stream(&self) -> Option<StreamId> {
        match self {
            Self::Stream { stream, .. } => Some(*stream),
            Self::Datagram { .. } => None,
        }
    }

    /// The address at the other end.
    #[must_use]
    pub const fn remote(&self) -> Endpoint {
        match self {
            Self::Stream { remote, .. } | Self::Datagram { remote, .. } => *remote,
        }
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CloseCause {
    /// The application closed it here.
    Local,
    /// The peer closed it.
    Peer,
    /// Nothing was heard of the peer for 45 s, or for 60 s over a punched path.
    Silent,
    /// The path broke, or could never be made.
    PathLost,
    /// The issuer never confirmed the session.
    Unconfirmed,
    /// The session's counter is used up.
    CounterExhausted,
}

/// So often a connection follows the other end to another port at once; beyond that, only when its path
/// has been silent for [`MOVED_AFTER`]. One comes back each minute: connections may last for months.
const FREE_MOVES: Rate = Rate::new(8, 60_000);
const MOVED_AFTER: Duration = Duration::from_secs(1);

/// What an opened message was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opened<'d> {
    Payload(Channel, &'d mut [u8]),
    Control(PeerMessage),
}

/// One end of a connection that has its keys.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) id: EquipmentId,
    pub(crate) session: Session,
    pub(crate) path: Path,
    sends: Kind,
    heard: Instant,
    pub(crate) sent: Instant,
    asked: Instant,
    /// A control message that is due.
    due: Option<PeerMessage>,
    /// When the newest authentic message came by its path.
    here: Instant,
    /// The free moves to another path.
    moves: Bucket,
    /// How often the other end has asked whether we are there, and said nothing else since.
    asked_us: u8,
    /// The longest silence over a punched path, in seconds.
    quiet: u8,
}

impl Peer {
    pub(crate) fn new(
        now: Instant,
        id: EquipmentId,
        root: Root,
        direction: Direction,
        peer_index: u32,
        path: Path,
    ) -> Self {
        let sends = match direction {
            Direction::Up => Kind::IssuerTransport,
            Direction::Down => Kind::AcceptorTransport,
        };
        let session = Session::new(now, root, direction, peer_index);
        let (heard, sent, asked) = (now, now, now);
        let (due, asked_us, quiet) = (None, 0, ALIVE_AFTER);
        let (here, moves) = (now, Bucket::EMPTY);
        Self { id, session, path, sends, heard, sent, asked, due, here, moves, asked_us, quiet }
    }

    /// The server advises keepalives this far apart: where that is little, our NAT forgets soon. Two
    /// thirds of it are half of what a mapping outlasts, so that one packet may be lost.
    pub(crate) fn keep_within(&mut self, now: Instant, interval: Duration) {
        let seconds = u16::try_from(interval.as_secs()).unwrap_or(u16::MAX);
        let quiet = u8::try_from(seconds.saturating_sub(seconds / 3)).unwrap_or(u8::MAX);
        self.quiet = quiet.clamp(QUIET_AT_LEAST, ALIVE_AFTER);
        self.break_silence(now);
    }

    /// Says that we are here when we have been silent for long enough.
    fn break_silence(&mut self, now: Instant) {
        if now >= self.alive_at() {
            // Counted as sent when queued: a stream that takes no bytes must not keep us busy.
            self.sent = now;
            self.due.get_or_insert(PeerMessage::Alive);
        }
    }

    /// When we have been silent for long enough.
    fn alive_at(&self) -> Instant {
        let quiet = if self.is_punched() { self.quiet } else { ALIVE_AFTER };
        self.sent.after(Duration::from_secs(quiet.into()))
    }

    /// Whether its path leads to this IP address over datagrams.
    pub(crate) fn is_at(&self, address: Endpoint) -> bool {
        matches!(self.path, Path::Datagram { remote, .. } if remote.shares_ip(address))
    }

    /// The newest authentic message has come by `path`: ours go there from now on. Says whether that
    /// is another one.
    ///
    /// After some moves, another port of the same address is followed only when the path has been
    /// silent: behind one box that gives both ends a port for each destination, and turns their packets
    /// round, every move of one end shows the other a new port, without an end.
    pub(crate) fn follow(&mut self, now: Instant, path: Path) -> bool {
        let (same, near) = match (self.path, path) {
            (Path::Stream { stream: one, .. }, Path::Stream { stream: other, .. }) => {
                (one == other, false)
            }
            (Path::Datagram { remote: one, .. }, Path::Datagram { remote: other, .. }) => {
                (self.path == path, one.shares_ip(other))
            }
            _ => (false, false),
        };
        let spent = self.moves.available_at(FREE_MOVES) > now;
        if !same && near && spent && now < self.here.after(MOVED_AFTER) {
            return false;
        }
        self.here = now;
        if !same {
            self.path = path;
            let _free = self.moves.take(now, FREE_MOVES);
        }
        !same
    }

    /// Opens a message of kind `kind`.
    pub(crate) fn open<'d>(
        &mut self,
        now: Instant,
        kind: Kind,
        message: &'d mut [u8],
    ) -> Result<Opened<'d>, Discard> {
        let header = Header::parse(kind, message).ok_or(Discard::Malformed)?;
        let body = self.session.open(now, header, message)?;
        self.heard = now;
        let (channel, body) = body.split_first_mut().ok_or(Discard::Malformed)?;
        let asked_us = core::mem::take(&mut self.asked_us);
        match *channel {
            0 => {
                let message = read_body::<PeerMessage>(body).ok_or(Discard::Malformed)?;
                if message == PeerMessage::Probe {
                    self.asked_us = asked_us.saturating_add(1);
                    self.due.get_or_insert(PeerMessage::Alive);
                }
                Ok(Opened::Control(message))
            }
            1 => Ok(Opened::Payload(Channel::Datagram, body)),
            2 => Ok(Opened::Payload(Channel::Stream, body)),
            _ => Err(Discard::Malformed),
        }
    }

    /// Asks for a control message to be sent. Close goes before all else.
    pub(crate) fn say(&mut self, message: PeerMessage) {
        if self.due != Some(PeerMessage::Close) {
            self.due = Some(message);
        }
    }

    /// Length of the transport message that is due, without a stream's prefix.
    pub(crate) fn due(&self) -> Option<usize> {
        if self.session.exhausted() {
            return None;
        }
        let len = body_len(self.due.as_ref()?);
        Some(len.saturating_add(1).saturating_add(TRANSPORT_OVERHEAD))
    }

    /// Writes the transport message that is due, on a stream behind its prefix.
    pub(crate) fn encode(&mut self, now: Instant, out: &mut [u8]) {
        let Some(message) = self.due else { return };
        let out = match self.path {
            Path::Stream { .. } => crate::frame::prefix(out),
            Path::Datagram { .. } => out,
        };
        let mut body = [0; MAX_CONTROL];
        let Some((_, control)) = body.split_first_mut() else { return };
        let len = write_body(&message, control).unwrap_or(0).saturating_add(1);
        self.seal(now, body.get(..len).unwrap_or(&[]), &[], out);
    }

    /// Seals `head` and `rest` as one body into `out`, which has exactly the right length.
    pub(crate) fn seal(&mut self, now: Instant, head: &[u8], rest: &[u8], out: &mut [u8]) {
        let end = out.len().saturating_sub(TAG_LEN);
        if let Some(body) = out.get_mut(TRANSPORT_HEADER..end)
            && let Some((to_head, to_rest)) = body.split_at_mut_checked(head.len())
            && to_rest.len() == rest.len()
        {
            to_head.copy_from_slice(head);
            to_rest.copy_from_slice(rest);
            self.session.seal(now, self.sends, out);
        }
    }

    /// The message that was due has left; says whether it was the last one.
    pub(crate) fn committed(&mut self, now: Instant) -> bool {
        self.sent = now;
        self.due.take() == Some(PeerMessage::Close)
    }

    /// For [`Inspect`](crate::inspect::Inspect).
    #[cfg(feature = "inspect")]
    pub(crate) fn inspect(&self, see: &mut dyn FnMut(u64)) {
        see(self.heard.as_micros());
        self.session.inspect(see);
    }

    const fn is_punched(&self) -> bool {
        matches!(self.path, Path::Datagram { .. })
    }

    /// After how much silence to ask, how soon to ask again, and when it is the end.
    const fn patience(&self) -> [Duration; 3] {
        if self.is_punched() {
            [PROBE_PUNCHED, PROBE_PUNCHED_AGAIN, DEAD_PUNCHED]
        } else {
            [PROBE_AFTER, PROBE_AGAIN, DEAD_AFTER]
        }
    }

    /// Whether the other end has lately shown that it wants what we send.
    pub(crate) fn consents(&self, now: Instant) -> bool {
        !self.is_punched() || now < self.heard.after(CONSENT)
    }

    /// When a punched path counts as lost: after silence, or when the other end asks again and again
    /// because it does not hear our answers.
    pub(crate) fn lost_at(&self) -> Option<Instant> {
        let soon = Duration::from_millis(1);
        let after = if self.asked_us >= ASKED_IN_VAIN { soon } else { RENEW_AFTER };
        self.is_punched().then(|| self.heard.after(after))
    }

    /// Length of an `Alive` for a path that is tried.
    pub(crate) const KNOCK: usize = TRANSPORT_OVERHEAD + 2;

    /// Writes an `Alive` for a path that is tried.
    pub(crate) fn knock(&mut self, now: Instant, out: &mut [u8]) {
        let mut body = [0; MAX_CONTROL];
        let Some((_, control)) = body.split_first_mut() else { return };
        let len = write_body(&PeerMessage::Alive, control).unwrap_or(0).saturating_add(1);
        self.seal(now, body.get(..len).unwrap_or(&[]), &[], out);
    }

    /// When [`Peer::expire`] must be called.
    pub(crate) fn deadline(&self) -> Instant {
        let [ask, again, dead] = self.patience();
        let probe = self.heard.after(ask).max(self.asked.after(again));
        let ours = earliest(Some(self.alive_at()), Some(probe));
        ours.unwrap_or(probe).min(self.heard.after(dead))
    }

    /// Time has passed: asks for what is due, or says why the connection has ended.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<CloseCause> {
        if self.session.exhausted() {
            return Some(CloseCause::CounterExhausted);
        }
        let [ask, again, dead] = self.patience();
        if now >= self.heard.after(dead) {
            return Some(CloseCause::Silent);
        }
        if now >= self.heard.after(ask) && now >= self.asked.after(again) {
            self.asked = now;
            self.due.get_or_insert(PeerMessage::Probe);
        } else {
            self.break_silence(now);
        }
        None
    }
}
