//! Standard input and output, and the images of a daemon, as archives.

use std::io::{self, PipeReader, PipeWriter, Write as _, pipe};

use api::Query;
use api::message::Message;
use copy::{Input, Place, Side, Source, Stream, Target};

use crate::client::{Call, Response, body_of};
use crate::error::CliError;
use crate::session::Session;
use crate::terminal;

/// Opens the source, and takes in all of it if it is a stream.
pub(crate) async fn source(
    place: &Place,
    side: &Side,
    session: &Session,
) -> Result<Source, CliError> {
    if let Place::Daemon(name) = place {
        let query = Query::new().with("names", name.familiar());
        let answer = session.client.get("/images/get", Call::query(query)).await?;
        let (reader, writer) = pipe().map_err(CliError::Start)?;
        let opened = Source::open(place, side, Some(Box::new(reader)));
        let (opened, received) = tokio::join!(opened, receive(answer, writer));
        received?;
        return Ok(opened?);
    }
    if !place.is_standard() {
        return Ok(Source::open(place, side, None).await?);
    }
    if terminal::reads_terminal() {
        let message = "an archive is to come from standard input, but that is a terminal";
        return Err(CliError::Refused(message.to_owned()));
    }
    let input: Input = Box::new(io::stdin());
    Ok(Source::open(place, side, Some(input)).await?)
}

/// Hands on what a daemon sends. A reader that has seen enough ends it.
async fn receive(mut answer: Response, writer: PipeWriter) -> Result<(), CliError> {
    let mut writer = writer;
    while let Some(chunk) = answer.chunk().await? {
        let written = tokio::task::spawn_blocking(move || {
            let written = writer.write_all(&chunk);
            written.map(|()| writer)
        });
        match written.await {
            Ok(Ok(same)) => writer = same,
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Ok(Err(error)) => return Err(CliError::Input(error)),
            Err(error) => return Err(CliError::Input(io::Error::other(error))),
        }
    }
    Ok(())
}

/// Opens the target. Of a daemon there is a pipe whose other end is to be sent meanwhile, by [`send`].
pub(crate) async fn target(
    place: &Place,
    side: &Side,
) -> Result<(Target, Option<PipeReader>), CliError> {
    if matches!(place, Place::Daemon(_)) {
        let (reader, writer) = pipe().map_err(CliError::Start)?;
        let target = Target::open(place, side, Some(Box::new(writer))).await?;
        return Ok((target, Some(reader)));
    }
    if place.is_standard() && terminal::writes_terminal() {
        let message = "an archive is to go to standard output, but that is a terminal: redirect it";
        return Err(CliError::Refused(message.to_owned()));
    }
    let stream = place.is_standard().then(|| -> Stream { Box::new(io::stdout()) });
    Ok((Target::open(place, side, stream).await?, None))
}

/// Sends an archive to a daemon while it is made.
pub(crate) async fn send(archive: PipeReader, session: &Session) -> Result<(), CliError> {
    let call = Call::query(Query::new().with("quiet", "1"));
    let (body, noted) = body_of(archive, "the archive");
    let sent = async {
        let answer = session.client.upload("/images/load", call, body).await?;
        let mut messages = answer.messages::<Message>();
        while let Some(message) = messages.next().await? {
            if let Some(failure) = message.failure() {
                return Err(CliError::Stream(failure.to_owned()));
            }
        }
        Ok(())
    };
    sent.await.map_err(|error| noted.explain(error))
}
