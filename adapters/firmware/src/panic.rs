//! A panic, a fault, a stack that is too deep or a hang ends in a reset, and the next start says why.

use core::arch::naked_asm;
use core::fmt;
use core::panic::PanicInfo;

use cortex_m::peripheral::SCB;

use crate::kept;

/// Notes the reason and resets.
pub fn reset(reason: fmt::Arguments<'_>) -> ! {
    cortex_m::interrupt::disable();
    kept::keep_reason(reason);
    SCB::sys_reset()
}

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    reset(format_args!("{info}"))
}

/// Takes from the stack where the fault was and who had called, and begins the stack anew: there may be
/// nothing left of it. The stack lies at the very beginning of the RAM (`memory.x`), so that one that
/// grows beyond its end faults before it has overwritten anything. What the processor wanted to put on
/// the stack for the fault is lost then, and not looked for; a push that did not fit leaves less than
/// the 64 bytes.
#[unsafe(naked)]
#[unsafe(export_name = "HardFault")]
unsafe extern "C" fn fault() -> ! {
    naked_asm!(
        "mrs r2, msp",
        "ldr r3, =_stack_start",
        "msr msp, r3",
        "ldr r3, =_stack_end",
        "add r3, r3, #64",
        "cmp r2, r3",
        "blo {overflown}",
        "ldr r0, [r2, #24]",
        "ldr r1, [r2, #20]",
        "b {faulted}",
        overflown = sym overflown,
        faulted = sym faulted,
    )
}

extern "C" fn overflown() -> ! {
    reset(format_args!("stack: it has become too deep"))
}

extern "C" fn faulted(pc: u32, lr: u32) -> ! {
    reset(format_args!("fault at {pc:#010x}, called from {lr:#010x}"))
}
