use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;

use super::*;
use crate::{LayerState, Progress, ProgressEvent};

type Jobs = Transfers<&'static str, (), u32>;

fn watcher() -> Watcher {
    Watcher::User { progress: Progress::silent(), id: "a".into() }
}

async fn start(
    jobs: &Jobs,
    work: impl Future<Output = Result<u32>> + Send + 'static,
) -> Transfer<(), u32> {
    jobs.start("key", watcher(), |_| async { Ok(((), work)) }).await.unwrap()
}

#[tokio::test]
async fn one_job_serves_all_and_tells_all() {
    let jobs = Jobs::default();
    let (go, gate) = oneshot::channel::<()>();
    let (progress, mut events) = Progress::channel();
    let first = jobs
        .start("key", watcher(), |watchers| async move {
            Ok(((), async move {
                watchers.report(LayerState::Downloaded);
                gate.await.unwrap();
                watchers.report(LayerState::PullComplete);
                Ok(7)
            }))
        })
        .await
        .unwrap();
    tokio::task::yield_now().await;
    let late = Watcher::User { progress, id: "b".into() };
    let second = jobs.start("key", late, |_| async { Ok(((), async { Ok(8) })) }).await.unwrap();
    assert!(!first.joined() && second.joined());
    go.send(()).unwrap();
    assert_eq!((first.done().await.unwrap(), second.done().await.unwrap()), (7, 7));
    drop(second);
    for state in [LayerState::Downloaded, LayerState::PullComplete] {
        let event = ProgressEvent::Layer { id: "b".into(), state };
        assert_eq!(events.recv().await, Some(event));
    }
}

#[tokio::test]
async fn who_is_not_polled_while_a_job_is_prepared_keeps_nobody_waiting() {
    let jobs = Jobs::default();
    let (go, gate) = oneshot::channel::<()>();
    let slow = async move {
        gate.await.unwrap();
        Ok(((), async { Ok(7) }))
    };
    let mut first = Box::pin(jobs.start("key", watcher(), |_| slow));
    let mut second =
        Box::pin(jobs.start("key", watcher(), |_| async { Ok(((), async { Ok(8) })) }));
    for future in [&mut first as &mut (dyn Future<Output = _> + Unpin), &mut second] {
        assert!(futures_util::FutureExt::now_or_never(future).is_none());
    }
    let other = jobs.start("other", watcher(), |_| async { Ok(((), async { Ok(9) })) });
    assert_eq!(other.await.unwrap().done().await.unwrap(), 9);
    go.send(()).unwrap();
    let third = start(&jobs, async { Ok(10) }).await;
    assert!(third.joined());
    assert_eq!(third.done().await.unwrap(), 7);
    drop(first);
    assert!(second.await.unwrap().joined());
}

#[tokio::test]
async fn who_joined_what_could_not_be_prepared_does_it_anew() {
    let jobs = Jobs::default();
    let (go, gate) = oneshot::channel::<()>();
    let failing = async move {
        gate.await.unwrap();
        Err::<((), std::future::Pending<_>), _>(EngineError::ReservedName)
    };
    let first = jobs.start("key", watcher(), |_| failing);
    let second = jobs.start("key", watcher(), |_| async { Ok(((), async { Ok(8) })) });
    let go = async { go.send(()).unwrap() };
    let (first, second, ()) = tokio::join!(first, second, go);
    assert_eq!(first.unwrap_err().to_string(), "'scratch' is a reserved name");
    let second = second.unwrap();
    assert!(!second.joined());
    assert_eq!(second.done().await.unwrap(), 8);
}

#[tokio::test]
async fn ends_with_its_last_caller() {
    struct Bell(Option<oneshot::Sender<()>>);
    impl Drop for Bell {
        fn drop(&mut self) {
            let _ = self.0.take().unwrap().send(());
        }
    }
    let jobs = Jobs::default();
    let (ring, ended) = oneshot::channel();
    let bell = Bell(Some(ring));
    let first = start(&jobs, async move {
        let _bell = bell;
        std::future::pending().await
    })
    .await;
    let second = start(&jobs, async { Ok(1) }).await;
    drop(first);
    assert!(second.joined());
    drop(second);
    ended.await.unwrap();
    assert_eq!(start(&jobs, async { Ok(2) }).await.done().await.unwrap(), 2);
}

#[tokio::test]
async fn a_failure_is_not_inherited_by_those_who_come_later() {
    let jobs = Jobs::default();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = |result: Result<u32>| {
        let runs = Arc::clone(&runs);
        async move {
            runs.fetch_add(1, Ordering::Relaxed);
            result
        }
    };
    let failed = start(&jobs, counted(Err(EngineError::ReservedName))).await;
    assert_eq!(failed.done().await.unwrap_err().to_string(), "'scratch' is a reserved name");
    let retried = start(&jobs, counted(Ok(3))).await;
    assert!(!retried.joined());
    assert_eq!(retried.done().await.unwrap(), 3);
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_panic_is_an_error_and_no_hang() {
    let jobs = Jobs::default();
    let transfer = start(&jobs, async { panic!("expected in this test") }).await;
    assert!(matches!(transfer.done().await, Err(EngineError::Internal(_))));
}
