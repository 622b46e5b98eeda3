//! What a NAT is going to do itself.

use core::net::SocketAddr;
use core::time::Duration;

use super::NatBox;
use crate::nat::Proto;

impl NatBox {
    pub(super) fn icmp_error(
        &self,
        _now: Duration,
        proto: Proto,
        quoted_source: SocketAddr,
        quoted_destination: SocketAddr,
    ) -> Option<SocketAddr> {
        self.nat.owner(proto, quoted_destination, quoted_source)
    }

    pub(super) fn port_control(
        &self,
        _now: Duration,
        _from: SocketAddr,
        _bytes: &[u8],
    ) -> Option<Vec<u8>> {
        let _ = self;
        None
    }
}
