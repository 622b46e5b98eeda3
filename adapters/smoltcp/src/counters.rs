//! What was lost on the way between machine and stack.

/// Losses, counted since the start. What the machine itself discards is in
/// [`genkan_core::Counters`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams that arrived with more than [`MAX_DATAGRAM`](genkan_core::MAX_DATAGRAM) bytes; of
    /// those that are longer than the socket's ring nobody knows.
    pub too_long: u32,
    /// Datagrams that arrived for a broadcast or multicast address.
    pub misaddressed: u32,
    /// Datagrams without a way to their destination: no address of our own, no route, a family that
    /// is not built in, or a socket that is not open.
    pub unsendable: u32,
    /// Times that a ring's datagrams were thrown away because they could not leave for seconds: the
    /// neighbour that the first one is for does not answer, or the link is down.
    pub stalled: u32,
    /// Callers whom the machine did not want.
    pub refused: u32,
    /// Times that the machine wanted sockets and too few of the pool were free.
    pub exhausted: u32,
}

/// Counts one more, and stays at the end.
pub(crate) const fn tally(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}
