//! Logs of long stretches of a chain. Nodes bound how many blocks they look through at once, each in
//! its own way: what is refused is asked for again in pieces.

use crate::client::Client;
use crate::error::ClientError;
use crate::view::{Log, LogFilter};

/// Pieces no longer than this every node answers; where not even that is, the error stands.
pub const PIECE_BLOCKS: u64 = 1_000;

/// Whether less at a time may be answered.
fn is_too_much(error: &ClientError) -> bool {
    match error {
        ClientError::Rpc { .. } | ClientError::TooLong { .. } => true,
        ClientError::Status { status, .. } => matches!(status, 400 | 413),
        _ => false,
    }
}

/// Asks for pieces of what `filter` names, from its first block on or from its last one back, until
/// `done` with what is found.
fn pieces(
    client: &Client,
    filter: &LogFilter,
    back: bool,
    mut done: impl FnMut(Vec<Log>) -> bool,
) -> Result<(), ClientError> {
    let (mut from, mut to) = (filter.from, filter.to);
    let mut length = to.saturating_sub(from).saturating_add(1);
    while from <= to {
        let piece = match back {
            true => {
                LogFilter { from: from.max(to.saturating_sub(length - 1)), to, ..filter.clone() }
            }
            false => {
                LogFilter { from, to: to.min(from.saturating_add(length - 1)), ..filter.clone() }
            }
        };
        match client.logs(&piece) {
            Ok(logs) => {
                if done(logs) {
                    break;
                }
            }
            Err(error) if is_too_much(&error) && length > PIECE_BLOCKS => {
                length = (length / 2).max(PIECE_BLOCKS);
                continue;
            }
            Err(error) => return Err(error),
        }
        let rest = match back {
            true => piece.from.checked_sub(1).map(|last| to = last),
            false => piece.to.checked_add(1).map(|first| from = first),
        };
        if rest.is_none() {
            break;
        }
    }
    Ok(())
}

/// All of them, in order.
///
/// # Errors
/// See [`ClientError`].
pub fn all(client: &Client, filter: &LogFilter) -> Result<Vec<Log>, ClientError> {
    let mut found = Vec::new();
    pieces(client, filter, false, |logs| {
        found.extend(logs);
        false
    })?;
    Ok(found)
}

/// The last of them; looked for from the last block back.
///
/// # Errors
/// See [`ClientError`].
pub fn last(client: &Client, filter: &LogFilter) -> Result<Option<Log>, ClientError> {
    let mut found = None;
    pieces(client, filter, true, |mut logs| {
        found = logs.pop();
        found.is_some()
    })?;
    Ok(found)
}
