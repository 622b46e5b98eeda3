//! Sockets in memory.

use core::net::SocketAddr;
use std::collections::VecDeque;

use genkan_core::{Instant, Machine, SocketId, StreamId};
use genkan_turn::{App, Encode, Tcp, TcpChange, Turn, Udp, Unplaced};

/// One UDP socket and some TCP connections, in memory.
#[derive(Default)]
pub(crate) struct Rings {
    pub(crate) datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    pub(crate) scratch: Vec<u8>,
    pub(crate) sent: Vec<Vec<u8>>,
    pub(crate) wires: Vec<Wire>,
    /// The machine wants a connection.
    pub(crate) wanted: Option<StreamId>,
    pub(crate) turns: usize,
}

#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) id: Option<StreamId>,
    pub(crate) news: VecDeque<TcpChange>,
    pub(crate) input: Vec<u8>,
    pub(crate) output: Vec<u8>,
    pub(crate) frames: usize,
}

impl Udp for &mut Rings {
    fn ports(&self) -> usize {
        1
    }

    fn receive(&mut self, _: usize) -> Option<(SocketId, SocketAddr, &mut [u8])> {
        let (remote, bytes) = self.datagrams.pop_front()?;
        self.scratch = bytes;
        Some((SocketId::MAIN, remote, &mut self.scratch))
    }

    fn send_datagram(
        &mut self,
        _: SocketId,
        _: SocketAddr,
        _: Option<u8>,
        length: usize,
        encode: &mut Encode<'_>,
    ) -> Result<(), Unplaced> {
        let mut bytes = vec![0; length];
        assert!(encode(&mut bytes));
        self.sent.push(bytes);
        Ok(())
    }

    fn has_datagram_room(&self, _: SocketId) -> bool {
        true
    }

    fn bind(&mut self, _: SocketId, _: u8) -> Option<SocketAddr> {
        None
    }

    fn unbind(&mut self, _: SocketId, _: u8) {}
}

impl Tcp for &mut Rings {
    fn wires(&self) -> usize {
        self.wires.len()
    }

    fn open(&self, index: usize) -> Option<StreamId> {
        self.wires[index].id
    }

    fn read(&mut self, index: usize, handle: &mut dyn FnMut(&mut [u8]) -> usize) -> bool {
        let input = &mut self.wires[index].input;
        let consumed = if input.is_empty() { 0 } else { handle(input) };
        input.drain(..consumed);
        consumed > 0
    }

    fn write(&mut self, id: StreamId, length: usize, encode: &mut Encode<'_>) -> bool {
        let wire = self.wires.iter_mut().find(|wire| wire.id == Some(id)).unwrap();
        let mut bytes = vec![0; length];
        assert!(encode(&mut bytes));
        wire.output.extend(bytes);
        wire.frames += 1;
        true
    }

    fn has_payload_room(&self, _: StreamId, _: usize) -> bool {
        true
    }

    fn connect(&mut self, id: StreamId, _: SocketAddr) -> bool {
        self.wanted = Some(id);
        true
    }

    fn leave(&mut self, id: StreamId) {
        self.wires.iter_mut().filter(|wire| wire.id == Some(id)).for_each(|wire| wire.id = None);
    }

    fn listen(&mut self) -> Option<SocketAddr> {
        None
    }

    fn unlisten(&mut self) {}

    fn change(&mut self, index: usize) -> Option<TcpChange> {
        self.wires[index].news.pop_front()
    }

    fn adopt(&mut self, index: usize, id: StreamId) {
        self.wires[index].id = Some(id);
    }

    fn refuse(&mut self, _: usize) {
        unreachable!("the server has room")
    }

    fn attend(&mut self) {}
}

/// One turn; whether the next one is due at once.
pub(crate) fn turn<M: Machine>(
    machine: &mut M,
    rings: &mut Rings,
    now: Instant,
    app: &mut impl App<M>,
) -> bool {
    rings.turns += 1;
    let turns = rings.turns;
    let mut turn = Turn::new(machine, app, rings, now, turns);
    turn.timeout();
    turn.round();
    turn.is_full()
}
