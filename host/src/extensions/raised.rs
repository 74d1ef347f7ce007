//! What the operator gives one extension beyond the defaults, by its name. Only the system's extensions get it: an account
//! may give its scripts any name.

use std::str::FromStr;
use std::time::Duration;

use super::limits::{ComponentLimits, Limits, ScriptLimits};
use super::manifest;

/// The setting, for messages.
pub(super) const SETTING: &str = "extension_limits";

const MIB: usize = 1024 * 1024;
/// The most that may be given: a call that takes more belongs elsewhere.
pub(super) const MOST_MEMORY_MIB: usize = 1024;
const MOST_TIME_MS: u64 = 10_000;
const MOST_OPERATIONS: u64 = 100_000_000;
/// A component may take so many times its own time in all, as other work has its turn.
const WALL_TIME_PER_OWN_TIME: u32 = 5;

/// A limit that is raised for one extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaisedLimit {
    /// The extension's name.
    pub extension: String,
    /// Which, and to what.
    pub to: Raised,
}

/// A limit and its new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// Memory of a component, in MiB.
    MemoryMib(usize),
    /// Own time of a component or script, in milliseconds.
    TimeMs(u64),
    /// Operations of a script.
    Operations(u64),
}

/// Why a raised limit can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRaisedLimit {
    /// Its form.
    #[error("write extension.limit=number, such as my-classifier.memory_mib=512")]
    Form,
    /// No extension can be called that.
    #[error("{0:?} can't be the name of an extension: it has lower-case letters, digits and -, a letter first")]
    Name(String),
    /// There is no such limit.
    #[error("{0:?} is no limit that can be raised; these are memory_mib, time_ms and operations")]
    Unknown(String),
    /// It would be lowered, or is more than anybody gets.
    #[error("{limit} must be a whole number from {least} to {most}")]
    OutOfRange {
        /// Which.
        limit: &'static str,
        /// The default.
        least: u64,
        /// The most.
        most: u64,
    },
}

impl FromStr for RaisedLimit {
    type Err = BadRaisedLimit;

    fn from_str(text: &str) -> Result<Self, BadRaisedLimit> {
        let (name, number) = text.split_once('=').ok_or(BadRaisedLimit::Form)?;
        let (extension, limit) = name.trim().split_once('.').ok_or(BadRaisedLimit::Form)?;
        if !manifest::is_name(extension) {
            return Err(BadRaisedLimit::Name(extension.to_owned()));
        }
        let Limits { component, script, .. } = Limits::default();
        let least_ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let bounded = |limit: &'static str, least: u64, most: u64| {
            let number = number.trim().parse().ok().filter(|number| (least..=most).contains(number));
            number.ok_or(BadRaisedLimit::OutOfRange { limit, least, most })
        };
        let to = match limit {
            "memory_mib" => {
                let mib = bounded("memory_mib", (component.memory_bytes / MIB) as u64, MOST_MEMORY_MIB as u64)?;
                Raised::MemoryMib(usize::try_from(mib).unwrap_or(MOST_MEMORY_MIB))
            }
            "time_ms" => {
                Raised::TimeMs(bounded("time_ms", least_ms(component.own_time.max(script.time)), MOST_TIME_MS)?)
            }
            "operations" => Raised::Operations(bounded("operations", script.operations, MOST_OPERATIONS)?),
            other => return Err(BadRaisedLimit::Unknown(other.to_owned())),
        };
        Ok(Self { extension: extension.to_owned(), to })
    }
}

/// The limits of a component of this name.
pub(super) fn of_component(limits: &ComponentLimits, raised: &[RaisedLimit], name: &str) -> ComponentLimits {
    let mut limits = limits.clone();
    for to in of_name(raised, name) {
        match to {
            Raised::MemoryMib(mib) => {
                limits.memory_bytes = limits.memory_bytes.max(mib.saturating_mul(MIB));
                limits.max_memory_bytes = limits.max_memory_bytes.max(limits.memory_bytes);
            }
            Raised::TimeMs(millis) => {
                limits.own_time = limits.own_time.max(Duration::from_millis(millis));
                limits.wall_time = limits.wall_time.max(limits.own_time * WALL_TIME_PER_OWN_TIME);
            }
            Raised::Operations(_) => {}
        }
    }
    limits
}

/// The limits of a script of this name; none where they are those of all.
pub(super) fn of_script(limits: &ScriptLimits, raised: &[RaisedLimit], name: &str) -> Option<ScriptLimits> {
    let mut own = limits.clone();
    for to in of_name(raised, name) {
        match to {
            Raised::TimeMs(millis) => own.time = own.time.max(Duration::from_millis(millis)),
            Raised::Operations(operations) => own.operations = own.operations.max(operations),
            Raised::MemoryMib(_) => {}
        }
    }
    (own != *limits).then_some(own)
}

/// The limits that the pool of memory is made for: the largest that any component gets.
pub(super) fn of_pool(limits: &Limits, raised: &[RaisedLimit]) -> Limits {
    let mut pool = limits.clone();
    for limit in raised {
        let largest = of_component(&limits.component, raised, &limit.extension).max_memory_bytes;
        pool.component.max_memory_bytes = pool.component.max_memory_bytes.max(largest);
    }
    pool
}

fn of_name<'a>(raised: &'a [RaisedLimit], name: &'a str) -> impl Iterator<Item = Raised> + 'a {
    raised.iter().filter(move |limit| limit.extension == name).map(|limit| limit.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_or_told_with_its_bounds() {
        let read = |text: &str| text.parse::<RaisedLimit>().map_err(|error| error.to_string());
        let expected = RaisedLimit { extension: "heavy".to_owned(), to: Raised::MemoryMib(512) };
        assert_eq!(read("heavy.memory_mib = 512"), Ok(expected));
        for (text, told) in [
            ("heavy=512", "write extension.limit=number"),
            ("heavy.memory_mib", "write extension.limit=number"),
            (".memory_mib=512", "\"\" can't be the name of an extension"),
            ("Heavy Filter.memory_mib=512", "\"Heavy Filter\" can't be the name of an extension: it has lower-case"),
            ("heavy.memory=512", "\"memory\" is no limit that can be raised"),
            ("heavy.memory_mib=4096", "memory_mib must be a whole number from 16 to 1024"),
            ("heavy.memory_mib=lots", "memory_mib must be a whole number from 16 to 1024"),
            ("heavy.time_ms=1", "time_ms must be a whole number from 50 to 10000"),
            ("heavy.operations=1", "operations must be a whole number from 200000 to 100000000"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(told), "{text}: {error}");
        }
    }

    #[test]
    fn only_the_named_extension_has_more() {
        let raised: Vec<RaisedLimit> = ["heavy.memory_mib=512", "heavy.time_ms=200", "heavy.operations=1000000"]
            .map(|text| text.parse().unwrap())
            .into();
        let limits = Limits::default();
        let heavy = of_component(&limits.component, &raised, "heavy");
        assert_eq!((heavy.memory_bytes, heavy.max_memory_bytes), (512 * MIB, 512 * MIB));
        assert_eq!((heavy.own_time.as_millis(), heavy.wall_time.as_millis()), (200, 1000));
        assert_eq!(of_component(&limits.component, &raised, "other"), limits.component);
        let heavy = of_script(&limits.script, &raised, "heavy").unwrap();
        assert_eq!((heavy.operations, heavy.time.as_millis()), (1_000_000, 200));
        assert_eq!(of_script(&limits.script, &raised, "other"), None);
        assert_eq!(of_pool(&limits, &raised).component.max_memory_bytes, 512 * MIB);
    }
}
