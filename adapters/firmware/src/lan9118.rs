//! Driver for the LAN9118 Ethernet controller (MAC, PHY and FIFOs; programmed I/O).
//!
//! Written by the data sheet's register names. Frames are copied word by word between the
//! controller's FIFOs and one buffer for each direction, which smoltcp reads and writes in place. The
//! controller interrupts when a frame waits or the link changes; the line stays up until the main
//! loop has looked.

use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

use crate::board::{Irq, Register};

/// Largest frame without its checksum, in bytes.
const FRAME: usize = 1_514;
/// The same with the checksum, in whole words.
const BUFFER: usize = (FRAME + 4).next_multiple_of(4);

const BASE: usize = 0x4020_0000;
const RX_DATA: Register = Register::at(BASE);
const TX_DATA: Register = Register::at(BASE + 0x20);
const RX_STATUS: Register = Register::at(BASE + 0x40);
const TX_STATUS: Register = Register::at(BASE + 0x48);
const IRQ_CFG: Register = Register::at(BASE + 0x54);
const INT_STS: Register = Register::at(BASE + 0x58);
const INT_EN: Register = Register::at(BASE + 0x5c);
const BYTE_TEST: Register = Register::at(BASE + 0x64);
const FIFO_INT: Register = Register::at(BASE + 0x68);
const RX_CFG: Register = Register::at(BASE + 0x6c);
const TX_CFG: Register = Register::at(BASE + 0x70);
const HW_CFG: Register = Register::at(BASE + 0x74);
const RX_FIFO_INF: Register = Register::at(BASE + 0x7c);
const TX_FIFO_INF: Register = Register::at(BASE + 0x80);
const MAC_CSR_CMD: Register = Register::at(BASE + 0xa4);
const MAC_CSR_DATA: Register = Register::at(BASE + 0xa8);
const AFC_CFG: Register = Register::at(BASE + 0xac);

/// The controller's own registers, behind `MAC_CSR_CMD`.
const MAC_CR: u32 = 1;
const ADDRH: u32 = 2;
const ADDRL: u32 = 3;
const MII_ACC: u32 = 6;
const MII_DATA: u32 = 7;

/// The PHY's, behind `MII_ACC`.
const PHY_STATUS: u32 = 1;
const PHY_SOURCE: u32 = 29;
const PHY_MASK: u32 = 30;

const LINK_UP: u32 = 1 << 2;
/// Link down, and negotiation complete.
const PHY_LINK_EVENTS: u32 = 1 << 4 | 1 << 6;
/// A frame waits; the PHY has something to tell.
const INTERRUPTS: u32 = 1 << 3 | 1 << 18;

/// The controller with its two buffers.
#[derive(Debug)]
pub struct Lan9118 {
    received: [u8; BUFFER],
    sending: [u8; BUFFER],
}

impl Lan9118 {
    /// Before it is started.
    pub const OFF: Self = Self { received: [0; BUFFER], sending: [0; BUFFER] };

    /// Resets and configures it, and returns its Ethernet address.
    ///
    /// # Panics
    /// When no such controller answers: the firmware is on the wrong board.
    pub fn start(&mut self) -> [u8; 6] {
        assert!(BYTE_TEST.read() == 0x8765_4321, "no LAN9118 answers");
        // Soft reset; it takes its address from its EEPROM anew.
        HW_CFG.write(1);
        while HW_CFG.read() & 1 != 0 {}
        // 5 KiB for sending, store and forward.
        HW_CFG.write(5 << 16 | 1 << 20);
        // Flow control as the data sheet recommends for 100 Mbit/s.
        AFC_CFG.write(0x006e_3740);
        INT_STS.write(u32::MAX);
        // Enabled, active high, push-pull.
        IRQ_CFG.write(0x111);
        // At the first waiting frame.
        FIFO_INT.write(0x4800_0000);
        RX_CFG.write(0);
        TX_CFG.write(2);
        // Full duplex, sending and receiving; frames to its own address, broadcasts, and multicasts:
        // IPv6 finds neighbours and routers by those.
        mac_write(MAC_CR, 1 << 20 | 1 << 19 | 1 << 3 | 1 << 2);
        phy_write(PHY_MASK, PHY_LINK_EVENTS);
        INT_EN.write(INTERRUPTS);
        let [a, b, c, d] = mac_read(ADDRL).to_le_bytes();
        let [e, f, ..] = mac_read(ADDRH).to_le_bytes();
        [a, b, c, d, e, f]
    }

    /// Whether a cable is plugged in, with something at its other end.
    pub fn has_link(&self) -> bool {
        phy_read(PHY_STATUS) & LINK_UP != 0
    }

    /// Lets the next frame or change of the link end a sleep. `false`: there is something already.
    /// Call it with interrupts held back, right before sleeping.
    pub fn arm(&self) -> bool {
        // Reading acknowledges it.
        let link_changed = phy_read(PHY_SOURCE) & PHY_LINK_EVENTS != 0;
        INT_STS.write(u32::MAX);
        cortex_m::peripheral::NVIC::unpend(Irq::ETHERNET);
        Irq::ETHERNET.unmask();
        waiting() == 0 && !link_changed
    }

    /// Takes the next good frame out of the FIFO and returns its length.
    fn take(&mut self) -> Option<usize> {
        while waiting() > 0 {
            let status = RX_STATUS.read();
            let length = (status >> 16 & 0x3fff) as usize;
            let good = status & 1 << 15 == 0 && (18..=BUFFER).contains(&length);
            let (words, _) = self.received.as_chunks_mut::<4>();
            for place in 0..length.div_ceil(4) {
                let word = RX_DATA.read();
                if let Some(to) = words.get_mut(place) {
                    *to = word.to_le_bytes();
                }
            }
            if good {
                return Some(length - 4);
            }
        }
        None
    }
}

/// Whether the FIFO takes a frame of any length.
fn has_room() -> bool {
    TX_FIFO_INF.read() & 0xffff >= (BUFFER + 16) as u32
}

/// Frames that wait in the FIFO.
fn waiting() -> u32 {
    RX_FIFO_INF.read() >> 16 & 0xff
}

fn mac_wait() {
    while MAC_CSR_CMD.read() & 1 << 31 != 0 {}
}

fn mac_write(register: u32, value: u32) {
    MAC_CSR_DATA.write(value);
    MAC_CSR_CMD.write(1 << 31 | register);
    mac_wait();
}

fn mac_read(register: u32) -> u32 {
    MAC_CSR_CMD.write(1 << 31 | 1 << 30 | register);
    mac_wait();
    MAC_CSR_DATA.read()
}

/// The internal PHY has address 1.
fn phy_access(register: u32, write: u32) {
    mac_write(MII_ACC, 1 << 11 | register << 6 | write << 1 | 1);
    while mac_read(MII_ACC) & 1 != 0 {}
}

fn phy_write(register: u32, value: u32) {
    mac_write(MII_DATA, value);
    phy_access(register, 1);
}

fn phy_read(register: u32) -> u32 {
    phy_access(register, 0);
    mac_read(MII_DATA) & 0xffff
}

/// A frame that has arrived.
#[derive(Debug)]
pub struct RxToken<'a>(&'a [u8]);

/// Room for a frame to send.
#[derive(Debug)]
pub struct TxToken<'a>(&'a mut [u8; BUFFER]);

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        // smoltcp asks for no more than the capabilities allow.
        let result = write(&mut self.0[..length]);
        let length = length as u32;
        // First and last segment; length and tag.
        TX_DATA.write(1 << 13 | 1 << 12 | length);
        TX_DATA.write(length << 16 | length);
        let (words, _) = self.0.as_chunks::<4>();
        for &word in words.iter().take(length.div_ceil(4) as usize) {
            TX_DATA.write(u32::from_le_bytes(word));
        }
        // What became of the frames before is of no interest, but must make room.
        while TX_FIFO_INF.read() >> 16 & 0xff != 0 {
            let _ = TX_STATUS.read();
        }
        result
    }
}

impl Device for Lan9118 {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _: Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        if !has_room() {
            return None;
        }
        let length = self.take()?;
        Some((RxToken(self.received.get(..length)?), TxToken(&mut self.sending)))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        has_room().then_some(TxToken(&mut self.sending))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(4);
        capabilities
    }
}
