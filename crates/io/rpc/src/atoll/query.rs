//! Query strings.

use super::{Failure, invalid};
use axum::http::Uri;

/// A query string of known keys with plain values.
pub(super) struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    pub(super) fn parse(uri: &'a Uri, known: &[&str]) -> Result<Self, Failure> {
        let mut pairs = Vec::new();
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !known.contains(&key) || pairs.iter().any(|(seen, _)| *seen == key) {
                let key: String = key.chars().take(64).collect();
                let known = known.join(", ");
                return Err(invalid(format!("'{key}' is unknown or twice; known are: {known}")));
            }
            pairs.push((key, value));
        }
        Ok(Self(pairs))
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }
}
