//! Other data layers: which ones a node also publishes to, and reading them.

pub(crate) mod fetch;
pub(crate) mod relay;
pub(crate) mod store;

use anyhow::{Context, Result, ensure};
use atoll_layers::{DataLayer, Layer};
use atoll_types::NetworkId;
use std::collections::BTreeMap;

/// A layer as the command line names it: `LAYER:URL[,NAME=VALUE]…`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LayerChoice {
    pub(crate) layer: Layer,
    url: String,
    settings: BTreeMap<String, String>,
}

/// Without what is secret.
impl std::fmt::Debug for LayerChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.layer, self.url)
    }
}

/// Settings of each layer.
const CELESTIA: &[&str] = &["token", "trusted"];
const BLOBS: &[&str] = &["beacon", "key"];

/// Reads a choice.
pub(crate) fn parse(text: &str) -> Result<LayerChoice, String> {
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    let (layer, known) = match name {
        "celestia" => (Layer::Celestia, CELESTIA),
        "blobs" => (Layer::EthereumBlobs, BLOBS),
        _ => return Err("expected celestia:URL or blobs:URL".into()),
    };
    let mut parts = rest.split(',');
    let url = parts.next().unwrap_or_default().to_string();
    if !url.contains("://") {
        return Err(format!("{name}: the address of its node is missing: {name}:http://…"));
    }
    let mut settings = BTreeMap::new();
    for part in parts {
        match part.split_once('=') {
            Some((key, value)) if known.contains(&key) => {
                settings.insert(key.to_string(), value.to_string());
            }
            _ => return Err(format!("{name} takes {}, not {part:?}", known.join("=, ") + "=")),
        }
    }
    Ok(LayerChoice { layer, url, settings })
}

impl LayerChoice {
    /// A setting, or the environment's, which other users of a machine do not see.
    #[cfg(any(feature = "layer-blobs", feature = "layer-celestia", test))]
    fn setting(&self, name: &str, variable: &str) -> Option<String> {
        self.settings.get(name).cloned().or_else(|| std::env::var(variable).ok())
    }

    /// Whether this build has the layer; an error that says what to do if not.
    pub(crate) fn check(&self) -> Result<()> {
        let (built, feature) = match self.layer {
            Layer::Celestia => (cfg!(feature = "layer-celestia"), "layer-celestia"),
            Layer::EthereumBlobs => (cfg!(feature = "layer-blobs"), "layer-blobs"),
        };
        ensure!(built, "this build has no {}: build it with --features {feature}", self.layer);
        Ok(())
    }

    /// Opens the layer: to publish the spans of `network`, or only to read them.
    pub(crate) fn open(&self, network: NetworkId, publishes: bool) -> Result<Box<dyn DataLayer>> {
        self.check()?;
        match self.layer {
            Layer::Celestia => self.celestia(network),
            Layer::EthereumBlobs => self.blobs(publishes),
        }
        .with_context(|| format!("{self:?}"))
    }

    #[cfg(feature = "layer-celestia")]
    fn celestia(&self, network: NetworkId) -> Result<Box<dyn DataLayer>> {
        use atoll_layers::celestia::{Celestia, Options};
        let trusted = self.setting("trusted", "ATOLL_CELESTIA_TRUSTED");
        let trusted = trusted.map(|hash| hash.parse()).transpose();
        let options = Options {
            token: self.setting("token", "ATOLL_CELESTIA_TOKEN"),
            trusted: trusted.context("trusted= is the hash of a header: 64 hex digits")?,
            ..Options::new(&self.url, network)
        };
        Ok(Box::new(Celestia::new(options)?))
    }

    #[cfg(not(feature = "layer-celestia"))]
    fn celestia(&self, _network: NetworkId) -> Result<Box<dyn DataLayer>> {
        anyhow::bail!("not in this build")
    }

    #[cfg(feature = "layer-blobs")]
    fn blobs(&self, publishes: bool) -> Result<Box<dyn DataLayer>> {
        use atoll_layers::blobs::{EthereumBlobs, Options};
        let mut options = Options::new(&self.url);
        if let Some(beacon) = self.setting("beacon", "ATOLL_BLOBS_BEACON") {
            options.beacon_url = beacon;
        }
        if publishes {
            let key = self.setting("key", "ATOLL_BLOBS_KEY");
            let key = key.as_deref().unwrap_or("development:blobs");
            options.key = Some(crate::money::parse_key(key).context("key=")?);
        }
        Ok(Box::new(EthereumBlobs::new(options)?))
    }

    #[cfg(not(feature = "layer-blobs"))]
    fn blobs(&self, _publishes: bool) -> Result<Box<dyn DataLayer>> {
        anyhow::bail!("not in this build")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_and_secrets_are_not_shown() {
        let choice = parse("celestia:http://a:26658,token=s3cret,trusted=00").unwrap();
        assert_eq!((choice.layer, choice.url.as_str()), (Layer::Celestia, "http://a:26658"));
        assert_eq!(choice.setting("token", "ATOLL_NO_SUCH").as_deref(), Some("s3cret"));
        assert_eq!(format!("{choice:?}"), "celestia:http://a:26658");
        let choice = parse("blobs:http://a:8545,beacon=http://b:3500,key=development:x").unwrap();
        assert_eq!(choice.setting("beacon", "ATOLL_NO_SUCH").as_deref(), Some("http://b:3500"));
        for wrong in
            ["", "celestia", "avail:http://a", "blobs:", "blobs:a", "blobs:http://a,token=x"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
