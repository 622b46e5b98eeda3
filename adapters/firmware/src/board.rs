//! What is common to all of this board's peripherals: registers and interrupts.
//!
//! A hardware abstraction layer of a real chip brings all of this.

use core::ptr;

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use cortex_m_rt::exception;

/// A 32-bit register of a peripheral.
#[derive(Clone, Copy, Debug)]
pub struct Register(usize);

impl Register {
    /// The register at this address, which must be one of the board's peripherals' region.
    pub const fn at(address: usize) -> Self {
        assert!(0x4000_0000 <= address && address < 0x6000_0000 && address.is_multiple_of(4));
        Self(address)
    }

    /// Reads it.
    pub fn read(self) -> u32 {
        // SAFETY: `at` has seen to it that this is an aligned address in the region of peripherals,
        // where no Rust object lives.
        unsafe { ptr::with_exposed_provenance::<u32>(self.0).read_volatile() }
    }

    /// Writes it.
    pub fn write(self, value: u32) {
        // SAFETY: as in `read`. None of the registers that this firmware has makes a peripheral write
        // to memory.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(self.0).write_volatile(value) }
    }
}

/// The lines of the interrupt controller that are used. Each is masked by its handler, and what it
/// told is looked after by the main loop, which has it unmasked before it sleeps: so no data is
/// shared with handlers.
#[derive(Clone, Copy, Debug)]
pub struct Irq(u16);

impl Irq {
    /// Timer 1.
    pub const ALARM: Self = Self(9);
    /// The Ethernet controller.
    pub const ETHERNET: Self = Self(13);

    /// Lets it through.
    pub fn unmask(self) {
        // SAFETY: no critical section of this firmware relies on a masked line, only on PRIMASK.
        unsafe { NVIC::unmask(self) }
    }
}

// SAFETY: the numbers are the board's, and fixed.
unsafe impl InterruptNumber for Irq {
    fn number(self) -> u16 {
        self.0
    }
}

/// Every device interrupt comes here.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    if let Ok(number) = u16::try_from(number) {
        NVIC::mask(Irq(number));
    }
}
