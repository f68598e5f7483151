//! Hyperliquid's actions that are signed as typed data: transfers, withdrawals and agent approvals.

use super::action::{Action, Decoded, Fields, Step, hex, malformed, step_refusal};
use super::decimal::Decimal;
use super::domain::{Word, hyperliquid_digest};
use super::msgpack::MsgpackError;
use super::objects::AGENT_NAME_BYTES_MAX;
use super::{ExchangeVmSpec, Sending};
use crate::Identity;
use atoll_exchange::{AssetId, Command, Refusal, Rules, Wallet};
use atoll_types::hub::ROUTER;
use atoll_types::{Address, Reject, RejectCode};

/// How long an agent may sign whose approval names no end: 180 days after the approval.
const AGENT_DEFAULT_MS: u64 = 180 * 24 * 3600 * 1000;
/// Separates an agent's name from the end of its validity.
const VALID_UNTIL: &str = " valid_until ";

/// Reads a typed action with its digest and nonce.
pub(super) fn decode(
    identity: &Identity,
    spec: &ExchangeVmSpec,
    kind: &str,
    mut fields: Fields<'_>,
) -> Result<Decoded, Reject> {
    let rules = &spec.exchange;
    let head = || {
        let expected = "0x and a chain id in hexadecimal";
        let chain_id = fields.take("signatureChainId")?.string()?;
        let chain_id = chain_id.strip_prefix("0x").and_then(|digits| {
            let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            plain.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
        });
        let error = MsgpackError::Value { key: "signatureChainId", expected };
        let nonce_key = if fields.has("time") { "time" } else { "nonce" };
        let nonce = fields.take(nonce_key)?.unsigned()?;
        Ok((chain_id.ok_or(error)?, fields.take("hyperliquidChain")?.string()?, nonce))
    };
    let (chain_id, chain, nonce) = call(head).map_err(malformed)?;
    if chain != "Testnet" {
        let message = "the action is signed for Hyperliquid's mainnet, not for this network";
        return Err(Reject::new(RejectCode::WrongDomain, message));
    }
    let (signature, words, action);
    let chain_word = Word::Text(chain);
    let nonce_word = Word::Number(nonce.into());
    match kind {
        "usdSend" => {
            let (to, amount) =
                call(|| Ok((text(&mut fields, "destination")?, text(&mut fields, "amount")?)))
                    .map_err(malformed)?;
            signature = "HyperliquidTransaction:UsdSend(string hyperliquidChain,\
                string destination,string amount,uint64 time)";
            words = alloc::vec![chain_word, Word::Text(to), Word::Text(amount), nonce_word];
            let asset = rules.spec().collateral;
            action = transfer(rules, asset, Wallet::Collateral, to, amount).map_err(malformed)?;
        }
        "withdraw3" => {
            let (to, amount) =
                call(|| Ok((text(&mut fields, "destination")?, text(&mut fields, "amount")?)))
                    .map_err(malformed)?;
            signature = "HyperliquidTransaction:Withdraw(string hyperliquidChain,\
                string destination,string amount,uint64 time)";
            words = alloc::vec![chain_word, Word::Text(to), Word::Text(amount), nonce_word];
            let to = address("destination", to).map_err(malformed)?;
            let purse = (rules.spec().collateral, Wallet::Collateral);
            let amount = units(rules, purse.0, amount).map_err(malformed)?;
            let sending =
                amount.and_then(|amount| Sending::new(identity, spec, (ROUTER, to), purse, amount));
            action = sending.into();
        }
        "spotSend" => {
            let (to, token, amount) = call(|| {
                let (to, token) = (text(&mut fields, "destination")?, text(&mut fields, "token")?);
                Ok((to, token, text(&mut fields, "amount")?))
            })
            .map_err(malformed)?;
            signature = "HyperliquidTransaction:SpotSend(string hyperliquidChain,\
                string destination,string token,string amount,uint64 time)";
            words = alloc::vec![
                chain_word,
                Word::Text(to),
                Word::Text(token),
                Word::Text(amount),
                nonce_word,
            ];
            // "NAME:0x…": the name is what is unique here.
            let symbol = token.split_once(':').map_or(token, |(symbol, _)| symbol);
            action = match rules.asset_named(symbol) {
                Some(asset) => {
                    transfer(rules, asset, Wallet::Spot, to, amount).map_err(malformed)?
                }
                None => one(Step::refused(RejectCode::Unsupported, "this venue has no such token")),
            };
        }
        "usdClassTransfer" => {
            let (amount, to_perp) =
                call(|| Ok((text(&mut fields, "amount")?, fields.take("toPerp")?.bool()?)))
                    .map_err(malformed)?;
            signature = "HyperliquidTransaction:UsdClassTransfer(string hyperliquidChain,\
                string amount,bool toPerp,uint64 nonce)";
            words = alloc::vec![chain_word, Word::Text(amount), Word::Bool(to_perp), nonce_word];
            let to = if to_perp { Wallet::Collateral } else { Wallet::Spot };
            let command = units(rules, rules.spec().collateral, amount)
                .map_err(malformed)?
                .map(|amount| Command::Move { asset: rules.spec().collateral, to, amount });
            action = one(Step { target_market: None, command });
        }
        _ => {
            let (agent, name) = call(|| {
                let agent = address("agentAddress", text(&mut fields, "agentAddress")?)?;
                let name =
                    if fields.has("agentName") { text(&mut fields, "agentName")? } else { "" };
                Ok((agent, name))
            })
            .map_err(malformed)?;
            signature = "HyperliquidTransaction:ApproveAgent(string hyperliquidChain,\
                address agentAddress,string agentName,uint64 nonce)";
            let digest = hyperliquid_digest(
                chain_id,
                signature,
                &[chain_word, Word::Address(&agent), Word::Text(name), nonce_word],
            );
            fields.finish().map_err(malformed)?;
            let action = approval(agent, name, nonce).map_err(malformed)?;
            return Ok(Decoded { action, typed: Some((digest, nonce)) });
        }
    }
    fields.finish().map_err(malformed)?;
    let digest = hyperliquid_digest(chain_id, signature, &words);
    Ok(Decoded { action, typed: Some((digest, nonce)) })
}

/// Gives a closure its error type.
fn call<T>(read: impl FnOnce() -> Result<T, MsgpackError>) -> Result<T, MsgpackError> {
    read()
}

fn text<'a>(fields: &mut Fields<'a>, key: &'static str) -> Result<&'a str, MsgpackError> {
    fields.take(key)?.string()
}

fn one(step: Step) -> Action {
    Action::Commands(alloc::vec![step])
}

fn address(key: &'static str, text: &str) -> Result<Address, MsgpackError> {
    let expected = "0x and 40 hexadecimal digits";
    hex(text).map(Address::new).ok_or(MsgpackError::Value { key, expected })
}

/// An amount in the asset's smallest unit, or why there is no such amount.
fn units(
    rules: &Rules,
    asset: AssetId,
    amount: &str,
) -> Result<Result<i128, Refusal>, MsgpackError> {
    let expected = "a decimal number: digits, at most one point, no sign, no exponent";
    let error = MsgpackError::Value { key: "amount", expected };
    let amount = Decimal::parse(amount).ok_or(error)?;
    let decimals = rules.spec().assets.get(usize::from(asset.0)).map_or(0, |a| a.decimals);
    let finer = "the amount is finer than the asset's smallest unit";
    let units = amount.units(decimals).map_err(|e| step_refusal(e, RejectCode::OffLot, finer));
    Ok(units.and_then(|units| {
        let large = "the amount is above every limit of the venue";
        let error = Refusal { code: RejectCode::Overflow, message: large, have_need: None };
        i128::try_from(units).map_err(|_| error)
    }))
}

fn transfer(
    rules: &Rules,
    asset: AssetId,
    wallet: Wallet,
    to: &str,
    amount: &str,
) -> Result<Action, MsgpackError> {
    let to = address("destination", to)?;
    let command =
        units(rules, asset, amount)?.map(|amount| Command::Transfer { to, asset, wallet, amount });
    Ok(one(Step { target_market: None, command }))
}

fn approval(agent: Address, name: &str, nonce: u64) -> Result<Action, MsgpackError> {
    let error = MsgpackError::Value {
        key: "agentName",
        expected: "at most 64 bytes, with \" valid_until <milliseconds>\" at most at the end",
    };
    let (name, valid_until_ms) = match name.split_once(VALID_UNTIL) {
        Some((name, until)) => (name, until.parse().map_err(|_| error.clone())?),
        None => (name, nonce.saturating_add(AGENT_DEFAULT_MS)),
    };
    if name.len() > AGENT_NAME_BYTES_MAX as usize {
        return Err(error);
    }
    Ok(Action::ApproveAgent { agent, name: name.into(), valid_until_ms })
}
