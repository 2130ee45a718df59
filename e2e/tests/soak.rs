//! Load with random aborts on both sides, after which everything must add up.

use std::env;
use std::time::Duration;

use truehop_e2e::{Kind, Soak, missing};

#[test]
fn two_thousand_requests_add_up() {
    if missing(&Kind::ALL.map(Kind::name)) {
        return;
    }
    Soak {
        requests: 1000,
        rounds: 2,
        time: Duration::ZERO,
        seed: 1,
    }
    .run();
}

#[test]
#[ignore = "takes ten minutes: cargo xtask soak"]
fn ten_minutes_add_up() {
    if missing(&Kind::ALL.map(Kind::name)) {
        return;
    }
    let number = |name: &str| env::var(name).ok().and_then(|value| value.parse().ok());
    Soak {
        requests: 5000,
        rounds: 3,
        time: Duration::from_secs(number("TRUEHOP_SOAK_SECONDS").unwrap_or(600)),
        seed: number("TRUEHOP_SOAK_SEED").unwrap_or(1),
    }
    .run();
}
