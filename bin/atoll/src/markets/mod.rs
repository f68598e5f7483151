//! `atoll market` and `atoll account`: what a venue trades and what an account has, in tables.
//!
//! All comes from `/atoll/markets` and `/atoll/accounts` of a gateway; here it is only laid out.
//! `--json` prints the answer as it is. `atoll market open` without `--list` alone needs no network.

mod account;
mod args;
mod list;
mod listing;
mod open;
pub(crate) mod parameters;
mod show;
mod table;

pub(crate) use args::{AccountCommand, MarketCommand, VenueArgs};

use crate::gateway::Gateway;
use anyhow::Result;
use serde_json::Value;

/// Runs `atoll market …`.
pub(crate) fn market(command: &MarketCommand) -> Result<()> {
    match command {
        MarketCommand::List(args) => {
            let answer = ask(&args.venue, "/atoll/markets")?;
            print(&args.venue, &answer, list::text)
        }
        MarketCommand::Show(args) => {
            let answer = ask(&args.venue, &format!("/atoll/markets/{}", encoded(&args.name)))?;
            print(&args.venue, &answer, show::text)
        }
        MarketCommand::Open(args) if args.list => listing::list(args),
        MarketCommand::Open(args) => open::run(args),
        MarketCommand::Status(args) => listing::status(args),
        MarketCommand::Bond(args) => listing::bond(args),
    }
}

/// Runs `atoll account …`.
pub(crate) fn account(command: &AccountCommand) -> Result<()> {
    let AccountCommand::Show(args) = command;
    let answer = ask(&args.venue, &format!("/atoll/accounts/{:#x}", args.address))?;
    print(&args.venue, &answer, account::text)
}

fn ask(args: &VenueArgs, path: &str) -> Result<Value> {
    let environment = encoded(&args.environment);
    Gateway::new(&args.url)?.ask(&format!("{path}?environment={environment}"))
}

fn print(args: &VenueArgs, answer: &Value, text: fn(&Value) -> String) -> Result<()> {
    use std::io::Write;
    let text = match args.json {
        true => format!("{answer}\n"),
        false => text(answer),
    };
    // A reader that has seen enough, as `head`, is no error.
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// A name as a part of a path.
fn encoded(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => text.push(byte.into()),
            _ => text += &format!("%{byte:02X}"),
        }
        text
    })
}
