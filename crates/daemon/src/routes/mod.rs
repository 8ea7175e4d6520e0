//! Routes: each turns a request into a call of the engine, and the result into a response.

mod absent;
mod archives;
mod check;
mod df;
mod diff;
mod distribution;
mod events;
mod history;
mod images;
mod import;
mod manifest;
mod mount;
mod prune;
mod registry;
mod remote;
mod search;
mod system;
mod unpack;
mod verify;

use http::StatusCode;
use hyper::body::Incoming;

use crate::daemon::Daemon;
use crate::errors::Answer;
use crate::request::ApiRequest;
use crate::request::body::discard;
use crate::request::route::{AtRegistry, Empty, Route};
use crate::response;

/// Answers a request by its route.
pub(crate) async fn dispatch(
    daemon: &Daemon,
    mut request: ApiRequest,
    mut body: Incoming,
) -> Answer {
    let route = std::mem::replace(&mut request.route, Route::Options);
    if route == Route::ImageCreate && request.query.get("fromImage").is_empty() {
        return import::run(daemon, &request, body).await;
    }
    if let Route::Empty(Empty::NetworkMember(network)) = &route {
        return absent::member(network, body).await;
    }
    let takes_body = matches!(
        route,
        Route::Auth
            | Route::ImagesLoad
            | Route::Registry(AtRegistry::PushList | AtRegistry::Verify)
    );
    if !takes_body {
        discard(&request.headers, &mut body).await;
    }
    match route {
        Route::Ping => Ok(system::ping(&request)),
        Route::Version => Ok(system::version(daemon)),
        Route::Info => system::info(daemon, &request).await,
        Route::Auth => system::auth(daemon, &request, body).await,
        Route::Events => events::events(daemon, &request),
        Route::ImageCreate => images::create(daemon, &request).await,
        Route::ManifestInspect => manifest::inspect(daemon, &request).await,
        Route::ImageSearch => search::search(daemon, &request).await,
        Route::ImageAttestations => images::attestations(&request),
        Route::Distribution(name) => distribution::inspect(daemon, &request, &name).await,
        Route::ImageList => images::list(daemon, &request).await,
        Route::ImageInspect(name) => images::inspect(daemon, &request, &name).await,
        Route::ImageHistory(name) => history::history(daemon, &request, &name).await,
        Route::ImagePush(name) => images::push(daemon, &request, &name),
        Route::ImageTag(name) => images::tag(daemon, &request, &name).await,
        Route::ImageRemove(name) => images::remove(daemon, &request, &name).await,
        Route::ImagePrune => prune::prune(daemon, &request).await,
        Route::DiskUsage => df::disk_usage(daemon, &request).await,
        Route::Registry(route) => remote::answer(daemon, &request, route, body).await,
        Route::ImagesGet => {
            let names = request.query.all("names").map(str::to_owned).collect();
            archives::save(daemon, &request, names).await
        }
        Route::ImageGet(name) => archives::save(daemon, &request, vec![name]).await,
        Route::ImagesLoad => archives::load(daemon, &request, body).await,
        Route::Failure => archives::failure(daemon, &request),
        Route::ImageDiff => diff::diff(daemon, &request).await,
        Route::SystemCheck => Ok(check::check(daemon, &request)),
        Route::Prune => prune::by_policy(daemon, &request).await,
        Route::Mount => mount::mount(daemon, &request).await,
        Route::Unmount => mount::unmount(daemon, &request).await,
        Route::Mounts => mount::list(daemon).await,
        Route::Unpack => unpack::unpack(daemon, &request).await,
        Route::Empty(question) => absent::empty(daemon, &request, question),
        Route::Unavailable(domain) => Err(absent::unavailable(domain)),
        Route::Options => Ok(response::empty(StatusCode::OK)),
    }
}
