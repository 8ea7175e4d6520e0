//! Metrics for Prometheus: dockerd's names where dockerd has them, `longshore_…` for what is Longshore's own.
//!
//! The text format is a few lines of code; a library for it would bring a registry of its own beside the numbers that
//! are kept anyway.

pub(crate) mod actions;
mod text;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use engine::{HostMetrics, Step, file_system_syncs};
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use spec::Platform;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use text::Text;

use crate::daemon::Daemon;
use crate::machine::open_files;
use crate::response::{self, Body};

/// The most readers of metrics at once: there is hardly ever more than one.
const MAX_READERS: usize = 32;
/// The time for a reader to ask.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers `GET /metrics` over plain HTTP, for ever.
pub(crate) async fn serve(daemon: Daemon, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(MAX_READERS));
    loop {
        // Never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a reader of metrics cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let daemon = daemon.clone();
        tokio::spawn(async move {
            let daemon = &daemon;
            let service =
                service_fn(
                    |request| async move { Ok::<_, Infallible>(answer(daemon, &request).await) },
                );
            // One request a connection: nobody keeps a place by being idle.
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a reader of metrics left early");
            }
            drop(place);
        });
    }
}

async fn answer(daemon: &Daemon, request: &Request<Incoming>) -> Response<Body> {
    if request.uri().path() != "/metrics" {
        return response::full(StatusCode::NOT_FOUND, "404 page not found\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = response::full(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let mut response = response::full(StatusCode::OK, document(daemon).await);
    let kind = HeaderValue::from_static(text::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Everything that is measured, as text.
#[expect(clippy::cast_precision_loss, reason = "the format has no other numbers")]
pub(crate) async fn document(daemon: &Daemon) -> String {
    let mut text = Text::default();
    daemon.actions().write(&mut text);
    let (host, platform) = (daemon.machine(), Platform::host());
    let id = daemon.id();
    // A store that cannot be read now is worth no less of the rest.
    let engine = daemon.engine().info().await.ok();
    let driver = engine.as_ref().map(|engine| engine.driver.clone()).unwrap_or_default();
    let name = "engine_daemon_engine_info";
    text.family(name, "gauge", "The information related to the engine and the OS it is running on");
    let labels = [
        ("architecture", host.architecture.as_str()),
        ("commit", daemon.git_commit()),
        ("daemon_id", &id),
        ("graphdriver", &driver),
        ("kernel", &host.kernel),
        ("os", &host.operating_system),
        ("os_type", &platform.os),
        ("os_version", &host.os_version),
        ("version", daemon.version()),
    ];
    text.sample(name, &labels, 1.0);
    for (name, kind, help, value) in [
        (
            "engine_daemon_engine_cpus_cpus",
            "gauge",
            "The number of cpus that the host system of the engine has",
            host.cpus,
        ),
        (
            "engine_daemon_engine_memory_bytes",
            "gauge",
            "The number of bytes of memory that the host system of the engine has",
            host.memory,
        ),
        (
            "engine_daemon_events_total",
            "counter",
            "The number of events logged",
            daemon.engine().events().count(),
        ),
        (
            "engine_daemon_events_subscribers_total",
            "gauge",
            "The number of current subscribers to events",
            daemon.count_event_streams() as u64,
        ),
    ] {
        text.single(name, kind, help, value as f64);
    }
    if let Some(engine) = engine {
        let help = "The number of images in the store";
        text.single("longshore_images", "gauge", help, engine.images as f64);
    }
    if let Some(last) = daemon.last_prune() {
        let at = last.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let help = "Time of the last scheduled prune since unix epoch in seconds";
        text.single("longshore_scheduled_prune_time_seconds", "gauge", help, at.as_secs_f64());
        let help = "Bytes that the last scheduled prune freed";
        text.single("longshore_scheduled_prune_freed_bytes", "gauge", help, last.freed as f64);
    }
    process(&mut text);
    layers(&mut text);
    registries(daemon, &mut text);
    text.finish()
}

/// Writes the work of the stages of unpacking, by which the one that is the limit on a machine is found.
#[expect(clippy::cast_precision_loss, reason = "the format has no other numbers")]
fn layers(text: &mut Text) {
    let name = "longshore_layer_stage_cpu_seconds_total";
    let help = "Processor time for layers, by stage; of small layers all is in apply";
    text.family(name, "counter", help);
    for stage in Step::ALL {
        let label = match stage {
            Step::Inflate => "inflate",
            Step::Hash => "hash",
            Step::Apply => "apply",
            Step::SmallFiles => "small_files",
        };
        text.sample(name, &[("stage", label)], stage.work().cpu.as_secs_f64());
    }
    for (stage, name, help) in [
        (Step::Inflate, "compressed_bytes", "Compressed bytes of layers that were read"),
        (Step::Hash, "tar_bytes", "Bytes of the tars of layers"),
        (Step::Apply, "entries", "Entries of the tars of layers"),
        (Step::SmallFiles, "small_files", "Files that a thread of their own made"),
    ] {
        let name = format!("longshore_layer_{name}_total");
        text.single(&name, "counter", help, stage.work().count as f64);
    }
    let (syncs, waited) = file_system_syncs();
    let help = "Syncs of the data root's file system, beside operations and at their ends";
    text.single("longshore_file_system_syncs_total", "counter", help, syncs as f64);
    let help = "Time that these syncs took";
    let name = "longshore_file_system_sync_seconds_total";
    text.single(name, "counter", help, waited.as_secs_f64());
}

/// Reads one number of a registry's traffic.
type Read = fn(&HostMetrics) -> u64;

/// Writes the traffic of registries, by host.
#[expect(clippy::cast_precision_loss, reason = "the format has no other numbers")]
fn registries(daemon: &Daemon, text: &mut Text) {
    let hosts = daemon.engine().traffic();
    let families: [(&str, &str, Read); 6] = [
        ("received_bytes", "Bytes of bodies received", |host| host.received_bytes),
        ("sent_bytes", "Bytes of bodies sent", |host| host.sent_bytes),
        ("received_blobs", "Blobs received to their end", |host| host.received_blobs),
        ("sent_blobs", "Blobs sent to their end", |host| host.sent_blobs),
        ("retries", "Requests that were tried again", |host| host.retries),
        ("failures", "Requests without an answer, or with one of status 500 or above", |host| {
            host.failures
        }),
    ];
    for (name, help, read) in families {
        let name = format!("longshore_registry_{name}_total");
        text.family(&name, "counter", &format!("{help}, by registry"));
        for (host, traffic) in &hosts {
            text.sample(&name, &[("registry", host)], read(traffic) as f64);
        }
    }
}

/// Writes the system's facts of this process, by the names that all clients of Prometheus use.
#[expect(clippy::cast_precision_loss, reason = "the format has no other numbers")]
fn process(text: &mut Text) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    if let Some(pages) = pages {
        let bytes = pages * rustix::param::page_size() as u64;
        let help = "Resident memory size in bytes.";
        text.single("process_resident_memory_bytes", "gauge", help, bytes as f64);
    }
    if let Some(open) = open_files() {
        let help = "Number of open file descriptors.";
        text.single("process_open_fds", "gauge", help, open as f64);
    }
}
