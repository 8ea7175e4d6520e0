//! Durations of actions on images.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::text::Text;
use crate::lock::lock;

/// The upper bounds of the buckets, in seconds: those of Prometheus' own client, which dockerd uses.
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// dockerd's timer of what is done with images, and what is being done now.
#[derive(Debug, Default)]
pub(crate) struct Actions(Mutex<BTreeMap<&'static str, Action>>);

#[derive(Clone, Copy, Debug, Default)]
struct Action {
    running: u64,
    /// Actions that took no longer than each bound.
    buckets: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

/// An action that goes on until this is dropped.
#[derive(Debug)]
pub(crate) struct Timer {
    actions: Arc<Actions>,
    name: &'static str,
    begun: Instant,
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.actions.end(self.name, self.begun.elapsed());
    }
}

impl Actions {
    /// Begins an action.
    pub(crate) fn begin(self: &Arc<Self>, name: &'static str) -> Timer {
        lock(&self.0).entry(name).or_default().running += 1;
        Timer { actions: Arc::clone(self), name, begun: Instant::now() }
    }

    fn end(&self, name: &'static str, took: Duration) {
        let seconds = took.as_secs_f64();
        let mut actions = lock(&self.0);
        let action = actions.entry(name).or_default();
        action.running = action.running.saturating_sub(1);
        action.count += 1;
        action.seconds += seconds;
        for (bucket, bound) in action.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "the format has no other numbers")]
    pub(crate) fn write(&self, text: &mut Text) {
        let actions = lock(&self.0).clone();
        let name = "engine_daemon_image_actions_seconds";
        text.family(
            name,
            "histogram",
            "The number of seconds it takes to process each image action",
        );
        for (label, action) in &actions {
            let buckets = BOUNDS.iter().map(ToString::to_string).zip(action.buckets);
            for (bound, count) in buckets.chain([("+Inf".to_owned(), action.count)]) {
                let labels = [("action", *label), ("le", bound.as_str())];
                text.sample(&format!("{name}_bucket"), &labels, count as f64);
            }
            text.sample(&format!("{name}_sum"), &[("action", label)], action.seconds);
            text.sample(&format!("{name}_count"), &[("action", label)], action.count as f64);
        }
        let name = "longshore_image_actions_running";
        text.family(name, "gauge", "The number of image actions that go on now");
        for (label, action) in &actions {
            text.sample(name, &[("action", label)], action.running as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(actions: &Actions) -> String {
        let mut text = Text::default();
        actions.write(&mut text);
        text.finish()
    }

    #[test]
    fn buckets_hold_all_that_took_no_longer() {
        let actions = Arc::new(Actions::default());
        let running = actions.begin("pull");
        assert!(written(&actions).contains("longshore_image_actions_running{action=\"pull\"} 1\n"));
        for millis in [5, 400, 11_000] {
            actions.end("pull", Duration::from_millis(millis));
        }
        let text = written(&actions);
        for line in [
            "_bucket{action=\"pull\",le=\"0.005\"} 1",
            "_bucket{action=\"pull\",le=\"0.25\"} 1",
            "_bucket{action=\"pull\",le=\"0.5\"} 2",
            "_bucket{action=\"pull\",le=\"10\"} 2",
            "_bucket{action=\"pull\",le=\"+Inf\"} 3",
            "_sum{action=\"pull\"} 11.405",
            "_count{action=\"pull\"} 3",
        ] {
            let line = format!("engine_daemon_image_actions_seconds{line}\n");
            assert!(text.contains(&line), "{line} in {text}");
        }
        drop(running);
        let text = written(&actions);
        assert!(text.contains("_count{action=\"pull\"} 4\n"), "{text}");
        assert!(text.contains("running{action=\"pull\"} 0\n"), "{text}");
    }
}
