//! Live streams as server-sent events, with a pulse by which a reader knows that it is not cut off.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::{
    http::{HeaderValue, header::CACHE_CONTROL},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures_util::stream::{self, StreamExt};
use prometheus::IntGauge;
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{api::Api, caller::Caller, view::rfc3339};

/// How often the stream says that it is alive.
const PULSE: Duration = Duration::from_secs(5);
/// Every how many pulses the caller is asked for again.
const ASK_AGAIN: u32 = 6;

/// Where the events of a stream come from.
pub trait Source: Send + 'static {
    /// The next event; none when there are no more.
    fn next(&mut self) -> impl Future<Output = Option<Event>> + Send;
}

/// Counts an open stream.
struct Watching(IntGauge);

impl Watching {
    fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.dec();
    }
}

struct Told<S> {
    api: Arc<Api>,
    caller: Caller,
    events: S,
    pulse: Interval,
    pulses: u32,
    _watching: Watching,
}

/// Tells events and pulses (`tick`) until `source` ends, or until `caller` would no longer be let in.
pub fn tell(api: Arc<Api>, caller: Caller, kind: &'static str, source: impl Source) -> Response {
    // a stream keeps what is under way when a pulse comes between
    let events = stream::unfold(source, |mut source| async move {
        let event = source.next().await?;
        Some((event, source))
    });
    let watching = Watching::new(api.metrics.watchers.with_label_values(&[kind]));
    let mut pulse = interval(PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pulse.reset();
    let told = Told { api, caller, events: Box::pin(events), pulse, pulses: 0, _watching: watching };
    let stream = stream::unfold(told, |mut told| async move {
        let mut events = pin!(told.events.next());
        let event = tokio::select! {
            event = &mut events => event?,
            _ = told.pulse.tick() => {
                told.pulses += 1;
                if told.pulses.is_multiple_of(ASK_AGAIN) && !told.caller.still(&told.api) {
                    return None;
                }
                tick(&told.api)
            }
        };
        Some((Ok::<_, Infallible>(event), told))
    });
    let mut response = Sse::new(stream).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // a proxy in front must not hold back what is live
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn tick(api: &Api) -> Event {
    data("tick", &json!({ "now": rfc3339(api.clock.now()) }))
}

/// An event of a name with JSON.
pub fn data(name: &str, value: &impl serde::Serialize) -> Event {
    // what is told are plain data that can always be written
    Event::default().event(name).json_data(value).unwrap_or_else(|error| {
        tracing::error!(%error, name, "an event could not be written");
        Event::default().comment("lost")
    })
}
