//! The forms of storage.

use genkan_stream::{BufferTooSmall, Config, MIN_BUFFER, Place, Role, Slot, StreamStack};

#[test]
fn slots_live_in_borrowed_memory_without_an_allocator() {
    let mut places = [const { Place::EMPTY }; 2];
    let mut buffers = [[0u8; 2048]; 4];
    let [a, b] = &mut places;
    let [ra, ta, rb, tb] = &mut buffers;
    let mut slots = [Slot::new(a, ra, ta).unwrap(), Slot::new(b, rb, tb).unwrap()];
    let mut stack = StreamStack::new(Role::Issuer, &mut slots[..], Config::default(), 9, u64::MAX);
    assert_eq!(stack.vacant_slots(), 2);
    stack.connect(u64::MAX, 80).unwrap();
    assert_eq!(stack.vacant_slots(), 1);
}

#[test]
fn buffers_that_are_too_small_are_refused() {
    let mut place = Place::EMPTY;
    let (mut receive, mut transmit) = ([0; MIN_BUFFER], [0; MIN_BUFFER - 1]);
    let slot = Slot::new(&mut place, &mut receive, &mut transmit);
    assert_eq!(slot.err(), Some(BufferTooSmall));
}

#[test]
fn a_stack_without_its_buffers_fits_a_microcontroller() {
    let slot = size_of::<Slot<'static>>();
    let place = size_of::<Place<'static>>();
    let stack = size_of::<StreamStack<'static, [Slot<'static>; 0]>>();
    assert!(slot <= 128 && place <= 1_400 && stack <= 2_048, "{slot} {place} {stack}");
}

#[test]
fn a_stack_can_move_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<StreamStack<'static, [Slot<'static>; 1]>>();
}

#[cfg(feature = "alloc")]
#[test]
fn owned_stacks_are_made_in_one_line() {
    use genkan_stream::{HOST_BUFFER, OwnedStack};
    let mut stack = OwnedStack::with_slots(Role::Acceptor, 16, HOST_BUFFER, 1, 0);
    assert_eq!(stack.vacant_slots(), 16);
    stack.connect(0, 80).unwrap();
    assert_eq!(stack.poll_packet(0, &mut [0; genkan_stream::INNER_MTU]), Some(52));
}
