//! Handshakes that were answered and wait for their first transport message.

use core::time::Duration;

use super::clients::{self, Use};
use super::outbound::{Out, Reply};
use super::{ServerEvent, View};
use crate::addr::Endpoint;
use crate::crypto::keys::Root;
use crate::link::Transport;
use crate::machine::Discard;
use crate::time::Instant;
use crate::wire::codec::{Reader, Writer};
use crate::wire::{Kind, RESUME_LEN, TAG_LEN};

/// How long a Response waits for its first transport message.
const PENDING_LIFE: Duration = Duration::from_secs(10);

/// A handshake that waits for its first transport message.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) handle: u32,
    pub(super) root: Root,
    pub(super) peer_index: u32,
    pub(super) remote: Endpoint,
    pub(super) created: Instant,
}

impl View<'_> {
    /// Remembers a handshake until its first transport message; the oldest makes room.
    pub(super) fn expect(&mut self, pending: Pending) {
        let full = self.state.pending.is_full();
        let oldest = if full { self.state.pending.pop_front() } else { None };
        if self.state.pending.push_back(pending).is_err() {
            self.state.counters.discard(Discard::TableFull);
        }
        // Only now: the new one may need the very slot that an old one had reserved.
        if let Some(old) = oldest {
            self.drop_reserved(old.handle);
        }
        self.drop_stale_pending();
    }

    pub(super) fn drop_stale_pending(&mut self) {
        let now = self.state.now;
        while let Some(old) = self.state.pending.front()
            && now.since(old.created) >= PENDING_LIFE
        {
            let handle = old.handle;
            self.state.pending.pop_front();
            self.drop_reserved(handle);
        }
    }

    /// Frees a slot that was only reserved, unless another pending handshake needs it.
    pub(super) fn drop_reserved(&mut self, handle: u32) {
        let (at, _) = clients::parts(handle);
        let reserved = self.clients.get(at).is_some_and(|slot| slot.usage == Use::Reserved);
        let wanted = self.state.pending.iter().any(|p| clients::parts(p.handle).0 == at);
        if reserved && !wanted {
            self.state.index.remove(self.clients, at);
        }
    }

    /// The pending handshake that `handle` belongs to.
    pub(super) fn pending_at(&self, handle: u32) -> Option<&Pending> {
        self.state.pending.iter().find(|pending| pending.handle == handle)
    }

    /// The first transport message of a pending handshake was authentic: its session takes over.
    pub(super) fn promote(&mut self, handle: u32) -> Option<usize> {
        let (at, generation) = clients::parts(handle);
        let place = self.state.pending.iter().position(|pending| pending.handle == handle)?;
        let (root, peer_index, remote) = {
            let pending = self.state.pending.get(place)?;
            (pending.root.clone(), pending.peer_index, pending.remote)
        };
        let slot = self.clients.get_mut(at).filter(|slot| slot.usage != Use::Free)?;
        // While a registration over TCP counts, where datagrams come from is no news.
        let moved = slot.registered && !slot.over_stream && slot.address() != Some(remote);
        slot.install(&root, peer_index, generation, remote);
        let id = slot.id;
        if moved {
            let over = Transport::Datagram;
            self.state.event(ServerEvent::Registered { id, address: remote.into(), over });
        }
        // Earlier handshakes of the same equipment are void now.
        self.state.pending.retain(|pending| clients::parts(pending.handle).0 != at);
        Some(at)
    }

    /// A rebooted device takes its session up again.
    pub(super) fn resume(&mut self, remote: Endpoint, message: &[u8]) -> Result<(), Discard> {
        if message.len() != RESUME_LEN {
            return Err(Discard::Malformed);
        }
        let mut reader = Reader(message.get(2..).ok_or(Discard::Malformed)?);
        let handle = reader.u32().ok_or(Discard::Malformed)?;
        let device_nonce: [u8; 16] = reader.array().ok_or(Discard::Malformed)?;
        let tag: [u8; TAG_LEN] = reader.array().ok_or(Discard::Malformed)?;
        let signed = message.get(..RESUME_LEN - TAG_LEN).ok_or(Discard::Malformed)?;
        self.source_allowed(remote)?;
        let (at, generation) = clients::parts(handle);
        let slot = self.clients.get(at).filter(|slot| {
            slot.usage == Use::Live && slot.generation() == generation && slot.has_place
        });
        let Some(root) = slot.map(|slot| slot.root().clone()) else {
            return self.hint(remote, message);
        };
        if !crate::crypto::equal(&root.resume_tag(signed), &tag) {
            return self.hint(remote, message);
        }
        let handle = self.state.index.offer(self.clients, at).ok_or(Discard::TableFull)?;
        let fresh: [u8; 12] = self.draw().public().map_err(|_| Discard::NoEntropy)?;
        let mut server_nonce = [0; 16];
        let mut writer = Writer::new(&mut server_nonce);
        writer.put(&handle.to_be_bytes());
        writer.put(&fresh);
        let [a, b, c, d, ..] = device_nonce;
        let answer = resumed(&root, [a, b, c, d], &server_nonce, &device_nonce);
        let pending = Pending {
            handle,
            root: root.resumed(&device_nonce, &server_nonce),
            peer_index: u32::from_be_bytes([a, b, c, d]),
            remote,
            created: self.state.now,
        };
        self.expect(pending);
        self.state.send(Out::Reply(remote, Reply::Resumed(answer)));
        Ok(())
    }
}

/// The Resumed message.
fn resumed(
    root: &Root,
    index: [u8; 4],
    server_nonce: &[u8; 16],
    device_nonce: &[u8; 16],
) -> [u8; RESUME_LEN] {
    let mut signed = [0; RESUME_LEN - TAG_LEN + 16];
    let mut writer = Writer::new(&mut signed);
    writer.put(&[Kind::Resumed as u8, 0]);
    writer.put(&index);
    writer.put(server_nonce);
    writer.put(device_nonce);
    let tag = root.resume_tag(&signed);
    let mut message = [0; RESUME_LEN];
    let mut writer = Writer::new(&mut message);
    writer.put(signed.get(..RESUME_LEN - TAG_LEN).unwrap_or(&[]));
    writer.put(&tag);
    message
}
