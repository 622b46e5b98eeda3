//! What was lost on the way between machine and stack.

/// Losses, counted since the start. What the machine itself discards is in
/// [`genkan_core::Counters`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams that arrived with more than [`MAX_DATAGRAM`](genkan_core::MAX_DATAGRAM) bytes.
    pub too_long: u32,
    /// Datagrams that the stack refused for good, or whose socket is not open.
    pub unsendable: u32,
    /// Datagrams that were not sent because they would have needed a hop limit.
    pub unlimited: u32,
    /// Callers whom the machine did not want.
    pub refused: u32,
    /// Times that the machine wanted sockets and the node or the stack had too few.
    pub exhausted: u32,
    /// Times that the stack would not bind a port.
    pub unbound: u32,
}

impl Counters {
    pub(crate) const NONE: Self =
        Self { too_long: 0, unsendable: 0, unlimited: 0, refused: 0, exhausted: 0, unbound: 0 };
}

/// Counts one more, and stays at the end.
pub(crate) const fn tally(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}
