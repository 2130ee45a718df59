//! The table `[drop]` of the config file.
//!
//! Invariant: durations and sizes are strings with units, and a key that does not exist is an error. Whether the values
//! make sense together is asked by [`DropConfig::check`], which names the key and the mend.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;
use serde::de::{self, Deserializer, Unexpected};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The shortest time that anything here may take; below it nobody could act in time.
const SHORTEST: Duration = Duration::from_secs(1);
/// Ten years: beyond it a duration is a typo, and times must stay far from the end of the calendar.
const LONGEST: Duration = DAY.saturating_mul(3653);

/// How the drop behaves; every key has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DropConfig {
    /// Where files and catalog are kept; who opens the drop decides what stands in for `None`.
    pub data: Option<PathBuf>,
    /// How the owner is recognised.
    pub owner: OwnerRule,
    /// How many leading bits of an IPv6 address name one owner, 48 to 128.
    pub ipv6_prefix: u8,
    /// How long a file waits for its recipient, unless the uploader says otherwise; `None` is one day, or
    /// [`max_expires`](Self::max_expires) if that is shorter.
    #[serde(deserialize_with = "some_duration")]
    pub expires: Option<Duration>,
    /// The longest time that an uploader may ask for.
    #[serde(deserialize_with = "duration")]
    pub max_expires: Duration,
    /// The largest file.
    #[serde(deserialize_with = "size")]
    pub max_size: ByteSize,
    /// How long a collection is expected to take: others are told to ask again after it. It is also how long one that
    /// is under way when the file expires may go on.
    #[serde(deserialize_with = "duration")]
    pub lease: Duration,
    /// How long a recipient behind another proxy may try once more.
    #[serde(deserialize_with = "duration")]
    pub grace: Duration,
    /// How many collections may fail before the file is deleted.
    #[serde(deserialize_with = "attempts")]
    pub attempts: u32,
    /// How long it stays known what became of a file.
    #[serde(deserialize_with = "duration")]
    pub receipts: Duration,
}

impl Default for DropConfig {
    fn default() -> Self {
        Self {
            data: None,
            owner: OwnerRule::default(),
            ipv6_prefix: 64,
            expires: None,
            max_expires: 7 * DAY,
            max_size: ByteSize::gib(2),
            lease: 2 * MINUTE,
            grace: MINUTE,
            attempts: 5,
            receipts: 7 * DAY,
        }
    }
}

impl DropConfig {
    /// How long a file waits for its recipient, unless the uploader says otherwise.
    pub fn expires(&self) -> Duration {
        self.expires.unwrap_or(DAY.min(self.max_expires))
    }

    /// Whether the values make sense, alone and together.
    ///
    /// # Errors
    ///
    /// The first key that does not.
    pub fn check(&self) -> Result<(), BadConfig> {
        if self.data.as_ref().is_some_and(|data| data.as_os_str().is_empty()) {
            let help = "write a directory, such as \"/var/lib/truehop\", or leave the line out".to_owned();
            return Err(BadConfig::new("data", "empty", help));
        }
        for (key, value) in [
            ("max_expires", self.max_expires),
            ("expires", self.expires()),
            ("lease", self.lease),
            ("grace", self.grace),
            ("receipts", self.receipts),
        ] {
            if value < SHORTEST {
                return Err(BadConfig::new(
                    key,
                    "shorter than one second",
                    format!("write {key} = \"1s\" or more"),
                ));
            }
            if value > LONGEST {
                return Err(BadConfig::new(
                    key,
                    "longer than ten years",
                    format!("write {key} = \"3653d\" or less"),
                ));
            }
        }
        if self.expires() > self.max_expires {
            let help = format!(
                "lower expires or raise max_expires, which is \"{}\"",
                words(self.max_expires)
            );
            return Err(BadConfig::new("expires", "longer than max_expires", help));
        }
        if self.attempts == 0 {
            let help =
                "write attempts = 1 or more: without an attempt nobody could collect a file".to_owned();
            return Err(BadConfig::new("attempts", "zero", help));
        }
        if !(48..=128).contains(&self.ipv6_prefix) {
            let help = "write 64, the size of one network, or another number from 48 to 128".to_owned();
            return Err(BadConfig::new(
                "ipv6_prefix",
                format!("{} is out of range", self.ipv6_prefix),
                help,
            ));
        }
        if self.max_size.as_u64() == 0 {
            return Err(BadConfig::new(
                "max_size",
                "zero",
                "write a size such as \"2GiB\"".to_owned(),
            ));
        }
        // SQLite counts in signed 64 bits.
        if i64::try_from(self.max_size.as_u64()).is_err() {
            return Err(BadConfig::new(
                "max_size",
                "more than any disk holds",
                "write a size such as \"2GiB\"".to_owned(),
            ));
        }
        Ok(())
    }
}

/// How the owner is recognised: the key `owner`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum OwnerRule {
    /// By the token or by the address.
    #[default]
    Either,
    /// By the secret that the upload returned. No address is stored.
    Token,
    /// By the address that uploaded.
    Address,
}

impl OwnerRule {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Either => "either",
            Self::Token => "token",
            Self::Address => "address",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Either, Self::Token, Self::Address]
            .into_iter()
            .find(|rule| rule.word() == word)
    }

    pub(crate) fn uses_token(self) -> bool {
        self != Self::Address
    }

    pub(crate) fn uses_address(self) -> bool {
        self != Self::Token
    }
}

/// A value of [`DropConfig`] that makes no sense.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadConfig {
    /// The key in the table `[drop]`.
    pub key: &'static str,
    /// What is wrong with its value.
    pub problem: String,
    /// What to write instead.
    pub help: String,
}

impl BadConfig {
    fn new(key: &'static str, problem: impl Into<String>, help: String) -> Self {
        Self {
            key,
            problem: problem.into(),
            help,
        }
    }
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "drop.{}: {}: {}", self.key, self.problem, self.help)
    }
}

impl Error for BadConfig {}

/// A duration as people write it: `1 day`, `90 minutes`.
pub(crate) fn words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")]
        .into_iter()
        .find(|(size, _)| seconds.is_multiple_of(*size))
        .map_or((seconds, "second"), |(size, unit)| (seconds / size, unit));
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    match humantime::parse_duration(&text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(de::Error::custom(format!(
            "{text:?} is no duration: write a number with a unit, such as \"90s\", \"2m\" or \"7d\""
        ))),
    }
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

fn attempts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = i64::deserialize(deserializer)?;
    // Zero makes no sense either; why is for `check` to say.
    u32::try_from(number)
        .map_err(|_| de::Error::invalid_value(Unexpected::Signed(number), &"a whole number from 1 on"))
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let text = String::deserialize(deserializer)?;
    // A bare number would be bytes, which nobody means.
    let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
    text.parse().ok().filter(|_| has_unit).ok_or_else(|| {
        de::Error::custom(format!(
            "{text:?} is no size: write a number with a unit, such as \"2GiB\" or \"500MB\""
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_default_and_the_default_makes_sense() {
        let config: DropConfig = toml::from_str("").unwrap();
        assert_eq!(format!("{config:?}"), format!("{:?}", DropConfig::default()));
        config.check().unwrap();
    }

    #[test]
    fn every_key_is_read() {
        let config: DropConfig = toml::from_str(
            "data = \"/srv\"\nowner = \"address\"\nipv6_prefix = 56\nexpires = \"2h\"\nmax_expires = \"1d\"\n\
             max_size = \"10MB\"\nlease = \"30s\"\ngrace = \"5s\"\nattempts = 2\nreceipts = \"1d\"",
        )
        .unwrap();
        config.check().unwrap();
        assert_eq!(config.owner, OwnerRule::Address);
        assert_eq!(config.expires, Some(Duration::from_secs(7200)));
        assert_eq!(config.max_size.as_u64(), 10_000_000);
        assert_eq!((config.ipv6_prefix, config.attempts), (56, 2));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_an_example() {
        for (text, hint) in [
            ("expires = \"soon\"", "\"soon\" is no duration"),
            ("expires = \"0s\"", "\"0s\" is no duration"),
            ("expires = 60", "expected a string"),
            ("max_size = \"big\"", "\"big\" is no size"),
            ("max_size = 5", "expected a string"),
            (
                "max_size = \"2048\"",
                "\"2048\" is no size: write a number with a unit, such as \"2GiB\"",
            ),
            ("max_size = \"1.5 \"", "is no size"),
            ("attempts = -1", "integer `-1`, expected a whole number from 1 on"),
            ("attempts = 4294967296", "expected a whole number from 1 on"),
            ("owner = \"ip\"", "unknown variant `ip`"),
            ("expire = \"1d\"", "unknown field `expire`"),
        ] {
            let error = toml::from_str::<DropConfig>(text).unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn a_shorter_longest_time_shortens_the_usual_one() {
        let read = |text| toml::from_str::<DropConfig>(text).unwrap();
        let short = read("max_expires = \"1h\"");
        short.check().unwrap();
        assert_eq!(short.expires(), Duration::from_secs(3600));
        assert_eq!(read("max_expires = \"3d\"").expires(), DAY);
        // Only what was written is named.
        let both = read("expires = \"2h\"\nmax_expires = \"1h\"");
        assert_eq!(both.check().unwrap_err().key, "expires");
        let tiny = DropConfig {
            max_expires: Duration::from_millis(1),
            ..DropConfig::default()
        };
        assert_eq!(tiny.check().unwrap_err().key, "max_expires");
    }

    #[test]
    fn each_senseless_value_is_named() {
        type Spoil = fn(&mut DropConfig);
        let cases: [(&str, Spoil); 10] = [
            ("data", |c| c.data = Some(PathBuf::new())),
            ("expires", |c| c.expires = Some(8 * DAY)),
            ("expires", |c| c.expires = Some(Duration::from_millis(1))),
            ("max_expires", |c| c.max_expires = 5000 * DAY),
            ("lease", |c| c.lease = Duration::from_millis(1)),
            ("attempts", |c| c.attempts = 0),
            ("ipv6_prefix", |c| c.ipv6_prefix = 47),
            ("ipv6_prefix", |c| c.ipv6_prefix = 129),
            ("max_size", |c| c.max_size = ByteSize(0)),
            ("max_size", |c| c.max_size = ByteSize(u64::MAX)),
        ];
        for (key, spoil) in cases {
            let mut config = DropConfig::default();
            spoil(&mut config);
            assert_eq!(config.check().unwrap_err().key, key);
        }
        assert_eq!(words(Duration::from_secs(1)), "1 second");
        assert_eq!(words(3 * DAY), "3 days");
        assert_eq!(words(90 * MINUTE), "90 minutes");
    }
}
