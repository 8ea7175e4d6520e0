//! `GET /events`: a stream of what happened and what happens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use api::event::{Actor, EventMessage};
use api::{ApiVersion, Filters, timestamp};
use bytes::Bytes;
use engine::{Event, EventKind};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, Stream, stream};
use http::HeaderMap;
use http::header::ACCEPT;
use jiff::Timestamp;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use crate::daemon::Daemon;
use crate::errors::{Answer, HttpError};
use crate::request::ApiRequest;
use crate::response;

/// Answers with the events that a client subscribes to.
pub(super) fn events(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let time = |name: &str| {
        timestamp::unix(request.query.get(name))
            .map_err(|reason| HttpError::invalid(format!("invalid value for '{name}': {reason}")))
    };
    let (since, until) = (time("since")?, time("until")?);
    if let (Some(from), Some(to)) = (since, until)
        && to < from
    {
        return Err(HttpError::invalid(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            request.query.get("since"),
            request.query.get("until"),
        )));
    }
    let subscription = Subscription {
        since,
        until,
        filters: Filters::decode(request.query.get("filters"))?,
        version: request.version,
        format: Format::choose(&request.headers, request.version),
    };
    let content_type = subscription.format.content_type();
    let (history, receiver) = daemon.engine().events().subscribe();
    Ok(response::stream(content_type, lines(subscription, history, receiver, daemon)))
}

/// The name of a kind of object.
fn kind(event: &Event) -> &'static str {
    match event.kind {
        EventKind::Image => "image",
        EventKind::Daemon => "daemon",
        EventKind::Container => "container",
        EventKind::Network => "network",
        EventKind::Volume => "volume",
        EventKind::Builder => "builder",
    }
}

/// From this version on, events have no second copy of their action and actor.
const NO_COPIES_SINCE: u32 = 52;

/// Format of a stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// The `application/json` of API < 1.52: one document a line.
    Json,
    JsonLines,
    NdJson,
    /// RFC 7464.
    JsonSequence,
}

impl Format {
    /// The format that a client asks for in `Accept`, or else that of its version.
    fn choose(headers: &HeaderMap, version: ApiVersion) -> Self {
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        accepted
            .flat_map(|value| value.split(','))
            .find_map(|range| match range.split(';').next().unwrap_or_default().trim() {
                "application/jsonl" => Some(Self::JsonLines),
                "application/x-ndjson" => Some(Self::NdJson),
                "application/json-seq" => Some(Self::JsonSequence),
                _ => None,
            })
            .unwrap_or(if version.at_least(NO_COPIES_SINCE) { Self::JsonLines } else { Self::Json })
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::JsonLines => "application/jsonl",
            Self::NdJson => "application/x-ndjson",
            Self::JsonSequence => "application/json-seq",
        }
    }

    fn encode(self, event: &EventMessage) -> Bytes {
        const RECORD_SEPARATOR: u8 = 0x1e;
        let mut line = if self == Self::JsonSequence { vec![RECORD_SEPARATOR] } else { Vec::new() };
        // A struct of texts and numbers always serialises.
        line.extend(serde_json::to_vec(event).unwrap_or_default());
        line.push(b'\n');
        line.into()
    }
}

/// The events that a client subscribes to.
#[derive(Clone, Debug)]
struct Subscription {
    /// From when on. Without, and without an end, only what is still to happen.
    since: Option<Timestamp>,
    /// Until when; the stream ends then.
    until: Option<Timestamp>,
    filters: Filters,
    version: ApiVersion,
    format: Format,
}

impl Subscription {
    /// True if the filters let an event through, as dockerd has them: values of one filter are alternatives,
    /// except for labels, which must all be there.
    fn includes(&self, event: &Event) -> bool {
        let filters = &self.filters;
        let name = event.attributes.get("name").map(String::as_str).unwrap_or_default();
        let image = |value: &str| filters.matches("image", value);
        // Filters by the name of something else than an image let no image through, as nothing has that name.
        let foreign = [
            "daemon",
            "container",
            "plugin",
            "volume",
            "network",
            "node",
            "service",
            "secret",
            "config",
        ];
        filters.matches("event", event.action)
            && filters.matches("type", kind(event))
            && filters.matches("scope", "local")
            && foreign.iter().all(|other| {
                filters.matches_prefix(other, &event.actor_id)
                    || filters.matches_prefix(other, name)
            })
            && (image(&event.actor_id)
                || image(name)
                || image(&without_tag(&event.actor_id))
                || image(&without_tag(name)))
            && filters.matches_pairs("label", &event.attributes)
    }

    /// True if a past event lies within the time that was asked for.
    fn covers(&self, event: &Event) -> bool {
        let at = i128::from(event.time_nano);
        self.since.is_none_or(|since| since.as_nanosecond() <= at)
            && self.until.is_none_or(|until| at <= until.as_nanosecond())
    }

    fn line(&self, event: Event) -> Bytes {
        let kind = kind(&event).to_owned();
        // Nothing but images and containers had these, and clients fail without them, also where they are empty.
        let is_old = !self.version.at_least(NO_COPIES_SINCE);
        let of_container = is_old && event.kind == EventKind::Container;
        let copies = of_container || is_old && event.kind == EventKind::Image;
        let Event { action, actor_id, attributes, time_nano, .. } = event;
        self.format.encode(&EventMessage {
            action: action.to_owned(),
            kind,
            from: of_container.then(String::new),
            id: copies.then(|| actor_id.clone()),
            scope: "local".to_owned(),
            status: copies.then(|| action.to_owned()),
            time: time_nano.div_euclid(1_000_000_000),
            time_nano,
            actor: Actor { attributes, id: actor_id },
        })
    }
}

/// A reference without tag and digest, as dockerd also compares it.
fn without_tag(name: &str) -> String {
    spec::Reference::parse_familiar(name)
        .map_or_else(|_| name.to_owned(), |reference| reference.repository().familiar())
}

/// The body: what happened that the client wishes to hear of, then what happens, until its end or the daemon's.
fn lines(
    subscription: Subscription,
    history: Vec<Event>,
    receiver: Receiver<Event>,
    daemon: &Daemon,
) -> impl Stream<Item = Bytes> + Send + use<> {
    let now = Timestamp::now();
    let asks_for_past = subscription.since.is_some() || subscription.until.is_some();
    let past: VecDeque<_> = history
        .into_iter()
        .filter(|event| asks_for_past && subscription.covers(event) && subscription.includes(event))
        .collect();
    let end = subscription.until.map(|until| {
        // A time that passed has no distance: the stream ends when the past is told.
        let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        // A time beyond the clock's range never comes.
        Instant::now().checked_add(left)
    });
    let only_past = subscription.until.is_some_and(|until| until < now);
    let stream = EventStream {
        subscription,
        past,
        receiver,
        closed: daemon.closed().boxed(),
        end: end.flatten(),
        only_past,
        _counted: daemon.event_stream(),
    };
    stream::unfold(stream, |mut events| async move { Some((events.next().await?, events)) })
}

struct EventStream {
    subscription: Subscription,
    past: VecDeque<Event>,
    receiver: Receiver<Event>,
    closed: BoxFuture<'static, ()>,
    end: Option<Instant>,
    only_past: bool,
    _counted: Arc<()>,
}

impl EventStream {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(event) = self.past.pop_front() {
            return Some(self.subscription.line(event));
        }
        if self.only_past {
            return None;
        }
        let end = self.end;
        let ended = async {
            match end {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(ended);
        loop {
            tokio::select! {
                event = self.receiver.recv() => match event {
                    Ok(event) if self.subscription.includes(&event) => return Some(self.subscription.line(event)),
                    Ok(_) => {}
                    // A client that reads too slowly misses events, as with dockerd.
                    Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "an events client is too slow"),
                    Err(RecvError::Closed) => return None,
                },
                () = &mut ended => return None,
                () = &mut self.closed => return None,
            }
        }
    }
}
