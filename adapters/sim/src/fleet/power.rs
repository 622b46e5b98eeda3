//! Equipment and servers that go off and come on again.

use super::{AcceptorApp, Device, Flash, Fleet, IssuerApp, Member, devices, server};
use crate::host::{Host, Log};
use crate::net::HostId;
use crate::world::Death;

impl Fleet {
    /// An equipment's power fails and comes back at once: memory is lost, flash is kept. One that is
    /// off comes on.
    ///
    /// # Panics
    /// As [`Fleet::power_on`].
    pub fn reboot(&mut self, host: HostId, death: Death) {
        self.reboot_with(host, death, |_| ());
    }

    /// As [`Fleet::reboot`]; what is in flash is changed by `spoil` meanwhile, as by a write that the
    /// power cut short.
    ///
    /// # Panics
    /// As [`Fleet::power_on`].
    pub fn reboot_with(&mut self, host: HostId, death: Death, spoil: impl FnOnce(&mut Flash)) {
        self.power_off(host, death);
        if let Some(flash) = &mut self.member_mut(host).flash {
            spoil(flash);
        }
        self.power_on(host);
    }

    /// An equipment goes off, until [`Fleet::power_on`]: memory is lost, flash is kept. Nothing happens
    /// to one that is off.
    ///
    /// ```
    /// use core::time::Duration;
    /// use genkan_sim::{Death, fleet::Fleet};
    ///
    /// let mut fleet = Fleet::new(1);
    /// let lamp = fleet.acceptor("lamp", |_| ());
    /// fleet.world.run_for(Duration::from_secs(60));
    /// fleet.power_off(lamp, Death::Silent);
    /// fleet.world.run_for(Duration::from_secs(3_600));
    /// fleet.power_on(lamp);
    /// assert!(fleet.wait_registered(lamp, Duration::from_secs(60)));
    /// ```
    ///
    /// # Panics
    /// When `host` is not of this fleet.
    pub fn power_off(&mut self, host: HostId, death: Death) {
        let device = &self.member(host).device;
        if !self.world.is_on(host) {
            return;
        }
        let mut flash = match device {
            Device::Acceptor(_) => self.world.app::<AcceptorApp>(host).flash.clone(),
            Device::Issuer(_) => self.world.app::<IssuerApp>(host).flash.clone(),
        };
        flash.boots += 1;
        self.member_mut(host).flash = Some(flash);
        self.world.kill(host, death);
    }

    /// An equipment that is off comes on, with what it has in flash. Nothing happens to one that is on.
    ///
    /// # Panics
    /// When `host` is not of this fleet, or [`World::kill`](crate::World::kill) took its flash with it.
    pub fn power_on(&mut self, host: HostId) {
        let device = self.member(host).device.clone();
        if self.world.is_on(host) {
            return;
        }
        let name = self.world.name(host).to_owned();
        let flash = self.member_mut(host).flash.take();
        assert!(
            flash.is_some(),
            "{name} was killed with its flash: Fleet::power_off keeps what is in it"
        );
        let flash = flash.unwrap_or_default();
        let entropy = self.world.entropy(&format!("{name} {}", flash.boots));
        self.member_mut(host).switch = entropy.switch();
        let more = (self.world.now().as_secs(), self.member(host).lease);
        match device {
            Device::Acceptor(config) => {
                self.world
                    .restart(host, |now| devices::acceptor(now, *config, entropy, flash, more));
            }
            Device::Issuer(config) => {
                self.world.restart(host, |now| devices::issuer(now, *config, entropy, flash, more));
            }
        }
    }

    /// The server's program ends and starts again with an empty list.
    pub fn reboot_server(&mut self, death: Death) {
        self.world.kill(self.server, death);
        let mut config = self.config.clone();
        if config.wall_clock > 0 {
            config.wall_clock = config.wall_clock.saturating_add(self.world.now().as_secs());
        }
        let entropy = self.world.entropy(&format!("server {:?}", self.world.now()));
        let tables = self.tables;
        let boot = |now| Host::new(server(now, config, tables, entropy), Log::default());
        self.world.restart(self.server, boot);
    }

    /// The server starts again with tables of other sizes.
    #[cfg(test)]
    pub(crate) fn resize(&mut self, tables: super::Tables) {
        self.tables = tables;
        self.reboot_server(Death::Silent);
    }

    #[expect(clippy::expect_used, reason = "Fleet::member has said what is wrong")]
    fn member_mut(&mut self, host: HostId) -> &mut Member {
        let _ = self.member(host);
        self.members.iter_mut().find(|member| member.host == host).expect("it is a member")
    }
}
