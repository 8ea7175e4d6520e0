//! What each route does.

mod absent;
mod archives;
mod check;
mod df;
mod distribution;
mod history;
mod images;
mod import;
mod manifest;
mod mount;
mod parameters;
mod prune;
mod registry;
mod search;
mod system;
mod unpack;

pub use parameters::credentials;

use http::{Response, StatusCode};
use hyper::body::Incoming;

use crate::Daemon;
use crate::connection::{Call, discard};
use crate::errors::Failure;
use crate::reply::{self, Body};
use crate::router::{Empty, Route};

pub(crate) use check::report as check_report;

/// An answer, or the error that is the answer.
pub(crate) type Answer = Result<Response<Body>, Failure>;

/// Does what a request asks for.
pub(crate) async fn dispatch(daemon: &Daemon, mut call: Call, mut body: Incoming) -> Answer {
    let route = std::mem::replace(&mut call.route, Route::Options);
    if route == Route::ImageCreate && call.query.get("fromImage").is_empty() {
        return import::run(daemon, &call, body).await;
    }
    if let Route::Empty(Empty::NetworkMember(network)) = &route {
        return absent::member(network, body).await;
    }
    if !matches!(route, Route::Auth | Route::ImagesLoad) {
        discard(&call.headers, &mut body).await;
    }
    match route {
        Route::Ping => Ok(system::ping(&call)),
        Route::Version => Ok(system::version(daemon)),
        Route::Info => system::info(daemon, &call).await,
        Route::Auth => system::auth(daemon, &call, body).await,
        Route::Events => system::events(daemon, &call),
        Route::ImageCreate => images::create(daemon, &call).await,
        Route::ManifestInspect => manifest::inspect(daemon, &call).await,
        Route::ImageSearch => search::search(daemon, &call).await,
        Route::ImageAttestations => images::attestations(&call),
        Route::Distribution(name) => distribution::inspect(daemon, &call, &name).await,
        Route::ImageList => images::list(daemon, &call).await,
        Route::ImageInspect(name) => images::inspect(daemon, &call, &name).await,
        Route::ImageHistory(name) => history::history(daemon, &call, &name).await,
        Route::ImagePush(name) => images::push(daemon, &call, &name),
        Route::ImageTag(name) => images::tag(daemon, &call, &name).await,
        Route::ImageRemove(name) => images::remove(daemon, &call, &name).await,
        Route::ImagePrune => prune::prune(daemon, &call).await,
        Route::DiskUsage => df::disk_usage(daemon, &call).await,
        Route::RegistryCheck => registry::check(daemon, &call).await,
        Route::ImagesGet => {
            let names = call.query.all("names").map(str::to_owned).collect();
            archives::save(daemon, &call, names).await
        }
        Route::ImageGet(name) => archives::save(daemon, &call, vec![name]).await,
        Route::ImagesLoad => archives::load(daemon, &call, body).await,
        Route::Failure => archives::failure(daemon, &call),
        Route::SystemCheck => Ok(check::check(daemon, &call)),
        Route::Mount => mount::mount(daemon, &call).await,
        Route::Unmount => mount::unmount(daemon, &call).await,
        Route::Mounts => mount::list(daemon).await,
        Route::Unpack => unpack::unpack(daemon, &call).await,
        Route::Empty(question) => absent::empty(daemon, &call, question),
        Route::Unavailable(domain) => Err(absent::unavailable(domain)),
        Route::Options => Ok(reply::empty(StatusCode::OK)),
    }
}
