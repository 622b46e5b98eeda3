//! Tables of connection slots, the same for both ends: a name is an index and a generation, so that a
//! stale name finds nothing.

use super::{Path, Peer};
use crate::error::SendError;
use crate::id::{ConnectionId, EquipmentId};

/// Who is at the other end of a connection, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConnectionInfo {
    /// The peer's id.
    pub peer: EquipmentId,
    /// What carries the connection.
    pub path: Path,
}

/// Memory for one connection.
pub(crate) trait Slot {
    /// How often it was used; `None` while it is free.
    fn used(&self) -> Option<u16>;
    /// How often it was used, free or not.
    fn generation(&self) -> u16;
    /// The peer, while the connection is open for application data.
    fn open(&self) -> Option<&Peer>;
}

/// The slot that an id names.
pub(crate) fn find<T: Slot>(slots: &mut [T], id: ConnectionId) -> Result<&mut T, SendError> {
    let slot = slots.get_mut(usize::from(id.index)).ok_or(SendError::UnknownConnection)?;
    if slot.used() == Some(id.generation) { Ok(slot) } else { Err(SendError::UnknownConnection) }
}

/// Who is at the other end of an open connection.
pub(crate) fn info<T: Slot>(slots: &[T], id: ConnectionId) -> Option<ConnectionInfo> {
    open(slots, id).map(|peer| ConnectionInfo { peer: peer.id, path: peer.path })
}

/// The other end of an open connection.
pub(crate) fn open<T: Slot>(slots: &[T], id: ConnectionId) -> Option<&Peer> {
    let slot = slots.get(usize::from(id.index))?;
    slot.open().filter(|_| slot.used() == Some(id.generation))
}

/// The name of the connection in slot `index`.
pub(crate) fn name<T: Slot>(slots: &[T], index: usize) -> ConnectionId {
    ConnectionId {
        index: u16::try_from(index).unwrap_or(u16::MAX),
        generation: slots.get(index).map_or(0, T::generation),
    }
}
