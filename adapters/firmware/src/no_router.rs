//! A build without IPv6: nobody is asked, and nothing is heard (see `router.rs`).

use genkan_core::Instant;
use smoltcp::iface::{Routes, SocketSet};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

pub const SOCKETS: usize = 0;

pub struct Memory;

impl Memory {
    pub const fn new() -> Self {
        Self
    }
}

pub struct Router;

impl Router {
    pub fn new(_: HardwareAddress, _: &mut SocketSet<'static>, _: &'static mut Memory) -> Self {
        Self
    }

    pub fn ask(&mut self, _: Instant) {}

    pub fn deadline(&self) -> Instant {
        Instant::END
    }

    pub fn address(&self) -> Option<IpCidr> {
        None
    }

    pub fn local(&self) -> Option<IpCidr> {
        None
    }

    pub fn name_servers(&self) -> impl Iterator<Item = IpAddress> {
        core::iter::empty()
    }

    pub fn arrange(&self, _: &mut Routes) {}

    pub fn poll(&mut self, _: Instant, _: &mut SocketSet<'static>) -> Option<bool> {
        None
    }
}
