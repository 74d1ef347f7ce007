//! Reading columns into the engine's own types.

use std::str::FromStr;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Result, StoreError};
use crate::domain::Timestamp;

/// Typed access to a row's columns by name.
pub(super) trait RowExt {
    fn text(&self, column: &'static str) -> Result<String>;
    fn opt_text(&self, column: &'static str) -> Result<Option<String>>;
    fn int(&self, column: &'static str) -> Result<i64>;
    fn opt_int(&self, column: &'static str) -> Result<Option<i64>>;
    fn float(&self, column: &'static str) -> Result<f64>;
    fn bytes(&self, column: &'static str) -> Result<Vec<u8>>;

    /// A number that is never negative, such as a counter.
    fn count(&self, column: &'static str) -> Result<u64> {
        Ok(u64::try_from(self.int(column)?).unwrap_or(0))
    }

    fn flag(&self, column: &'static str) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    fn time(&self, column: &'static str) -> Result<Timestamp> {
        Ok(Timestamp::from_millis(self.int(column)?))
    }

    fn opt_time(&self, column: &'static str) -> Result<Option<Timestamp>> {
        Ok(self.opt_int(column)?.map(Timestamp::from_millis))
    }

    fn small<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T> {
        let value = self.int(column)?;
        T::try_from(value).map_err(|_| unreadable(column, &value.to_string(), "a number in range"))
    }

    fn id<T: FromStr>(&self, column: &'static str) -> Result<T> {
        let text = self.text(column)?;
        text.parse().map_err(|_| unreadable(column, &text, "an id"))
    }

    fn opt_id<T: FromStr>(&self, column: &'static str) -> Result<Option<T>> {
        let text = self.opt_text(column)?;
        text.map(|text| text.parse().map_err(|_| unreadable(column, &text, "an id"))).transpose()
    }

    fn word<T>(&self, column: &'static str, parse: fn(&str) -> Option<T>) -> Result<T> {
        let text = self.text(column)?;
        parse(&text).ok_or_else(|| unreadable(column, &text, "a word of its vocabulary"))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        let text = self.text(column)?;
        serde_json::from_str(&text).map_err(|_| unreadable(column, &text, "JSON of the expected shape"))
    }
}

impl RowExt for AnyRow {
    fn text(&self, column: &'static str) -> Result<String> {
        Ok(self.try_get(column)?)
    }

    fn opt_text(&self, column: &'static str) -> Result<Option<String>> {
        Ok(self.try_get(column)?)
    }

    fn int(&self, column: &'static str) -> Result<i64> {
        Ok(self.try_get(column)?)
    }

    fn opt_int(&self, column: &'static str) -> Result<Option<i64>> {
        Ok(self.try_get(column)?)
    }

    fn float(&self, column: &'static str) -> Result<f64> {
        Ok(self.try_get(column)?)
    }

    fn bytes(&self, column: &'static str) -> Result<Vec<u8>> {
        Ok(self.try_get(column)?)
    }
}

pub(super) fn unreadable(column: &'static str, value: &str, expected: &'static str) -> StoreError {
    StoreError::Unreadable { column, value: value.chars().take(80).collect(), expected }
}
