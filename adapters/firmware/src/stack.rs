//! How deep the stack has been, by painting what of it is unused and looking later how much of the
//! paint is left.

use cortex_m::register::msp;

const PAINT: u32 = 0xcccc_cccc;
/// What painting itself may use, in bytes.
const MARGIN: usize = 256;

unsafe extern "C" {
    /// The end of the stack's memory, by cortex-m-rt's linker script; only its address means something.
    static mut _stack_end: u32;
    /// Its start: the stack grows downwards.
    static mut _stack_start: u32;
}

/// Paints what is unused now.
pub fn paint() {
    let end = &raw mut _stack_end;
    let unused = (msp::read() as usize).saturating_sub(MARGIN).saturating_sub(end.addr()) / 4;
    for place in 0..unused {
        // SAFETY: between the stack's end and its present depth nothing lives. An interrupt that comes
        // meanwhile uses the margin, and is done with it before this goes on.
        unsafe { end.add(place).write_volatile(PAINT) };
    }
}

/// The greatest depth since it was painted, in bytes from the stack's start.
pub fn deepest() -> usize {
    let (start, end) = (&raw const _stack_start, &raw const _stack_end);
    let words = (start.addr() - end.addr()) / 4;
    let unused = (0..words).take_while(|&place| {
        // SAFETY: all of it is the stack's memory.
        unsafe { end.add(place).read_volatile() == PAINT }
    });
    (words - unused.count()) * 4
}
