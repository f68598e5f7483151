//! `/atoll/markets` and `/atoll/accounts`: all there is to know of an exchange's markets and
//! accounts, in one answer each. What the answers hold is the business of the [`Venue`].

use super::{Answer, Failure, Gateway, Query, error, failed, find, invalid, ok};
use crate::hyperliquid::{Venue, VenueQuery};
use crate::server::Shared;
use atoll_types::RejectCode;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use std::sync::Arc;

pub(super) async fn markets(State(shared): Gateway, uri: Uri) -> Answer {
    answer(&shared, &uri, VenueQuery::Markets).await
}

pub(super) async fn market(State(shared): Gateway, Path(name): Path<String>, uri: Uri) -> Answer {
    answer(&shared, &uri, VenueQuery::Market(name)).await
}

pub(super) async fn account(
    State(shared): Gateway,
    Path(address): Path<String>,
    uri: Uri,
) -> Answer {
    let expected = "an account is an address: 0x and 40 hex digits";
    let address = address.parse().map_err(|_| invalid(expected))?;
    answer(&shared, &uri, VenueQuery::Account(address)).await
}

async fn answer(shared: &Shared, uri: &Uri, query: VenueQuery) -> Answer {
    let found = venue(shared, uri)?.view(query).await.map_err(failed)?;
    ok(&found)
}

/// The exchange that is asked about: the only one that this gateway serves, if it is named at all.
fn venue(shared: &Shared, uri: &Uri) -> Result<Arc<dyn Venue>, Failure> {
    let query = Query::parse(uri, &["environment"])?;
    let list = shared.ports.atoll.environments();
    let asked = query.get("environment").map(|name| find(&list, name)).transpose()?;
    let venue = shared.ports.hyperliquid.as_ref();
    let venue = venue.filter(|venue| asked.is_none_or(|asked| asked == venue.environment()));
    venue.cloned().ok_or_else(|| {
        let served = shared.ports.hyperliquid.as_ref().map(|venue| venue.environment());
        let served = list.iter().find(|one| Some(one.id) == served);
        let message = match served {
            Some(served) => format!("this gateway serves the exchange '{}' only", served.name),
            None => "this node runs no exchange; GET /atoll/environments lists what it runs".into(),
        };
        error(StatusCode::NOT_FOUND, Some(RejectCode::UnknownEnvironment), message)
    })
}
