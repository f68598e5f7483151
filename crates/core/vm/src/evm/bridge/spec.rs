//! The part of an EVM environment's spec that lets money in and out.

use super::BRIDGE_ADDRESS;
use crate::evm::spec::{CODE_BYTES_MAX, SpecError, expect};
use crate::evm::system;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, put_bytes, put_varint};
use atoll_types::{Address, Decode, Encode, Reader};
use revm::primitives::Bytes;

/// Most tokens of one environment.
pub const TOKENS_MAX: u32 = 256;
/// Longest name of a token.
pub const TOKEN_NAME_BYTES_MAX: u32 = 64;
/// Longest symbol of a token.
pub const TOKEN_SYMBOL_BYTES_MAX: u32 = 16;
/// Most decimals of a token.
pub const TOKEN_DECIMALS_MAX: u8 = 36;

/// A token of the hub that may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgedTokenSpec {
    /// Its address on the hub.
    pub token: Address,
    /// Its name.
    pub name: String,
    /// Its symbol.
    pub symbol: String,
    /// Its decimals, on the hub and here.
    pub decimals: u8,
}

/// What lets money in and out. Native currency always may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmBridge {
    /// Code of the bridge contract.
    pub code: Bytes,
    /// The tokens that may come in.
    pub tokens: Vec<BridgedTokenSpec>,
}

impl EvmBridge {
    /// The token with this address on the hub.
    pub fn token(&self, token: Address) -> Option<&BridgedTokenSpec> {
        self.tokens.iter().find(|listed| listed.token == token)
    }

    /// Checks every value against the genesis accounts it must not collide with.
    pub(in crate::evm) fn validate(
        &self,
        genesis: impl Iterator<Item = Address>,
    ) -> Result<(), SpecError> {
        system::validate(
            "bridge",
            (BRIDGE_ADDRESS, &self.code),
            genesis,
            ("the bridge contract or the system", "whoever had code there could make money"),
        )?;
        expect(
            self.tokens.len() <= TOKENS_MAX as usize,
            "bridge.tokens",
            self.tokens.len(),
            alloc::format!("at most {TOKENS_MAX} tokens"),
        )?;
        for (at, token) in self.tokens.iter().enumerate() {
            let key = |name: &str| alloc::format!("bridge.tokens[{at}].{name}");
            let text = |text: &str, max: u32| {
                let printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
                !text.is_empty() && text.len() <= max as usize && text.bytes().all(printable)
            };
            let twice = self.tokens[..at].iter().any(|other| other.token == token.token);
            expect(
                !token.token.is_zero() && !twice,
                key("hub_token"),
                token.token,
                "the address of a token on the hub, each once; native currency is not listed",
            )?;
            expect(
                text(&token.name, TOKEN_NAME_BYTES_MAX),
                key("name"),
                &token.name,
                alloc::format!("1 to {TOKEN_NAME_BYTES_MAX} printable ASCII characters"),
            )?;
            expect(
                text(&token.symbol, TOKEN_SYMBOL_BYTES_MAX),
                key("symbol"),
                &token.symbol,
                alloc::format!("1 to {TOKEN_SYMBOL_BYTES_MAX} printable ASCII characters"),
            )?;
            expect(
                token.decimals <= TOKEN_DECIMALS_MAX,
                key("decimals"),
                token.decimals,
                alloc::format!("at most {TOKEN_DECIMALS_MAX}"),
            )?;
        }
        Ok(())
    }
}

fn text(r: &mut Reader<'_>, what: &'static str, max: u32) -> Result<String, CodecError> {
    let bytes = r.bytes(what, max)?;
    Ok(core::str::from_utf8(bytes).map_err(|_| CodecError::Invalid(what))?.to_string())
}

impl Encode for BridgedTokenSpec {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.token.as_slice());
        put_bytes(out, self.name.as_bytes());
        put_bytes(out, self.symbol.as_bytes());
        out.push(self.decimals);
    }
}

impl Decode for BridgedTokenSpec {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            token: r.address()?,
            name: text(r, "name of a token", TOKEN_NAME_BYTES_MAX)?,
            symbol: text(r, "symbol of a token", TOKEN_SYMBOL_BYTES_MAX)?,
            decimals: r.u8()?,
        })
    }
}

impl Encode for EvmBridge {
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.code);
        put_varint(out, self.tokens.len() as u64);
        self.tokens.iter().for_each(|token| token.encode(out));
    }
}

impl Decode for EvmBridge {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let code = Bytes::copy_from_slice(r.bytes("bridge code", CODE_BYTES_MAX)?);
        let mut tokens = Vec::new();
        for _ in 0..r.length("tokens", TOKENS_MAX)? {
            tokens.push(BridgedTokenSpec::decode(r)?);
        }
        Ok(Self { code, tokens })
    }
}
