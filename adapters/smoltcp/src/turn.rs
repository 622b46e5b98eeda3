//! What is smoltcp's own in a turn: packets in and out, one by one.

use genkan_core::{Instant, Machine, SocketId};
use genkan_turn::{App, ROUNDS, Tcp as _};
use smoltcp::iface::{PollIngressSingleResult, PollResult};
use smoltcp::phy::Device;

use crate::addr::{instant, time};
use crate::node::Options;
use crate::view::View;

/// Packets taken in one turn, also of those that are not the machine's.
const ARRIVALS: usize = 8;
/// How soon the next turn is when something is due that this one could not do.
const FLOOR: core::time::Duration = core::time::Duration::from_millis(1);

pub(crate) type Turn<'t, 's, M, A> = genkan_turn::Turn<'t, M, A, View<'t, 's>>;

/// Takes packets in, each with all its consequences: a ring then holds one at a time.
pub(crate) fn arrivals<M: Machine, A: App<M>>(
    turn: &mut Turn<'_, '_, M, A>,
    device: &mut (impl Device + ?Sized),
) -> Instant {
    let at = time(turn.now);
    for _ in 0..ARRIVALS {
        if turn.is_full() {
            // Its ring may not hold a second datagram; the device may.
            return Instant::END;
        }
        let View { iface, sockets, .. } = &mut turn.stack;
        match iface.poll_ingress_single(at, device, sockets) {
            PollIngressSingleResult::None => return Instant::END,
            _ => {
                drain(turn, device);
            }
        }
    }
    turn.now
}

/// Whatever is to be done, until nothing is left; when the application wants to be called.
pub(crate) fn drain<M: Machine, A: App<M>>(
    turn: &mut Turn<'_, '_, M, A>,
    device: &mut (impl Device + ?Sized),
) -> Instant {
    for _ in 0..ROUNDS {
        let (mut busy, wake) = turn.round();
        busy |= turn.stack.egress(device);
        if !busy {
            return wake;
        }
    }
    turn.now
}

/// When the next turn is due, as far as machine and stack go.
pub(crate) fn deadline<M: Machine, A: App<M>>(turn: &mut Turn<'_, '_, M, A>) -> Instant {
    if turn.is_full() {
        return turn.now;
    }
    let (now, view) = (turn.now, &mut turn.stack);
    let stack = view.iface.poll_at(time(now), view.sockets).map(instant);
    let machine = turn.machine.poll_timeout().map(|wakeup| wakeup.at);
    let all = [stack, machine, view.ports_deadline(), view.wires_deadline()];
    let next = all.into_iter().flatten().min().unwrap_or(Instant::END);
    // What is due now and was not done waits for the device.
    if next <= now { now.after(FLOOR) } else { next }
}

impl View<'_, '_> {
    /// Opens what is open from the start; the main port.
    pub(crate) fn begin(&mut self, options: &Options) -> u16 {
        let main = match options.port {
            // Without a free port among sixteen thousand, every datagram is counted as unsendable.
            0 => self.free_ports(1, false).unwrap_or(0),
            port => port,
        };
        self.open_port(SocketId::MAIN, main);
        if let Some(port) = options.other_port {
            self.open_port(SocketId::OTHER_PORT, port);
        }
        if options.listening {
            self.listen();
        }
        main
    }

    /// Packets out; whether any was.
    fn egress(&mut self, device: &mut (impl Device + ?Sized)) -> bool {
        let mut busy = false;
        let at = time(self.now);
        self.mark_ports();
        let View { iface, sockets, .. } = self;
        while iface.poll_egress(at, device, sockets) == PollResult::SocketStateChanged {
            busy = true;
        }
        self.sweep_ports();
        busy
    }
}
