//! Money in, money out: the commands that move it between the hub and the environments, one step at
//! a time, against any deployment.

pub(crate) mod costs;
mod session;
mod steps;
mod tour;

pub(crate) use session::{options as wait_options, parse_key};
pub(crate) use steps::submit_action;
pub(crate) use tour::run as tour;

use crate::cli::{ClaimArgs, DepositArgs, MoneyArgs, ProofArgs, WithdrawArgs};
use anyhow::{Result, bail};
use atoll_types::{Address, EnvironmentId, U256};
use serde_json::{Value, json};
use session::Session;

fn open(args: &MoneyArgs) -> Result<Session> {
    Session::open(&args.url, args.hub_rpc.as_deref(), &args.key)
}

fn tell(args: &MoneyArgs, value: &Value, text: &str) -> Result<()> {
    match args.json {
        true => println!("{}", serde_json::to_string(value)?),
        false => println!("{text}"),
    }
    Ok(())
}

/// `atoll deposit`.
pub(crate) fn deposit(args: &DepositArgs) -> Result<()> {
    let session = open(&args.money)?;
    let environment = session.environment(&args.environment)?.clone();
    let token = session.token(&environment, &args.token)?;
    let amount = token.amount(&args.amount)?;
    let to = args.to.unwrap_or_else(|| session.key.address());
    if args.fund {
        // The hub's own currency pays for the transaction, too.
        let gas = if token.token.is_zero() { steps::GAS_MONEY } else { U256::ZERO };
        session.fund(&token, session.key.address(), amount + gas)?;
        session.fund_gas(session.key.address())?;
    }
    let before = session.balance(&environment, &token, to)?;
    let deposited = session.deposit(&environment, &token, to, amount)?;
    if !args.money.json {
        println!("transaction  {} ({} gas)", deposited.sent.hash, deposited.sent.gas_used);
        println!("queue        entry {} {}", deposited.index, deposited.entry);
        println!("waiting until the sequencer has taken it in");
    }
    let receipt = session.receipt(deposited.entry)?;
    let credited = receipt["receipt"]["code"].is_null();
    let after = session.balance(&environment, &token, to)?;
    let value = json!({
        "transaction": deposited.sent.hash.to_string(),
        "gas_used": deposited.sent.gas_used,
        "index": deposited.index,
        "entry": deposited.entry.to_string(),
        "slot": receipt["slot"],
        "credited": credited,
        "balance_before": before.to_string(),
        "balance_after": after.to_string(),
    });
    let text = match credited {
        true => format!(
            "credited     in slot {}: {} has {} in {}",
            receipt["slot"],
            to,
            token.text(after),
            environment.name
        ),
        false => format!(
            "refused by {} ({}); the money comes back as a withdrawal to {}",
            environment.name,
            receipt["receipt"]["label"],
            session.key.address()
        ),
    };
    tell(&args.money, &value, &text)
}

/// `atoll withdraw`: out to the hub, or over to another environment.
pub(crate) fn withdraw(args: &WithdrawArgs) -> Result<()> {
    let session = open(&args.money)?;
    let environment = session.environment(&args.environment)?.clone();
    let token = session.token(&environment, &args.token)?;
    let amount = token.amount(&args.amount)?;
    let to = args.to.unwrap_or_else(|| session.key.address());
    let destination = match args.destination.as_str() {
        "hub" => EnvironmentId(0),
        name => session.environment(name)?.id,
    };
    let first = session.withdrawals()?;
    let hash = match args.force {
        false => session.send(&environment, &token, destination, to, amount)?,
        true => {
            let (sent, entry) = session.force(&environment, &token, destination, to, amount)?;
            if !args.money.json {
                println!("forced       {} ({} gas), entry {entry}", sent.hash, sent.gas_used);
                println!("waiting until the sequencer has taken it in");
            }
            let receipt = session.receipt(entry)?;
            let refusal = &receipt["receipt"];
            if !refusal["code"].is_null() {
                bail!("refused: {} ({})", refusal["message"], refusal["label"]);
            }
            entry
        }
    };
    if !args.money.json {
        println!("transaction  {hash}");
    }
    if destination != EnvironmentId(0) || args.no_wait {
        let value = json!({ "transaction": hash.to_string(), "destination": destination.0 });
        return tell(&args.money, &value, "sent");
    }
    let say = |text: &str| {
        if !args.money.json {
            println!("settlement   {text}");
        }
    };
    let found = session.settled_withdrawal(&environment, to, amount, Some(first), say)?;
    let value = json!({ "transaction": hash.to_string(), "withdrawal": found });
    let text = format!(
        "settled      withdrawal {0}; claim it with: atoll claim --index {0}",
        found["index"]
    );
    tell(&args.money, &value, &text)
}

/// `atoll claim`.
pub(crate) fn claim(args: &ClaimArgs) -> Result<()> {
    let session = open(&args.money)?;
    let withdrawal = session.gateway.get(&format!("/atoll/withdrawals/{}", args.index))?;
    if withdrawal["settled"] != true {
        bail!(
            "withdrawal {} is not settled yet: its commitment must be on the hub and the challenge \
             window over; `atoll hub status` shows where settlement stands",
            args.index
        );
    }
    let sent = session.claim(&withdrawal)?;
    let value = json!({ "transaction": sent.hash.to_string(), "gas_used": sent.gas_used });
    let text = format!("paid to {} by {} ({} gas)", withdrawal["to"], sent.hash, sent.gas_used);
    tell(&args.money, &value, &text)
}

/// `atoll proof`: of a withdrawal, or of an object of the last settled state.
pub(crate) fn proof(args: &ProofArgs) -> Result<()> {
    let gateway = crate::gateway::Gateway::new(&args.url)?;
    let value = match (&args.withdrawal, &args.environment, &args.claim, &args.key) {
        (Some(index), ..) => gateway.get(&format!("/atoll/withdrawals/{index}"))?,
        (None, Some(environment), Some(owner), _) => {
            let token: Address = match args.token.parse() {
                Ok(token) => token,
                Err(_) => bail!("--token is the token's address on the hub"),
            };
            let key = [&[0x50][..], owner.as_slice(), token.as_slice()].concat();
            let key = alloy_primitives::hex::encode_prefixed(key);
            gateway.get(&format!("/atoll/proof?environment={environment}&key={key}"))?
        }
        (None, Some(environment), None, Some(key)) => {
            gateway.get(&format!("/atoll/proof?environment={environment}&key={key}"))?
        }
        _ => bail!("name --withdrawal N, or --environment NAME with --claim ADDRESS or --key HEX"),
    };
    println!("{}", serde_json::to_string_pretty(&value)?);
    Ok(())
}
