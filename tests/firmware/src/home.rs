//! The world around a board.

use core::cell::Cell;
use core::net::{IpAddr, SocketAddr};
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use genkan_core::{EquipmentId, PasswordRecord, StaticKey};
use genkan_kernel_tests::direct::{Town, User, is_page};
use genkan_kernel_tests::scenario::{R, Remote};
use genkan_kernel_tests::{Lab, Rules, SiteSpec};
use tempfile::TempDir;

use crate::board::{Board, FLASH};
use crate::helpers::{Helper, capture, dnsmasq};
use crate::log::Log;

/// The board's site, and the user's.
pub const APPLIANCE: usize = 0;
/// The user's site.
pub const USER: usize = 1;

/// What a router does that has only IPv6.
const ADVERTISING: &[&str] = &["--enable-ra", "--dhcp-range=2001:db8:1::,ra-only"];

const NAME: &str = "genkan.test";
const PASSWORD: &str = "correct horse";
const TAP: &str = "board";
/// The owner's secret key for the board: what belongs to its id can be known before it starts.
const SECRET: [u8; 32] = [0x5a; 32];

/// Everybody outside may call the user's host: an "exposed host", as routers call it.
const EXPOSED: &str = "table ip exposed {
  chain pre { type nat hook prerouting priority dstnat - 1;
    iifname wan meta l4proto tcp dnat ip to 192.0.2.2; }
}
";

/// A board's home and its user's, the server, and the files that a test leaves.
#[derive(Debug)]
pub struct Home {
    /// The internet and the two sites.
    pub lab: Lab,
    /// The server, and processes for users.
    pub town: Town,
    /// What the board says.
    pub log: Log,
    /// The variable of the environment that names the board's program.
    program: &'static str,
    /// Whether the emulator of a board that is switched on counts its instructions.
    pub counts: bool,
    /// The router's DHCP, DNS and advertisements.
    dnsmasq: Option<Helper>,
    // Before the directory: they end before their files vanish.
    helpers: Vec<Helper>,
    users: Cell<u32>,
    dir: Option<TempDir>,
}

impl Home {
    /// The board's home behind one NAT, the user's behind another.
    ///
    /// # Panics
    /// When it cannot be made here.
    #[must_use]
    pub fn new(appliance: Rules, user: Rules) -> Self {
        Self::at(R.address(), appliance, user, "192.0.2", &[])
    }

    /// The same by IPv6 alone: the router tells the board's network and itself as name server, and has no
    /// addresses of IPv4 to give. Only [`Rules::Firewall`] keeps anything out.
    ///
    /// # Panics
    /// When it cannot be made here.
    #[must_use]
    pub fn six(appliance: Rules, user: Rules) -> Self {
        let server = Remote { six: true, ..R }.address();
        let mut home = Self::at(server, appliance, user, "", ADVERTISING);
        home.program = "GENKAN_FIRMWARE_IPV6";
        // Both sites have the same network otherwise.
        let (router, host) = (home.lab.border(USER), home.lab.host(USER, 0));
        router.ip("addr del 2001:db8:1::1/64 dev lan\naddr add 2001:db8:3::1/64 dev lan nodad");
        host.ip("addr del 2001:db8:1::2/64 dev eth0
             addr add 2001:db8:3::2/64 dev eth0 nodad
             route replace default via 2001:db8:3::1");
        home.lab.internet().ip("route add 2001:db8:3::/64 via 2001:db8:2::2");
        home.lab.border(APPLIANCE).ip("route add 2001:db8:3::/64 via 2001:db8:2::2");
        router.ip("route add 2001:db8:1::/64 via 2001:db8:2::1");
        home
    }

    #[expect(clippy::expect_used, reason = "without a home there is nothing to test")]
    fn at(server: SocketAddr, appliance: Rules, user: Rules, net: &str, more: &[&str]) -> Self {
        let lab = Lab::new(&[SiteSpec::new(appliance), SiteSpec::new(user)]);
        let router = lab.border(APPLIANCE);
        router.ip(&format!(
            "tuntap add dev {TAP} mode tap
             link set {TAP} master lan
             link set {TAP} up"
        ));
        let dir = TempDir::with_prefix("genkan-firmware-").expect("a directory");
        let town = Town::new(lab.internet(), server, &["--interval", "5"]);
        let helpers = ["lan", "wan"].map(|wire| capture(router, wire, dir.path())).into();
        let users = Cell::new(0);
        let log = Log::default();
        let program = "GENKAN_FIRMWARE";
        let mut home = Self {
            lab,
            town,
            log,
            program,
            counts: false,
            dnsmasq: None,
            helpers,
            users,
            dir: Some(dir),
        };
        home.name_is(&[server.ip()]);
        home.dnsmasq = Some(dnsmasq(home.lab.border(APPLIANCE), home.dir(), net, more));
        home
    }

    /// The server's name has these addresses; in each answer their order is another.
    ///
    /// # Panics
    /// When the router does not take it.
    #[expect(clippy::expect_used, reason = "a router that is deaf is no test")]
    pub fn name_is(&self, addresses: &[IpAddr]) {
        let lines: String = addresses.iter().map(|address| format!("{address} {NAME}\n")).collect();
        std::fs::write(self.dir().join("hosts"), lines).expect("a file of names");
        if let Some(dnsmasq) = &self.dnsmasq {
            assert!(dnsmasq.reads_again(), "the router does not listen");
        }
    }

    /// The board's home has other addresses from now on, as if the cable went into another router.
    pub fn renumber(&mut self) {
        // Before the new one: they use the same files.
        self.dnsmasq = None;
        let router = self.lab.border(APPLIANCE);
        router.ip("addr del 192.0.2.1/24 dev lan\naddr add 198.51.100.1/24 dev lan");
        self.dnsmasq = Some(dnsmasq(router, self.dir(), "198.51.100", &[]));
    }

    /// The router tells of these name servers from now on, by address; it is 192.0.2.1 itself.
    pub fn name_servers_are(&mut self, servers: &str) {
        self.dnsmasq = None;
        let told = format!("--dhcp-option=option:dns-server,{servers}");
        let router = self.lab.border(APPLIANCE);
        self.dnsmasq = Some(dnsmasq(router, self.dir(), "192.0.2", &[&told]));
    }

    /// The router has no DHCP and DNS any more.
    pub fn forgets_dhcp(&mut self) {
        self.dnsmasq = None;
    }

    fn dir(&self) -> &Path {
        self.dir.as_ref().map_or_else(|| Path::new("/"), TempDir::path)
    }

    /// Switches the board on; its flash is as it was left. `more`: beside what it is told at its first
    /// start anyway.
    ///
    /// # Panics
    /// When the firmware was not built.
    #[must_use]
    pub fn board(&self, more: &[&str]) -> Board {
        self.board_with(self.program, more)
    }

    /// As [`Home::board`], with the program that this variable of the environment names.
    ///
    /// # Panics
    /// When there is no such variable.
    #[must_use]
    pub fn board_with(&self, program: &str, more: &[&str]) -> Board {
        let record = record(PASSWORD);
        let key = format!("key={}", hex(&SECRET));
        let password = format!("password={}{}", hex(&record.salt), hex(&record.hash));
        let board = self.switched_on(program, &[&[&key[..], &password], more].concat());
        board.tell("cont");
        board
    }

    /// A board that draws its own key at its first start, and takes anybody. Nothing happens before the
    /// emulator is told to go on: `cont`.
    ///
    /// # Panics
    /// When the firmware was not built.
    #[must_use]
    pub fn board_of_its_own(&self) -> Board {
        self.switched_on(self.program, &["open"])
    }

    #[expect(clippy::expect_used, reason = "without the program there is nothing to test")]
    fn switched_on(&self, program: &str, more: &[&str]) -> Board {
        let elf = std::env::var_os(program).expect("tests/run firmware builds it");
        let server = format!("server={NAME}:{}", R.port);
        let authority = format!("authority={}", hex(&authority(&self.town)));
        // It would wait for up to 25 s without `spread`.
        let arguments = [&[&server[..], &authority, "spread=0"], more].concat();
        let router = self.lab.border(APPLIANCE);
        Board::start(router, TAP, Path::new(&elf), self.dir(), &self.log, &arguments, self.counts)
    }

    /// The board's flash; empty before the first start.
    #[must_use]
    pub fn flash(&self) -> Vec<u8> {
        std::fs::read(self.dir().join(FLASH)).unwrap_or_default()
    }

    /// The board's flash is as it comes from the factory.
    pub fn erase(&self) {
        // There may be none yet.
        let _ = std::fs::remove_file(self.dir().join(FLASH));
    }

    /// The server is killed and started again.
    pub fn restart_server(&mut self) {
        self.town.restart(self.lab.internet());
    }

    /// The server is at another of the internet's addresses from now on, and not where it was.
    pub fn move_server(&self, to: IpAddr) {
        let from = R.address().ip();
        let table = format!(
            "table ip moved {{
               chain old {{ type filter hook prerouting priority -300; ip daddr {from} drop; }}
               chain new {{ type nat hook prerouting priority dstnat;
                 ip daddr {to} dnat to {from}; }}
             }}"
        );
        self.lab.internet().run(&["nft", "-f", "-"], &table);
    }

    /// Nobody hears the server any more, or everybody again.
    pub fn silence_server(&self, silent: bool) {
        let table = if silent {
            "table ip silence {
              chain in { type filter hook input priority filter; drop; }
            }"
        } else {
            "delete table ip silence"
        };
        self.lab.internet().run(&["nft", "-f", "-"], table);
    }

    /// The number at the end of the last line with this text.
    #[must_use]
    pub fn last_number(&self, text: &str) -> Option<u32> {
        let log = self.log.text();
        let line = log.lines().rev().find(|line| line.contains(text))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// The board's id.
    #[must_use]
    pub fn id(&self) -> String {
        id().to_string()
    }

    /// A user who knows the password; `more`: further arguments of `connect`.
    #[must_use]
    pub fn user(&self, more: &[&str]) -> User<'_> {
        self.user_with(PASSWORD, more)
    }

    /// A user with this password.
    ///
    /// # Panics
    /// When no file can be written for it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "without its file there is no password")]
    pub fn user_with(&self, password: &str, more: &[&str]) -> User<'_> {
        let number = self.users.get();
        self.users.set(number + 1);
        let file = self.dir().join(format!("password-{number}"));
        write_private(&file, password).expect("a password file");
        let file = file.to_string_lossy();
        let arguments = [&["--password-file", &file], more].concat();
        self.town.connect(self.lab.host(USER, 0), &format!("user-{number}"), &self.id(), &arguments)
    }

    /// TCP passes the user's router on its way in, so that the board can call back.
    pub fn expose_user(&self) {
        self.lab.border(USER).run(&["nft", "-f", "-"], EXPOSED);
    }

    /// So many of a hundred packets are lost on the board's way to the internet and back.
    pub fn lose(&self, percent: u32) {
        let table = format!(
            "table ip lossy {{
               chain way {{ type filter hook forward priority -300;
                 numgen random mod 100 < {percent} drop; }}
             }}"
        );
        self.lab.border(APPLIANCE).run(&["nft", "-f", "-"], &table);
    }

    /// The thermostat's page, from this user's side.
    ///
    /// # Panics
    /// When it does not come, whole.
    pub fn assert_page(&self, user: &User<'_>) {
        let page = user.page();
        assert!(is_page(&page), "{page}");
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        // What helps to understand why.
        let log = self.log.text();
        let Some(dir) = self.dir.take() else { return };
        let _ = std::fs::write(dir.path().join("board.log"), &log);
        // Captures are written out.
        self.helpers.clear();
        self.dnsmasq = None;
        let kept = dir.keep();
        std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("the board's log:\n{log}\n(captures and flash: {})\n", kept.display())
                .as_bytes(),
        )
        .ok();
    }
}

#[expect(clippy::expect_used, reason = "the command prints authority keys as such")]
fn authority(town: &Town) -> [u8; 32] {
    genkan_std::files::parse_authority(town.authority()).expect("an authority key")
}

fn id() -> EquipmentId {
    StaticKey::from_secret(SECRET).id()
}

/// What the owner gives the board of a password, as `genkan accept` would keep it.
#[expect(clippy::expect_used, reason = "constant parameters")]
fn record(password: &str) -> PasswordRecord {
    let mut information = [0; 32];
    let params = Params::new(19_456, 2, 1, Some(32)).expect("parameters of the protocol");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), id().as_bytes(), &mut information)
        .expect("a password");
    PasswordRecord::new([7; 16], &information)
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file =
        std::fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    std::io::Write::write_all(&mut file, text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
