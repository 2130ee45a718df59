//! `Forwarded`, one line of the input a field line.
#![no_main]

mod lists;

use libfuzzer_sys::fuzz_target;
use truehop::Policy;

fuzz_target!(|input: &[u8]| lists::hold("Forwarded", Policy::forwarded, input));
