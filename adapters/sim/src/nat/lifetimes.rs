//! How long mappings live: the settings.

use core::time::Duration;

/// How long mappings live.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lifetimes {
    /// A UDP mapping that has not been answered.
    pub udp_initial: Duration,
    /// A stage of its own for UDP after the first packet and before the inside has sent again after an
    /// answer (pf's `udp.single`). `None`: there is none, and an answer alone begins the last stage.
    pub udp_single: Option<Duration>,
    /// A UDP mapping that has been answered.
    pub udp_replied: Duration,
    /// The last stage begins only when there is traffic this long after the first packet
    /// (Linux: 2 s).
    pub udp_stream_after: Duration,
    /// A TCP connection, by its state.
    pub tcp: TcpLifetimes,
    /// Dead mappings are taken away only at multiples of this; until then they work. Zero: at once.
    pub sweep: Duration,
    /// While there are more mappings than this, a packet renews a lifetime divided by the second
    /// number.
    pub shortened_above: Option<(usize, u32)>,
}

impl Lifetimes {
    /// Every UDP mapping lives `udp` without traffic, TCP as RFC 5382 REQ-5 wants it.
    #[must_use]
    pub const fn udp(udp: Duration) -> Self {
        Self {
            udp_initial: udp,
            udp_single: None,
            udp_replied: udp,
            udp_stream_after: Duration::ZERO,
            tcp: TcpLifetimes::new(Duration::from_secs(240), Duration::from_secs(7_440)),
            sweep: Duration::ZERO,
            shortened_above: None,
        }
    }
}

/// How long a TCP connection is kept in each state that a box tells apart. The states are those of
/// Linux (`nf_conntrack_proto_tcp.c`); boxes with fewer have equal times in several.
///
/// A box sees segments, not what is in them. So Linux's shorter time for data that nobody has
/// acknowledged is not here, and what acknowledges is any segment without SYN, FIN and RST.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpLifetimes {
    /// A SYN, or one from each side.
    pub syn_sent: Duration,
    /// A SYN and its SYN-ACK.
    pub syn_received: Duration,
    /// The handshake is complete.
    pub established: Duration,
    /// The box met the connection in its middle, and nothing has passed since the first that came back.
    pub unacknowledged: Duration,
    /// A FIN from one side.
    pub fin_wait: Duration,
    /// That, and a segment after it.
    pub close_wait: Duration,
    /// A FIN from each side.
    pub last_ack: Duration,
    /// That, and a segment after it.
    pub time_wait: Duration,
    /// An RST. It never prolongs what is left (RFC 7857 section 7).
    pub closed: Duration,
    /// An RST before which nothing else had come back. Zero: the mapping goes with it.
    pub refused: Duration,
}

impl TcpLifetimes {
    /// Two lifetimes, as RFC 5382 REQ-5 has them: `established` for a complete and a half-closed
    /// connection, `transitory` for one that opens, was closed from both sides, or was reset.
    #[must_use]
    pub const fn new(transitory: Duration, established: Duration) -> Self {
        Self {
            syn_sent: transitory,
            syn_received: transitory,
            established,
            unacknowledged: established,
            fin_wait: established,
            close_wait: established,
            last_ack: transitory,
            time_wait: transitory,
            closed: transitory,
            refused: transitory,
        }
    }

    /// Linux's defaults (`nf_conntrack_proto_tcp.c`, `tcp_timeouts`).
    #[must_use]
    pub const fn linux() -> Self {
        let secs = Duration::from_secs;
        Self {
            syn_sent: secs(120),
            syn_received: secs(60),
            established: secs(432_000),
            unacknowledged: secs(300),
            fin_wait: secs(120),
            close_wait: secs(60),
            last_ack: secs(30),
            time_wait: secs(120),
            closed: secs(10),
            refused: Duration::ZERO,
        }
    }

    /// pf's defaults (pf.conf: `tcp.first`, `tcp.opening`, `tcp.established`, `tcp.closing`,
    /// `tcp.finwait`, `tcp.closed`).
    #[must_use]
    pub const fn pf() -> Self {
        let secs = Duration::from_secs;
        Self {
            syn_sent: secs(120),
            syn_received: secs(30),
            established: secs(86_400),
            unacknowledged: secs(86_400),
            fin_wait: secs(900),
            close_wait: secs(900),
            last_ack: secs(45),
            time_wait: secs(90),
            closed: secs(90),
            refused: secs(90),
        }
    }
}
