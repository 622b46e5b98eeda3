//! Packets that turn round within the box.

use core::net::SocketAddr;
use core::time::Duration;

use super::config::Hairpin;
use super::inbound::closed_port;
use super::{Flow, Nat, Refusal, Turned};

impl Nat {
    /// A packet from an inside host to an address of this box.
    ///
    /// # Errors
    /// [`Refusal`]: it does not pass.
    pub fn hairpin(
        &mut self,
        now: Duration,
        flow: Flow,
        inside: SocketAddr,
        to: SocketAddr,
    ) -> Result<Turned, Refusal> {
        match self.config.hairpin {
            Hairpin::None => return Err(Refusal::Filtered),
            Hairpin::Forwards => {
                let proto = flow.proto();
                self.begin(now, proto)?;
                if self.fixed_in(proto, to).is_none() && self.fixed_out(proto, inside).is_none() {
                    return Err(closed_port(flow, Refusal::NoMapping));
                }
            }
            Hairpin::InternalSource | Hairpin::ExternalSource => {}
        }
        let source = self.outbound(now, flow, inside, to)?;
        let to =
            self.inbound(now, flow, source, to).map_err(|refusal| match self.config.hairpin {
                Hairpin::Forwards => closed_port(flow, refusal),
                _ => refusal,
            })?;
        let source = if self.config.hairpin == Hairpin::InternalSource { inside } else { source };
        Ok(Turned { source, to, delay: self.config.hairpin_delay })
    }
}
