//! TCP as its users see it: reliable bytes in order, late when segments are lost, and the ways in
//! which connections end.
//!
//! - SYN, SYN-ACK and ACK travel one after the other, each a one-way delay: the caller is connected
//!   after two, the listener accepts after three (and the caller's first bytes arrive then too).
//! - No listener, or a listener whose machine refuses: RST.
//! - Two hosts that call each other from the ports that the other one calls meet: simultaneous open.
//!   Both are connected, each with its own stream, also when one of the SYNs never arrives.
//! - A NAT that refuses a segment may answer with an RST, at once or after a while if it would still
//!   refuse it then, or with an ICMP error, which ends an attempt to connect.
//! - Bytes arrive in order. With [`TcpConfig::split`] they are cut at random borders, and pieces
//!   that arrive together are read together or one by one.
//! - A lost segment is sent again after 200 ms or two latencies, doubling; what follows waits.
//! - A stream takes [`TcpConfig::capacity`] bytes that the other end has not read yet; more wait in
//!   the machine. A slow reader ([`Reader`]) therefore slows the writer.
//! - A connection is over when each side has sent a FIN: whoever reads that the other has shut it down
//!   shuts it down too. What arrives for a connection that is over passes the NATs all the same.
//! - A host that is off answers nothing: the other end stays half open until it writes and
//!   [`TcpConfig::user_timeout`] has passed. A host that came back, or a NAT that gave the
//!   connection another source, makes for an RST.
//!
//! Not modelled: congestion control, windows other than the above, urgent data, options, and half-closed
//! connections: a shutdown ends both directions, so that nothing can be written or read after the other
//! side's FIN, nor read after one's own.

mod connect;
mod ending;
mod reset;
mod segments;
mod stream;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use genkan_core::{SocketId, StreamId};

use crate::net::{Hop, HostId, NatId};
use crate::packet::TcpId;
use crate::transcript::Mark;

/// How TCP behaves in a world.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TcpConfig {
    /// How many bytes a stream takes that the other end has not read yet.
    pub capacity: usize,
    /// Whether bytes are cut at random borders.
    pub split: bool,
    /// The first wait before a lost segment is sent again.
    pub retransmit: Duration,
    /// The first wait before a lost SYN or SYN-ACK is sent again.
    pub retransmit_syn: Duration,
    /// When an unanswered connection attempt is given up.
    pub connect_timeout: Duration,
    /// When a connection ends on which something was not acknowledged.
    pub user_timeout: Duration,
}

impl Default for TcpConfig {
    /// 64 KiB; split; 200 ms; 1 s; 20 s; 30 s.
    fn default() -> Self {
        Self {
            capacity: 64 * 1_024,
            split: true,
            retransmit: Duration::from_millis(200),
            retransmit_syn: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(20),
            user_timeout: Duration::from_secs(30),
        }
    }
}

/// How fast a host reads what arrives on its streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reader {
    /// At once.
    #[default]
    Fast,
    /// At most so many bytes of each stream, and then not for a while.
    Slow {
        /// How many bytes.
        bytes: usize,
        /// How long not.
        every: Duration,
    },
    /// Not at all.
    Stalled,
}

/// What stage a host's end of a connection is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// SYN sent, or SYN-ACK sent.
    Opening,
    /// Bytes flow.
    Open,
    /// The host has shut it down: FIN is on its way behind the last bytes.
    Closing,
    /// The host knows nothing of it.
    Gone,
}

#[derive(Debug)]
struct End {
    host: HostId,
    /// Which life of the host: a rebooted host knows no old connections.
    life: u32,
    stream: Option<StreamId>,
    local: SocketAddr,
    remote: SocketAddr,
    stage: Stage,
    /// The number of the next segment that this end sends.
    next: u64,
    /// How many bytes this end has sent.
    sent: u64,
    /// When the last segment from this end arrives.
    last_arrival: Duration,
    /// The number of the next segment that it can take.
    expected: u64,
    /// Segments that came before an earlier one that was lost.
    early: BTreeMap<u64, Body>,
    /// Bytes that have arrived and are not read.
    inbox: VecDeque<u8>,
    /// Bytes that the node was shown and has not consumed.
    assembly: Vec<u8>,
    /// The other end's FIN has arrived.
    ended: bool,
    /// A slow reader reads nothing before this.
    rests_until: Duration,
}

impl End {
    fn new(host: HostId, life: u32, local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            host,
            life,
            stream: None,
            local,
            remote,
            stage: Stage::Opening,
            next: 0,
            sent: 0,
            last_arrival: Duration::ZERO,
            expected: 0,
            early: BTreeMap::new(),
            inbox: VecDeque::new(),
            assembly: Vec::new(),
            ended: false,
            rests_until: Duration::ZERO,
        }
    }
}

/// One connection: end 0 called, end 1 listens and exists once the SYN has arrived.
#[derive(Debug)]
struct Conn {
    listener: SocketId,
    ends: [Option<End>; 2],
}

/// All connections that at least one end knows.
#[derive(Debug, Default)]
pub(crate) struct Table {
    conns: BTreeMap<TcpId, Conn>,
    opened: u64,
    /// Attempts that have met another one: their caller is that one's end 1.
    met: BTreeMap<TcpId, TcpId>,
}

impl Table {
    /// How many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.conns.len()
    }

    /// The port from which an end speaks.
    pub(crate) fn port(&self, id: TcpId, side: usize) -> Option<u16> {
        Some(self.conns.get(&id)?.ends[side].as_ref()?.local.port())
    }

    /// Where an end is now that an attempt may have met another one.
    fn now_at(&self, id: TcpId, side: usize) -> (TcpId, usize) {
        self.met.get(&id).map_or((id, side), |&other| (other, 1 - side))
    }

    fn end(&mut self, id: TcpId, side: usize) -> Option<&mut End> {
        self.conns.get_mut(&id)?.ends[side].as_mut()
    }

    /// Marks an end as gone, and forgets the connection when both are, or when the other one only
    /// waits for a FIN that the gone one will not send any more.
    fn bury(&mut self, id: TcpId, side: usize) {
        if let Some(end) = self.end(id, side) {
            end.stage = Stage::Gone;
            end.inbox.clear();
            end.early.clear();
            end.assembly.clear();
        }
        let over = |conn: &Conn, side: usize| {
            conn.ends[side].as_ref().is_none_or(|end| {
                let done = conn.ends[1 - side].as_ref().is_some_and(|other| other.ended);
                end.stage == Stage::Gone || (end.stage == Stage::Closing && done)
            })
        };
        if self.conns.get(&id).is_some_and(|conn| over(conn, 0) && over(conn, 1)) {
            self.conns.remove(&id);
            self.met.retain(|_, other| *other != id);
        }
    }

    /// The ends that `host` has, with their connections.
    fn of_host(&self, host: HostId) -> Vec<(TcpId, usize)> {
        let ends = |(id, conn): (&TcpId, &Conn)| {
            let id = *id;
            let ours = |side: &usize| {
                conn.ends[*side]
                    .as_ref()
                    .is_some_and(|end| end.host == host && end.stage != Stage::Gone)
            };
            (0..2).filter(ours).map(|side| (id, side)).collect::<Vec<_>>()
        };
        self.conns.iter().flat_map(ends).collect()
    }
}

/// What a segment is. All but [`Body::Syn`] and [`Body::SynAck`] are numbered and come in order.
#[derive(Debug)]
enum Body {
    Syn,
    SynAck,
    /// The third step of the handshake.
    Ack,
    Data {
        bytes: Vec<u8>,
        /// The frame that ends with these bytes.
        mark: Option<Mark>,
        /// Read before anything else arrives.
        push: bool,
    },
    Fin,
}

/// One segment on its way from end `from`; sent again until it arrives.
#[derive(Debug)]
pub(crate) struct Segment {
    conn: TcpId,
    from: usize,
    number: u64,
    body: Body,
    /// How many bytes of its direction came before it.
    offset: u64,
    first_sent: Duration,
    attempt: u32,
    extra: Duration,
}

/// What happens to connections at a later time.
#[derive(Debug)]
pub(crate) enum TcpEvent {
    Arrive {
        segment: Segment,
        hop: Hop,
        mark: Option<Mark>,
    },
    Retry(Segment),
    /// An RST reaches end `to`.
    Reset {
        conn: TcpId,
        to: usize,
        hop: Hop,
        mark: Mark,
    },
    /// That box refused a segment of end `from` some time ago and may send an RST now.
    Refused {
        conn: TcpId,
        from: usize,
        nat: NatId,
        hop: Hop,
    },
    /// The other end has read so many bytes of end `writer`.
    Credit {
        conn: TcpId,
        writer: usize,
        bytes: usize,
    },
    Read {
        conn: TcpId,
        side: usize,
    },
    ConnectTimeout {
        conn: TcpId,
    },
    /// Nothing was acknowledged for too long, unless the way back is mended.
    Unacknowledged {
        conn: TcpId,
        from: usize,
    },
    /// A connection could not even be tried.
    Unreachable {
        host: HostId,
        life: u32,
        stream: StreamId,
    },
}
